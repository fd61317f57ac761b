"""Texts with labelled spans: the forms, what is widened, what is refused, and what is written back."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny_tagging as tiny

from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging import outputs, span_rows
from bert_tf2.tasks.tagging.data import open_data
from bert_tf2.tasks.tagging.tags import encode
from bert_tf2.tokenization.auto import VocabularyFile

TEXT = "Jim Henson, of  São Paulo."
WORDS = ["Jim", "Henson", ",", "of", "São", "Paulo", "."]
TAGS = ["B-person", "I-person", "O", "O", "B-place", "I-place", "O"]
SPANS = [[0, 10, "person"], [16, 25, "place"]]


def of_objects(*names: str, more: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**dict(zip(names, span, strict=True)), **more} for span in SPANS]


FORMS = {
    "doccano": {"id": 7, "text": TEXT, "label": SPANS},
    "doccano-relations": {"text": TEXT, "entities": of_objects("start_offset", "end_offset", "label", more={"id": 3})},
    "spacy": {"text": TEXT, "entities": SPANS[::-1]},
    "prodigy": {"text": TEXT, "spans": of_objects("start", "end", "label", more={"token_start": 0}), "tokens": []},
    "transformers": {"text": TEXT, "spans": of_objects("start", "end", "entity_group", more={"score": 0.5})},
    "ours": {
        "text": TEXT,
        "spans": of_objects("start_character", "end_character", "type", more={"begin": 0, "end": 1}),
    },
}


def key_of(form: str) -> str:
    return next(key for key in FORMS[form] if key in ("label", "entities", "spans"))


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def one(tmp_path: Path, text: str, spans: list[Any]) -> list[str]:
    found = span_rows.read(write(tmp_path / "a.jsonl", {"text": text, "label": spans}), with_spans=True)
    return list(found.tags or ())


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path: Path, form: str) -> None:
    rows = FORMS[form], {"text": "Jim", key_of(form): []}
    found = span_rows.read(write(tmp_path / "a.jsonl", *rows), with_spans=True)
    assert (found.words, found.tags) == ([*WORDS, "Jim"], [*TAGS, "O"])


@pytest.mark.parametrize("form", FORMS)
def test_predictions_have_the_form_of_the_file(tmp_path: Path, form: str) -> None:
    """All keys but those of spans stay, and a text without words has no spans."""
    rows = [FORMS[form], {"text": " \u200b", "note": 1}, {"text": "In Rome", "meta": {"a": [1]}}]
    sentences = span_rows.read(write(tmp_path / "a.jsonl", *rows), with_spans=False)
    tags = [*TAGS[:2], "O", "O", "O", "O", "O", "O", "B-place"]
    paths = outputs.write_predictions(str(tmp_path), sentences, tags, np.full(len(tags), 0.5, np.float32))
    assert [Path(path).name for path in paths][2:] == ["predictions.csv", "predicted_spans.jsonl"]
    written = [json.loads(line) for line in (tmp_path / "predicted_spans.jsonl").read_text().splitlines()]
    key = key_of(form)
    spans = [row[key] for row in written]
    values = [[tuple(span.values()) if isinstance(span, dict) else tuple(span) for span in row] for row in spans]
    assert values == [[(0, 10, "person")], [], [(3, 7, "place")]]
    assert type(spans[0][0]) is type(FORMS[form][key][0])
    assert [{name: row[name] for name in row if name != key} for row in written] == [
        {name: row[name] for name in row if name != key} for row in rows
    ]
    again = span_rows.read(paths[3], with_spans=True)
    assert again.tags == tags


def test_spans_of_a_file_to_predict_are_truths_if_all_are_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, empty = FORMS["doccano"], {"text": "Jim", "label": []}
    sentences = span_rows.read(write(tmp_path / "a.jsonl", told, empty), with_spans=False)
    assert (sentences.tags, sentences.truths) == (None, [*TAGS, "O"])
    for rows in ([empty], [told, {"text": "Jim"}], [told, {"text": "Jim", "label": [[0, 99, "x"]]}]):
        assert span_rows.read(write(tmp_path / "a.jsonl", *rows), with_spans=False).truths is None
    assert not caplog.messages


def test_our_own_predictions_can_be_read(tmp_path: Path) -> None:
    sentences = span_rows.read(write(tmp_path / "a.jsonl", FORMS["spacy"]), with_spans=False)
    _, lines, _, _ = outputs.write_predictions(str(tmp_path), sentences, TAGS, np.ones(7, np.float32))
    again = span_rows.read(lines, with_spans=True)
    assert (again.words, again.tags) == (WORDS, TAGS)


def test_a_label_with_a_space_is_a_column_of_its_own(tmp_path: Path) -> None:
    sentences = span_rows.read(write(tmp_path / "a.jsonl", {"text": "In Rome"}), with_spans=False)
    outputs.write_predictions(str(tmp_path), sentences, ["O", "B-a place"], np.ones(2, np.float32))
    assert (tmp_path / "predictions.txt").read_text() == "In O\nRome\tB-a place\n\n"


def test_an_array_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"text": "In Rome"}, {"text": ""}, {"text": "Jim"}]))
    sentences = span_rows.read(str(tmp_path / "a.json"), with_spans=False)
    span_rows.write(str(tmp_path / "b.jsonl"), sentences, ["O", "B-x", "B-y"])
    assert [json.loads(line)["label"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [
        [[3, 7, "x"]],
        [],
        [[0, 3, "y"]],
    ]


def test_spans_within_words_are_widened_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert one(tmp_path, "Berlinreise im Mai", [[0, 6, "LOC"], [6, 11, "TRIP"], [14, 18, "DATE"]]) == [
        "B-LOC",
        "O",
        "B-DATE",
    ]
    assert caplog.messages == [
        f"{tmp_path / 'a.jsonl'}: of 3 spans, 1 begins or ends within a word and was widened to whole words, and 1 was "
        "left out, as it has no word, or only words of another span. The first is [0, 6, 'LOC'] of "
        f"{tmp_path / 'a.jsonl'}, line 1, 'Berlin'. Do the offsets count characters from 0?"
    ]
    caplog.clear()
    assert one(tmp_path, "東京へ行く", [[0, 2, "LOC"], [0, 2, "LOC"]]) == ["B-LOC", "I-LOC", "O", "O", "O"]
    assert one(tmp_path, "a b", [[0, 2, "X"], [2, 3, "X"]]) == ["B-X", "B-X"]
    assert not caplog.messages
    assert one(tmp_path, "Jim ran", [[3, 4, "X"]]) == ["O", "O"]
    assert "The first is [3, 4, 'X'] of " in caplog.text  # the offsets of the file


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"text": "a b c", "label": [[0, 3, "X"], [2, 5, "Y"]]},
            r"overlap, \[0, 3, 'X'\] and \[2, 5, 'Y'\]; a word can",
        ),
        ({"text": "a b", "label": [[0, 1, "X"], [0, 1, "Y"]]}, "spans that overlap"),
        ({"text": "a b", "label": [[0, 4, "X"]]}, "has a span from 0 to 4, but the text has 3 characters"),
        ({"text": "a b", "label": [[1, 1, "X"]]}, "a span ends after it begins"),
        (
            {"text": "a b", "label": [[0, "1", "X"]]},
            r"""has the span \[0, '1', 'X'\]; expected \[start, end, "label"\]""",
        ),
        ({"text": "a b", "label": [[0, 1, " "]]}, "without a label; expected a label"),
        ({"text": "a b", "spans": [{"start": 0, "label": "X"}]}, "has the span .*; expected"),
        ({"text": "a b", "label": "X"}, "has 'X' instead of a list of spans"),
        ({"text": "a b"}, "has no spans .*A text without any has an empty list"),
        ({"sentence": "a b"}, "has no text; expected an object on each line"),
        ({"text": 3, "label": []}, "has the text 3; expected"),
        ({"text": "\ud83d", "label": []}, "the text is not valid Unicode"),
        ({"text": " ", "label": []}, "has no words; expected texts with labelled spans"),
    ],
)
def test_mistakes(tmp_path: Path, row: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        span_rows.read(write(tmp_path / "a.jsonl", row), with_spans=True)


def test_a_file_that_changes(tmp_path: Path) -> None:
    sentences = span_rows.read(write(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b"}), with_spans=False)
    write(tmp_path / "a.jsonl", {"text": "a"}, {"text": "c"})
    with pytest.raises(InputError, match="changed during the prediction; run it again"):
        span_rows.write(str(tmp_path / "b.jsonl"), sentences, ["O", "O"])
    assert not (tmp_path / "b.jsonl").exists()


class Foundation:
    """What `open_data` asks of the model."""

    do_lower_case = True
    vocabulary = VocabularyFile("vocab.txt", is_sentencepiece=False)


def test_the_files_of_a_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The endings decide; the places of unknown tags are those of the file; flags of columns have no effect."""
    caplog.set_level(logging.INFO)
    train = write(tmp_path / "a.jsonl", {"text": "", "label": []}, FORMS["doccano"])
    given = {"train_file": train, "predict_file": train, "do_train": True, "do_predict": True}
    data: Any = open_data(tiny.config(tmp_path, **given), Foundation())  # type: ignore[arg-type]
    assert data.description.labels == ("O", "B-person", "I-person", "B-place", "I-place")
    assert data.files["test"].tags is None
    assert f"{train}: 1 sentence, 7 words, 2 spans (person 1, place 1)." in caplog.messages
    with pytest.raises(InputError, match=r"a\.jsonl, line 2 has the tag 'B-place', which the model does not know"):
        encode(data.files["train"], ("O", "B-person", "I-person"))
    for flag in ({"tag_column": 1}, {"token_column": 1}, {"comments": "yes"}):
        with pytest.raises(InputError, match="is for files with a word on each line, but these have texts; omit it"):
            open_data(tiny.config(tmp_path, **given, **flag), Foundation())  # type: ignore[arg-type]
