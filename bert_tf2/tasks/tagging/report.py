"""The sections of `report.html` for tagging; no TensorFlow.

Shapes: `N` sentences.
"""

import heapq
import operator
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted
from bert_tf2.metrics.classification import score_of_counts
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
)
from bert_tf2.metrics.spans import Span
from bert_tf2.reports import confidence, pictures
from bert_tf2.reports.excerpts import excerpt
from bert_tf2.reports.groups import LengthGroups, figure, interval
from bert_tf2.reports.intervals import f1_interval, wilson
from bert_tf2.reports.page import Block, Example, Examples, Figures, Mark, Picture, Section, Table, Text
from bert_tf2.tasks.tagging.evaluated import EvaluatedSentence
from bert_tf2.tasks.tagging.features import Features
from bert_tf2.tasks.tagging.task_description import TaggingDescription

_WORST_COUNT = 30
_MAX_TYPES = 100  # in a table
_MAX_TYPES_IN_MATRIX = 20
_MAX_SPANS = 12  # spans listed below a sentence
_NO_SPAN, _OTHERS, _SEVERAL = "no span", "other types", "several kinds of errors"

_NOTE = (
    "The probability of a span is the product of the probabilities of its tags. With --min_confidence, the words of "
    "less probable spans are tagged O."
)

_MEANINGS = {
    MISSED: "a true span without a predicted counterpart",
    SPURIOUS: "a predicted span without a true counterpart",
    WRONG_TYPE: "same words, another type",
    WRONG_BOUNDARY: "at least one word in common, same type",
    WRONG_BOTH: "at least one word in common, another type",
}

Counts = tuple[int, int, int]
"""The numbers of right, predicted and true spans."""


@dataclass
class Collected:
    """What the report needs of the sentences, collected in one pass.

    Attributes:
      lengths: the sentences grouped by number of words.
      errors: the outcomes of all sentences.
      by_length: the outcomes of each group.
      sentences: the number of sentences.
      without_errors: the number of sentences with all spans right.
      words: the number of words.
      right_words: the number of words with the right tag.
      confidences: the probability of each predicted span.
      are_right: whether each of these is right, 0 or 1.
      worst: the sentences with the most errors, then with the highest loss.
    """

    lengths: LengthGroups
    errors: SpanErrors = field(default_factory=SpanErrors)
    by_length: list[SpanErrors] = field(default_factory=list)
    sentences: int = 0
    without_errors: int = 0
    words: int = 0
    right_words: int = 0
    confidences: "array[float]" = field(default_factory=lambda: array("f"))
    are_right: "array[int]" = field(default_factory=lambda: array("b"))
    worst: list[EvaluatedSentence] = field(default_factory=list)

    @classmethod
    def of(cls, sentences: Iterable[EvaluatedSentence], words: NDArray[np.int64]) -> "Collected":
        """Collects data from the sentences of a file.

        Args:
          sentences: in order; they are not kept.
          words: [N], the number of words in each.
        """
        lengths = LengthGroups.of(words)
        collected = cls(lengths, by_length=[SpanErrors() for _ in lengths.bounds])
        groups = zip(lengths.group_of_row.tolist(), sentences, strict=True)
        wrong = (sentence for group, sentence in groups if not collected._add(sentence, group))
        # Ties go to the first sentence, so that the page is deterministic.
        collected.worst = heapq.nsmallest(
            _WORST_COUNT, wrong, key=lambda sentence: (-len(sentence.errors), -(sentence.loss or 0), sentence.line)
        )
        return collected

    def _add(self, sentence: EvaluatedSentence, group: int) -> bool:
        """Adds a sentence; returns whether all its spans are right."""
        self.errors.add(sentence.outcomes)
        self.by_length[group].add(sentence.outcomes)
        for outcome in sentence.outcomes:
            if outcome.predicted is not None:
                self.confidences.append(sentence.probability(outcome.predicted))
                self.are_right.append(outcome.kind == RIGHT)
        is_right = not sentence.errors
        self.sentences += 1
        self.without_errors += is_right
        self.words += len(sentence.words)
        self.right_words += sum(map(operator.eq, sentence.true, sentence.predicted))
        return is_right

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of the results."""
        right, predicted, true = counts = self.errors.counts()
        return {
            "eval_f1": f1_interval(*counts),
            "eval_precision": wilson(right, predicted),
            "eval_recall": wilson(right, true),
            "eval_accuracy": wilson(self.right_words, self.words),
        }


def sections(collected: Collected) -> list[Section]:
    """The sections that are specific to tagging."""
    errors, right = collected.errors, collected.without_errors
    sentences = figure("sentences without errors", right / collected.sentences, wilson(right, collected.sentences))
    if not errors.pairs:
        return [Section("Spans", [Text("There are no true and no predicted spans.")])]
    worst = [_example(sentence) for sentence in collected.worst]
    confidences = np.array(collected.confidences, np.float32), np.array(collected.are_right, np.bool_)
    calibration = list(confidence.blocks(*confidences, "spans", "precision", _NOTE)) if len(confidences[0]) else []
    return [
        Section("Spans", [Figures([sentences]), _by_type(errors)]),
        Section("Errors by kind", _kinds(errors)),
        Section("Types taken for each other", _confusions(errors)),
        *([Section("Calibration", calibration)] if calibration else []),
        Section("Scores by length", [_by_length(collected)]),
        Section("Worst sentences", [Examples(worst) if worst else Text("All spans are right.")]),
    ]


# --- Scores ----------------------------------------------------------------------------------------------------------


def _score_cells(counts: Counts) -> list[str | int | float]:
    right, predicted, true = counts
    score = score_of_counts(*counts)
    intervals = wilson(right, predicted), wilson(right, true), f1_interval(*counts)
    return [true, predicted, *score[:3], *(interval(*bounds) for bounds in intervals)]


_SCORE_HEADERS = (
    *("true spans", "predicted", "precision", "recall", "F1"),
    *("precision, 95 %", "recall, 95 %", "F1, 95 %"),
)


def _by_type(errors: SpanErrors) -> Table:
    counts = {kind: errors.counts(kind) for kind in errors.types}
    shown = sorted(counts, key=lambda kind: (-counts[kind][2], -counts[kind][1], kind))[:_MAX_TYPES]
    rows = [["all", *_score_cells(errors.counts())], *([kind, *_score_cells(counts[kind])] for kind in shown)]
    omitted = len(counts) - len(shown)
    note = (
        f"The {_MAX_TYPES} most frequent types of {len(counts):,}; span_report.json has all of them." if omitted else ""
    )
    return Table(["type", *_SCORE_HEADERS], rows, "Spans by type", note)


def _by_length(collected: Collected) -> Table:
    sentences = np.bincount(collected.lengths.group_of_row).tolist()
    groups = zip(collected.lengths.names, sentences, collected.by_length, strict=True)
    rows: list[list[str | int | float]] = [
        [name, count, *_score_cells(group.counts())] for name, count, group in groups
    ]
    return Table(["words", "sentences", *_SCORE_HEADERS], rows)


# --- Errors ----------------------------------------------------------------------------------------------------------


def _kinds(errors: SpanErrors) -> list[Block]:
    counts, total = errors.kinds, errors.kinds.total() - errors.kinds[RIGHT]
    rows: list[list[str | int | float]] = [
        [kind, counts[kind], counts[kind] / (total or 1), _MEANINGS[kind]] for kind in ERRORS
    ]
    by_kind = Table(["kind", "errors", "fraction", "definition"], rows, counted(total, "error"))
    types = sorted(errors.by_type, key=lambda name: (-_errors_of(errors.by_type[name]), name))[:_MAX_TYPES]
    by_type = Table(
        ["type", RIGHT, *ERRORS],
        [[name, *(errors.by_type[name][kind] for kind in (RIGHT, *ERRORS))] for name in types],
        "Errors by type",
        "By the type of the true span; if spurious, by the predicted type.",
    )
    picture = pictures.bars(ERRORS, [counts[kind] for kind in ERRORS], "spans")
    described = ", ".join(f"{kind} {counts[kind]:,}" for kind in ERRORS)
    return [by_kind, Picture(picture, f"Errors by kind: {described}"), by_type]


def _errors_of(counts: Counter[str]) -> int:
    return counts.total() - counts[RIGHT]


def _confusions(errors: SpanErrors) -> list[Block]:
    """The confusion matrix of types, with less frequent types combined."""
    totals = Counter[str]()
    for pair, count in errors.pairs.items():
        totals.update({kind: count for kind in pair if kind is not None})
    frequent = sorted(sorted(totals), key=lambda kind: -totals[kind])
    named = frequent if len(frequent) <= _MAX_TYPES_IN_MATRIX else frequent[: _MAX_TYPES_IN_MATRIX - 1]
    names = [*named, *([_OTHERS] if len(named) < len(frequent) else []), _NO_SPAN]
    numbers = {kind: min(number, len(named)) for number, kind in enumerate(frequent)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for (true, predicted), count in errors.pairs.items():
        cell = tuple(len(names) - 1 if kind is None else numbers[kind] for kind in (true, predicted))
        counts[cell] += count
    svg = pictures.matrix(names, names, counts, "true type", "predicted type")
    return [
        Text("Spans that have a word in common are compared, whatever their boundaries."),
        Picture(svg, "Confusion matrix of the types of spans"),
    ]


# --- Sentences -------------------------------------------------------------------------------------------------------


def _example(sentence: EvaluatedSentence) -> Example:
    text, marks = excerpt(sentence.text, _marks(sentence))
    least, loss = sentence.confidence, sentence.loss
    kinds = Counter(outcome.kind for outcome in sentence.errors)
    facts = [
        ("line", f"{sentence.line:,}"),
        ("errors", ", ".join(f"{kind} {kinds[kind]:,}" for kind in ERRORS if kinds[kind])),
        ("true", _listed(sentence, [outcome.true for outcome in sentence.errors])),
        ("predicted", _listed(sentence, [outcome.predicted for outcome in sentence.errors])),
        ("loss", "" if loss is None else f"{loss:.3f}"),
        ("lowest probability", "" if least is None else f"{least:.3f}"),
    ]
    return Example(next(iter(kinds)) if len(kinds) == 1 else _SEVERAL, text, facts, marks)


def _listed(sentence: EvaluatedSentence, spans: Sequence[Span | None]) -> str:
    """A list of spans: `Jim Henson (person), Rome (place)`."""
    present = [span for span in spans if span is not None]
    shown = []
    for span in present[:_MAX_SPANS]:
        begin, end = sentence.characters(span)
        shown.append(f"{sentence.text[begin:end]:.80} ({span.type})")
    if len(present) > _MAX_SPANS:
        shown.append(f"and {len(present) - _MAX_SPANS:,} more")
    return ", ".join(shown) or "no span"


def _marks(sentence: EvaluatedSentence) -> list[Mark]:
    """The predicted spans of a sentence, and the words of true spans that are in no predicted span."""
    marks = []
    predicted = {word for outcome in sentence.outcomes if outcome.predicted for word in _words(outcome.predicted)}
    for outcome in sentence.outcomes:
        if outcome.predicted is not None:
            kind: Literal["right", "wrong"] = "right" if outcome.kind == RIGHT else "wrong"
            marks.append(Mark(*sentence.characters(outcome.predicted), _label(outcome), kind))
        if outcome.true is not None:
            for begin, end in _runs([word for word in _words(outcome.true) if word not in predicted]):
                characters = sentence.characters(Span(outcome.true.type, begin, end))
                marks.append(Mark(*characters, outcome.true.type, "missed"))
    return sorted(marks, key=lambda mark: mark.begin)


def _words(span: Span) -> range:
    return range(span.begin, span.end + 1)


def _label(outcome: Outcome) -> str:
    """The label of a predicted span: its type, and the true type if it is another one."""
    predicted, true = outcome.predicted, outcome.true
    if predicted is None or true is None or predicted.type == true.type:
        return predicted.type if predicted else ""
    return f"{predicted.type}, not {true.type}"


def _runs(words: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last number of each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for word in words:
        if runs and runs[-1][1] == word - 1:
            runs[-1] = runs[-1][0], word
        else:
            runs.append((word, word))
    return runs


def windows(features: Features, description: TaggingDescription) -> Table:
    """The numbers of sentences and windows, and of what was truncated."""
    size, context = description.max_seq_length, 2 * description.context
    rows: list[list[str | int | float]] = [
        ["sentences", features.sentences, ""],
        ["windows", len(features), f"of at most max_seq_length={size:,} tokens"],
        ["tokens of the longest sentence", features.longest, ""],
        ["sentences in several windows", features.divided, f"which overlap by {context:,} tokens"],
        ["truncated words", features.truncated, "longer than a window"],
        ["words without tokens", features.without_pieces, "consist of characters that the tokenizer removes; tagged O"],
    ]
    return Table(["", "number", ""], rows)
