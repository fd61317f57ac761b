"""Sentences with their true and predicted tags."""

from pathlib import Path

import numpy as np
import pytest

from bert_tf2.tasks.tagging import conll, span_rows
from bert_tf2.tasks.tagging.evaluated import EvaluatedSentence, evaluated_sentences

NAN = float("nan")


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_rows(tmp_path: Path) -> None:
    path = tmp_path / "dev.conll"
    path.write_text("Jim B-person\nHenson I-person\nin O\nRome B-place\n\n\x07 O\n")
    sentences = conll.read(str(path), 0, 1)
    predicted = ["B-person", "O", "O", "B-place", "O"]
    probabilities, losses = floats(0.75, 0.5, 1, 0.25, NAN), floats(0.5, 1.5, 0, 1, NAN)
    rows = [each.row(sentences.scheme) for each in evaluated_sentences(sentences, predicted, probabilities, losses)]
    assert rows[0] == {
        "line": 1,
        "text": "Jim Henson in Rome",
        "words": ["Jim", "Henson", "in", "Rome"],
        "truth": ["B-person", "I-person", "O", "B-place"],
        "prediction": ["B-person", "O", "O", "B-place"],
        "true_spans": [
            {"type": "person", "begin": 0, "end": 2, "text": "Jim Henson"},
            {"type": "place", "begin": 3, "end": 4, "text": "Rome"},
        ],
        "predicted_spans": [
            {"type": "person", "begin": 0, "end": 1, "text": "Jim", "probability": 0.75},
            {"type": "place", "begin": 3, "end": 4, "text": "Rome", "probability": 0.25},
        ],
        "right": False,
        "errors": 1,
        "confidence": 0.25,
        "loss": 0.75,
    }
    assert rows[1]["line"] == 6
    assert (rows[1]["errors"], rows[1]["confidence"], rows[1]["loss"]) == (0, None, None)


def test_tags_are_in_the_scheme_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "dev.conll"
    path.write_text("Jim B_person\nHenson E_person\n")
    sentences = conll.read(str(path), 0, 1)
    (sentence,) = evaluated_sentences(sentences, ["B-person", "O"], floats(1, 1), floats(0, 0))
    row = sentence.row(sentences.scheme)
    assert (row["truth"], row["prediction"]) == (["B_person", "E_person"], ["S_person", "O"])


def test_texts_are_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text('{"text": "In  Rome, Jim!", "label": [[4, 8, "place"], [10, 13, "person"]]}\n')
    sentences = span_rows.read(str(path), with_spans=True)
    predicted = ["O", "B-place", "I-place", "B-person", "O"]
    (sentence,) = evaluated_sentences(sentences, predicted, np.ones(5, np.float32), np.zeros(5, np.float32))
    row = sentence.row(sentences.scheme)
    assert row["text"] == "In  Rome, Jim!"
    assert [span["text"] for span in row["true_spans"]] == ["Rome", "Jim"]
    assert [span["text"] for span in row["predicted_spans"]] == ["Rome,", "Jim"]


def test_sentences_without_tags(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\n")
    sentences = conll.read(str(tmp_path / "a"), 0, None)
    with pytest.raises(ValueError, match="was read without tags"):
        next(evaluated_sentences(sentences, ["O"], floats(1), floats(1)))


def test_errors_and_confidence() -> None:
    sentence = EvaluatedSentence(
        *(1, ["a", "b"], ["B-x", "O"], ["O", "B-x"], [NAN, 0.5], [NAN, 2.0]), text="a b", offsets=[(0, 1), (2, 3)]
    )
    assert [error.kind for error in sentence.errors] == ["missed", "spurious"]
    assert (sentence.confidence, sentence.loss) == (0.5, 2.0)
