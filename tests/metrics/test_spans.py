"""Spans and their scores, against seqeval."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2 import metrics
from bert_tf2.metrics.classification import Score
from bert_tf2.metrics.spans import Span


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-PER I-PER O B-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),
        ("I-PER I-PER O", [("PER", 0, 1)]),
        ("B-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 0), ("LOC", 1, 2)]),
        ("I-PER B-PER I-PER", [("PER", 0, 0), ("PER", 1, 2)]),
        ("B-PER I-PER E-PER I-PER", [("PER", 0, 2), ("PER", 3, 3)]),
        ("S-PER I-PER E-PER S-LOC", [("PER", 0, 0), ("PER", 1, 2), ("LOC", 3, 3)]),
        ("E-PER E-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("B-creative-work I-creative-work", [("creative-work", 0, 1)]),
        ("B I O I", [("_", 0, 1), ("_", 3, 3)]),
    ],
)
def test_spans_are_those_of_seqeval(tags: str, expected: list[Any]) -> None:
    """What `seqeval.metrics.sequence_labeling.get_entities` of seqeval 1.2.2 gives."""
    assert metrics.spans(tags.split()) == [Span(*span) for span in expected]


@pytest.mark.parametrize("tag", ["PER", "X-PER", "Bx", "", "o"])
def test_invalid_tags(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a tag; expected O, or one of B-, I-, E- and S-"):
        metrics.spans(["O", tag])


def test_span_scores_are_those_of_seqeval() -> None:
    """Numbers of `seqeval.metrics.classification_report` (1.2.2, default mode)."""
    true = [
        ["B-PER", "I-PER", "O", "B-LOC", "O"],
        ["B-ORG", "I-ORG", "I-ORG", "O", "B-PER"],
        ["O", "O", "B-MISC"],
    ]
    predicted = [
        ["B-PER", "I-PER", "O", "I-LOC", "O"],
        ["B-ORG", "I-ORG", "O", "O", "B-LOC"],
        ["O", "O", "O"],
    ]
    result = metrics.span_scores(true, predicted)
    assert result.per_type == {
        "LOC": Score(0.5, 1.0, pytest.approx(2 / 3), 1),
        "MISC": Score(0.0, 0.0, 0.0, 1),
        "ORG": Score(0.0, 0.0, 0.0, 1),
        "PER": Score(1.0, 0.5, pytest.approx(2 / 3), 2),
    }
    assert result.micro == Score(0.5, pytest.approx(0.4), pytest.approx(4 / 9), 5)
    assert result.macro == Score(0.375, 0.375, pytest.approx(1 / 3), 5)


def test_no_spans_at_all() -> None:
    assert metrics.span_scores([["O"]], [["O"]]) == (Score(0, 0, 0, 0), Score(0, 0, 0, 0), {})


def test_numbers_of_tags_must_agree() -> None:
    with pytest.raises(ValueError, match="as many predicted tags as true ones"):
        metrics.span_scores([["O", "O"]], [["O"]])
    with pytest.raises(ValueError, match="as many predicted tags as true ones"):
        metrics.span_scores([["O"], ["O"]], [["O"]])


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 4), st.integers(0, 2)), max_size=6))
def test_spans_written_as_tags_are_read_back(parts: list[tuple[str, int, int]]) -> None:
    tags: list[str] = []
    expected = []
    for kind, length, gap in parts:
        expected.append(Span(kind, len(tags), len(tags) + length - 1))
        tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1), *["O"] * gap]
    assert metrics.spans(tags) == expected
    scores = metrics.span_scores([tags], [tags])
    assert scores.micro == ((1, 1, 1, len(parts)) if parts else (0, 0, 0, 0))
