"""Evaluation during fine-tuning: the history, keeping the best weights, and early stopping."""

import dataclasses
import functools
import json
import logging
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, file_system, files, json_files, run_files
from bert_tf2.training.tensorboard import event_writer, write_scalars

logger = logging.getLogger(__name__)

_LOWER_IS_BETTER = ("loss", "mean_squared_error")

Results = dict[str, float]


@dataclasses.dataclass(frozen=True)
class EvaluationSteps:
    """The steps at which to evaluate: at fixed intervals or after each epoch, and after the last step.

    Attributes:
      num_train_steps: total number of training steps.
      examples: number of examples per epoch.
      batch_size: examples per step.
      every: steps between evaluations; 0: evaluate after each epoch.
    """

    num_train_steps: int
    examples: int
    batch_size: int
    every: int = 0

    def next_after(self, step: int) -> int:
        """The first step after `step` at which to evaluate."""
        if self.every:
            due = step - step % self.every + self.every
        else:  # the first epoch that ends after this step
            epoch = -(-(step + 1) * self.batch_size // self.examples)
            due = epoch * self.examples // self.batch_size
        return min(due, self.num_train_steps) if step < self.num_train_steps else due

    def has(self, step: int) -> bool:
        """Whether to evaluate at this step."""
        return step > 0 and self.next_after(step - 1) == step

    def epoch(self, step: int) -> float:
        """The number of epochs completed at a step."""
        return step * self.batch_size / self.examples


@dataclasses.dataclass(frozen=True)
class BestMetric:
    """The score by which evaluations are compared.

    Attributes:
      name: name of the score in an evaluation's results.
    """

    name: str

    @classmethod
    def find(cls, requested: str, results: list[str]) -> "BestMetric":
        """Finds the metric of `--metric_for_best`.

        Args:
          requested: the name, with or without the prefix `eval_`.
          results: names of the results of an evaluation.

        Raises:
          InputError: there is no such result.
        """
        for name in (f"eval_{requested}", requested):
            if name in results:
                return cls(name)
        raise InputError(
            f"--metric_for_best={requested}: this task is evaluated by "
            f"{', '.join(dict.fromkeys(name.removeprefix('eval_') for name in results))}; choose one of them."
        )

    @property
    def lower_is_better(self) -> bool:
        """Whether the lowest value is the best one, as it is for losses."""
        return self.name.removeprefix("eval_") in _LOWER_IS_BETTER

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another; NaN never is, and anything else is better than NaN or None."""
        if math.isnan(value):
            return False
        if than is None or math.isnan(than):
            return True
        return value < than if self.lower_is_better else value > than

    def best_of(self, history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """The best of several evaluations, the first of equal ones; None if none has a score."""
        best = None
        for entry in history:
            if self.is_better(entry.get(self.name, math.nan), best[self.name] if best else None):
                best = entry
        return best


class EvaluationHook:
    """Evaluates at certain steps of a training and keeps the best weights; a `training.Hook`.

    Each evaluation becomes a line of `eval_history.jsonl` in `output_dir` and TensorBoard scalars in `eval/`. Lines
    after the step that training resumes from are dropped first, so that a run that was killed ends with the same
    history.

    Args:
      output_dir: the run directory.
      steps: the steps at which to evaluate.
      best: the score that decides which evaluation is the best.
      patience: number of evaluations without improvement after which training stops; 0: it never does.
      evaluate: evaluates the model in its current state, at a step.
      save_best: saves the model in its current state, at a step, with its score.
      first_step: the step that training starts or resumes from.
      is_chief: whether this process is the one that writes files.

    Attributes:
      history: the evaluations so far: `step`, `epoch` and results.

    Raises:
      InputError: `eval_history.jsonl` is corrupt.
    """

    def __init__(
        self,
        output_dir: str,
        steps: EvaluationSteps,
        best: BestMetric,
        patience: int,
        evaluate: Callable[[int], Results],
        save_best: Callable[[int, float], None],
        first_step: int,
        is_chief: bool,
    ) -> None:
        self._output_dir, self._steps, self._best, self._patience = output_dir, steps, best, patience
        self._evaluate, self._save_best, self._is_chief = evaluate, save_best, is_chief
        self._path = os.path.join(output_dir, run_files.EVAL_HISTORY)
        history = read_history(self._path)
        self.history = [entry for entry in history if entry["step"] <= first_step]
        if len(self.history) < len(history) and is_chief:
            self._write_history()

    def next_after(self, step: int) -> int:
        """See `training.Hook`."""
        return self._steps.next_after(step)

    def run(self, step: int) -> str | None:
        """See `training.Hook`."""
        if self._steps.has(step) and all(entry["step"] != step for entry in self.history):
            results = self._evaluate(step)
            logger.info(
                "Step %d, epoch %.3g: %s.",
                *(step, self._steps.epoch(step)),
                ", ".join(f"{name} {value:.4g}" for name, value in results.items()),
            )
            best = self.best
            if self._best.is_better(results[self._best.name], best[self._best.name] if best else None):
                self._save_best(step, results[self._best.name])
            self.history.append({"step": step, "epoch": round(self._steps.epoch(step), 6), **results})
            if self._is_chief:  # after the weights, so that no line refers to best weights that do not exist
                self._write_history()
                write_scalars(self._events, step, results, "eval")
        return self._reason_to_stop()

    @property
    def best(self) -> dict[str, Any] | None:
        """The best evaluation so far; see `BestMetric.best_of`."""
        return self._best.best_of(self.history)

    @functools.cached_property
    def _events(self) -> Any:
        """The writer of the event file, one for all evaluations of this process."""
        return event_writer(os.path.join(self._output_dir, run_files.EVAL_EVENTS))

    def _reason_to_stop(self) -> str | None:
        best = self.best
        since = [entry for entry in self.history if best is None or entry["step"] > best["step"]]
        if not self._patience or len(since) < self._patience:
            return None
        where = f"since step {best['step']} ({best[self._best.name]:.4g})" if best else "at all"
        times = counted(self._patience, "evaluation")
        return f"{self._best.name} has not improved {where}, --early_stopping_patience is {times}"

    def _write_history(self) -> None:
        with atomic.replacing(self._path) as file:
            file.writelines(json.dumps(json_files.without_nan(entry)) + "\n" for entry in self.history)


def read_history(path: str) -> list[dict[str, Any]]:
    """Reads the evaluations that `EvaluationHook` wrote; none if the file does not exist. Null becomes NaN.

    Raises:
      InputError: the file is corrupt.
    """
    if not file_system.exists(path):
        return []
    history = []
    for number, line in enumerate(files.read_lines(path), 1):
        try:
            entry = json_files.parse(line, path)
            entry["step"] = int(entry["step"])
        except (ValueError, TypeError, KeyError):
            raise InputError(
                f"{path}, line {number} is not an evaluation result; remove the file (it is only a history)."
            ) from None
        history.append(json_files.with_nan(entry))
    return history
