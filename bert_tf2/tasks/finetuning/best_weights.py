"""The weights with the best score on the dev data: `best/` in the directory of a training, and what `--use_best` takes.

Everything that reads a model of a training's directory asks here which weights are meant.
"""

import dataclasses
import json
import logging
import math
import os
from typing import Any, Self

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import listing
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, json_files, run_files
from bert_tf2.tasks.finetuning.evaluation_hook import read_history

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BestScore:
    """What the weights in `best/` were chosen by: the content of its `score.json`.

    Attributes:
      metric: name of the number in an evaluation's results.
      value: its value; NaN if it was not finite.
      step: of the weights.
      run: with `--search`, the directory of the run that they come from, within that of the search.
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
        """Reads what `save` wrote; None if there is no such file.

        Raises:
          InputError: it is corrupt.
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
    """Where the best weights of a training's directory are, if there are any."""
    return os.path.join(directory, run_files.BEST)


def exist(directory: str) -> bool:
    """Whether a training's directory has best weights."""
    return listing.is_listed(directory_of(directory))


def check(directory: str) -> None:
    """Checks that `--use_best` has something to use.

    Raises:
      InputError: it has not.
    """
    if not exist(directory):
        raise InputError(
            f"--use_best: {directory} has no {run_files.BEST}/ with a checkpoint, which a training with --do_eval "
            "writes; omit the flag to use the latest weights."
        )


def check_replaceable(directory: str) -> None:
    """Checks that a training may write its best weights into its directory.

    Raises:
      InputError: those there are of a search, or a link leads elsewhere.
    """
    best = directory_of(directory)
    if file_system.islink(best):
        raise InputError(f"{best} is a symbolic link, so the checkpoints there are not this training's; remove it.")
    kept = BestScore.load(best)
    if kept and kept.run:
        raise InputError(
            f"{best} has the best weights of a search, which this training would replace; give another --output_dir."
        )


def say_if_better(directory: str, used: str, taken_by: str = "--use_best", level: int = logging.INFO) -> None:
    """Logs, where the latest weights of a training are not the best ones, which are which.

    Args:
      directory: of the training; anything else is ignored.
      used: what is done with the latest ones: "exported".
      taken_by: what takes the best ones, with `{best}` for their directory: "--init_checkpoint={best}".
      level: of the log.
    """
    best = directory_of(directory)
    if not (listing.is_listed(directory) and listing.is_listed(best)):
        return
    try:
        step, best_step = (checkpoints.step_of(str(checkpoints.latest(place))) for place in (directory, best))
        score = BestScore.load(best)
    except InputError as error:  # of best/, which was not asked for; the latest ones are checked when they are loaded
        logger.warning("%s cannot be compared with the latest weights: %s", best, error)
        return
    if step == best_step:
        return
    metric = score.metric if score and score.step == best_step else None
    value, best_value = _score_at(directory, step, metric), score.value if score else math.nan
    if metric and value == best_value:  # of equal scores, best/ has the first
        return
    logger.log(
        level,
        "The latest weights (%s) are %s; those in %s (%s) had the best score on the dev data: %s takes them.",
        _described(step, metric, value),
        used,
        best,
        _described(best_step, metric, best_value),
        taken_by.format(best=best),
    )


def _score_at(directory: str, step: int, metric: str | None) -> float:
    """What the history of a training says of a step; NaN if nothing."""
    history = read_history(os.path.join(directory, run_files.EVAL_HISTORY)) if metric else []
    values = [entry.get(str(metric), math.nan) for entry in history if entry["step"] == step]
    return float(values[-1]) if values else math.nan


def _described(step: int, metric: str | None, value: float) -> str:
    return f"step {step}" if metric is None or math.isnan(value) else f"step {step}, {metric} {value:.4g}"
