"""Errors in predicted spans, by kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2 import metrics
from bert_tf2.metrics.span_errors import (
    ERRORS,
    MISSED,
    RIGHT,
    SPURIOUS,
    WRONG_BOTH,
    WRONG_BOUNDARY,
    WRONG_TYPE,
    Outcome,
    SpanErrors,
    outcomes,
)
from bert_tf2.metrics.spans import Span


def compared(true: str, predicted: str) -> list[Outcome]:
    return outcomes(metrics.spans(true.split()), metrics.spans(predicted.split()))


@pytest.mark.parametrize(
    ("true", "predicted", "kinds"),
    [
        ("O O", "O O", []),
        ("B-x I-x O", "B-x I-x O", [RIGHT]),
        ("B-x I-x O", "B-y I-y O", [WRONG_TYPE]),
        ("B-x I-x O", "O B-x O", [WRONG_BOUNDARY]),
        ("B-x I-x O", "O B-x I-x", [WRONG_BOUNDARY]),
        ("B-x I-x O", "O B-y O", [WRONG_BOTH]),
        ("B-x I-x O", "O O O", [MISSED]),
        ("B-x I-x O", "O O B-x", [MISSED, SPURIOUS]),
        ("O O O", "B-x O B-y", [SPURIOUS, SPURIOUS]),
        # Split and joined: one pair, and a span without counterpart.
        ("B-x I-x I-x", "B-x O B-x", [WRONG_BOUNDARY, SPURIOUS]),
        ("B-x O B-x", "B-x I-x I-x", [WRONG_BOUNDARY, MISSED]),
        # The same type takes precedence over more common words, and these over an earlier start.
        ("B-x I-x I-x", "B-y I-y B-x", [WRONG_BOUNDARY, SPURIOUS]),
        ("B-x I-x I-x I-x", "B-x O B-x I-x", [WRONG_BOUNDARY, SPURIOUS]),
        ("B-x I-x B-y", "B-y I-y I-y", [WRONG_BOUNDARY, MISSED]),
        ("B-x I-x B-z", "B-y I-y I-y", [WRONG_BOTH, MISSED]),
    ],
)
def test_kinds(true: str, predicted: str, kinds: list[str]) -> None:
    assert sorted(outcome.kind for outcome in compared(true, predicted)) == sorted(kinds)


def test_pairs_are_those_with_most_in_common() -> None:
    assert compared("B-x I-x I-x I-x", "B-x O B-x I-x") == [
        Outcome(WRONG_BOUNDARY, Span("x", 0, 3), Span("x", 2, 3)),
        Outcome(SPURIOUS, None, Span("x", 0, 0)),
    ]


def test_counts() -> None:
    errors = SpanErrors()
    errors.add(compared("B-x I-x O B-y O", "B-x I-x O B-x O"))
    errors.add(compared("B-x I-x O O", "O B-x O B-z"))
    errors.add(compared("B-y", "O"))
    assert errors.types == ["x", "y", "z"]
    assert errors.kinds == {RIGHT: 1, WRONG_TYPE: 1, WRONG_BOUNDARY: 1, SPURIOUS: 1, MISSED: 1}
    assert errors.by_type == {"x": {RIGHT: 1, WRONG_BOUNDARY: 1}, "y": {WRONG_TYPE: 1, MISSED: 1}, "z": {SPURIOUS: 1}}
    assert errors.pairs == {("x", "x"): 2, ("y", "x"): 1, (None, "z"): 1, ("y", None): 1}
    assert errors.counts("x") == (1, 3, 2)
    assert errors.counts("y") == (0, 0, 2)
    assert errors.counts() == (1, 4, 4)


TAGS = st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"]), max_size=12)


@given(TAGS, TAGS)
def test_every_span_counts_once(true: list[str], predicted: list[str]) -> None:
    """Each span is in one outcome, and precision, recall and F1 follow from the counts."""
    size = min(len(true), len(predicted))
    spans = metrics.spans(true[:size]), metrics.spans(predicted[:size])
    results = outcomes(*spans)
    assert sorted(one.true for one in results if one.true) == sorted(spans[0])
    assert sorted(one.predicted for one in results if one.predicted) == sorted(spans[1])
    assert {one.kind for one in results} <= {RIGHT, *ERRORS}
    for kind, of_true, of_predicted in results:
        assert (of_true is None) == (kind == SPURIOUS)
        assert (of_predicted is None) == (kind == MISSED)
        assert (of_true == of_predicted) == (kind == RIGHT)
    errors = SpanErrors()
    errors.add(results)
    right, number, of_all = errors.counts()
    scores = metrics.span_scores([true[:size]], [predicted[:size]]).micro
    assert (scores.precision, scores.recall) == (right / number if number else 0, right / of_all if of_all else 0)
    assert scores.support == of_all
