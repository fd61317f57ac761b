"""The sections of `report.html` for multiple choice; no TensorFlow.

Shapes: `N` questions, `C` the maximum number of choices.
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

_WORST_COUNT = 30
_MAX_CHOICES = 12  # of an example, or in the matrix of positions
_MAX_CHARACTERS = 400  # of a choice
_NOTE = "--min_confidence leaves less probable choices out of predictions.jsonl and predictions.csv."

Array = NDArray[np.int64]


@dataclass
class Collected:
    """What the report needs of the questions, collected in one pass; the lists have N elements.

    Attributes:
      truth: the index of the right choice.
      prediction: the index of the predicted choice.
      choices: the number of choices.
      confidence: the probability of the predicted choice.
      worst: the wrongly answered questions with the highest loss.
    """

    truth: list[int] = field(default_factory=list)
    prediction: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    worst: list[EvaluatedQuestion] = field(default_factory=list)

    @classmethod
    def of(cls, questions: Iterable[EvaluatedQuestion]) -> "Collected":
        """Collects data from the questions of a file, in order; they are not kept."""
        collected = cls()
        wrong = (question for question in questions if not collected._add(question))
        # Ties go to the first question, so that the page is deterministic.
        collected.worst = heapq.nsmallest(_WORST_COUNT, wrong, key=lambda question: (-question.loss, question.number))
        return collected

    def _add(self, question: EvaluatedQuestion) -> bool:
        """Adds a question; returns whether it is answered correctly."""
        self.truth.append(question.truth)
        self.prediction.append(question.prediction)
        self.choices.append(len(question.example.choices))
        self.confidence.append(question.confidence)
        return question.is_right

    @property
    def confidences(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The probability of each predicted choice, and whether it is right; [N] each."""
        return np.array(self.confidence, np.float32), self.is_right > 0

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of the results."""
        return {"eval_accuracy": wilson(float(self.is_right.sum()), len(self.truth))}

    @property
    def is_right(self) -> NDArray[np.float64]:
        """1.0 for each correctly answered question, else 0.0; [N]."""
        return (np.array(self.truth) == np.array(self.prediction)).astype(np.float64)


def sections(collected: Collected, features: Features) -> list[Section]:
    """The sections that are specific to multiple choice.

    Args:
      collected: data of the questions.
      features: the features of the questions.
    """
    scores, worst = {"accuracy": collected.is_right}, [_example(question) for question in collected.worst]
    by_choices = LengthGroups.of(collected.choices, most=10)
    by_length = LengthGroups.of(features.lengths.max(axis=1))
    return [
        Section(
            "Accuracy by number of choices and length",
            [
                _guessing(collected),
                mean_scores(by_choices.names, by_choices.group_of_row, scores, "choices", "questions"),
                mean_scores(
                    by_length.names, by_length.group_of_row, scores, "tokens of the longest choice", "questions"
                ),
            ],
        ),
        Section("Calibration", list(confidence.blocks(*collected.confidences, "questions", note=_NOTE))),
        Section("Positions", _positions(np.array(collected.truth), np.array(collected.prediction))),
        Section("Worst questions", [Examples(worst) if worst else Text("All choices are right.")]),
    ]


def _guessing(collected: Collected) -> Figures:
    fraction = float(np.mean(1 / np.array(collected.choices)))
    return Figures([("random guessing", shown_as_percent(fraction), "expected accuracy")])


def _positions(truth: Array, prediction: Array) -> list[Block]:
    """How often each position is right, and how often it is predicted."""
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
    headers = ["position", "right", "chosen", "difference", "accuracy"]
    note = (
        "Positions are counted from 0. The difference is a fraction of all questions; if it is above 0, the model "
        "prefers the position. The accuracy is that of the questions whose right choice is at the position."
    )
    blocks: list[Block] = [Table(headers, rows, note=note)]
    if size <= _MAX_CHOICES:
        names = list(map(str, range(size)))
        svg = pictures.matrix(names, names, counts, "right position", "chosen position")
        blocks.insert(0, Picture(svg, "Confusion matrix of the positions"))
    return blocks


def _example(question: EvaluatedQuestion) -> Example:
    example = question.example
    facts = [("question", example.question)] if example.question else []
    shown = _shown_choices(question)
    for number in shown:
        notes = [
            text for text, index in (("right", question.truth), ("chosen", question.prediction)) if index == number
        ]
        name = f"{number} ({', '.join(notes)})" if notes else f"{number}"
        text, _ = excerpt(example.choices[number], most=_MAX_CHARACTERS)
        facts.append((name, f"{text} – {question.probabilities[number]:.3f}"))
    if len(shown) < len(example.choices):
        facts.append(("choices", f"{len(example.choices):,} in all"))
    facts += [("loss", f"{question.loss:.3f}"), ("id", str(example.id))]
    return Example(f"{question.prediction} instead of {question.truth}", excerpt(example.context)[0], facts)


def _shown_choices(question: EvaluatedQuestion) -> Sequence[int]:
    """The indices of the right, the predicted and other choices, at most `_MAX_CHOICES`, in order."""
    count = len(question.example.choices)
    choices = dict.fromkeys([question.truth, question.prediction, *range(count)])
    return sorted(list(choices)[:_MAX_CHOICES])


def truncated(features: Features, max_seq_length: int) -> Table:
    """The numbers of questions and choices, and of what was truncated."""
    pairs = int(np.count_nonzero(features.lengths))
    rows: list[list[str | int | float]] = [
        ["questions", len(features.lengths), ""],
        ["choices", pairs, "one sequence each, with the context"],
        ["tokens of the longest sequence", features.longest, "before truncation"],
        ["truncated sequences", features.truncated, f"to max_seq_length={max_seq_length:,} tokens"],
    ]
    return Table(["", "number", ""], rows)
