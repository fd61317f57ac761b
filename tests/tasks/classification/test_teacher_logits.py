"""A teacher's logits: computed once, saved, reused, in the student's order, with unlabeled rows."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.tiny_teacher import write_teacher

from bert_tf2.input_pipeline.example_batches import ROW
from bert_tf2.io import spilled
from bert_tf2.modeling.distillation import IS_LABELED, TEACHER_LOGITS
from bert_tf2.tasks.classification import teacher_logits
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import Features
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.classification.teacher import Teacher
from bert_tf2.tasks.classification.teacher_logits import TeacherLogits
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.tokenization.fast_wordpiece import Ragged

STUDENT = TaskDescription("custom", "single_label", ("bad", "good"), text_column="text")
TEXTS = [" ".join(f"w{number % (5 + row)}" for number in range(3 + 4 * (row % 4))) for row in range(7)]


class Predictor:
    """Stands in for a teacher with weights; its logits are the ids of the first and last token of a sequence."""

    def __init__(self) -> None:
        self.precision = SimpleNamespace(precision="float32")
        self.config = SimpleNamespace(predict_batch_size=2, dry_run=False)
        self.model: Any = SimpleNamespace(logits=None)
        self.computed: list[int] = []  # the rows of computed batches
        self.killed_at = 100  # number of batches after which it is killed

    def compiled(self, outputs: Any) -> Any:
        return outputs

    def outputs(self, outputs: Any, arrays: Any, batch_size: int, directory: Any, path: str | None) -> OutputBatches:
        def batches(done: int):
            order = np.argsort(-arrays.lengths, kind="stable")
            for number, begin in enumerate(range(done * batch_size, len(order), batch_size)):
                if number == self.killed_at:
                    raise KeyboardInterrupt
                rows, tokens = order[begin : begin + batch_size], arrays.tokens["input_ids"]
                self.computed += rows.tolist()
                indices = arrays.row_splits[rows] + 1, arrays.row_splits[rows + 1] - 2
                yield {ROW: rows, "logits": np.stack([tokens[index] for index in indices], 1).astype(np.float32)}

        return OutputBatches(arrays, batches, self.model, {"batch_size": batch_size}, directory, path)


@pytest.fixture(autouse=True)
def _batches_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_logits, "_BATCH_SIZE", 2)


@pytest.fixture(scope="module")
def teacher_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "model")


@pytest.fixture(scope="module")
def teacher(teacher_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher.open(str(teacher_dir), STUDENT, str(tmp_path_factory.mktemp("student")))


def examples(texts: list[str], path: str = "rows.csv") -> Examples:
    return Examples(path, range(len(texts)), range(len(texts)), texts, None, None)


def expected_logits(teacher: Teacher, texts: list[str]) -> np.ndarray:
    """The logits of `Predictor`, in the student's order."""
    ids = [teacher.foundation.tokenizer(True).vocab[word] for text in texts for word in (text.split()[:10])]
    ends = np.cumsum([min(10, len(text.split())) for text in texts])
    starts = np.concatenate([[0], ends[:-1]])
    return np.stack([np.array(ids)[ends - 1], np.array(ids)[starts]], axis=1).astype(np.float32)


def logits_of(teacher: Teacher, predictor: Predictor, logits_dir: Path | None, weights: str = "w") -> TeacherLogits:
    path = None if logits_dir is None else str(logits_dir)
    return TeacherLogits(teacher, predictor, weights, None, path, is_dry=False)  # type: ignore[arg-type]


def test_logits_are_computed_once(teacher: Teacher, tmp_path: Path) -> None:
    predictor, logits_dir = Predictor(), tmp_path / "logits"
    all_rows = {
        "train": examples(TEXTS),
        "dev": examples(TEXTS[:3], "dev.csv"),
        "unlabeled_0": examples(TEXTS[3:]),
    }
    first = logits_of(teacher, predictor, logits_dir).of(all_rows)
    assert len(predictor.computed) == 7 + 3 + 4
    for name, rows in all_rows.items():
        np.testing.assert_array_equal(first[name], expected_logits(teacher, list(rows.texts)))
    names = sorted(os.listdir(logits_dir))
    assert [name.split("-")[0] for name in names] == ["dev", "train", "unlabeled_0"]
    saved = np.load(logits_dir / names[1])
    assert (saved.dtype, saved.shape) == (np.float32, (7, 2))
    np.testing.assert_array_equal(saved[:, ::-1], first["train"])  # in the teacher's order

    reused = logits_of(teacher, predictor, logits_dir).of(all_rows)
    assert len(predictor.computed) == 14
    for name in all_rows:
        np.testing.assert_array_equal(reused[name], first[name])
    (logits_dir / names[1]).write_bytes((logits_dir / names[1]).read_bytes()[:-4])  # a corrupt file
    np.testing.assert_array_equal(logits_of(teacher, predictor, logits_dir).of(all_rows)["train"], first["train"])
    assert len(predictor.computed) == 14 + 7
    (logits_dir / "notes.npy").touch()
    logits_of(teacher, predictor, logits_dir).of({"train": examples(TEXTS[1:])})  # other rows
    logits_of(teacher, predictor, logits_dir, weights="v").of({"train": examples(TEXTS[1:])})  # other weights
    assert len(predictor.computed) == 21 + 6 + 6
    (other, notes) = sorted(os.listdir(logits_dir), reverse=True)
    assert notes == "notes.npy"
    assert other not in names
    logits_of(teacher, predictor, None).of(all_rows)
    assert sorted(os.listdir(tmp_path)) == ["logits"]


def test_killed_computation_continues(teacher: Teacher, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("bert_tf2.io.resumable_output._SECONDS_BETWEEN_STATES", 0.0)
    predictor = Predictor()
    predictor.killed_at = 2
    with pytest.raises(KeyboardInterrupt):
        logits_of(teacher, predictor, tmp_path).of({"train": examples(TEXTS)})
    assert len(predictor.computed) == 4
    logits = logits_of(teacher, predictor, tmp_path).of({"train": examples(TEXTS)})
    assert sorted(predictor.computed) == list(range(7))
    np.testing.assert_array_equal(logits["train"], expected_logits(teacher, TEXTS))
    assert len(os.listdir(tmp_path)) == 1


def test_windows_of_the_teacher(teacher_dir: Path, tmp_path: Path, monkeypatch) -> None:
    """The logits of a text are the mean of those of its windows, also if arrays are in files."""
    opened = Teacher.open(str(teacher_dir), STUDENT, str(tmp_path))
    description = dataclasses.replace(opened.description, long_text="windows", max_seq_length=7)
    teacher = dataclasses.replace(opened, description=description)
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", 4)
    text = "w1 w2 w3 w4 w5 w6 w7 w8"  # windows of 5 tokens with stride 3: w1 to w5, w4 to w8
    logits = logits_of(teacher, Predictor(), tmp_path).of({"train": examples(["w9", text])})["train"]
    ids = opened.foundation.tokenizer(True).vocab
    firsts, lasts = ([ids[f"w{number}"] for number in numbers] for numbers in ((1, 4), (5, 8)))
    np.testing.assert_allclose(logits, [[ids["w9"]] * 2, [np.mean(lasts), np.mean(firsts)]], rtol=1e-6)


def features(counts: list[int], splits: list[int] | None = None) -> Features:
    lengths = np.concatenate([[0], np.cumsum(counts)])
    values = np.arange(lengths[-1], dtype=np.int32)
    windows = None if splits is None else np.array(splits)
    labels = np.arange(len(counts), dtype=np.int32)
    return Features(Ragged(values, lengths), np.array(counts), labels, 8, 0, 8, windows)


def test_examples_with_logits() -> None:
    labeled, unlabeled = features([3, 2, 4], [0, 2, 3]), features([1, 2], [0, 1, 2])
    logits = [np.array([[1, 2], [3, 4]], np.float32), np.array([[5, 6], [7, 8]], np.float32)]
    arrays = teacher_logits.with_logits(labeled, [unlabeled], logits, None)
    assert arrays.row_splits.tolist() == [0, 3, 5, 9, 10, 12]
    assert arrays.tokens["input_ids"].tolist() == [*range(9), *range(3)]
    columns = {name: np.asarray(values).tolist() for name, values in arrays.columns.items()}
    assert columns == {
        "label_ids": [0, 1, 2, 0, 1],
        "example_weights": [0.5, 0.5, 1, 1, 1],
        TEACHER_LOGITS: [[1, 2], [1, 2], [3, 4], [5, 6], [7, 8]],
        IS_LABELED: [1, 1, 1, 0, 0],
    }
    assert IS_LABELED not in teacher_logits.with_logits(features([3]), [], logits[:1], None).columns
