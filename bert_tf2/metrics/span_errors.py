"""Errors of predicted spans by kind; every true and every predicted span is of exactly one kind. No TensorFlow.

| kind | the true span | the predicted span |
|---|---|---|
| right | `Jim Henson` person | the same words, the same type |
| wrong type | `Jim Henson` person | the same words, another type |
| wrong boundary | `Jim Henson` person | some of its words, perhaps others, the same type: `Henson` person |
| wrong type and boundary | `Jim Henson` person | the same, but another type: `Henson` place |
| missed | `Jim Henson` person | no counterpart |
| spurious | no counterpart | `Jim Henson` person |

A span has at most one counterpart. Pairs are formed in the order of the table; within a kind, those with more words in
common first, then those that begin first. So if two predicted spans of the right type each share a word with a true
span, one of them is `wrong boundary`, and the other is `spurious`.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bert_tf2.metrics.spans import Span

RIGHT, WRONG_TYPE, WRONG_BOUNDARY, WRONG_BOTH = "right", "wrong type", "wrong boundary", "wrong type and boundary"
MISSED, SPURIOUS = "missed", "spurious"

ERRORS = (MISSED, SPURIOUS, WRONG_TYPE, WRONG_BOUNDARY, WRONG_BOTH)
"""All kinds but `RIGHT`."""

_PAIRED = (RIGHT, WRONG_TYPE, WRONG_BOUNDARY, WRONG_BOTH)


class Outcome(NamedTuple):
    """A pair of a true and a predicted span, or one of them without a counterpart.

    Attributes:
      kind: see the module's description.
      true: the true span; None if it is `SPURIOUS`.
      predicted: the predicted span; None if it is `MISSED`.
    """

    kind: str
    true: Span | None
    predicted: Span | None


def outcomes(true: Sequence[Span], predicted: Sequence[Span]) -> list[Outcome]:
    """Compares the spans of a sentence; see the module's description.

        outcomes([Span("person", 0, 1)], [Span("person", 1, 1)])[0].kind == "wrong boundary"

    Args:
      true: the true spans in the order of the sentence, without overlaps, as `spans` returns them.
      predicted: the predicted spans, also in order.

    Returns:
      The outcomes in the order of the sentence.
    """
    if true == predicted:
        return [Outcome(RIGHT, span, span) for span in true]
    candidates = [
        (_PAIRED.index(_kind(one, other)), -_shared(one, other), first, second)
        for first, second in _overlapping(true, predicted)
        for one, other in [(true[first], predicted[second])]
    ]
    compared, paired_true, paired_predicted = list[Outcome](), set[int](), set[int]()
    for kind, _, first, second in sorted(candidates):
        if first not in paired_true and second not in paired_predicted:
            paired_true.add(first)
            paired_predicted.add(second)
            compared.append(Outcome(_PAIRED[kind], true[first], predicted[second]))
    compared += [Outcome(MISSED, span, None) for number, span in enumerate(true) if number not in paired_true]
    compared += [
        Outcome(SPURIOUS, None, span) for number, span in enumerate(predicted) if number not in paired_predicted
    ]
    return sorted(compared, key=_begin)


def _overlapping(true: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """The indices of true and predicted spans that have a word in common."""
    first = 0
    for number, span in enumerate(true):
        while first < len(predicted) and predicted[first].end < span.begin:
            first += 1
        for other in itertools.count(first):
            if other == len(predicted) or predicted[other].begin > span.end:
                break
            yield number, other


def _kind(true: Span, predicted: Span) -> str:
    same_type = true.type == predicted.type
    if true[1:] == predicted[1:]:
        return RIGHT if same_type else WRONG_TYPE
    return WRONG_BOUNDARY if same_type else WRONG_BOTH


def _shared(one: Span, other: Span) -> int:
    return min(one.end, other.end) - max(one.begin, other.begin) + 1


def _begin(outcome: Outcome) -> tuple[int, bool]:
    begins = [span.begin for span in outcome[1:] if span is not None]
    return min(begins), outcome.true is None


class SpanErrors:
    """Counts of outcomes, accumulated over sentences.

    Attributes:
      by_type: the number of outcomes of each kind, by the type of the true span; if spurious, of the predicted span.
      pairs: the number of outcomes by true and predicted type; None stands for no counterpart.
    """

    def __init__(self) -> None:
        self.by_type: dict[str, Counter[str]] = {}
        self.pairs: Counter[tuple[str | None, str | None]] = Counter()

    def add(self, compared: Iterable[Outcome]) -> None:
        """Adds the outcomes of a sentence."""
        for kind, true, predicted in compared:
            true_type, predicted_type = true and true.type, predicted and predicted.type
            self.by_type.setdefault(true_type or predicted_type or "", Counter())[kind] += 1
            self.pairs[true_type, predicted_type] += 1

    @property
    def types(self) -> list[str]:
        """All types of true and predicted spans, sorted."""
        return sorted({kind for pair in self.pairs for kind in pair if kind is not None})

    @property
    def kinds(self) -> Counter[str]:
        """The number of outcomes of each kind."""
        total = Counter[str]()
        for counts in self.by_type.values():
            total.update(counts)
        return total

    def counts(self, kind: str | None = None) -> tuple[int, int, int]:
        """The numbers of right, predicted and true spans, of one type or of all."""
        counted = {name for name in self.types if kind in (None, name)}
        right = sum(counts[RIGHT] for name, counts in self.by_type.items() if name in counted)
        predicted = sum(count for (_, name), count in self.pairs.items() if name in counted)
        true = sum(count for (name, _), count in self.pairs.items() if name in counted)
        return right, predicted, true
