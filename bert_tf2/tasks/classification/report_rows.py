"""The sections of `report.html` about single rows: the worst errors, and scores by length.

Shapes: `N` rows, `L` labels.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted, inflected
from bert_tf2.io import run_files
from bert_tf2.reports import pictures
from bert_tf2.reports.groups import LengthGroups
from bert_tf2.reports.intervals import wilson
from bert_tf2.reports.page import (
    Block,
    Example,
    Examples,
    Figures,
    Picture,
    Section,
    Table,
    Text,
    shortened,
    shown_as_number,
    shown_as_percent,
    shown_as_percents,
)
from bert_tf2.tasks.classification.evaluated import Evaluated
from bert_tf2.tasks.classification.features import Features

_MOST_ERRORS = 50
_MOST_OF_FIRST = 600  # characters of the first of two texts
_MOST_LABELS_NAMED = 10

Facts = list[tuple[str, str]]


def worst(evaluated: Evaluated) -> Iterator[Block]:
    """The rows with the largest loss; with labels, only those that are wrong."""
    losses = evaluated.scores.losses
    wrong = np.flatnonzero(~evaluated.scores.is_right)
    rows = wrong[np.argsort(-losses[wrong], kind="stable")[:_MOST_ERRORS]].tolist()
    if not rows:
        yield Text("No row is wrong.")
        return
    several = f"The {len(rows)} rows with the largest loss are shown, worst first"
    which = inflected(len(rows), "The row with the largest loss is shown", several)
    if evaluated.description.problem_type != "regression":
        are_wrong = f"{inflected(len(wrong), 'is', 'are')} wrong"
        which = f"{len(wrong):,} of {counted(len(losses), 'row')} {are_wrong}. {which}"
    yield Text(f"{which}; all rows are in {run_files.EVAL_PREDICTION_TABLE}.")
    yield Examples([_card(evaluated, row) for row in rows])


def _card(evaluated: Evaluated, row: int) -> Example:
    examples, features = evaluated.examples, evaluated.features
    title, facts = _OF_KIND[evaluated.description.problem_type](evaluated, row)
    length = int(features.whole_lengths[row])
    tokens = f"{length:,}, {_fate(features)}" if length > features.max_seq_length else f"{length:,}"
    facts += [
        ("loss", shown_as_number(float(evaluated.scores.losses[row]))),
        ("tokens", tokens),
        ("id", str(examples.ids[row])),
        (examples.unit, f"{examples.lines[row]:,}"),
    ]
    text = examples.texts[row]
    if examples.pairs is not None:
        text = f"{shortened(text, _MOST_OF_FIRST)}\n{examples.pairs[row]}"
    return Example(title, text, facts)


def _of_single_label(evaluated: Evaluated, row: int) -> tuple[str, Facts]:
    names, scores = evaluated.description.labels, evaluated.scores
    true = int(np.asarray(evaluated.labels[row : row + 1])[0])
    of_truth = evaluated.probabilities(row, row + 1)[0, true]
    return f"{names[true]} → {names[int(scores.predicted[row])]}", [
        ("confidence", shown_as_percent(float(scores.confidences[row]))),
        ("probability of the true label", shown_as_percent(float(of_truth))),
    ]


def _of_several_labels(evaluated: Evaluated, row: int) -> tuple[str, Facts]:
    is_true, is_decided = evaluated.labels[row : row + 1][0] != 0, evaluated.decided(row, row + 1)[0]
    probabilities, names = evaluated.probabilities(row, row + 1)[0], evaluated.description.labels
    facts = []
    for what, chosen in (
        ("missed", is_true & ~is_decided),
        ("wrong", ~is_true & is_decided),
        ("right", is_true & is_decided),
    ):
        labels = np.flatnonzero(chosen).tolist()
        named = [
            f"{names[label]} ({shown_as_percent(float(probabilities[label]))})" for label in labels[:_MOST_LABELS_NAMED]
        ]
        if len(labels) > len(named):
            named.append(f"{len(labels) - len(named)} more")
        facts += [(what, ", ".join(named))] if named else []
    kinds = [what for what, _ in facts if what != "right"]
    return f"labels {' and '.join(kinds)}", facts


def _of_value(evaluated: Evaluated, row: int) -> tuple[str, Facts]:
    true, predicted = float(np.asarray(evaluated.labels[row : row + 1])[0]), float(evaluated.scores.predicted[row])
    title = "too high" if predicted > true else "too low"
    return title, [("truth", shown_as_number(true)), ("prediction", shown_as_number(predicted))]


_OF_KIND = {"single_label": _of_single_label, "multi_label": _of_several_labels, "regression": _of_value}


_SCORES = {
    "single_label": ("accuracy", "95 % interval", "mean loss"),
    "multi_label": ("exact match", "95 % interval", "mean loss"),
    "regression": ("mean absolute error", "root mean squared error"),
}


# --- Lengths ---------------------------------------------------------------------------------------------------------


def lengths(evaluated: Evaluated) -> Section:
    """Scores by length, and what was truncated."""
    features = evaluated.features
    whole, limit = features.whole_lengths, features.max_seq_length
    long = int(np.count_nonzero(whole > limit))
    figures = [
        ("tokens on average", f"{whole.mean():.1f}", ""),
        ("longest row", f"{int(whole.max()):,}", f"max_seq_length is {limit:,}"),
        (_fate(features), shown_as_percent(long / len(whole)), f"{long:,} of {counted(len(whole), 'row')}"),
    ]
    is_near = 2 * int(whole.max()) > limit  # else the limit would leave little room for the rows
    svg = pictures.histogram(whole, "tokens", "rows", limit if is_near else None, f"max_seq_length {limit:,}")
    groups = _groups(whole, limit, _fate(features))
    rows = [(name, int(is_chosen.sum()), *_scores(evaluated, is_chosen)) for name, is_chosen in groups]
    return Section(
        "Length and truncation",
        [
            Figures(figures),
            Picture(svg, "Rows by number of tokens", "Tokens per row, including special tokens"),
            Table(("tokens", "rows", *_SCORES[evaluated.description.problem_type]), rows, "Scores by length"),
        ],
    )


def _groups(whole: NDArray[np.int64], limit: int, fate: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Rows of about the same length, about as many in each group, and those that are too long."""
    groups = LengthGroups.of(whole[whole <= limit])
    for name, (first, last) in zip(groups.names, groups.bounds, strict=True):
        yield name, (whole >= first) & (whole <= last)
    if (whole > limit).any():
        yield f"more than {limit:,}: {fate}", whole > limit


def _scores(evaluated: Evaluated, is_chosen: NDArray[np.bool_]) -> tuple[Any, ...]:
    """The cells of a group; see `_SCORES`."""
    losses = evaluated.scores.losses[is_chosen].astype(np.float64)
    if evaluated.description.problem_type == "regression":  # whose loss is the squared error
        return float(np.sqrt(losses).mean()), float(np.sqrt(losses.mean()))
    right = int(evaluated.scores.is_right[is_chosen].sum())
    interval = shown_as_percents(*wilson(right, len(losses)))
    return shown_as_percent(right / len(losses)), interval, float(losses.mean())


def _fate(features: Features) -> str:
    """What happens to rows that are too long."""
    return "truncated" if features.window_splits is None else "split into windows"
