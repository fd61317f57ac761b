"""Spans in tags, and their precision, recall and F1; no TensorFlow."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bert_tf2.metrics.classification import Score, score_of_counts


class Span(NamedTuple):
    """Tokens `begin` to `end`, both included, of one type."""

    type: str
    begin: int
    end: int


class SpanScores(NamedTuple):
    """Scores of spans: over all of them, averaged over types, and for each type that occurs or is predicted."""

    micro: Score
    macro: Score
    per_type: dict[str, Score]


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans that a sentence's tags describe, read as `conlleval` and seqeval's default mode do: leniently.

    A span begins at `B-` or `S-`, after `E-` or `S-`, and also at an `I-` or `E-` whose type is not that of the tag
    before it; it extends to the next `O` or the next beginning.

    Args:
      tags: each is `"O"`, or one of B, I, E and S, a hyphen and a type (`B-PER`). If omitted, the type is `"_"`.

    Raises:
      ValueError: a tag is none of these.

    Examples:
      >>> from bert_tf2 import metrics
      >>> metrics.spans(["B-PER", "I-PER", "O", "B-LOC"])
      [Span(type='PER', begin=0, end=1), Span(type='LOC', begin=3, end=3)]
    """
    result = []
    begin = 0
    previous, kind = "O", ""  # of the previous tag
    for index, tag in enumerate([*tags, "O"]):
        prefix, this_kind = _parts(tag)
        begins = prefix != "O" and (prefix in "BS" or previous in "OES" or this_kind != kind)
        if previous != "O" and (begins or prefix == "O"):
            result.append(Span(kind, begin, index - 1))
        if begins:
            begin = index
        previous, kind = prefix, this_kind
    return result


def _parts(tag: str) -> tuple[str, str]:
    if tag == "O":
        return "O", ""
    prefix, hyphen, kind = tag[:1], tag[1:2], tag[2:]
    if prefix not in ("B", "I", "E", "S") or hyphen not in ("", "-"):
        raise ValueError(f"{tag!r} is not a tag; expected O, or one of B-, I-, E- and S- with a type after it.")
    return prefix, kind or "_"


def span_scores(true: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> SpanScores:
    """Precision, recall and F1 of spans: correct ones have the true type, begin and end (seqeval, default mode).

    Args:
      true: the true tags of each sentence; see `spans`.
      predicted: the predicted tags; as many for each sentence.

    Returns:
      Scores; `macro` is the unweighted mean over types, all 0 if there are none.

    Raises:
      ValueError: the numbers of sentences or tags differ, or a tag is invalid.

    Examples:
      >>> from bert_tf2 import metrics
      >>> metrics.span_scores([["B-PER", "O"]], [["B-PER", "B-LOC"]]).micro
      Score(precision=0.5, recall=1.0, f1=0.66..., support=1)
    """
    true_counts, predicted_counts, right_counts = Counter[str](), Counter[str](), Counter[str]()  # spans of each type
    for true_tags, predicted_tags in itertools.zip_longest(true, predicted):
        if true_tags is None or predicted_tags is None or len(true_tags) != len(predicted_tags):
            raise ValueError("Each sentence must have as many predicted tags as true ones.")
        true_spans, predicted_spans = set(spans(true_tags)), set(spans(predicted_tags))
        true_counts.update(span.type for span in true_spans)
        predicted_counts.update(span.type for span in predicted_spans)
        right_counts.update(span.type for span in true_spans & predicted_spans)
    per_type = {
        kind: score_of_counts(right_counts[kind], predicted_counts[kind], true_counts[kind])
        for kind in sorted({*true_counts, *predicted_counts})
    }
    micro = score_of_counts(right_counts.total(), predicted_counts.total(), true_counts.total())
    return SpanScores(micro, _mean(list(per_type.values())), per_type)


def _mean(scores: Sequence[Score]) -> Score:
    count = len(scores) or 1
    return Score(
        sum(score.precision for score in scores) / count,
        sum(score.recall for score in scores) / count,
        sum(score.f1 for score in scores) / count,
        sum(score.support for score in scores),
    )
