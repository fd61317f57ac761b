"""Opening teachers: run directories, Hugging Face directories, models that cannot teach a student; their flags."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from helpers import tiny_classification as tiny
from helpers.tiny_huggingface import write_directory
from helpers.tiny_teacher import write_teacher

from bert_tf2 import checkpoints
from bert_tf2.errors import InputError
from bert_tf2.modeling.distillation import Distillation
from bert_tf2.tasks.classification import runner
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.classification.teacher import Teacher
from bert_tf2.tasks.finetuning.foundation import find_foundation

STUDENT = TaskDescription("custom", "single_label", ("bad", "good"), max_seq_length=6, text_column="text")
HUGGING_FACE = TaskDescription("custom", "single_label", ("a", "b", "c"), max_seq_length=6, text_column="text")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "model")


def test_run_directory(teacher: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    checkpoints.save(str(teacher / "best"), 3, {"global_step": tf.Variable(3, dtype=tf.int64)}, keep=1)
    opened = Teacher.open(str(teacher), STUDENT, str(tmp_path / "student"))
    shutil.rmtree(teacher / "best")
    assert f"had the best score on the dev data: --teacher={teacher}/best takes them." in caplog.text
    assert (opened.order, opened.description.max_seq_length) == ((1, 0), 12)
    assert opened.foundation.vocabulary.path == str(teacher / "vocab.txt")
    model = opened.make_model(skip_padding=True)
    opened.load(model)
    assert f"The teacher's weights are those of {teacher}/model.ckpt-7." in caplog.text


def test_hugging_face_directory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = {"0": "c", "1": "a", "2": "b"}
    directory = write_directory(tmp_path / "named", "BertForSequenceClassification", id2label=names)
    opened = Teacher.open(str(directory), HUGGING_FACE, str(tmp_path / "student"))
    assert (opened.order, opened.description.max_seq_length) == ((1, 2, 0), 6)
    assert "names" not in caplog.text
    directory = write_directory(tmp_path / "unnamed", "BertForSequenceClassification")
    assert Teacher.open(str(directory), HUGGING_FACE, str(tmp_path / "student")).order == (0, 1, 2)
    assert "has no names for its 3 labels; this order is assumed: a, b, c." in caplog.text


def test_regression(tmp_path: Path) -> None:
    directory = write_teacher(tmp_path / "model", (), problem_type="regression")
    student = TaskDescription("custom", "regression", (), text_column="text")
    assert Teacher.open(str(directory), student, str(tmp_path / "student")).order == (0,)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"labels": ["bad", "fine"]},
            r"knows the labels bad, good, but those of the training data are bad, fine; rename",
        ),
        ({"labels": ["bad", "fine", "good"]}, r"knows the labels bad, good, but those .* are bad, fine, good; rename"),
        ({"problem_type": "multi_label"}, "is a model for single_label, but the training data is multi_label; give"),
        ({"text_pair_column": "b"}, "is a model for single texts, but the training data has pairs of texts; give"),
    ],
)
def test_teacher_of_a_different_task(teacher: Path, tmp_path: Path, fields, sentence: str) -> None:
    student = TaskDescription(**{**vars(STUDENT), **fields, "labels": tuple(fields.get("labels", STUDENT.labels))})
    with pytest.raises(InputError, match=f"^--teacher: {teacher} {sentence}"):
        Teacher.open(str(teacher), student, str(tmp_path / "student"))


def test_models_that_are_not_usable_classifiers(teacher: Path, tmp_path: Path) -> None:
    def check_rejected(path: Path, sentence: str, output_dir: Path = tmp_path / "student") -> None:
        with pytest.raises(InputError, match=f"^--teacher: .*{sentence}"):
            Teacher.open(str(path), STUDENT, str(output_dir))

    check_rejected(
        write_directory(tmp_path / "encoder", "BertModel"), "encoder has no classifier; give a classifier that was"
    )
    check_rejected(write_directory(tmp_path / "answers", "BertForQuestionAnswering"), "answers has no classifier")
    check_rejected(write_directory(tmp_path / "tags", "BertForTokenClassification"), "tags is a tagger;")
    check_rejected(tmp_path / "nothing", "There is no .*nothing")
    check_rejected(teacher, "is in .*, where the student is trained; give another --output_dir", teacher.parent)
    copy = shutil.copytree(teacher, tmp_path / "copy")
    (copy / "labels.txt").write_text("bad\nworse\n")
    check_rejected(copy, "labels.txt has the labels")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"teacher": None, "unlabeled_file": "a.txt"}, "--unlabeled_file needs --teacher; give both or omit it"),
        ({"teacher": None, "teacher_weight": 0.6}, "--teacher_weight needs --teacher"),
        ({"teacher_weight": 0.0}, "--teacher_weight=0: nothing would be learned from the teacher"),
        ({"teacher_weight": 1.1}, "--teacher_weight=1.1; it "),
        ({"teacher_temperature": 0.0}, "--teacher_temperature=0.0; it "),
        ({"do_train": False, "do_predict": True}, "--teacher needs --do_train, as the model learns"),
        ({"unlabeled_file": "none*.txt"}, "--unlabeled_file: no file matches 'none.*txt'"),
        ({"unlabeled_file": "notes.doc"}, "notes.doc"),
    ],
)
def test_invalid_flags(tmp_path: Path, flags, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.doc").touch()
    train = tiny.write_csv(tmp_path / "train.csv", tiny.rows(8, seed=1))
    tiny.write_model_files(tmp_path)
    with pytest.raises(InputError, match=sentence):
        tiny.run(tmp_path, **{"train_file": train, "do_train": True, "teacher": "teacher", **flags})


def test_unlabeled_rows_of_a_glue_task(tmp_path: Path) -> None:
    from bert_tf2.tasks.classification.config import DataConfig
    from bert_tf2.tasks.classification.data import open_data

    (tmp_path / "a.tsv").write_text('index\tsentence\n0\tgood "one"\n')
    (tmp_path / "b.jsonl").write_text(json.dumps({"sentence": "two", "id": 7, "label": "?"}) + "\n")
    (tmp_path / "c.txt").write_text("three\n")
    files = ",".join(str(tmp_path / name) for name in ("a.tsv", "b.jsonl", "c.txt"))
    config = DataConfig(output_dir=str(tmp_path), task_name="sst-2", data_dir=str(tmp_path), unlabeled_file=files)
    examples = open_data(config, training=True).unlabeled()
    assert [(list(rows.texts), rows.pairs, rows.labels) for rows in examples] == [
        (['good "one"'], None, None),
        (["two"], None, None),
        (["three"], None, None),
    ]


def test_flags_of_the_distillation(teacher: Path, tmp_path: Path) -> None:
    tiny.write_model_files(tmp_path)
    train = tiny.write_csv(tmp_path / "train.csv", tiny.rows(8, seed=1))
    flags = {"train_file": train, "do_train": True, "teacher_temperature": 2.5, "teacher_weight": 0.25}
    config = tiny.config(tmp_path, teacher=str(teacher), **flags)
    task = runner.ClassificationTask(config, find_foundation(config))
    assert task.make_model(skip_padding=False)._distillation == Distillation(2.5, 0.25)
