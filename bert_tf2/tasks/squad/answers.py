"""Candidate answers to a question, and choosing the predicted one; no TensorFlow.

Follows `write_predictions` of google-research/bert `run_squad.py`; `span_selection` finds the candidates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from bert_tf2.configs.fields import MOST_LENGTH, check, setting

NO_CANDIDATE = "empty"
"""What the original predicts on 1.1 where no span of tokens can be an answer."""

NO_WINDOW_SCORE = 1_000_000.0
"""The score of "no answer" where a context has no token, and so no window to tell it; the original starts from it."""


@dataclass(frozen=True)
class AnswerParameters:
    """How answers are chosen; names and defaults are the original's flags.

    Attributes:
      n_best_size: answers to keep for a question; also starts, and ends, to try in each window.
      max_answer_length: longest answer, in tokens.
      version_2_with_negative: whether "" (no answer) may be predicted.
      null_score_diff_threshold: "" is predicted where its score exceeds that of the best other answer by more.

    Raises:
      InputError: a value is impossible.
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
      text: the answer; "" stands for none.
      probability: among all entries of the question.
      start_logit: of its first token.
      end_logit: of its last token.
      start: character of the context where it begins, None where it is no span.
      end: character after its end, likewise. `context[start:end]` is the text, but that the text has single spaces
        between words where the paragraph is not verbatim.
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
      id: of the question.
      answer: the entry of `n_best` that is predicted.
      best: the best entry that is not ""; None where there is none. On 1.1, always the answer.
      null_odds: by how much the score of "" exceeds that of `best`, or that of 0 where there is none; None on 1.1.
      n_best: the best answers, in order; never empty.
    """

    id: str
    answer: NBestEntry
    best: NBestEntry | None
    null_odds: float | None
    n_best: list[NBestEntry]


Candidate: TypeAlias = tuple[str, float, float, int | None, int | None]
"""What becomes an `NBestEntry`: text, start and end logit, first character and the one after the end."""


def decide(
    identity: str, candidates: Sequence[Candidate], null_score: float, parameters: AnswerParameters
) -> Prediction:
    """Chooses the prediction among the candidates.

    Args:
      identity: of the question.
      candidates: in order, no text twice; with "" among them on 2.0.
      null_score: the score of "no answer", in the window where it is least.
      parameters: how to choose.
    """
    n_best = n_best_of(candidates or [(NO_CANDIDATE, 0.0, 0.0, None, None)])
    if not parameters.version_2_with_negative:
        return Prediction(identity, n_best[0], n_best[0], None, n_best)
    best = next((entry for entry in n_best if entry.text), None)
    if best is None:  # the original ended with an error
        return Prediction(identity, n_best[0], None, null_score, n_best)
    null_odds = null_score - best.start_logit - best.end_logit
    prediction = Prediction(identity, best, best, null_odds, n_best)
    return with_threshold(prediction, parameters.null_score_diff_threshold)


def with_threshold(prediction: Prediction, null_score_diff_threshold: float) -> Prediction:
    """The prediction that another threshold would have made; on 1.1, the same."""
    if prediction.best is None or prediction.null_odds is None:
        return prediction
    if prediction.null_odds > null_score_diff_threshold:
        return replace(prediction, answer=next(entry for entry in prediction.n_best if not entry.text))
    return replace(prediction, answer=prediction.best)


def n_best_of(candidates: Sequence[Candidate]) -> list[NBestEntry]:
    """Candidates with their probabilities: the softmax of the sums of their logits."""
    scores = [start_logit + end_logit for _, start_logit, end_logit, _, _ in candidates]
    highest = max(scores)
    exponentials = [math.exp(score - highest) for score in scores]
    total = 0.0
    for exponential in exponentials:  # not `sum`, which newer Pythons round differently
        total += exponential
    return [
        NBestEntry(text, exponential / total, start_logit, end_logit, start, end)
        for (text, start_logit, end_logit, start, end), exponential in zip(candidates, exponentials, strict=True)
    ]


def detokenized(tokens: Sequence[str]) -> str:
    """Joins pieces into words, and words with single spaces."""
    return " ".join(" ".join(tokens).replace(" ##", "").replace("##", "").split())
