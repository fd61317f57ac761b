"""The sections of `report.html` for question answering; no TensorFlow.

Shapes: `N` questions.
"""

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted
from bert_tf2.metrics import squad
from bert_tf2.metrics.classification import score_of_counts
from bert_tf2.metrics.no_answer import NoAnswer, ThresholdScores
from bert_tf2.reports import confidence, pictures
from bert_tf2.reports.excerpts import excerpt
from bert_tf2.reports.groups import LengthGroups, figure, interval, mean_scores
from bert_tf2.reports.intervals import f1_interval, wilson
from bert_tf2.reports.page import Block, Example, Examples, Figures, Mark, Picture, Section, Table, Text
from bert_tf2.tasks.squad import question_words
from bert_tf2.tasks.squad.evaluated import EvaluatedQuestion
from bert_tf2.tasks.squad.windows import Windows

_WORST_COUNT = 30
_MAX_ANSWERS = 5  # true answers listed below a question

_RIGHT, _PARTLY, _WRONG = "right", "partly right", "wrong answer"
_NOT_ANSWERED, _WRONGLY_ANSWERED = "answerable, but not answered", "unanswerable, but answered"
_NOTE = "--min_confidence leaves less probable answers out of predictions.jsonl and predictions.csv."

Floats = NDArray[np.float64]


@dataclass
class Collected:
    """What the report needs of the questions, collected in one pass; the lists have N elements.

    Attributes:
      version_2: whether questions may have no answer.
      language: `en` or `zh`.
      exact: exact match.
      f1: F1.
      confidence: the probability of the predicted answer.
      words: the index of the question word in `question_words.names`.
      answer_lengths: the length of the first true answer, in words or, in Chinese, characters; -1 if there is none.
      null_odds: see `NoAnswer`; this and the next three are empty except for SQuAD 2.0.
      has_best: see `NoAnswer`.
      best: exact match and F1 of the best answer that is not empty.
      without: see `NoAnswer`.
      worst: the questions with the lowest F1, the most confident answers first.
    """

    version_2: bool
    language: str
    exact: list[float] = field(default_factory=list)
    f1: list[float] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    answer_lengths: list[int] = field(default_factory=list)
    null_odds: list[float] = field(default_factory=list)
    has_best: list[bool] = field(default_factory=list)
    best: list[tuple[float, float]] = field(default_factory=list)
    without: list[float] = field(default_factory=list)
    worst: list[EvaluatedQuestion] = field(default_factory=list)

    @classmethod
    def of(cls, questions: Iterable[EvaluatedQuestion], version_2: bool, language: str) -> "Collected":
        """Collects data from the questions of a file.

        Args:
          questions: in order; they are not kept.
          version_2: whether they may have no answer.
          language: `en` or `zh`.
        """
        collected = cls(version_2, language)

        def imperfect() -> Iterable[EvaluatedQuestion]:
            for question in questions:
                collected._add(question)
                if question.f1 < 1:
                    yield question

        # Ties go to the first question, so that the page is deterministic.
        collected.worst = heapq.nsmallest(
            _WORST_COUNT,
            imperfect(),
            key=lambda question: (question.f1, -question.prediction.answer.probability, question.number),
        )
        return collected

    def _add(self, question: EvaluatedQuestion) -> None:
        self.exact.append(question.exact)
        self.f1.append(question.f1)
        self.confidence.append(question.prediction.answer.probability)
        self.words.append(question_words.number_of(question.example.question, self.language))
        answer = question.answers[0] if question.answers else None
        self.answer_lengths.append(-1 if answer is None else _length(answer, self.language))
        prediction = question.prediction
        if self.version_2 and prediction.null_odds is not None:
            self.null_odds.append(prediction.null_odds)
            self.has_best.append(prediction.best is not None)
            self.best.append(self._scores(question, prediction.best.text if prediction.best else ""))
            self.without.append(self._scores(question, "")[0])

    def _scores(self, question: EvaluatedQuestion, text: str) -> tuple[float, float]:
        if text == question.prediction.answer.text:
            return question.exact, question.f1
        return squad.answer_scores(
            question.answers, text, version_2_with_negative=self.version_2, language=self.language
        )

    @property
    def scores(self) -> Mapping[str, Floats]:
        """Exact match and F1, each [N]."""
        return {"exact match": np.array(self.exact), "F1": np.array(self.f1)}

    @property
    def has_answer(self) -> NDArray[np.bool_]:
        """Whether each question has an answer, [N]."""
        return np.array(self.answer_lengths) >= 0

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of the results, in percent."""
        has_answer = self.has_answer
        groups = {"": np.ones(len(has_answer), np.bool_)}
        if self.version_2:
            groups |= {"HasAns_": has_answer, "NoAns_": ~has_answer}
        names, intervals = ("exact" if self.version_2 else "exact_match", "f1"), {}
        for prefix, rows in groups.items():
            for name, scores in zip(names, self.scores.values(), strict=True):
                low, high = wilson(float(scores[rows].sum()), int(rows.sum()))
                intervals[f"{prefix}{name}"] = 100 * low, 100 * high
        return intervals

    @property
    def no_answer(self) -> NoAnswer:
        """The scores of all questions as a function of the threshold; SQuAD 2.0 only."""
        exact, f1 = np.array(self.best).T
        odds, has_best = np.array(self.null_odds), np.array(self.has_best)
        return NoAnswer(odds, has_best, self.has_answer, exact, f1, np.array(self.without))


def _length(answer: str, language: str) -> int:
    return len(answer) if language == "zh" else len(answer.split())


def sections(collected: Collected, windows: Windows, threshold: float, results: Mapping[str, float]) -> list[Section]:
    """The sections that are specific to question answering.

    Args:
      collected: data of the questions.
      windows: the windows of the questions.
      threshold: the `null_score_diff_threshold` of the evaluation.
      results: the results of the evaluation, for the best thresholds.
    """
    worst = [_example(question) for question in collected.worst]
    confidences = np.array(collected.confidence, np.float32), np.array(collected.exact) > 0
    page_sections = [
        Section("Scores by question word", _by_word(collected)),
        Section("Scores by length", _by_length(collected, windows)),
    ]
    if collected.version_2:
        thresholds = {"used": threshold}
        names = {"best exact match": "best_exact_thresh", "best F1": "best_f1_thresh"}
        thresholds |= {name: results[key] for name, key in names.items() if key in results}
        page_sections.append(Section("Questions without an answer", _no_answer(collected, thresholds)))
    page_sections.append(Section("Calibration", list(confidence.blocks(*confidences, "answers", "exact match", _NOTE))))
    return [*page_sections, Section("Worst questions", [Examples(worst) if worst else Text("All answers are right.")])]


def _by_word(collected: Collected) -> list[Block]:
    names, words = question_words.names(collected.language), np.array(collected.words)
    table = mean_scores(names, words, collected.scores, "question word", "questions")
    present = [number for number in range(len(names)) if (words == number).any()]
    means = [float(collected.scores["F1"][words == number].mean()) for number in present]
    labels = [names[number] for number in present]
    return [table, Picture(pictures.bars(labels, means, "F1"), "F1 by question word")]


def _by_length(collected: Collected, windows: Windows) -> list[Block]:
    tokenized = windows.tokenized
    lengths = {
        "context (tokens)": np.diff(tokenized.documents.row_splits)[tokenized.paragraph],
        "windows of the context": np.diff(windows.splits),
        "question (tokens)": np.diff(tokenized.questions.row_splits),
    }
    tables: list[Block] = [_length_table(name, values, collected.scores) for name, values in lengths.items()]
    has_answer = collected.has_answer
    if has_answer.any():
        unit = "characters" if collected.language == "zh" else "words"
        scores = {name: values[has_answer] for name, values in collected.scores.items()}
        tables.append(_length_table(f"answer ({unit})", np.array(collected.answer_lengths)[has_answer], scores))
    return tables


def _length_table(name: str, lengths: NDArray[np.int64], scores: Mapping[str, Floats]) -> Table:
    groups = LengthGroups.of(lengths)
    return mean_scores(groups.names, groups.group_of_row, scores, name, "questions")


# --- No answer -------------------------------------------------------------------------------------------------------


def _no_answer(collected: Collected, thresholds: Mapping[str, float]) -> list[Block]:
    no_answer = collected.no_answer
    used = no_answer.at(thresholds["used"])
    total = len(no_answer.null_odds)
    ratios = ("precision of no answer", used.predicted), ("recall of no answer", used.true)
    counts = [
        [total - used.true - (used.predicted - used.right), used.predicted - used.right],
        [used.true - used.right, used.right],
    ]
    return [
        Figures([figure(name, _ratio(used.right, count), wilson(used.right, count)) for name, count in ratios]),
        Picture(
            pictures.matrix(
                ["answerable", "unanswerable"], ["answered", "not answered"], counts, "truth", "prediction"
            ),
            "Answered questions among those with and without an answer",
            "Answered questions",
        ),
        _curve(no_answer, thresholds["used"]),
        _threshold_table(no_answer, thresholds),
    ]


def _ratio(count: int, total: int) -> float:
    return count / total if total else float("nan")


def _curve(no_answer: NoAnswer, used: float) -> Picture:
    odds, exact, f1 = no_answer.curve()
    series: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "F1": (odds.tolist(), f1.tolist()),
        "exact match": (odds.tolist(), exact.tolist()),
    }
    if odds[0] <= used <= odds[-1]:
        series["threshold used"] = [used, used], [float(min(exact.min(), f1.min())), float(max(exact.max(), f1.max()))]
    return Picture(
        pictures.lines(series, "null_score_diff_threshold", "score"),
        "Exact match and F1 of all questions by the threshold for predicting no answer",
        "Scores by threshold",
    )


def _threshold_table(no_answer: NoAnswer, thresholds: Mapping[str, float]) -> Table:
    rows: list[list[str | int | float]] = []
    for name, threshold in thresholds.items():
        scores: ThresholdScores = no_answer.at(threshold)
        counts = scores.right, scores.predicted, scores.true
        rows.append(
            [
                *(name, threshold, scores.exact, scores.f1),
                *score_of_counts(*counts)[:3],
                interval(*f1_interval(*counts)),
            ]
        )
    headers = ["threshold", "value", "exact match", "F1", "no answer: precision", "recall", "F1"]
    note = (
        "No answer is predicted where it scores higher than the best answer by more than --null_score_diff_threshold. "
        "If omitted, predictions use the best threshold for F1, which was chosen on the same questions that it is "
        "scored on, so it gains less on others."
    )
    return Table([*headers, "95 % interval"], rows, note=note)


# --- Questions -------------------------------------------------------------------------------------------------------


def _example(question: EvaluatedQuestion) -> Example:
    text, marks = excerpt(question.example.paragraph.text, _marks(question))
    answers = list(dict.fromkeys(question.answers))
    listed = " | ".join(answers[:_MAX_ANSWERS]) + (" | …" if len(answers) > _MAX_ANSWERS else "")
    title = question.example.paragraph.title
    facts = [
        ("question", question.example.question),
        ("true", listed or "no answer"),
        ("predicted", question.predicted or "no answer"),
        ("probability", f"{question.prediction.answer.probability:.3f}"),
        ("exact match, F1", f"{question.exact:.0f}, {question.f1:.3f}"),
        ("id", question.example.id),
        ("context", f"{question.context:,}{f', {title}' if title else ''}"),
    ]
    return Example(_outcome(question), text, facts, marks)


def _outcome(question: EvaluatedQuestion) -> str:
    if question.predicted and not question.answers:
        return _WRONGLY_ANSWERED
    if question.answers and not question.predicted:
        return _NOT_ANSWERED
    return _PARTLY if question.f1 else _WRONG


def _marks(question: EvaluatedQuestion) -> list[Mark]:
    """The characters that are in both answers, only in the predicted one, and only in the true one."""
    predicted, true = question.span or (0, 0), question.true_span or (0, 0)
    edges = sorted({*predicted, *true})
    marks: list[Mark] = []
    for begin, end in itertools.pairwise(edges):
        is_predicted, is_true = (span[0] <= begin and end <= span[1] for span in (predicted, true))
        if is_predicted and is_true:
            marks.append(Mark(begin, end, "predicted and true", "right"))
        elif is_predicted:
            marks.append(Mark(begin, end, "predicted", "wrong"))
        elif is_true:
            marks.append(Mark(begin, end, "true", "missed"))
    return marks


def windows_table(windows: Windows) -> Table:
    """The numbers of questions and windows, and of what was truncated."""
    summary, counts = windows.summary, np.diff(windows.splits)
    sizes = windows.parameters
    lengths = sizes.max_seq_length, sizes.doc_stride, sizes.max_query_length
    size, stride, query_length = (counted(length, "token") for length in lengths)
    rows: list[list[str | int | float]] = [
        ["questions", summary.questions, ""],
        ["windows", summary.windows, f"of at most max_seq_length={size}, every doc_stride={stride}"],
        [
            "questions with several windows",
            int(np.count_nonzero(counts > 1)),
            "their context does not fit into one",
        ],
        [
            "truncated questions",
            summary.cut_questions,
            f"longer than max_query_length={query_length}",
        ],
        ["questions without windows", summary.without_windows, "their context has no tokens"],
    ]
    return Table(["", "number", ""], rows)
