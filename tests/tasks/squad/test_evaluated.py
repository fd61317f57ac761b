"""Evaluated questions."""

import pytest

from bert_tf2.tasks.squad.answers import NBestEntry, Prediction
from bert_tf2.tasks.squad.evaluated import EvaluatedQuestion, evaluated_questions, scores_of
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.words import split

CONTEXT = "Rome, not Paris: Rome."


def prediction(text: str, start: int | None, probability: float = 0.5, null_odds: float | None = None) -> Prediction:
    end = None if start is None else start + len(text)
    entry = NBestEntry(text, probability, 1.0, 2.0, start, end)
    return Prediction("q", entry, entry, null_odds, [entry])


def evaluated(*pairs: tuple[Example, Prediction], version_2: bool = False, language: str = "en"):
    examples, predictions = zip(*pairs, strict=True)
    scores = scores_of(examples, predictions, version_2, language)
    return list(evaluated_questions(examples, predictions, scores))


def test_rows() -> None:
    paragraph = split(CONTEXT, "en", title="Cities")
    example = Example("q1", "Which?", paragraph, ("Rome", "the Rome"), gold_starts=(17, -1))
    other = Example("q2", "Who?", split("x", "en"), ("x",), gold_starts=(0,))
    third = Example("q3", "Where?", paragraph, ("Paris",), gold_starts=(10,))
    first, *others = evaluated(
        *(
            (example, prediction("not Paris: Rome", 6)),
            (other, prediction("empty", None)),
            (third, prediction("Paris", 10)),
        )
    )
    assert first.row() == {
        "id": "q1",
        "question": "Which?",
        "title": "Cities",
        "context": 1,
        "truth": ["Rome", "the Rome"],
        "prediction": "not Paris: Rome",
        "start": 6,
        "end": 21,
        "confidence": 0.5,
        "exact": 0.0,
        "f1": 0.5,
    }
    assert [(question.context, question.exact, question.f1) for question in others] == [(2, 0.0, 0.0), (1, 1.0, 1.0)]
    assert others[0].row()["prediction"] == ""


def test_no_answer() -> None:
    example = Example("q", "?", split("x", "en"), ())
    (right,) = evaluated((example, prediction("", None)), version_2=True)
    assert (right.exact, right.f1, right.predicted, right.span, right.true_span) == (1.0, 1.0, "", None, None)
    (wrong,) = evaluated((example, prediction("x", 0)), version_2=True)
    assert (wrong.exact, wrong.f1, wrong.span) == (0.0, 0.0, (0, 1))


def test_chinese_answers_are_scored_by_character() -> None:
    example = Example("q", "谁", split("王明红", "zh"), ("王明",))
    (question,) = evaluated((example, prediction("王明红", 0)), language="zh")
    assert question.f1 == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        (None, (0, 4)),
        (("Rome", 0), (0, 4)),
        (("Rome", 17), (17, 21)),
        (("Paris: R", 10), (17, 21)),
        (("not", 6), (0, 4)),
    ],
)
def test_true_span_is_the_one_nearest_to_the_predicted(predicted, expected: tuple[int, int]) -> None:
    example = Example("q", "?", split(CONTEXT, "en"), ("Rome", "Rome", "Oslo"), gold_starts=(0, 17, -1))
    question = EvaluatedQuestion(0, example, prediction(*(predicted or ("", None))), 1, 0.0, 0.0)
    assert question.true_span == expected
