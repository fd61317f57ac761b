"""What `report.html` says of an evaluation: by number of choices and length, position bias, worst; no TensorFlow.

Shapes: `N` questions, `C` choices of the one that has most.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bert_tf2.reports import confidence, pictures
from bert_tf2.reports.excerpts import excerpt
from bert_tf2.reports.groups import LengthGroups, mean_scores
from bert_tf2.reports.intervals import wilson
from bert_tf2.reports.page import Block, Example, Examples, Figures, Picture, Section, Table, Text, shown_as_percent
from bert_tf2.tasks.multiple_choice.evaluated import EvaluatedQuestion
from bert_tf2.tasks.multiple_choice.features import Features

_WORST = 30
_MOST_CHOICES = 12  # that a card or the matrix of positions shows
_MOST_CHARACTERS = 400  # of a choice
_NOTE = "--min_confidence makes less certain choices null in predictions.jsonl, and empty in predictions.csv."

Array = NDArray[np.int64]


@dataclass
class Collected:
    """What a report keeps of questions while they pass by, in lists of N.

    Attributes:
      truth: the right choice of each.
      prediction: the chosen one.
      choices: how many each has.
      confidence: the probability of the chosen one.
      worst: those that are wrong, with the highest loss.
    """

    truth: list[int] = field(default_factory=list)
    prediction: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    worst: list[EvaluatedQuestion] = field(default_factory=list)

    @classmethod
    def of(cls, questions: Iterable[EvaluatedQuestion]) -> "Collected":
        """Of the questions of a file, in their order; each is held for a moment only."""
        collected = cls()
        wrong = (question for question in questions if not collected._add(question))
        # Of equal ones the first, so that the page is always the same.
        collected.worst = heapq.nsmallest(_WORST, wrong, key=lambda one: (-one.loss, one.number))
        return collected

    def _add(self, question: EvaluatedQuestion) -> bool:
        """Adds a question; returns whether it is answered rightly."""
        self.truth.append(question.truth)
        self.prediction.append(question.prediction)
        self.choices.append(len(question.example.choices))
        self.confidence.append(question.confidence)
        return question.is_right

    @property
    def confidences(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The probability of what was chosen, and whether it is right, [N] each."""
        return np.array(self.confidence, np.float32), self.is_right > 0

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of results."""
        return {"eval_accuracy": wilson(float(self.is_right.sum()), len(self.truth))}

    @property
    def is_right(self) -> NDArray[np.float64]:
        """1 where the right choice was chosen, else 0; [N]."""
        return (np.array(self.truth) == np.array(self.prediction)).astype(np.float64)


def sections(collected: Collected, features: Features) -> list[Section]:
    """The sections of a report that other tasks do not have.

    Args:
      collected: of the questions.
      features: of the same.
    """
    scores, worst = {"accuracy": collected.is_right}, [_example(one) for one in collected.worst]
    by_choices = LengthGroups.of(collected.choices, most=10)
    by_length = LengthGroups.of(features.lengths.max(axis=1))
    return [
        Section(
            "Accuracy by number of choices and length",
            [
                _guessing(collected),
                mean_scores(by_choices.names, by_choices.of_row, scores, "choices", "questions"),
                mean_scores(by_length.names, by_length.of_row, scores, "tokens of the longest choice", "questions"),
            ],
        ),
        Section("Calibration", list(confidence.blocks(*collected.confidences, "questions", note=_NOTE))),
        Section("Positions", _positions(np.array(collected.truth), np.array(collected.prediction))),
        Section("Worst questions", [Examples(worst) if worst else Text("All choices are right.")]),
    ]


def _guessing(collected: Collected) -> Figures:
    fraction = float(np.mean(1 / np.array(collected.choices)))
    return Figures([("accuracy of guessing", shown_as_percent(fraction), "of a random choice for each question")])


def _positions(truth: Array, prediction: Array) -> list[Block]:
    """How often each position is right, and how often it is chosen: a model should not prefer one."""
    size = int(max(truth.max(), prediction.max())) + 1
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (truth, prediction), 1)
    is_true, is_chosen, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    rows: list[list[str | int | float]] = [
        [
            *(number, int(is_true[number]), int(is_chosen[number])),
            float((is_chosen[number] - is_true[number]) / len(truth)),
            float(right[number] / is_true[number]) if is_true[number] else float("nan"),
        ]
        for number in range(size)
    ]
    headers = ["position", "right here", "chosen", "difference", "accuracy where it is right here"]
    note = "Positions count from 0. The difference is a fraction of all questions: above 0, the position is preferred."
    blocks: list[Block] = [Table(headers, rows, note=note)]
    if size <= _MOST_CHOICES:
        names = list(map(str, range(size)))
        svg = pictures.matrix(names, names, counts, "right position", "chosen position")
        blocks.insert(0, Picture(svg, "How often each position was chosen for each right one"))
    return blocks


def _example(question: EvaluatedQuestion) -> Example:
    one = question.example
    facts = [("question", one.question)] if one.question else []
    shown = _shown_choices(question)
    for number in shown:
        notes = [text for text, at in (("right", question.truth), ("chosen", question.prediction)) if at == number]
        name = f"{number} ({', '.join(notes)})" if notes else f"{number}"
        text, _ = excerpt(one.choices[number], most=_MOST_CHARACTERS)
        facts.append((name, f"{text} – {question.probabilities[number]:.3f}"))
    if len(shown) < len(one.choices):
        facts.append(("choices", f"{len(one.choices):,} in all"))
    facts += [("loss", f"{question.loss:.3f}"), ("id", str(one.id))]
    return Example(f"{question.prediction} instead of {question.truth}", excerpt(one.context)[0], facts)


def _shown_choices(question: EvaluatedQuestion) -> Sequence[int]:
    """The right and the chosen one, and others up to so many, in their order."""
    count = len(question.example.choices)
    choices = dict.fromkeys([question.truth, question.prediction, *range(count)])
    return sorted(list(choices)[:_MOST_CHOICES])


def truncated(features: Features, max_seq_length: int) -> Table:
    """How long choices are with their contexts, and what was truncated."""
    pairs = int(np.count_nonzero(features.lengths))
    rows: list[list[str | int | float]] = [
        ["questions", len(features.lengths), ""],
        ["choices", pairs, "each with its context a sequence"],
        ["longest sequence", features.longest, "tokens, before anything was truncated"],
        ["truncated sequences", features.cut, f"to max_seq_length={max_seq_length:,} tokens"],
    ]
    return Table(["", "number", "what it is"], rows)
