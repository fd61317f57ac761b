"""Prediction files: byte for byte the output of `json`; JSON Lines; the threshold."""

import json
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.row_files import write_rows
from bert_tf2.tasks.squad import prediction_files
from bert_tf2.tasks.squad.answers import NBestEntry, Prediction
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.words import split

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters() | st.sampled_from('\ud800"\\\n中/'), max_size=6)
ENTRIES = st.builds(NBestEntry, TEXTS, FLOATS, FLOATS, FLOATS, st.just(0), st.just(1))


@st.composite
def predictions(draw, version_2):
    drawn = []
    for question_id in draw(st.lists(TEXTS, max_size=4)):
        n_best = draw(st.lists(ENTRIES, min_size=1, max_size=3))
        drawn.append(Prediction(question_id, n_best[-1], n_best[0], draw(FLOATS) if version_2 else None, n_best))
    return drawn


@given(st.data(), st.booleans())
def test_files_equal_the_output_of_json(tmp_path_factory, data, version_2):
    directory = tmp_path_factory.mktemp("out")
    drawn = data.draw(predictions(version_2))
    answers, n_best, odds = OrderedDict(), OrderedDict(), OrderedDict()
    names = ("text", "probability", "start_logit", "end_logit")
    for prediction in drawn:
        answers[prediction.id] = prediction.answer.text
        n_best[prediction.id] = [OrderedDict(zip(names, entry[:4], strict=True)) for entry in prediction.n_best]
        odds[prediction.id] = prediction.null_odds
    expected = {"predictions.json": answers, "nbest_predictions.json": n_best}
    if version_2 and drawn:
        expected["null_odds.json"] = odds
    paths = prediction_files.write(directory, drawn)
    assert [path.name for path in paths] == list(expected)
    for path in paths:
        assert path.read_text(encoding="utf-8") == json.dumps(expected[path.name], indent=4) + "\n"


def test_json_lines(tmp_path):
    context = "Das  Café \ud800!"
    examples = [Example(question_id, "Où?", split(context, "en")) for question_id in "abc"]
    cafe, no_answer = NBestEntry("Das Café", 0.75, 1.0, 2.0, 0, 9), NBestEntry("", 0.25, 0.0, 0.0, None, None)
    empty = NBestEntry("empty", 1.0, 0.0, 0.0, None, None)
    predicted = [
        Prediction("a", cafe, cafe, -1.0, [cafe, no_answer]),
        Prediction("b", no_answer, cafe, 1.0, [cafe, no_answer]),
        Prediction("c", empty, empty, None, [empty]),
    ]
    path, table = tmp_path / "answers.jsonl", tmp_path / "answers.csv"
    write_rows(str(path), str(table), prediction_files.rows(examples, predicted))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert table.read_text().splitlines() == [
        "id,question,answer,probability,start,end",
        "a,Où?,Das Café,0.75,0,9",
        "b,Où?,,0.25,,",
        "c,Où?,,1.0,,",
    ]
    assert lines[0] == '{"id": "a", "question": "Où?", "answer": "Das Café", "probability": 0.75, "start": 0, "end": 9}'
    assert [json.loads(line)["answer"] for line in lines] == ["Das Café", "", ""]
    assert json.loads(lines[1]) == {
        "id": "b",
        "question": "Où?",
        "answer": "",
        "probability": 0.25,
        "start": None,
        "end": None,
    }
    surrogate = NBestEntry('\ud800"', 1.0, 0.0, 0.0, 10, 11)
    odd = [Prediction("a", surrogate, surrogate, None, [surrogate])]
    write_rows(str(path), str(table), prediction_files.rows(examples[:1], odd))
    assert json.loads(path.read_bytes())["answer"] == '\ud800"'
    assert table.read_text().splitlines()[1] == 'a,Où?,"\\ud800""",1.0,10,11'
    with pytest.raises(ValueError, match="shorter"):
        list(prediction_files.rows(examples, predicted[:2]))


def test_true_answers_and_min_confidence():
    paragraph = split("Ada Hill", "en")
    examples = [Example("a", "who", paragraph, ("Ada Hill",)), Example("b", "who", paragraph)]
    sure, unsure = NBestEntry("Ada", 0.75, 0.0, 0.0, 0, 3), NBestEntry("Hill", 0.25, 0.0, 0.0, 4, 8)
    predicted = [Prediction("a", sure, sure, None, [sure]), Prediction("b", unsure, unsure, None, [unsure])]
    rows = list(prediction_files.rows(examples, predicted, min_confidence=0.5))
    assert [row["truth"] for row in rows] == [["Ada Hill"], None]
    assert [(row["answer"], row["start"], row["end"]) for row in rows] == [("Ada", 0, 3), (None, None, None)]


def test_the_last_of_several_questions_with_the_same_id_is_written(tmp_path):
    entries = [NBestEntry(text, 1.0, 0.0, 0.0, 0, 1) for text in "xyz"]
    predicted = [Prediction(name, entry, entry, None, [entry]) for name, entry in zip("aba", entries, strict=True)]
    path, _ = prediction_files.write(tmp_path, predicted)
    assert path.read_text() == '{\n    "a": "z",\n    "b": "y"\n}\n'


def test_threshold(tmp_path):
    path = tmp_path / "threshold.json"
    prediction_files.write_threshold(path, -1.3704290390014648, "a1")
    assert prediction_files.read_threshold(path) == (-1.3704290390014648, "a1")
    invalid = '{"null_score_diff_threshold": null, "weights": "a1"}'
    for content in ("", "[]", "{}", invalid, '{"null_score_diff_threshold": 1.5}', "3"):
        path.write_text(content)
        with pytest.raises(InputError, match=r"threshold\.json .*; expected .*; remove it, or evaluate again"):
            prediction_files.read_threshold(path)
    with pytest.raises(InputError, match="Cannot read"):
        prediction_files.read_threshold(tmp_path / "none.json")
