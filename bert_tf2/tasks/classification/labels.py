"""Labels: the problem type they imply, their order, ids and weights."""

import itertools
import logging
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints.task_metadata import check_labels
from bert_tf2.configs.choices import ProblemType
from bert_tf2.errors import MOST_NAMED, InputError, inflected, some
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.tasks.classification.examples import Examples, RawLabel

logger = logging.getLogger(__name__)

SEPARATOR = "|"
"""The default separator of several labels in a cell."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
_OF_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)
_MOST_SEEN = 100_000  # different labels that are remembered, so that none of them is looked at again


def infer_problem_type(examples: Examples, separator: str | None = None) -> ProblemType:
    """The problem type inferred from labels.

    * Several labels a row: where there is a list in JSON Lines, or a `|` in a cell, or a separator was asked for.
    * Regression: where all labels are numbers and not all of them are whole (2.0 is whole). They may
      have decimal commas.
    * Else a single label. So whole numbers are names of classes, however many there are.

    Args:
      examples: with labels.
      separator: the one that was asked for.
    """
    if separator is not None:
        return "multi_label"
    seen: set[str] = set()
    all_numbers, all_whole, has_comma = True, True, False
    for label in _labels_of(examples):
        if isinstance(label, tuple) or SEPARATOR in label:
            return "multi_label"
        if not all_numbers or label in seen:
            continue
        if len(seen) < _MOST_SEEN:
            seen.add(label)
        is_comma = _WITH_COMMA.fullmatch(label.strip()) is not None
        all_numbers = is_comma or are_numbers([label.strip()])
        has_comma = has_comma or is_comma
        all_whole = all_whole and all_numbers and float(label.replace(",", ".")).is_integer()
    if all_numbers and has_comma:
        _check_commas(examples)
    return "regression" if all_numbers and not all_whole else "single_label"


def infer_from_columns(examples: Examples) -> ProblemType:
    """The problem type inferred from label columns: a single label if every row has exactly one, else several."""
    return "single_label" if all(len(label) == 1 for label in _labels_of(examples)) else "multi_label"


def infer_labels(examples: Examples, problem_type: ProblemType, separator: str = SEPARATOR) -> tuple[str, ...]:
    """The distinct labels of the training data, sorted, numbers by value; or the label columns.

    Args:
      examples: with labels.
      problem_type: none are inferred for regression.
      separator: what stands between several labels in a cell.

    Raises:
      InputError: a label is missing, is not a text or cannot be a line of a file, or all rows have the same one.
    """
    if problem_type == "regression":
        return ()
    if examples.label_names is not None:
        check_labels(examples.label_names, examples.path)
        return examples.label_names
    found = {label for row in _split(examples, problem_type, separator) for label in row}
    if problem_type == "single_label" and len(found) < 2:
        raise InputError(
            f"{examples.path}: {inflected(len(examples), 'the only row has', f'all {len(examples):,} rows have')} the "
            f"label {next(iter(found))!r}; expected at least two different ones. Is --label_column right?"
        )
    if not found:
        raise InputError(f"{examples.path}: no row has a label. Is --label_column right?")
    if problem_type == "single_label" and len(found) > max(20, len(examples) / 2):
        logger.warning(
            "%s: %s rows have %s different labels; is --label_column right? Amounts need --problem_type=regression.",
            *(examples.path, f"{len(examples):,}", f"{len(found):,}"),
        )
    for label in found:
        _check_name(label, examples.path)
    labels = in_order(found)
    check_labels(labels, examples.path)
    return labels


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Labels by value where all are numbers, else as texts."""
    if are_numbers(labels):
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    return tuple(sorted(labels))


def are_numbers(labels: Iterable[str]) -> bool:
    """Whether all labels are numbers in decimal notation."""
    return all(map(_NUMBER.fullmatch, labels))


def encode(
    examples: Examples, problem_type: ProblemType, labels: Sequence[str], separator: str = SEPARATOR
) -> NDArray[Any] | SparseRows:
    """Labels as numbers; zeros where there are none.

    Args:
      examples: `N` rows.
      problem_type: what they are.
      labels: the `L` labels in the order of their ids.
      separator: what stands between several labels in a cell.

    Returns:
      Single label: int32 [N]. Several: sparse [N, L], 1 for those that apply. Regression: float32 [N].

    Raises:
      InputError: a label is missing, is not among `labels`, or is not a number; names file and line.
    """
    rows = len(examples)
    if problem_type == "regression":
        return np.fromiter(_values(examples), np.float32, rows) if examples.labels else np.zeros(rows, np.float32)
    ids = {label: index for index, label in enumerate(labels)}
    encoded, ends = array("i"), array("q", [0])
    names_of = _split(examples, problem_type, separator) if examples.labels else itertools.repeat((), rows)
    for row, names in enumerate(names_of):
        try:
            encoded.extend(sorted({ids[name] for name in names}))
        except KeyError as error:
            _refuse(examples, row, error.args[0], labels)
        ends.append(len(encoded))
    if problem_type == "multi_label":
        return SparseRows(np.array(ends, np.int64), np.array(encoded, np.int32), len(labels))
    return np.array(encoded, np.int32) if examples.labels else np.zeros(rows, np.int32)


def balanced_weights(encoded: NDArray[np.int32], labels: Sequence[str]) -> NDArray[np.float32]:
    """Weights that give every label the same total weight: rows / (labels * rows of the label).

    Args:
      encoded: int [N], the labels of the training data.
      labels: their `L` names.

    Returns:
      float32 [L]; the weights of all rows sum to N.

    Raises:
      InputError: a label has no row.
    """
    counts = np.bincount(encoded, minlength=len(labels))
    missing = [label for label, count in zip(labels, counts, strict=True) if not count]
    if missing:
        raise InputError(
            f"--class_weights=balanced: no row of the training data has the label {missing[0]!r}; take it off the list "
            "of labels, or omit the flag."
        )
    return (len(encoded) / (len(labels) * counts)).astype(np.float32)


def _labels_of(examples: Examples) -> Sequence[RawLabel]:
    if examples.labels is None:
        raise ValueError(f"{examples.path} was read without labels.")
    return examples.labels


def _split(examples: Examples, problem_type: ProblemType, separator: str) -> Iterator[tuple[str, ...]]:
    """The labels of each row, without whitespace around them; exactly one each for a single label."""
    for row, label in enumerate(_labels_of(examples)):
        if problem_type == "multi_label":
            names = label if isinstance(label, tuple) else label.split(separator)
            yield tuple(name.strip() for name in names if name.strip())
        elif isinstance(label, tuple) and examples.label_names is not None:
            if len(label) != 1:
                raise InputError(
                    f"{examples.place(row)} has 1 in {len(label)} columns of labels{': ' * bool(label)}"
                    f"{some(label, MOST_NAMED)}; expected exactly one. Correct the row, or give "
                    "--problem_type=multi_label."
                )
            yield label
        elif isinstance(label, tuple):
            raise InputError(
                f"{examples.place(row)} has a list of labels; give --problem_type=multi_label, or one label a row."
            )
        elif not label.strip():
            raise InputError(f"{examples.place(row)} has no label; every row for training or evaluation needs one.")
        else:
            yield (label.strip(),)


def _check_commas(examples: Examples) -> None:
    """Rejects numbers whose commas may be decimal commas or thousands separators, and mixed points and commas."""
    with_point = with_comma = None
    is_decimal = False
    for row, label in enumerate(_labels_of(examples)):
        text = label.strip() if isinstance(label, str) else ""
        if _WITH_COMMA.fullmatch(text):
            with_comma = row if with_comma is None else with_comma
            is_decimal = is_decimal or not _OF_THOUSANDS.fullmatch(text)
        elif "." in text:
            with_point = row if with_point is None else with_point
    if with_comma is not None and (with_point is not None or not is_decimal):
        label = _shown(_labels_of(examples)[with_comma])
        why = "other labels have decimal points" if with_point is not None else "the comma may be a thousands separator"
        raise InputError(
            f"{examples.place(with_comma)}: is {label} a number? {why[0].upper()}{why[1:]}; write all numbers with a "
            "decimal point, or give --problem_type=single_label if these are names of classes."
        )


def _values(examples: Examples) -> Iterator[float]:
    _check_commas(examples)
    for row, label in enumerate(_labels_of(examples)):
        value = value_of(label)
        if value is None:
            raise InputError(
                f"{examples.place(row)}: {_shown(label)} is not a number; regression needs one in every row. For "
                "classes give --problem_type=single_label."
            )
        yield value


def value_of(label: RawLabel) -> float | None:
    """The number that a label is, perhaps with a decimal comma; None where it is none."""
    if isinstance(label, tuple):
        return None
    text = label.strip()
    if _WITH_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) and abs(float(text)) <= _LARGEST else None


def _refuse(examples: Examples, row: int, name: str, labels: Sequence[str]) -> NoReturn:
    raise InputError(
        f"{examples.place(row)} has the unknown label {_shown(name)}; expected {some(map(repr, labels), MOST_NAMED)}. "
        "Correct the row, or the list of labels."
    )


def _check_name(label: str, path: str) -> None:
    if "\n" in label or "\r" in label:
        raise InputError(f"{path}: the label {_shown(label)} spans several lines; is --label_column right?")


def _shown(label: RawLabel) -> str:
    return repr(label if len(label) <= 60 else f"{label[:60]}...")
