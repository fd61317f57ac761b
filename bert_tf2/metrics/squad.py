"""Exact match and F1 as in SQuAD's official evaluation scripts, 1.1 and 2.0; no TensorFlow.

The score of an answer is the best of its comparisons with the gold answers. Both are compared in lower case, without
punctuation and without `a`, `an` and `the`. For Chinese, see `squad_chinese`.
"""

import logging
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bert_tf2.errors import InputError
from bert_tf2.metrics import squad_chinese

logger = logging.getLogger(__name__)

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def evaluate(
    gold: Mapping[str, Sequence[str]],
    predictions: Mapping[str, str],
    *,
    version_2_with_negative: bool = False,
    language: str = "en",
    null_odds: Mapping[str, float] | None = None,
    best_texts: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Compares predictions with the right answers.

    Args:
      gold: the gold answers of each question, by id; empty if there is no answer.
      predictions: the predicted answers, "" for no answer. A missing question scores 0.
      version_2_with_negative: whether to score as for 2.0.
      language: "zh" compares answers as CMRC 2018 does.
      null_odds: the score of "no answer" minus that of the best answer, for each question; 2.0 only. If given, the
        best threshold is computed, above which "" should be predicted.
      best_texts: the best nonempty answer to each question, for computing the threshold. If omitted, `predictions` are
        used, as in the official script: no threshold then changes those that are "".

    Returns:
      1.1: `exact_match` and `f1`, in percent.
      2.0: `exact`, `f1`, `total`; the same with the prefix `HasAns_` for questions with an answer and `NoAns_` for
      those without one, if there are any; with `null_odds`, also `best_exact`, `best_exact_thresh`, `best_f1` and
      `best_f1_thresh`. Predictions are scored as they are, whereas the official script, when given odds, treats those
      with odds above 1 as "".

    Raises:
      InputError: there are no questions, or one without a gold answer in 1.1.
    """
    if not gold:
        raise InputError("There are no questions to score.")
    missing = [identity for identity in gold if identity not in predictions]
    if missing:
        logger.warning("Questions without a prediction, which score 0: %d, for example %s.", len(missing), missing[0])
    if not version_2_with_negative:
        without = next((identity for identity, answers in gold.items() if not answers), None)
        if without is not None:
            raise InputError(f"Question {without} has no answer: this is SQuAD 2.0; give --version_2_with_negative.")
        exact, f1 = _scores(gold, predictions, _COMPARISONS[language == "zh", False])
        return {"exact_match": _percent(exact.values()), "f1": _percent(f1.values())}

    compare = _COMPARISONS[language == "zh", True]
    answers = {identity: _not_empty(texts, compare) for identity, texts in gold.items()}
    exact, f1 = _scores(answers, predictions, compare)
    results: dict[str, float] = {
        "exact": _percent(exact.values()),
        "f1": _percent(f1.values()),
        "total": len(gold),
    }
    has_answer = {identity: bool(texts) for identity, texts in gold.items()}
    for name, is_answerable in (("HasAns", True), ("NoAns", False)):
        ids = [identity for identity, has in has_answer.items() if has == is_answerable]
        if ids:
            results[f"{name}_exact"] = _percent(exact[identity] for identity in ids)
            results[f"{name}_f1"] = _percent(f1[identity] for identity in ids)
            results[f"{name}_total"] = len(ids)
    if null_odds is not None:
        texts = predictions
        if best_texts is not None:
            texts = best_texts
            exact, f1 = _scores(answers, texts, compare)
        for name, scores in (("exact", exact), ("f1", f1)):
            best, threshold = best_threshold(scores, texts, null_odds, has_answer)
            results[f"best_{name}"], results[f"best_{name}_thresh"] = best, threshold
    return results


def answer_scores(
    answers: Sequence[str], text: str, *, version_2_with_negative: bool = False, language: str = "en"
) -> tuple[float, float]:
    """Exact match and F1 of one prediction, from 0 to 1, as `evaluate` counts them.

    Args:
      answers: the true answers; empty if there is none (SQuAD 2.0 only).
      text: the predicted answer.
      version_2_with_negative: see `evaluate`.
      language: see `evaluate`.
    """
    compare = _COMPARISONS[language == "zh", version_2_with_negative]
    return _best(_not_empty(answers, compare) if version_2_with_negative else answers, text, compare)


def best_threshold(
    scores: Mapping[str, float],
    texts: Mapping[str, str],
    null_odds: Mapping[str, float],
    has_answer: Mapping[str, bool],
) -> tuple[float, float]:
    """The threshold of `null_odds` above which predicting "" scores best.

    Starting with "" for all questions, they are answered in the order of their odds. Answering one adds its score if it
    has an answer; if it has none, a nonempty text loses the point that "" scored.

    Args:
      scores: the score of each question's text, from 0 to 1, by id.
      texts: the text that answers each question.
      null_odds: the odds of each question, as in `evaluate`.
      has_answer: whether each question has an answer.

    Returns:
      The score in percent, and the threshold (0 if nothing is better than always predicting "").
    """
    best = current = float(sum(not has for has in has_answer.values()))
    threshold = 0.0
    for identity in sorted(null_odds, key=lambda identity: null_odds[identity]):
        if identity not in scores or identity not in texts:
            continue
        if has_answer[identity]:
            current += scores[identity]
        elif texts[identity]:
            current -= 1
        if current > best:
            best, threshold = current, null_odds[identity]
    return 100.0 * best / len(scores), threshold


def normalized(text: str) -> str:
    """The text in lower case, without ASCII punctuation and English articles, words separated by single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(gold: str, predicted: str) -> float:
    """1 if both answers are the same, else 0."""
    return float(normalized(gold) == normalized(predicted))


def f1_of_1(gold: str, predicted: str) -> float:
    """The F1 of the words of two answers, as for 1.1."""
    gold_words, words = normalized(gold).split(), normalized(predicted).split()
    same = (Counter(words) & Counter(gold_words)).total()
    if not same:
        return 0.0
    precision, recall = same / len(words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def f1_of_2(gold: str, predicted: str) -> float:
    """The F1 as for 2.0: in addition, two answers without any words are the same."""
    if not (normalized(gold) and normalized(predicted)):
        return exact(gold, predicted)
    return f1_of_1(gold, predicted)


def _chinese_f1_of_2(gold: str, predicted: str) -> float:
    if not (squad_chinese.normalized(gold) and squad_chinese.normalized(predicted)):
        return squad_chinese.exact(gold, predicted)
    return squad_chinese.f1(gold, predicted)


class _Comparison(NamedTuple):
    normalize: Callable[[str], str]
    exact: Callable[[str, str], float]
    f1: Callable[[str, str], float]


_COMPARISONS = {  # by whether the language is Chinese, and whether it is SQuAD 2.0
    (False, False): _Comparison(normalized, exact, f1_of_1),
    (False, True): _Comparison(normalized, exact, f1_of_2),
    (True, False): _Comparison(squad_chinese.normalized, squad_chinese.exact, squad_chinese.f1),
    (True, True): _Comparison(squad_chinese.normalized, squad_chinese.exact, _chinese_f1_of_2),
}


def _not_empty(answers: Sequence[str], compare: _Comparison) -> list[str]:
    """The true answers as SQuAD 2.0 compares them: those not empty when normalized, or "" if there are none."""
    return [text for text in answers if compare.normalize(text)] or [""]


def _best(answers: Sequence[str], text: str, compare: _Comparison) -> tuple[float, float]:
    """Exact match and F1 with the true answer for which each is highest."""
    return max(compare.exact(answer, text) for answer in answers), max(compare.f1(answer, text) for answer in answers)


def _scores(
    gold: Mapping[str, Sequence[str]], texts: Mapping[str, str], compare: _Comparison
) -> tuple[dict[str, float], dict[str, float]]:
    """Exact match and F1 of each question, from 0 to 1."""
    exact_scores, f1_scores = {}, {}
    for identity, answers in gold.items():
        text = texts.get(identity)
        exact_scores[identity], f1_scores[identity] = (0.0, 0.0) if text is None else _best(answers, text, compare)
    return exact_scores, f1_scores


def _percent(scores: Iterable[float]) -> float:
    total = 0.0
    count = 0
    for score in scores:  # not `sum`, which newer versions of Python round differently
        total += score
        count += 1
    return 100.0 * total / count
