"""GLUE and XNLI: the four tasks of the original, the other tasks, and invalid files."""

import csv
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.io.delimited import read_tsv
from bert_tf2.metrics import classification
from bert_tf2.tasks.classification import glue
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.glue import TASKS, GlueTask, Split


def read(task: GlueTask, data_dir: str, split: Split) -> Examples:
    """Calls `glue.read` and copies the columns into lists and tuples."""
    examples = glue.read(task, data_dir, split)
    return Examples(
        path=examples.path,
        lines=list(examples.lines),
        ids=list(examples.ids),
        texts=tuple(examples.texts),
        pairs=None if examples.pairs is None else tuple(examples.pairs),
        labels=None if examples.labels is None else list(examples.labels),
    )


def write(directory: Path, name: str, *rows: str, mark: bool = False, end: str = "\n") -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\ufeff" * mark + end.join(rows) + end).encode())


def row(**cells: Any) -> str:
    """A tab-separated line with given cells, such as `c3="text"`, and fillers."""
    numbers = {int(name[1:]): value for name, value in cells.items()}
    return "\t".join(str(numbers.get(index, f"x{index}")) for index in range(max(numbers) + 1))


# --- The four tasks of the original ----------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), min_size=1))
def test_lines_are_split_as_in_the_original(line: str) -> None:
    """It used `csv.reader` with `quotechar=None`, which gives quotes no meaning."""
    assert line.split("\t") == next(csv.reader([f"{line}\n"], delimiter="\t", quotechar=None))


def test_carriage_returns_before_the_line_feed_are_removed_as_in_the_original(tmp_path: Path) -> None:
    write(tmp_path, "a.tsv", "a\tb", "c\t", end="\r\n")
    assert list(read_tsv(str(tmp_path / "a.tsv"))) == [(1, ["a", "b"]), (2, ["c", ""])]
    assert list(csv.reader(["a\tb\r\n", "c\t\r\n"], delimiter="\t", quotechar=None)) == [["a", "b"], ["c", ""]]


def test_cola(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        write(tmp_path, f"{name}.tsv", "gj04\t1\t\tOne.", 'gj04\t0\t*\t"Two', mark=True)
    write(tmp_path, "test.tsv", "index\tsentence", "0\tThree.")
    task = glue.task_named("CoLA")
    for split in ("train", "dev"):
        examples = read(task, str(tmp_path), split)
        assert examples.ids == [f"{split}-0", f"{split}-1"]
        assert examples.texts == ("One.", '"Two')
        assert examples.labels == ["1", "0"]
        assert examples.pairs is None
        assert examples.location(1) == f"{tmp_path}/{split}.tsv, line 2"
    examples = read(task, str(tmp_path), "test")
    assert (examples.ids, examples.texts, examples.pairs, examples.labels) == (["test-1"], ("Three.",), None, None)


def test_mrpc(tmp_path: Path) -> None:
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    for name in ("train", "dev", "test"):
        write(tmp_path, f"{name}.tsv", header, "1\t7\t8\ta\tb", '0\t7\t8\tc\t"d', mark=True)
    for split, labels in (("train", ["1", "0"]), ("dev", ["1", "0"]), ("test", None)):
        examples = read(TASKS["mrpc"], str(tmp_path), split)  # type: ignore[arg-type]
        assert examples.ids == [f"{split}-1", f"{split}-2"]
        assert (examples.texts, examples.pairs, examples.labels) == (("a", "c"), ("b", '"d'), labels)


@pytest.mark.parametrize(
    ("name", "matched"), [("mnli", "matched"), ("MNLI-mm", "mismatched"), ("mnli_mm", "mismatched")]
)
def test_mnli(tmp_path: Path, name: str, matched: str) -> None:
    write(tmp_path, "train.tsv", row(c0="index", c11="gold_label"), row(c0=31, c8="a", c9="b", c11="neutral"))
    # The label is the last column, whatever its number.
    write(tmp_path, f"dev_{matched}.tsv", row(c15="gold_label"), row(c0=32, c8="c", c9="d", c15="entailment"))
    write(tmp_path, f"test_{matched}.tsv", row(c9="sentence2"), row(c0=33, c8="e", c9="f"))
    task = glue.task_named(name)
    assert task.labels == ("contradiction", "entailment", "neutral")
    assert task.trained_as == "mnli"
    for split, guid, texts, labels in (
        ("train", "train-31", ("a", "b"), ["neutral"]),
        ("dev", f"dev_{matched}-32", ("c", "d"), ["entailment"]),
        ("test", "test-33", ("e", "f"), None),
    ):
        examples = read(task, str(tmp_path), split)  # type: ignore[arg-type]
        assert (examples.ids, examples.texts, examples.pairs) == ([guid], texts[:1], texts[1:])
        assert examples.labels == labels


def test_xnli(tmp_path: Path) -> None:
    write(tmp_path, "multinli/multinli.train.zh.tsv", "premise\thypo\tlabel", "a\tb\tcontradictory", "c\td\tneutral")
    for name in ("dev", "test"):
        rows = [row(c0=language, c1="entailment", c6=f"a{language}", c7="b") for language in ("en", "zh", "de", "zh")]
        write(tmp_path, f"xnli.{name}.tsv", row(c0="language", c7="sentence2"), *rows)
    examples = read(TASKS["xnli"], str(tmp_path), "train")
    assert (examples.ids, examples.texts, examples.pairs) == (["train-1", "train-2"], ("a", "c"), ("b", "d"))
    assert examples.labels == ["contradiction", "neutral"]
    examples = read(TASKS["xnli"], str(tmp_path), "dev")
    assert (examples.ids, examples.texts, examples.labels) == (
        ["dev-2", "dev-4"],
        ("azh", "azh"),
        ["entailment"] * 2,
    )
    assert read(TASKS["xnli"], str(tmp_path), "test").labels is None
    header, complete = row(c0="language", c7="sentence2"), row(c0="zh", c1="neutral", c6="a", c7="b")
    write(tmp_path, "xnli.dev.tsv", header, "de\tneutral", "en", complete)
    examples = read(TASKS["xnli"], str(tmp_path), "dev")
    assert (examples.ids, examples.texts) == (["dev-3"], ("a",))
    write(tmp_path, "xnli.dev.tsv", header, complete, "zh\tneutral")
    with pytest.raises(InputError, match=r"line 3 has 2 columns, expected at least 8"):
        read(TASKS["xnli"], str(tmp_path), "dev")
    write(tmp_path, "xnli.dev.tsv", row(c7="sentence2"), row(c0="en", c7="b"))
    with pytest.raises(InputError, match=r"xnli\.dev\.tsv has no rows with 'zh' in column 0"):
        read(TASKS["xnli"], str(tmp_path), "dev")


# --- The other tasks -------------------------------------------------------------------------------------------------


def test_columns_are_read_by_name_in_any_order(tmp_path: Path) -> None:
    write(tmp_path, "train.tsv", "label\tid\tsentence2\tsentence1", 'entailment\t7\t"b\ta', mark=True)
    examples = read(TASKS["rte"], str(tmp_path), "train")
    assert (examples.texts, examples.pairs, examples.labels) == (("a",), ('"b',), ["entailment"])


def test_diagnostic_set(tmp_path: Path) -> None:
    header = "Lexical Semantics\tPredicate-Argument Structure\tLogic\tKnowledge\tDomain\tPremise\tHypothesis\tLabel"
    write(tmp_path, "diagnostic-full.tsv", header, row(c5="a", c6="b", c7="neutral"))
    write(tmp_path, "diagnostic.tsv", "index\tsentence1\tsentence2", "0\ta\tb")
    examples = read(TASKS["ax"], str(tmp_path), "dev")
    assert (examples.texts, examples.pairs, examples.labels) == (("a",), ("b",), ["neutral"])
    assert read(TASKS["ax"], str(tmp_path), "test").labels is None
    with pytest.raises(InputError, match="ax has no train file: train mnli, and give its --output_dir"):
        read(TASKS["ax"], str(tmp_path), "train")


def test_qqp_rows_split_by_a_line_break_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    rows = [row(c3="a", c4="b", c5=1), row(c3='split "'), '"\td\t0', row(c3="e", c4="f", c5=0)]
    write(tmp_path, "train.tsv", header, *rows)
    with caplog.at_level(logging.WARNING):
        examples = read(TASKS["qqp"], str(tmp_path), "train")
    assert (examples.texts, examples.pairs, examples.labels) == (("a", "e"), ("b", "f"), ["1", "0"])
    assert examples.lines == [2, 5]
    assert caplog.messages == [f"{tmp_path}/train.tsv: left out 2 rows with too few columns, the first in line 3."]
    write(tmp_path, "test.tsv", "id\tquestion1\tquestion2", "0\ta\tb", "1\tc")
    with pytest.raises(InputError, match=r"test\.tsv, line 3 has 2 columns, expected at least 3, with tabs"):
        read(TASKS["qqp"], str(tmp_path), "test")


# --- Tasks -----------------------------------------------------------------------------------------------------------


def test_tasks() -> None:
    assert list(TASKS) == [
        *("cola", "mnli", "mnli-mm", "mrpc", "xnli", "sst-2", "sts-b", "qqp", "qnli", "rte", "wnli", "ax")
    ]
    for name, task in TASKS.items():
        assert glue.task_named(name.upper()) is task
        assert glue.task_named(name.replace("-", "")) is task
        assert glue.is_known(name.replace("-", "_"))
        known = classification._METRICS[task.problem_type]
        assert set(task.metrics) <= known.keys()
        assert TASKS[task.trained_as].labels == task.labels
        assert task.has_pairs == (name not in ("cola", "sst-2"))
    assert {task.submission for task in TASKS.values()} == {
        *("CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "STS-B.tsv", "QQP.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "QNLI.tsv"),
        *("RTE.tsv", "WNLI.tsv", "AX.tsv", None),
    }
    # The original's order, which is alphabetical.
    assert all(list(task.labels) == sorted(task.labels) for task in TASKS.values())


def test_unknown_task() -> None:
    with pytest.raises(InputError, match=r"Unknown task 'mrcp'; choose one of cola, mnli, .*, or give --train_file"):
        glue.task_named("mrcp")
    assert not glue.is_known("mrcp")


@pytest.mark.parametrize(
    ("task", "rows", "sentence"),
    [
        ("cola", ["gj04\t1\t\tOne.", "gj04\t1"], r"train\.tsv, line 2 has 2 columns, expected at least 4, .*'gj04'"),
        ("cola", [""], r"train\.tsv has no rows; expected the train file of cola"),
        ("rte", [""], r"train\.tsv has no rows"),
        ("rte", ["index\tsentence1\tsentence2\tlabel"], r"train\.tsv has no rows"),
        ("rte", ["0\ta\tb\t1"], r"train\.tsv has no column 'sentence1'; its first line has '0', 'a', 'b', '1'\."),
        ("sst-2", ["sentence\tlabel", "no tab"], r"train\.tsv, line 2 has 1 column, expected at least 2"),
    ],
)
def test_invalid_files(tmp_path: Path, task: str, rows: list[str], sentence: str) -> None:
    write(tmp_path, "train.tsv", *rows)
    with pytest.raises(InputError, match=sentence):
        read(TASKS[task], str(tmp_path), "train")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*dev_matched\.tsv: No such file"):
        read(TASKS["mnli"], str(tmp_path), "dev")
