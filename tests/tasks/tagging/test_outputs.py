"""The files of a prediction."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from bert_tf2.io import file_system, spilled
from bert_tf2.tasks.tagging import conll, outputs, plain_text
from bert_tf2.tasks.tagging.schemes import Scheme


def test_files_of_a_prediction(tmp_path: Path) -> None:
    path = tmp_path / "in.conll"
    path.write_text("Jim\tB-person\nHenson\tI-person\n\x07\tO\n\nParis\tO\n")
    sentences = conll.read(str(path), 0, None)
    probabilities = np.array([0.9, 0.5, np.nan, 0.1], np.float32)
    tags = ["B-person", "I-person", "O", "I-location"]
    paths = outputs.write_predictions(str(tmp_path), sentences, tags, probabilities)
    assert [Path(path).name for path in paths] == ["predictions.txt", "predictions.jsonl", "predictions.csv"]
    assert Path(paths[0]).read_text() == (
        "Jim\tB-person\tB-person\nHenson\tI-person\tI-person\n\x07\tO\tO\n\nParis\tO\tI-location\n"
    )
    assert [json.loads(line) for line in Path(paths[1]).read_text().splitlines()] == [
        {
            "line": 1,
            "words": ["Jim", "Henson", "\x07"],
            "tags": ["B-person", "I-person", "O"],
            "probabilities": [0.9, 0.5, None],
            "spans": [
                {"type": "person", "begin": 0, "end": 2, "words": ["Jim", "Henson"], "probability": 0.45},
            ],
        },
        {
            "line": 5,
            "words": ["Paris"],
            "tags": ["I-location"],
            "probabilities": [0.1],
            "spans": [{"type": "location", "begin": 0, "end": 1, "words": ["Paris"], "probability": 0.1}],
        },
    ]
    assert Path(paths[2]).read_text().splitlines() == [
        "line,text,type,probability,begin,end,sentence",
        "1,Jim Henson,person,0.45,0,2,Jim Henson \x07",
        "5,Paris,location,0.1,0,1,Paris",
    ]


def test_spans_below_min_confidence_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Jim\nHenson\n\nParis\n")
    sentences = conll.read(str(tmp_path / "a"), 0, None)
    tags, probabilities = ["B-x", "I-x", "B-y"], np.array([0.9, 0.5, 0.5], np.float32)
    outputs.write_predictions(str(tmp_path), sentences, tags, probabilities, min_confidence=0.5)
    assert (tmp_path / "predictions.txt").read_text() == "Jim O\nHenson O\n\nParis B-y\n"
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [(line["tags"], line["probabilities"]) for line in lines] == [(["O", "O"], [0.9, 0.5]), (["B-y"], [0.5])]
    assert [span["type"] for line in lines for span in line["spans"]] == ["y"]


def test_true_tags_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Jim B_x\nHenson E_x\n")
    sentences = conll.with_tag_column(conll.read(str(tmp_path / "a"), 0, None), -1, 0)
    assert sentences is not None
    sentences = dataclasses.replace(sentences, truths=sentences.tags, tags=None)
    outputs.write_predictions(str(tmp_path), sentences, ["B-y", "O"], np.ones(2, np.float32))
    line = json.loads((tmp_path / "predictions.jsonl").read_text())
    assert (line["tags"], line["truth"]) == (["S_y", "O"], ["B_x", "E_x"])


def test_many_words_and_a_remote_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exceeds memory is in a local file, wherever the predictions are written."""
    (tmp_path / "a").write_text("a\nb\n")
    sentences = conll.read(str(tmp_path / "a"), 0, None)
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    outputs.write_predictions("ram://tagged", sentences, ["O", "B-x"], np.ones(2, np.float32))
    with file_system.open("ram://tagged/predictions.txt") as file:
        assert file.read() == "a O\nb B-x\n"


def test_wrong_number_of_tags(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\nb\n")
    sentences = conll.read(str(tmp_path / "a"), 0, None)
    with pytest.raises(ValueError, match="one tag for each word"):
        outputs.write_predictions(str(tmp_path), sentences, ["O"], np.ones(2, np.float32))
    assert not (tmp_path / "predictions.txt").exists()


def test_tags_are_written_in_the_scheme_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Jim\nHenson\n\nParis\n")
    sentences = dataclasses.replace(conll.read(str(tmp_path / "a"), 0, None), scheme=Scheme("BILOU", "_"))
    outputs.write_predictions(str(tmp_path), sentences, ["B-x", "I-x", "B-y"], np.ones(3, np.float32))
    assert (tmp_path / "predictions.txt").read_text() == "Jim B_x\nHenson L_x\n\nParis U_y\n"
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["tags"] for line in lines] == [["B_x", "L_x"], ["U_y"]]
    assert [span["type"] for line in lines for span in line["spans"]] == ["x", "y"]


def test_spans_of_plain_sentences_have_offsets(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("\nHe saw Jim  Henson.\n")
    sentences = plain_text.read(str(tmp_path / "a"))
    tags = ["O", "O", "B-x", "I-x", "O"]
    outputs.write_predictions(str(tmp_path), sentences, tags, np.full(5, 0.5, np.float32))
    assert (tmp_path / "predictions.txt").read_text() == "He O\nsaw O\nJim B-x\nHenson I-x\n. O\n\n"
    line = json.loads((tmp_path / "predictions.jsonl").read_text())
    assert (line["line"], line["text"]) == (2, "He saw Jim  Henson.")
    offsets = {"start_character": 7, "end_character": 18, "text": "Jim  Henson"}
    assert line["spans"] == [
        {"type": "x", "begin": 2, "end": 4, "words": ["Jim", "Henson"], "probability": 0.25, **offsets}
    ]
