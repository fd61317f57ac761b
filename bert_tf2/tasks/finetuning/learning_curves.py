"""Learning curves for the report: losses and scores by step, from the event files and the history of a training."""

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


def section(output_dir: str, best: BestMetric, display_name: Callable[[str], str]) -> Section | None:
    """Loss, scores and learning rate by step; None if no training has recorded any of them.

    Args:
      output_dir: the run directory.
      best: the score that decides which evaluation is the best.
      display_name: returns the name of a result in the report.
    """
    scalars = read_scalars(output_dir)
    history = read_history(os.path.join(output_dir, run_files.EVAL_HISTORY))
    losses = {name: _curve(scalars, key) for name, key in (("training", "loss"),) if key in scalars}
    for name in _LOSSES:
        if any(name in entry for entry in history):
            losses["evaluation"] = _history_curve(history, name)
            break
    blocks: list[Block] = [Text(_best(history, best, display_name))] if best.best_of(history) else []
    curve_sets = (("Loss", losses, "loss"), ("Scores on the evaluation data", _scores(history, display_name), "score"))
    for title, curves, label in curve_sets:
        if curves:
            blocks.append(Picture(pictures.lines(curves, "step", label), f"{title} by step", title))
    rate = scalars.get("learning_rate", {})
    if len(rate) > 2:
        svg = pictures.lines({"learning rate": _curve(scalars, "learning_rate")}, "step", "learning rate")
        blocks.append(Picture(svg, "Learning rate by step", "Learning rate"))
    return Section("Learning curves", blocks) if blocks else None


def _curve(scalars: Mapping[str, Mapping[int, float]], name: str) -> Curve:
    return list(scalars[name]), list(scalars[name].values())


def _history_curve(history: Sequence[Mapping[str, Any]], name: str) -> Curve:
    return [entry["step"] for entry in history], [float(entry.get(name, math.nan)) for entry in history]


def _scores(history: Sequence[Mapping[str, Any]], display_name: Callable[[str], str]) -> dict[str, Curve]:
    """The results that can share a picture: those that are fractions or, if there are none, percentages."""
    for maximum in (1, 100):
        curves = {
            display_name(name): _history_curve(history, name)
            for name in (history[-1] if history else ())
            if name not in _NOT_SCORES and not name.endswith(("_total", "_thresh", "total", "squared_error"))
        }
        curves = {name: curve for name, curve in curves.items() if not np.nanmax(np.abs([*curve[1], 0])) > maximum}
        if curves:
            return curves
    return {}


def _best(history: Sequence[dict[str, Any]], best: BestMetric, display_name: Callable[[str], str]) -> str:
    """Says which evaluation was the best, and where its weights are."""
    entry = best.best_of(history)
    assert entry is not None
    name = display_name(best.name)
    value = shown_as_number(entry[best.name])
    if entry["step"] == history[-1]["step"]:
        return f"The best evaluation was the last one, at step {entry['step']:,}, with {name} {value}."
    where = f"The best evaluation was at step {entry['step']:,}, with {name} {value}"
    return (
        f"{where}; its weights are in {run_files.BEST}/. The last one, at step {history[-1]['step']:,}, reached "
        f"{shown_as_number(history[-1].get(best.name, math.nan))}."
    )
