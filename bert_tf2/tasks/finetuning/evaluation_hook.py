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
    """When to evaluate: at fixed intervals of steps, or after each epoch; and at the end.

    Attributes:
      num_train_steps: steps in all.
      examples: of an epoch.
      batch_size: examples in a step.
      every: steps between evaluations; 0: after each epoch.
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
        """How many epochs are done at a step."""
        return step * self.batch_size / self.examples


@dataclasses.dataclass(frozen=True)
class BestMetric:
    """Which evaluation is the best.

    Attributes:
      name: of the number in an evaluation's results.
    """

    name: str

    @classmethod
    def named(cls, wanted: str, results: list[str]) -> "BestMetric":
        """The metric of `--metric_for_best`.

        Args:
          wanted: with or without `eval_` in front.
          results: names of the results that there will be.

        Raises:
          InputError: there is no such result.
        """
        for name in (f"eval_{wanted}", wanted):
            if name in results:
                return cls(name)
        raise InputError(
            f"--metric_for_best={wanted}: this task is evaluated by "
            f"{', '.join(dict.fromkeys(name.removeprefix('eval_') for name in results))}; choose one of them."
        )

    @property
    def lower_is_better(self) -> bool:
        """Whether the lowest value is the best one, as of losses."""
        return self.name.removeprefix("eval_") in _LOWER_IS_BETTER

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another; a value that is not a number never is."""
        if math.isnan(value):
            return False
        if than is None or math.isnan(than):
            return True
        return value < than if self.lower_is_better else value > than

    def best_of(self, history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """The best of some evaluations, the first of equal ones; None where there is none."""
        best = None
        for entry in history:
            if self.is_better(entry.get(self.name, math.nan), best[self.name] if best else None):
                best = entry
        return best


class EvaluationHook:
    """Evaluates when it is due; a `training.Hook`.

    Each evaluation becomes a line of `eval_history.jsonl` in `output_dir` and TensorBoard scalars in `eval/`. Lines
    after the step that a training goes on from are dropped first, so that a training that was killed ends with the
    same history.

    Args:
      output_dir: the training's directory.
      steps: when to evaluate.
      best: which evaluation is the best.
      patience: after how many evaluations without a better one training ends; 0: never.
      evaluate: evaluates the model as it is, at a step.
      save_best: keeps the model as it is, at a step, with its score.
      first_step: what the training goes on from.
      is_chief: whether this process writes.
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
        self._folder, self._steps, self._best, self._patience = output_dir, steps, best, patience
        self._evaluate, self._save_best, self._is_chief = evaluate, save_best, is_chief
        self._path = os.path.join(output_dir, run_files.EVAL_HISTORY)
        found = read_history(self._path)
        self.history = [entry for entry in found if entry["step"] <= first_step]
        if len(self.history) < len(found) and is_chief:
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
            if self._is_chief:  # the best weights are there before the line that says so
                self._write_history()
                with self._events.as_default():
                    write_scalars(step, results, "eval")
                self._events.flush()
        return self._reason()

    @property
    def best(self) -> dict[str, Any] | None:
        """The best evaluation so far; see `BestMetric.best_of`."""
        return self._best.best_of(self.history)

    @functools.cached_property
    def _events(self) -> Any:
        """One file of events for all evaluations of this process."""
        return event_writer(os.path.join(self._folder, run_files.EVAL_EVENTS))

    def _reason(self) -> str | None:
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
    """The evaluations that `EvaluationHook` wrote; none where there is no file. A missing number is NaN.

    Raises:
      InputError: the file is damaged.
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
