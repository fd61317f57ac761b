"""Documents that are held out: how many, which, that none is on both sides, and their records."""

import itertools
import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.golden_outputs import decoded
from helpers.run_directory import unlisted

from bert_tf2.errors import InputError
from bert_tf2.io import locks, run_files
from bert_tf2.pretraining_data import held_out, shard
from bert_tf2.pretraining_data.fast_instances import Corpus
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data

WORDS = [f"w{number}" for number in range(40)]
DOCUMENTS = 60


def corpus_of(documents: list[list[list[int]]]) -> Corpus:
    segments = [segment for document in documents for segment in document]
    return Corpus(
        np.array([token for segment in segments for token in segment], np.int32),
        np.cumsum([0, *map(len, segments)], dtype=np.int64),
        np.cumsum([0, *map(len, documents)], dtype=np.int64),
    )


def documents_of(corpus: Corpus) -> list[list[list[int]]]:
    bounds = corpus.segment_splits.tolist()
    segments = [corpus.token_ids[start:end].tolist() for start, end in itertools.pairwise(bounds)]
    bounds = corpus.document_splits.tolist()
    return [segments[start:end] for start, end in itertools.pairwise(bounds)]


def some_documents(count: int, seed: int = 1) -> list[list[list[int]]]:
    rng = random.Random(seed)
    return [
        [[number, *rng.choices(range(9), k=rng.randint(0, 5))] for _ in range(rng.randint(1, 4))]
        for number in range(count)
    ]


@pytest.mark.parametrize(("count", "fraction", "expected"), [(10, 0.2, 2), (5, 0.01, 1), (5, 0.99, 4), (1, 0.5, 0)])
def test_of_a_whole_input_the_fraction_is_held_out(count: int, fraction: float, expected: int) -> None:
    documents = some_documents(count)
    training, evaluation = (documents_of(part) for part in held_out.split(corpus_of(documents), fraction, 1, True))
    assert len(evaluation) == expected
    assert [document for document in documents if document not in evaluation] == training
    assert [document for document in documents if document not in training] == evaluation


def test_the_side_of_a_document_depends_on_the_seed_and_its_tokens_alone() -> None:
    documents = some_documents(400)
    both = documents_of(held_out.split(corpus_of(documents), 0.25, 7, False)[1])
    parts = [
        documents_of(held_out.split(corpus_of(part), 0.25, 7, False)[1]) for part in (documents[:99], documents[99:])
    ]
    assert both == [*parts[0], *parts[1]]
    assert 70 < len(both) < 130
    assert documents_of(held_out.split(corpus_of(documents), 0.25, 8, False)[1]) != both


@pytest.mark.parametrize("whole_input", [True, False])
def test_copies_are_on_one_side(whole_input: bool) -> None:
    documents = some_documents(30) * 3
    training, evaluation = (documents_of(part) for part in held_out.split(corpus_of(documents), 0.3, 2, whole_input))
    assert evaluation
    assert not [document for document in evaluation if document in training]
    assert len(training) + len(evaluation) == 90


def test_copies_of_one_document_cannot_be_divided() -> None:
    assert len(held_out.split(corpus_of(some_documents(1) * 5), 0.5, 1, True)[1]) == 0


@pytest.mark.parametrize("whole_input", [True, False])
def test_a_group_without_documents(whole_input: bool) -> None:
    assert [len(part) for part in held_out.split(corpus_of([]), 0.5, 1, whole_input)] == [0, 0]


# --- Records ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text whose documents each have a word of their own in every line, and a vocabulary."""
    folder = tmp_path_factory.mktemp("input")
    rng = random.Random(1)
    documents = [
        "\n".join(" ".join([f"d{number}", *rng.choices(WORDS, k=6)]) for _ in range(6)) for number in range(DOCUMENTS)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents) + "\n")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *WORDS, *(f"d{n}" for n in range(DOCUMENTS))]) + "\n")
    return folder


def config(folder: Path, output: str, **changes: Any) -> PretrainingDataConfig:
    values = {"max_seq_length": 32, "max_predictions_per_seq": 5, "dupe_factor": 2, "eval_fraction": 0.2, **changes}
    values = {"input_file": f"{folder}/text.txt", "vocab_file": f"{folder}/vocab.txt", **values}
    return PretrainingDataConfig(output_file=output, **values)


def sources(path: Path) -> set[int]:
    """The documents whose own word is in the records of a file."""
    first = 5 + len(WORDS)
    found: set[int] = set()
    for row in decoded(path):
        ids = [int(number) for number in row["input_ids"]]
        for position, label, weight in zip(
            *(row.get(f"masked_lm_{name}", []) for name in ("positions", "ids", "weights")), strict=True
        ):
            if weight:
                ids[int(position)] = int(label)
        found |= {number - first for number in ids if number >= first}
    return found


@pytest.mark.parametrize(
    "changes", [{}, {"no_nsp": True}, {"line_by_line": True}, {"masking": "dynamic", "compression": "none"}], ids=str
)
def test_no_document_is_in_both(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    summary = create_pretraining_data(config(folder, f"{tmp_path}/train.tfrecord", **changes))
    training, evaluation = sources(tmp_path / "train.tfrecord"), sources(tmp_path / "train.eval.tfrecord")
    assert summary.eval_documents == (72 if changes.get("line_by_line") else 12)
    if not changes.get("line_by_line"):  # there, lines are held out
        assert len(evaluation) == 12
        assert not training & evaluation
        assert len(training | evaluation) == DOCUMENTS
    rows = decoded(tmp_path / "train.eval.tfrecord")
    assert len(rows) == summary.eval_instances
    left = json.loads((tmp_path / "train.tfrecord.summary.json").read_text())
    assert left["eval_output"] == f"{tmp_path}/train.eval.tfrecord"
    assert left["eval_size"] == (tmp_path / "train.eval.tfrecord").stat().st_size
    assert left["outputs"] == [f"{tmp_path}/train.tfrecord"]


def test_workers_groups_and_outputs(folder: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    flags = {"group_bytes": 2500}
    create_pretraining_data(config(folder, f"{one}/", **flags))
    create_pretraining_data(config(folder, f"{two}/", **flags, num_workers=2))
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir() if "summary" not in path.name}
        for folder in (one, two)
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) > 3
    assert unlisted(one, run_files.PRETRAINING_DATA) == []
    evaluation = sources(one / "eval.tf_record")
    training = set().union(*(sources(path) for path in one.glob("part-*")))
    assert not evaluation & training
    assert len(evaluation | training) == DOCUMENTS
    create_pretraining_data(config(folder, f"{tmp_path}/a,{tmp_path}/b", eval_output_file=f"{tmp_path}/c", **flags))
    assert (tmp_path / "c").read_bytes() == contents[0]["eval.tf_record"]
    # Other groups, the same documents; and --resume finds all that is there.
    assert not list(tmp_path.glob(".*"))


def test_resume(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(folder, f"{tmp_path}/", group_bytes=2500, resume=True)
    whole = create_pretraining_data(settings)
    caplog.set_level(logging.INFO)
    assert create_pretraining_data(settings) == whole
    assert caplog.messages[-1].startswith("Nothing to do")
    (tmp_path / "eval.tf_record").write_bytes(b"")
    made = []
    make = shard.make
    monkeypatch.setattr(shard, "make", lambda job, advance: made.append(job) or make(job, advance))  # type: ignore[func-returns-value]
    create_pretraining_data(settings)
    assert made
    assert sources(tmp_path / "eval.tf_record")


def test_without_a_fraction_nothing_changes(folder: Path, tmp_path: Path) -> None:
    create_pretraining_data(config(folder, f"{tmp_path}/a", eval_fraction=0.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.summary.json"]
    assert sources(tmp_path / "a") == set(range(DOCUMENTS))


@pytest.mark.parametrize("output", ["records/", "a.tfrecord"])
def test_held_out_records_of_an_earlier_run_are_removed(folder: Path, tmp_path: Path, output: str) -> None:
    """But for a file that no summary names."""
    create_pretraining_data(config(folder, f"{tmp_path}/{output}"))
    held_out = tmp_path / ("records/eval.tf_record" if output.endswith("/") else "a.eval.tfrecord")
    assert held_out.exists()
    create_pretraining_data(config(folder, f"{tmp_path}/{output}", eval_fraction=0.0))
    assert not held_out.exists()
    held_out.touch()
    create_pretraining_data(config(folder, f"{tmp_path}/{output}", eval_fraction=0.0))
    assert held_out.exists()


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    for changes, sentence in (
        ({"eval_fraction": 1.0}, "--eval_fraction=1.0; it must be"),
        ({"eval_fraction": 0.0, "eval_output_file": "e"}, "--eval_output_file needs --eval_fraction"),
        ({"eval_output_file": f"{tmp_path}/a"}, "--eval_output_file names '.*/a' twice"),
        ({"eval_output_file": f"{folder}/text.txt"}, "--eval_output_file: '.*' is read by --input_file"),
        ({"eval_output_file": f"{tmp_path}"}, "--eval_output_file: '.*' is a directory; name a file in it"),
    ):
        with pytest.raises(InputError, match=sentence):
            config(folder, f"{tmp_path}/a", **changes)
    (tmp_path / "text").write_text("w1 w2\nw3\n")
    with pytest.raises(InputError, match=r"--eval_fraction=0\.2 would hold out 0 of 1 document; give another"):
        create_pretraining_data(config(folder, f"{tmp_path}/out/a", input_file=f"{tmp_path}/text"))
    assert not list((tmp_path / "out").iterdir())
    with locks.held(tmp_path / ".e.lock", "", ""), pytest.raises(InputError, match=r"writes .*/e; wait for it"):
        create_pretraining_data(config(folder, f"{tmp_path}/a", eval_output_file=f"{tmp_path}/e"))
