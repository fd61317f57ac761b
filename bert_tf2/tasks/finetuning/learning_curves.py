"""Learning curves for the report: losses and scores by step, from the events and the history of a training."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_tf2.io import run_files
from bert_tf2.reports import pictures
from bert_tf2.reports.page import Block, Picture, Section, Text, shown_as_number
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric, read_history
from bert_tf2.training.tensorboard import read_scalars

_LOSSES = ("eval_loss", "loss")  # of an evaluation; the second is the original's, a mean of means
_NOT_SCORES = ("step", "epoch", *_LOSSES)

Curve = tuple[Sequence[float], Sequence[float]]


def section(output_dir: str, best: BestMetric, called: Callable[[str], str]) -> Section | None:
    """Loss, scores and learning rate by step; None where no training has left any of them.

    Args:
      output_dir: of the training.
      best: decides which evaluation is the best.
      called: what a result is called in a report.
    """
    scalars = read_scalars(output_dir)
    history = read_history(os.path.join(output_dir, run_files.EVAL_HISTORY))
    losses = {name: _curve(scalars, key) for name, key in (("training", "loss"),) if key in scalars}
    for name in _LOSSES:
        if any(name in entry for entry in history):
            losses["evaluation"] = _of_history(history, name)
            break
    blocks: list[Block] = [Text(_best(history, best, called))] if best.best_of(history) else []
    drawn = (("Loss", losses, "loss"), ("Scores on the evaluation data", _scores(history, called), "score"))
    for title, curves, label in drawn:
        if curves:
            blocks.append(Picture(pictures.lines(curves, "step", label), f"{title} by step", title))
    rate = scalars.get("learning_rate", {})
    if len(rate) > 2:
        svg = pictures.lines({"learning rate": _curve(scalars, "learning_rate")}, "step", "learning rate")
        blocks.append(Picture(svg, "Learning rate by step", "Learning rate"))
    return Section("Learning curves", blocks) if blocks else None


def _curve(scalars: Mapping[str, Mapping[int, float]], name: str) -> Curve:
    return list(scalars[name]), list(scalars[name].values())


def _of_history(history: Sequence[Mapping[str, Any]], name: str) -> Curve:
    return [entry["step"] for entry in history], [float(entry.get(name, math.nan)) for entry in history]


def _scores(history: Sequence[Mapping[str, Any]], called: Callable[[str], str]) -> dict[str, Curve]:
    """The results that can stand in one picture: those that are fractions, or, where there are none, percentages."""
    for most in (1, 100):
        curves = {
            called(name): _of_history(history, name)
            for name in (history[-1] if history else ())
            if name not in _NOT_SCORES and not name.endswith(("_total", "_thresh", "total", "squared_error"))
        }
        curves = {name: curve for name, curve in curves.items() if not np.nanmax(np.abs([*curve[1], 0])) > most}
        if curves:
            return curves
    return {}


def _best(history: Sequence[dict[str, Any]], best: BestMetric, called: Callable[[str], str]) -> str:
    """Which evaluation was the best, and where its weights are."""
    at = best.best_of(history)
    assert at is not None
    name = called(best.name)
    value = shown_as_number(at[best.name])
    if at["step"] == history[-1]["step"]:
        return f"The best evaluation was the last one, at step {at['step']:,}, with {name} {value}."
    where = f"The best evaluation was at step {at['step']:,}, with {name} {value}"
    return (
        f"{where}; its weights are in {run_files.BEST}/. The last one, at step {history[-1]['step']:,}, reached "
        f"{shown_as_number(history[-1].get(best.name, math.nan))}."
    )
