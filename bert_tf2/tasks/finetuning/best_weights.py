"""The weights with the best score on the dev data: `best/` in a run directory, which `--use_best` selects.

All code that reads a model from a run directory relies on this module to choose between these and the latest weights.
"""

import dataclasses
import json
import logging
import math
import os
from typing import Any, Self

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import listing
from bert_tf2.errors import Diverged, InputError
from bert_tf2.io import atomic, file_system, json_files, run_files
from bert_tf2.tasks.finetuning.evaluation_hook import read_history

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BestScore:
    """The score by which the weights in `best/` were chosen: the content of its `score.json`.

    Attributes:
      metric: name of the score in the evaluation's results.
      value: the score; NaN if it was not finite.
      step: the step of the weights.
      run: with `--search`, the directory of the run with these weights, relative to that of the search.
    """

    metric: str
    value: float
    step: int
    run: str | None = None

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes `score.json`.

        Raises:
          OSError: it cannot be written.
        """
        fields: dict[str, Any] = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        fields["value"] = self.value if math.isfinite(self.value) else None
        with atomic.replacing(os.path.join(directory, run_files.BEST_SCORE)) as file:
            file.write(json.dumps(fields) + "\n")

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self | None:
        """Reads the file that `save` writes; None if it does not exist.

        Raises:
          InputError: the file is corrupt.
        """
        path = os.path.join(directory, run_files.BEST_SCORE)
        if not file_system.exists(path):
            return None
        advice = "remove it: it says only how good the weights beside it are."
        fields = json_files.read_object(path, advice)
        value = fields.get("value")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{path}: value must be a number; {advice}")
        return cls(
            json_files.get(fields, "metric", str, path, ""),
            math.nan if value is None else float(value),
            json_files.get(fields, "step", int, path, -1),
            json_files.get(fields, "run", str, path),
        )


def directory_of(directory: str) -> str:
    """The directory of the best weights within a run directory; it need not exist."""
    return os.path.join(directory, run_files.BEST)


def exist(directory: str) -> bool:
    """Whether a run directory has best weights."""
    return listing.is_listed(directory_of(directory))


def check(directory: str, is_trained: bool = False) -> None:
    """Checks that a run directory has the best weights that `--use_best` asks for.

    Args:
      directory: the run directory.
      is_trained: whether a training with evaluations has just ended there.

    Raises:
      Diverged: that training has kept none.
      InputError: there are none.
    """
    if exist(directory):
        return
    if is_trained:
        raise Diverged(
            f"{directory} has no best weights: in no evaluation of the training was the score a number (a correlation, "
            "for example, is none if all predictions are the same); lower --learning_rate, or give another "
            "--metric_for_best."
        )
    raise InputError(
        f"--use_best: {directory} has no {run_files.BEST}/ with a checkpoint, which a training with --do_eval "
        "writes; omit the flag to use the latest weights."
    )


def check_replaceable(directory: str) -> None:
    """Checks that a training may replace the best weights in its run directory.

    Raises:
      InputError: they are those of a search, or `best/` is a symbolic link.
    """
    best = directory_of(directory)
    if file_system.islink(best):
        raise InputError(f"{best} is a symbolic link, so the checkpoints there are not this training's; remove it.")
    score = BestScore.load(best)
    if score and score.run:
        raise InputError(
            f"{best} has the best weights of a search, which this training would replace; give another --output_dir."
        )


def check_metric(directory: str, metric: str, step: int) -> None:
    """Checks that the best weights that a resumed training would keep were chosen by the same score.

    Args:
      directory: its run directory.
      metric: name of the score in the evaluation's results.
      step: the step that it resumes from; best weights of a later step will be replaced in any case.

    Raises:
      InputError: they were chosen by another score.
    """
    score = BestScore.load(directory_of(directory))
    if score and score.step <= step and score.metric not in ("", metric):
        chosen, other = (name.removeprefix("eval_") for name in (score.metric, metric))
        raise InputError(
            f"{directory_of(directory)} has the weights with the best {chosen}, where this command keeps those with "
            f"the best {other}; give --metric_for_best={chosen}, another --output_dir, or --overwrite_output_dir to "
            "start over."
        )


def log_if_better(directory: str, used: str, selector: str = "--use_best", level: int = logging.INFO) -> None:
    """Logs that a run directory has better weights than its latest ones, if that is so, and how to use them.

    Args:
      directory: a run directory; any other directory is ignored.
      used: what is done with the latest weights: "exported".
      selector: what selects the best weights, with `{best}` for their directory: "--init_checkpoint={best}".
      level: the log level.
    """
    best = directory_of(directory)
    if not (listing.is_listed(directory) and listing.is_listed(best)):
        return
    try:
        step, best_step = (checkpoints.step_of(str(checkpoints.latest(path))) for path in (directory, best))
        score = BestScore.load(best)
    except InputError as error:  # no failure, as best/ is not used; the latest weights are checked when they are loaded
        logger.warning("%s cannot be compared with the latest weights: %s", best, error)
        return
    if step == best_step:
        return
    metric = score.metric if score and score.step == best_step else None
    value, best_value = _score_at(directory, step, metric), score.value if score else math.nan
    if metric and value == best_value:  # best/ has the first of several equal scores
        return
    logger.log(
        level,
        "The latest weights (%s) are %s; those in %s (%s) had the best score on the dev data: %s takes them.",
        _description(step, metric, value),
        used,
        best,
        _description(best_step, metric, best_value),
        selector.format(best=best),
    )


def _score_at(directory: str, step: int, metric: str | None) -> float:
    """The score of a step in the history of a training; NaN if there is none."""
    history = read_history(os.path.join(directory, run_files.EVAL_HISTORY)) if metric else []
    values = [entry.get(str(metric), math.nan) for entry in history if entry["step"] == step]
    return float(values[-1]) if values else math.nan


def _description(step: int, metric: str | None, value: float) -> str:
    return f"step {step}" if metric is None or math.isnan(value) else f"step {step}, {metric} {value:.4g}"
