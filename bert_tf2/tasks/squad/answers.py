"""Candidate answers to a question, and the choice of the predicted one; no TensorFlow.

Follows `write_predictions` of google-research/bert `run_squad.py`; `span_selection` finds the candidates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from bert_tf2.configs.fields import MOST_LENGTH, check, setting

NO_CANDIDATE = "empty"
"""The original's prediction on SQuAD 1.1 if no span of tokens can be an answer."""

NO_WINDOW_SCORE = 1_000_000.0
"""The score of "no answer" for a context without tokens, which has no window; the original's initial value."""


@dataclass(frozen=True)
class AnswerParameters:
    """How answers are chosen; names and defaults are the original's flags.

    Attributes:
      n_best_size: the number of answers to keep per question; also of starts and of ends to try in each window.
      max_answer_length: the maximum number of tokens per answer.
      version_2_with_negative: whether "" (no answer) may be predicted.
      null_score_diff_threshold: "" is predicted if its score exceeds that of the best other answer by more than this.

    Raises:
      InputError: a value is out of range.
    """

    n_best_size: int = setting(20, at_least=1, at_most=100_000)
    max_answer_length: int = setting(30, at_least=1, at_most=MOST_LENGTH)
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = setting(0.0, may_be_infinite=True)

    def __post_init__(self) -> None:
        check(self)


class NBestEntry(NamedTuple):
    """One of the best answers to a question.

    Attributes:
      text: the answer; "" means no answer.
      probability: the softmax over all entries of the question.
      start_logit: the start logit of its first token.
      end_logit: the end logit of its last token.
      start: the character offset in the context where it begins; None if it is not a span.
      end: the offset after its last character; likewise. `context[start:end]` is the text, except that the text has
        single spaces between words unless the paragraph is verbatim.
    """

    text: str
    probability: float
    start_logit: float
    end_logit: float
    start: int | None
    end: int | None


@dataclass(frozen=True)
class Prediction:
    """The prediction for a question.

    Attributes:
      id: the id of the question.
      answer: the predicted entry of `n_best`.
      best: the best entry other than ""; None if there is none. On SQuAD 1.1, always `answer`.
      null_odds: the score of "" minus that of `best`, or minus 0 if `best` is None; None on SQuAD 1.1.
      n_best: the best answers, best first; never empty.
    """

    id: str
    answer: NBestEntry
    best: NBestEntry | None
    null_odds: float | None
    n_best: list[NBestEntry]


Candidate: TypeAlias = tuple[str, float, float, int | None, int | None]
"""An `NBestEntry` without its probability: text, start logit, end logit, start and end."""


def decide(
    question_id: str, candidates: Sequence[Candidate], null_score: float, parameters: AnswerParameters
) -> Prediction:
    """Chooses the prediction among the candidates.

    Args:
      question_id: the id of the question.
      candidates: best first, with distinct texts; on SQuAD 2.0, "" is one of them.
      null_score: the lowest score of "no answer" in any window.
      parameters: how to choose.
    """
    n_best = n_best_entries(candidates or [(NO_CANDIDATE, 0.0, 0.0, None, None)])
    if not parameters.version_2_with_negative:
        return Prediction(question_id, n_best[0], n_best[0], None, n_best)
    best = next((entry for entry in n_best if entry.text), None)
    if best is None:  # the original raises an exception here
        return Prediction(question_id, n_best[0], None, null_score, n_best)
    null_odds = null_score - best.start_logit - best.end_logit
    prediction = Prediction(question_id, best, best, null_odds, n_best)
    return with_threshold(prediction, parameters.null_score_diff_threshold)


def with_threshold(prediction: Prediction, null_score_diff_threshold: float) -> Prediction:
    """The prediction with another threshold; unchanged on SQuAD 1.1."""
    if prediction.best is None or prediction.null_odds is None:
        return prediction
    if prediction.null_odds > null_score_diff_threshold:
        return replace(prediction, answer=next(entry for entry in prediction.n_best if not entry.text))
    return replace(prediction, answer=prediction.best)


def n_best_entries(candidates: Sequence[Candidate]) -> list[NBestEntry]:
    """The candidates with probabilities: the softmax over the sums of start and end logit."""
    scores = [start_logit + end_logit for _, start_logit, end_logit, _, _ in candidates]
    highest = max(scores)
    exponentials = [math.exp(score - highest) for score in scores]
    total = 0.0
    for exponential in exponentials:  # not `sum`: since Python 3.12 it rounds differently
        total += exponential
    return [
        NBestEntry(text, exponential / total, start_logit, end_logit, start, end)
        for (text, start_logit, end_logit, start, end), exponential in zip(candidates, exponentials, strict=True)
    ]


def detokenize(tokens: Sequence[str]) -> str:
    """Joins pieces into words, and words by single spaces."""
    return " ".join(" ".join(tokens).replace(" ##", "").replace("##", "").split())
