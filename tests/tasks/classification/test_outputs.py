"""The files of a prediction, number for number."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bert_tf2.tasks.classification import glue, outputs
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.task_description import TaskDescription

PROBABILITIES = np.array([[0.1, 0.9], [2 / 3, 1 / 3], [1e-7, 0.9999999]], np.float32)
TWO = TaskDescription("cola", "single_label", ("bad", "gut ✓"))


def examples(*ids: Any, **columns: Any) -> Examples:
    return dataclasses.replace(Examples("a.csv", range(len(ids)), ids, ["text"] * len(ids), None, None), **columns)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_test_results_are_those_of_the_original(tmp_path: Path) -> None:
    outputs.write_test_results(str(tmp_path / "a.tsv"), PROBABILITIES)
    assert (tmp_path / "a.tsv").read_text() == "0.1\t0.9\n0.6666667\t0.33333334\n1e-07\t0.9999999\n"
    outputs.write_test_results(str(tmp_path / "a.tsv"), np.float32([[2.5], [-1]]))
    assert (tmp_path / "a.tsv").read_text() == "2.5\n-1.0\n"


@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 3)), elements=st.floats(0, 1, width=32)))
@settings(max_examples=60)
def test_probabilities_keep_all_digits(tmp_path_factory: pytest.TempPathFactory, probabilities: np.ndarray) -> None:
    output_dir = tmp_path_factory.mktemp("predictions")
    names = tuple("abc"[: probabilities.shape[1]])
    task = TaskDescription("a", "multi_label", names)
    rows = examples(*range(len(probabilities)))
    paths = outputs.write_predictions(str(output_dir), task, rows, probabilities)
    lines = [line.split("\t") for line in Path(paths[0]).read_text().splitlines()]
    assert [list(map(np.float32, line)) for line in lines] == probabilities.tolist()
    assert lines == [[str(value) for value in row] for row in probabilities], "as the original printed them"
    json_lines = lines_of(Path(paths[1]))
    assert [[str(np.float32(value)) for value in line["probabilities"].values()] for line in json_lines] == lines
    assert [list(line["probabilities"].values()) for line in json_lines] == [list(map(float, line)) for line in lines]
    assert [line["labels"] for line in json_lines] == [
        [name for name, value in zip(names, row, strict=True) if value >= 0.5] for row in probabilities
    ]


def test_predictions_of_single_labels(tmp_path: Path) -> None:
    rows = examples("r1", 7, "ü", texts=["a", "b, c", "中"])
    paths = outputs.write_predictions(str(tmp_path), TWO, rows, PROBABILITIES)
    assert [Path(path).name for path in paths] == ["test_results.tsv", "predictions.jsonl", "predictions.csv"]
    assert Path(paths[1]).read_text(encoding="utf-8") == (
        '{"id": "r1", "text": "a", "label": "gut ✓", "confidence": 0.9, "probabilities": {"bad": 0.1, "gut ✓": 0.9}}\n'
        '{"id": 7, "text": "b, c", "label": "bad", "confidence": 0.6666667, '
        '"probabilities": {"bad": 0.6666667, "gut ✓": 0.33333334}}\n'
        '{"id": "ü", "text": "中", "label": "gut ✓", "confidence": 0.9999999, '
        '"probabilities": {"bad": 1e-07, "gut ✓": 0.9999999}}\n'
    )
    assert Path(paths[2]).read_text(encoding="utf-8") == (
        "id,text,label,confidence,probabilities.bad,probabilities.gut ✓\n"
        "r1,a,gut ✓,0.9,0.1,0.9\n"
        '7,"b, c",bad,0.6666667,0.6666667,0.33333334\n'
        "ü,中,gut ✓,0.9999999,1e-07,0.9999999\n"
    )


def test_true_labels_and_second_texts(tmp_path: Path) -> None:
    rows = examples(0, 1, 2, pairs=["d", "e", "f"], truths=["bad", None, "gut ✓"])
    paths = outputs.write_predictions(str(tmp_path), TWO, rows, PROBABILITIES)
    lines = lines_of(Path(paths[1]))
    assert [line["truth"] for line in lines] == ["bad", None, "gut ✓"]
    assert list(lines[0]) == ["id", "text", "text_pair", "label", "confidence", "truth", "probabilities"]
    table = Path(paths[2]).read_text(encoding="utf-8").splitlines()
    assert table[2] == "1,text,e,bad,0.6666667,,0.6666667,0.33333334"


def test_uncertain_predictions_have_no_label(tmp_path: Path) -> None:
    paths = outputs.write_predictions(str(tmp_path), TWO, examples(0, 1, 2), PROBABILITIES, min_confidence=0.9)
    lines = lines_of(Path(paths[1]))
    assert [line["label"] for line in lines] == ["gut ✓", None, "gut ✓"], "0.9 itself is enough"
    assert [line["confidence"] for line in lines] == [0.9, 0.6666667, 0.9999999]
    table = Path(paths[2]).read_text(encoding="utf-8").splitlines()
    assert table[2] == "1,text,,0.6666667,0.6666667,0.33333334"
    assert Path(paths[0]).read_text() == "0.1\t0.9\n0.6666667\t0.33333334\n1e-07\t0.9999999\n"


def test_predictions_of_several_labels_and_of_values() -> None:
    task = TaskDescription("a", "multi_label", ("x", "y"), threshold=0.3)
    lines = list(outputs.prediction_rows(task, examples(0, 1, 2), PROBABILITIES))
    assert [line["labels"] for line in lines] == [["y"], ["x", "y"], ["y"]]
    task = TaskDescription("a", "regression", ())
    assert list(outputs.prediction_rows(task, examples("b"), np.float32([[0.1]]))) == [
        {"id": "b", "text": "text", "value": 0.1}
    ]


def test_many_rows_in_order() -> None:
    rows = 10_000
    probabilities = np.linspace(0, 1, 2 * rows, dtype=np.float32).reshape(rows, 2)
    lines = list(outputs.prediction_rows(TWO, examples(*range(rows)), probabilities))
    assert [line["id"] for line in lines] == list(range(rows))
    assert [np.float32(line["probabilities"]["bad"]) for line in lines] == probabilities[:, 0].tolist()


@pytest.mark.parametrize(
    ("name", "probabilities", "expected"),
    [
        ("cola", [[0.4, 0.6], [0.7, 0.3]], "0\t1\n1\t0\n"),
        ("mnli", [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], "0\tcontradiction\n1\tentailment\n2\tneutral\n"),
        ("rte", [[0.4, 0.6], [0.7, 0.3]], "0\tnot_entailment\n1\tentailment\n"),
        ("sts-b", [[-0.2], [2.34567], [5.1]], "0\t0.000\n1\t2.346\n2\t5.000\n"),
    ],
)
def test_submission_to_glue(tmp_path: Path, name: str, probabilities: Any, expected: str) -> None:
    task = glue.TASKS[name]
    description = TaskDescription(name, task.problem_type, task.labels)
    values = np.array(probabilities, np.float32)
    paths = outputs.write_predictions(str(tmp_path), description, examples(*range(len(values))), values, task)
    assert Path(paths[3]).name == task.submission
    assert Path(paths[3]).read_text() == f"index\tprediction\n{expected}"


def test_xnli_has_no_submission(tmp_path: Path) -> None:
    task = glue.TASKS["xnli"]
    description = TaskDescription("xnli", task.problem_type, task.labels)
    assert (
        len(outputs.write_predictions(str(tmp_path), description, examples(0), np.ones((1, 3), np.float32), task)) == 3
    )


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3,)])
def test_probabilities_of_wrong_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="are not probabilities of 3 rows"):
        outputs.write_predictions(str(tmp_path), TWO, examples(0, 1, 2), np.ones(shape, np.float32))
    assert not list(tmp_path.iterdir())
