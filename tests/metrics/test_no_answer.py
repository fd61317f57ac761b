"""The scores that other thresholds for predicting no answer would have had."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.metrics import squad
from bert_tf2.metrics.no_answer import NoAnswer, ThresholdScores


def questions(*rows: tuple[float, bool, bool, float, float]) -> NoAnswer:
    """Questions from rows of odds, whether there is a best answer, whether there is an answer, exact match and F1."""
    odds, has_best, has_answer, exact, f1 = map(np.array, zip(*rows, strict=True))
    return NoAnswer(odds.astype(float), has_best, has_answer, exact.astype(float), f1, 1.0 - has_answer)


EXAMPLE = questions(
    (-3.0, True, True, 1.0, 1.0),
    (-1.0, True, False, 0.0, 0.0),
    (0.5, True, True, 0.0, 0.5),
    (2.0, True, False, 0.0, 0.0),
    (9.0, False, True, 0.0, 0.0),
)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (-9.0, ThresholdScores(0.4, 0.4, right=2, predicted=5, true=2)),
        (-1.0, ThresholdScores(0.4, 0.4, right=1, predicted=3, true=2)),
        (0.5, ThresholdScores(0.4, 0.5, right=1, predicted=2, true=2)),
        (99.0, ThresholdScores(0.2, 0.3, right=0, predicted=1, true=2)),
    ],
)
def test_thresholds(threshold: float, expected: ThresholdScores) -> None:
    assert EXAMPLE.at(threshold) == pytest.approx(expected)


def test_curve() -> None:
    thresholds, exact, f1 = EXAMPLE.curve()
    assert len(thresholds) <= 200
    for threshold, *scores in zip(thresholds, exact, f1, strict=True):
        assert scores == pytest.approx(EXAMPLE.at(threshold)[:2])


TEXTS = st.sampled_from(["", "a b", "b c", "x"])


@given(st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from([-2.0, -1.0, 0.0, 1.5])), min_size=1, max_size=8))
def test_the_best_threshold_has_the_score_of_the_official_search(rows: list[tuple[str, str, float]]) -> None:
    gold = {str(number): (answer,) if answer else () for number, (answer, _, _) in enumerate(rows)}
    texts = {str(number): text for number, (_, text, _) in enumerate(rows)}
    odds = {str(number): one for number, (_, _, one) in enumerate(rows)}
    results = squad.evaluate(gold, texts, version_2_with_negative=True, null_odds=odds, best_texts=texts)
    scored = [squad.answer_scores(gold[name], texts[name], version_2_with_negative=True) for name in gold]
    without = [float(not answers) for answers in gold.values()]
    exact, f1 = (np.array(column) for column in zip(*scored, strict=True))
    has_best, has_answer = np.array(list(map(bool, texts.values()))), np.array(list(map(bool, gold.values())))
    questions_asked = NoAnswer(np.array(list(odds.values())), has_best, has_answer, exact, f1, np.array(without))
    best = max(questions_asked.at(threshold).f1 for threshold in [-9.0, *odds.values()])
    # The official search may stop between questions with equal odds, where there is no threshold.
    assert 100 * best <= results["best_f1"] + 1e-9
    assert questions_asked.at(np.inf).exact == pytest.approx(results["exact"] / 100)
