"""Exact match and F1: hand-made cases, the official rules for several and for no answers, thresholds, Chinese."""

import collections
import re
import string

import pytest
from helpers.repository import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.metrics import squad, squad_chinese
from bert_tf2.metrics.squad import evaluate
from bert_tf2.tasks.squad import examples

TEXTS = st.text(st.sampled_from("aA tn.,'-é\u3000\nthe "), max_size=12)


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        ("Denver Broncos", "denver  BRONCOS ", 1, 1),
        ("the Denver Broncos", "Denver Broncos", 1, 1),
        ("The A an", "", 1, 0),  # 1.1: both become empty and share no word
        ("10,000", "10000", 1, 1),
        ("Levi's Stadium", "Levis Stadium!", 1, 1),
        ("24–10", "24-10", 0, 0),  # an en dash is not punctuation to the script
        ("anthem", "them", 0, 0),  # articles are words, not parts of words
        ("a.b", "b", 0, 0),  # punctuation is removed first: "ab"
        ("x-a-x", "x a x", 0, 0),
        ("Denver Broncos", "Denver", 0, 2 / 3),
        ("x x y", "x x x", 0, 2 / 3),
        ("Denver\u00a0Broncos", "denver broncos", 1, 1),
        ("x", "", 0, 0),
    ],
)
def test_hand_made_cases(gold, predicted, exact, f1):
    results = evaluate({"q": (gold,)}, {"q": predicted})
    assert results == {"exact_match": 100.0 * exact, "f1": 100.0 * f1}
    assert squad.exact(gold, predicted) == exact
    assert squad.f1_of_1(gold, predicted) == pytest.approx(f1)


@given(TEXTS, TEXTS, st.booleans(), st.sampled_from(["en", "zh"]))
def test_answer_scores_agree_with_evaluate(gold, predicted, version_2, language):
    """`evaluate` returns the means of what `answer_scores` returns for each question."""
    how = {"version_2_with_negative": version_2, "language": language}
    results = evaluate({"q": (gold, "x")}, {"q": predicted}, **how)
    exact, f1 = squad.answer_scores((gold, "x"), predicted, **how)
    assert (results["exact" if version_2 else "exact_match"], results["f1"]) == (100 * exact, 100 * f1)


def test_an_answer_to_a_question_without_one():
    assert squad.answer_scores((), "", version_2_with_negative=True) == (1.0, 1.0)
    assert squad.answer_scores((), "x", version_2_with_negative=True) == (0.0, 0.0)


def official_normalize(text):
    """The normalization as the official scripts define it."""
    text = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def official_f1(gold, predicted):
    gold_words, words = official_normalize(gold).split(), official_normalize(predicted).split()
    common = collections.Counter(gold_words) & collections.Counter(words)
    same = sum(common.values())
    if same == 0:
        return 0
    precision, recall = 1.0 * same / len(words), 1.0 * same / len(gold_words)
    return (2 * precision * recall) / (precision + recall)


@given(TEXTS, TEXTS)
def test_official_rules(gold, predicted):
    assert squad.normalized(gold) == official_normalize(gold)
    assert squad.exact(gold, predicted) == (official_normalize(gold) == official_normalize(predicted))
    assert squad.f1_of_1(gold, predicted) == official_f1(gold, predicted)
    is_empty = not official_normalize(gold) or not official_normalize(predicted)
    both = official_normalize(gold) == official_normalize(predicted)
    assert squad.f1_of_2(gold, predicted) == (both if is_empty else official_f1(gold, predicted))


def test_several_right_answers():
    gold = {"a": ("Denver", "Denver Broncos", "the Broncos"), "b": ("50",)}
    results = evaluate(gold, {"a": "Denver Broncos!", "b": "49"})
    assert results == {"exact_match": 50.0, "f1": 50.0}
    assert evaluate(gold, {"a": "Broncos won", "b": "50"})["f1"] == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_missing_predictions_score_0(caplog):
    assert evaluate({"a": ("x",), "b": ("y",)}, {"b": "y"}) == {"exact_match": 50.0, "f1": 50.0}
    assert "Questions without a prediction, which score 0: 1, for example a" in caplog.text
    results = evaluate({"a": (), "b": ("y",)}, {"b": "y"}, version_2_with_negative=True)
    assert (results["exact"], results["NoAns_exact"], results["NoAns_total"]) == (50.0, 0.0, 1)


GOLD_2 = {"has": ("x y", "x"), "has2": ("the",), "no": (), "no2": ()}


def test_no_answer():
    results = evaluate(GOLD_2, {"has": "x y z", "has2": "", "no": "", "no2": "y"}, version_2_with_negative=True)
    # "the" is only an article, so the gold answer is "", as in the official script.
    assert results == {
        "exact": 50.0,
        "f1": pytest.approx(70.0),
        "total": 4,
        "HasAns_exact": 50.0,
        "HasAns_f1": pytest.approx(90.0),
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
    }
    assert list(results)[:3] == ["exact", "f1", "total"]
    only = evaluate({"a": ("x",)}, {"a": "x"}, version_2_with_negative=True)
    assert list(only) == ["exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total"]


def test_best_threshold():
    gold = {"a": ("x",), "b": (), "c": ("y z",), "d": ()}
    texts = {"a": "x", "b": "w", "c": "y", "d": "w"}
    odds = {"d": 4.0, "c": 2.0, "b": 1.0, "a": -1.0}
    results = evaluate(gold, texts, version_2_with_negative=True, null_odds=odds)
    # In order of odds: a is right (3 of 4), b would be wrong (2), c is right in two thirds (2.67), d is wrong.
    assert (results["best_exact"], results["best_exact_thresh"]) == (75.0, -1.0)
    assert (results["best_f1"], results["best_f1_thresh"]) == (75.0, -1.0)
    odds["b"] = 3.0
    results = evaluate(gold, texts, version_2_with_negative=True, null_odds=odds)
    assert (results["best_f1"], results["best_f1_thresh"]) == (pytest.approx(100 * (2 + 1 + 2 / 3) / 4), 2.0)
    # Where "" was predicted, the official script only finds lower thresholds; best_texts has the other answers.
    predicted = {**texts, "c": ""}
    assert evaluate(gold, predicted, version_2_with_negative=True, null_odds=odds)["best_f1_thresh"] == -1.0
    results = evaluate(gold, predicted, version_2_with_negative=True, null_odds=odds, best_texts=texts)
    assert results["best_f1_thresh"] == 2.0
    assert results["f1"] == 25.0


def test_always_no_answer_may_be_best():
    results = evaluate(
        {"a": (), "b": ()}, {"a": "x", "b": ""}, version_2_with_negative=True, null_odds={"a": 1, "b": 2}
    )
    assert (results["best_exact"], results["best_exact_thresh"]) == (100.0, 0.0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), min_size=1)
)
def test_best_threshold_is_the_best(questions):
    # Odds without ties, so that every position in their order is a threshold.
    odds = {str(number): odd + number / 100 for number, (_, odd, _, _) in enumerate(questions)}
    has_answer = {str(number): has for number, (has, _, _, _) in enumerate(questions)}
    texts = {str(number): "x" if answered else "" for number, (_, _, _, answered) in enumerate(questions)}
    scores = {
        str(number): score if has else float(not texts[str(number)])
        for number, (has, _, score, _) in enumerate(questions)
    }

    def score_at(threshold):
        return sum(scores[one] if odds[one] <= threshold else float(not has_answer[one]) for one in scores)

    best, threshold = squad.best_threshold(scores, texts, odds, has_answer)
    candidates = [score_at(value) for value in (-1e9, *odds.values())]
    assert best == pytest.approx(100 * max(candidates) / len(scores))
    if best > 100 * candidates[0] / len(scores):
        assert 100 * score_at(threshold) / len(scores) == pytest.approx(best)


def test_mistakes():
    with pytest.raises(InputError, match="There are no questions to score"):
        evaluate({}, {})
    with pytest.raises(InputError, match=r"Question b has no answer: this is SQuAD 2\.0"):
        evaluate({"a": ("x",), "b": ()}, {"a": "x", "b": ""})


def test_right_answers_score_100():
    gold = examples.read(GOLDEN / "own/squad/v1.json", training=False).gold
    assert len(gold) == 68
    results = evaluate(gold, {identity: texts[0] for identity, texts in gold.items()})
    # One answer is only punctuation: for 1.1, it shares no word even with itself.
    assert results == {"exact_match": 100.0, "f1": pytest.approx(100 * 67 / 68)}
    gold = examples.read(GOLDEN / "own/squad/v2.json", training=False).gold
    predicted = {identity: texts[0] if texts else "" for identity, texts in gold.items()}
    odds = {identity: -1.0 if texts else 1.0 for identity, texts in gold.items()}
    answered = sum(map(bool, gold.values()))
    assert 0 < answered < len(gold)
    results = evaluate(gold, predicted, version_2_with_negative=True, null_odds=odds)
    counts = {"total": len(gold), "HasAns_total": answered, "NoAns_total": len(gold) - answered}
    expected = {**counts, "best_exact_thresh": -1.0, "best_f1_thresh": -1.0}
    assert results == {name: expected.get(name, 100.0) for name in results}
    assert len(results) == 13
    nothing = evaluate(gold, dict.fromkeys(gold, ""), version_2_with_negative=True)
    assert nothing["exact"] == nothing["f1"] == 100 * (len(gold) - answered) / len(gold)


# --- Chinese ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("卡罗来纳黑豹队", list("卡罗来纳黑豹队")),
        ("在 Levi's 体育场，", ["在", "levi", "'s", "体", "育", "场"]),
        ("3,000 人（24.5%）", ["3,000", "人", "24.5", "%"]),
        ("12–4 《NFL》", ["12", "–", "4", "nfl"]),
        ("28.5°E…", ["28.5°e…"]),
        ("a-b_c", ["abc"]),
        ("，。", []),
        ("鿀", ["鿀"]),
        ("a. 甲 .2 乙,052", ["a", ".", "甲", ".2", "乙", ",052"]),
        ("1,234, 5", ["1,234", ",", "5"]),
        ('说"Cannot do" (x).', ["说", "``", "can", "not", "do", "''", "(", "x", ")", "."]),
        ("They'll wanna don't 'tis", ["they", "'ll", "wan", "na", "do", "n't", "'", "tis"]),
        ("J. K. Rowling in the U.S. army. Good", ["j.", "k.", "rowling", "in", "the", "u.s.", "army", ".", "good"]),
        ("St. Louis (Mo.) 24. the", ["st.", "louis", "(", "mo", ".", ")", "24.", "the"]),
    ],
)
def test_chinese_segments(text, segments):
    assert squad_chinese.segments(text) == segments


@given(
    st.lists(
        st.sampled_from([*"abt12 .,;'\"()[]!?%$@«»‘„–…é\n中国", "can't", "'tis", "gonna ", "..", "n't "]), max_size=9
    )
)
@settings(max_examples=1000)
def test_words_are_those_of_nltk(parts):
    nltk = pytest.importorskip("nltk.tokenize", reason="nltk is not installed")
    sentence = squad_chinese.normalized("".join(parts).replace("中", "").replace("国", ""))
    assert squad_chinese._words(sentence) == nltk.NLTKWordTokenizer().tokenize(sentence)


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        ("黑豹队", "黑豹队。", 1, 1),
        ("NFL", "nfl ", 1, 1),
        ("黑豹队", "卡罗来纳黑豹", 0, 2 * (2 / 6) * (2 / 3) / (2 / 6 + 2 / 3)),
        ("黑豹队", "队豹黑", 0, 1 / 3),  # the longest run, not the same characters in any order
        ("在1990年", "1990年", 0, 2 * 1 * (2 / 3) / (1 + 2 / 3)),
        ("黑 豹", "黑豹", 0, 1),  # the script keeps whitespace where it compares exactly
        ("，", "。", 1, 0),
        ("黑豹", "", 0, 0),
    ],
)
def test_chinese_cases(gold, predicted, exact, f1):
    assert evaluate({"q": (gold,)}, {"q": predicted}, language="zh") == {
        "exact_match": 100.0 * exact,
        "f1": pytest.approx(100 * f1),
    }


def test_chinese_questions_without_an_answer():
    gold = {"a": ("黑豹队",), "b": (), "c": ("，",)}
    results = evaluate(gold, {"a": "黑豹", "b": "", "c": ""}, version_2_with_negative=True, language="zh")
    assert results["exact"] == pytest.approx(200 / 3)
    assert results["f1"] == pytest.approx(100 * (0.8 + 1 + 1) / 3)
