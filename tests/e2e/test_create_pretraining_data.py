"""create_pretraining_data.py: the original's records, what is written, odd input, two processes, its errors."""

import dataclasses
import logging
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import golden_outputs
from helpers.command_flags import defaults_of
from helpers.golden_outputs import decoded
from helpers.repository import REPOSITORY
from reference.instances import TrainingInstance, instance_features

from bert_tf2.configs.fields import flags_of
from bert_tf2.errors import InputError
from bert_tf2.io import locks
from bert_tf2.pretraining_data import shard
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data
from bert_tf2.records import reader, schema
from bert_tf2.tokenization.wordpiece import FullTokenizer

SCRIPT = str(REPOSITORY / "create_pretraining_data.py")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghij"
TEXT = "\n\n".join(
    "\n".join(" ".join(random.Random(f"{document} {line}").choices(LETTERS, k=6)) for line in range(8))
    for document in range(5)
)


def run_script(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True, timeout=120)


@pytest.fixture
def vocab(tmp_path: Path) -> str:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]) + "\n")
    return str(path)


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return str(path)


def config(text: str, vocab: str, output: str | Path, **changes: Any) -> PretrainingDataConfig:
    values = {"max_seq_length": 32, "max_predictions_per_seq": 5, "dupe_factor": 2, **changes}
    return PretrainingDataConfig(input_file=text, output_file=str(output), vocab_file=vocab, **values)


# --- The same as the original ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", golden_outputs.PRETRAINING_CASES)
def test_golden(case: str, tmp_path: Path) -> None:
    golden_outputs.check_pretraining_run(golden_outputs.own_pretraining_case(case), tmp_path)


def test_golden_through_the_script(tmp_path: Path) -> None:
    case = golden_outputs.own_pretraining_case("two_inputs_three_outputs")
    flags, outputs = golden_outputs.pretraining_flags(case, tmp_path)
    done = run_script(*(f"--{name}={value}" for name, value in flags.items()))
    assert done.returncode == 0, done.stderr
    golden_outputs.check_pretraining_records(case, outputs)


def test_documents_continue_across_files(tmp_path: Path, vocab: str) -> None:
    (tmp_path / "1.txt").write_text("a b\nc d\n\ne f\n")
    (tmp_path / "2.txt").write_text("g h\n\ni j")
    (tmp_path / "all.txt").write_text("a b\nc d\n\ne f\ng h\n\ni j")
    create_pretraining_data(config(f"{tmp_path}/[12].txt", vocab, tmp_path / "two"))
    create_pretraining_data(config(f"{tmp_path}/all.txt", vocab, tmp_path / "one"))
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()


# --- The script ------------------------------------------------------------------------------------------------------


def test_the_script_on_custom_text(tmp_path: Path, text: str, vocab: str) -> None:
    outputs = [tmp_path / "new" / "directory" / name for name in "ab"]
    done = run_script(
        f"--input_file={text}",
        f"--output_file={outputs[0]},{outputs[1]}",
        f"--vocab_file={vocab}",
        "--max_seq_length=32",
        "--max_predictions_per_seq=5",
        "--do_whole_word_mask",
        "--verbosity=1",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    counts = [len(decoded(path)) for path in outputs]
    assert counts[0] - counts[1] in (0, 1)
    assert lines[-6].startswith("Read 5 documents, 40 sentences, 240 tokens (0.00% unknown")
    assert lines[-5].startswith(f"Made {sum(counts)} instances: ")
    assert lines[-3:] == [f"Wrote {path}" for path in (*outputs, f"{outputs[0]}.summary.json")]
    assert reader.count_records(outputs) == sum(counts)
    reader.check_lengths(outputs, schema.pretraining(32, 5))


def test_mistakes_are_one_sentence_and_status_1(tmp_path: Path, text: str, vocab: str) -> None:
    for flags, sentence in (
        ({"input_file": tmp_path / "missing"}, "ERROR: --input_file: no file matches "),
        ({"max_seq_length": 4}, "ERROR: --max_seq_length=4 is too small"),
        ({"vocab_file": tmp_path / "missing"}, "ERROR: Cannot read "),
    ):
        given = {"input_file": text, "output_file": tmp_path / "a", "vocab_file": vocab, **flags}
        done = run_script(*(f"--{name}={value}" for name, value in given.items()))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(sentence)
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "a").exists()


def test_an_output_that_cannot_be_written(tmp_path: Path, text: str, vocab: str) -> None:
    done = run_script(f"--input_file={text}", f"--output_file={text}/a", f"--vocab_file={vocab}")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_flags_and_defaults() -> None:
    flags = defaults_of("create_pretraining_data")
    assert flags == {
        "input_file": None,
        "output_file": None,
        "vocab_file": None,
        "do_lower_case": True,
        "do_whole_word_mask": False,
        "max_seq_length": 128,
        "max_predictions_per_seq": 20,
        "random_seed": 12345,
        "dupe_factor": 10,
        "masked_lm_prob": 0.15,
        "short_seq_prob": 0.1,
        "group_bytes": 2**28,
        "num_workers": 1,
        "compression": "none",
        "resume": False,
        "runner": None,
        "spm_model_file": None,
        "spm_alpha": 0.0,
        "masking": "static",
        "no_nsp": False,
        "line_by_line": False,
        "long_lines": "truncate",
        "eval_fraction": 0.0,
        "eval_output_file": None,
        "segmented_text": False,
        "word_list": None,
        "text_column": "text",
        "delimiter": None,
        "encoding": None,
        "strip_accents": None,
        "tokenize_chinese_chars": None,
        "never_split": None,
        "config": None,
        "print_config": False,
    }
    for field, _ in flags_of(PretrainingDataConfig):
        assert flags[field.name] == (None if field.default is dataclasses.MISSING else field.default)


# --- What is written -------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, text: str, vocab: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        create_pretraining_data(config(text, vocab, tmp_path / name, random_seed=seed))
    contents = [(tmp_path / name).read_bytes() for name in "abc"]
    assert contents[0] == contents[1] != contents[2]


def test_features_of_an_instance(vocab: str) -> None:
    instance = TrainingInstance(
        ["[CLS]", "[MASK]", "[SEP]", "b", "a", "[SEP]"], [0, 0, 0, 1, 1, 1], True, [1, 4], ["##a", "c"]
    )
    parameters = InstanceParameters(max_seq_length=8, max_predictions_per_seq=3)
    features = instance_features(instance, FullTokenizer(vocab), parameters)
    assert features == {
        "input_ids": [2, 4, 3, 6, 5, 3, 0, 0],
        "input_mask": [1, 1, 1, 1, 1, 1, 0, 0],
        "segment_ids": [0, 0, 0, 1, 1, 1, 0, 0],
        "masked_lm_positions": [1, 4, 0],
        "masked_lm_ids": [15, 7, 0],
        "masked_lm_weights": [1.0, 1.0, 0.0],
        "next_sentence_labels": [1],
    }
    following = dataclasses.replace(instance, is_random_next=False)
    assert instance_features(following, FullTokenizer(vocab), parameters)["next_sentence_labels"] == [0]


def test_a_word_too_long_for_whole_word_masking_leaves_nothing_to_predict(tmp_path: Path, vocab: str) -> None:
    (tmp_path / "text").write_text("abcdef\n\nabcdef\n")
    create_pretraining_data(
        config(f"{tmp_path}/text", vocab, tmp_path / "a", do_whole_word_mask=True, max_predictions_per_seq=2)
    )
    for example in decoded(tmp_path / "a"):
        assert example["masked_lm_weights"] == [0.0, 0.0]
        assert example["masked_lm_ids"] == [0, 0]


def test_an_error_while_writing_leaves_no_files(
    tmp_path: Path, text: str, vocab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "a").write_bytes(b"old")
    append, written = schema.RecordWriter.append, 0

    def failing(writer: schema.RecordWriter, number: int, content: bytes, count: int) -> None:
        nonlocal written
        written += 1
        if written == 5:
            raise KeyboardInterrupt
        append(writer, number, content, count)

    monkeypatch.setattr(schema.RecordWriter, "append", failing)
    monkeypatch.setattr(shard, "_RECORDS_AT_ONCE", 2)
    with pytest.raises(KeyboardInterrupt):
        create_pretraining_data(config(text, vocab, f"{output}/a,{output}/b"))
    assert os.listdir(output) == ["a"]
    assert (output / "a").read_bytes() == b"old"


# --- Bad and odd input -----------------------------------------------------------------------------------------------


def test_impossible_outputs(tmp_path: Path, text: str, vocab: str) -> None:
    os.symlink(text, tmp_path / "link")
    for output, sentence in (
        (text, r"--output_file: '.*text.txt' is read by --input_file; write to another file"),
        (f"{tmp_path}/a,{tmp_path}/link", r"--output_file: '.*link' is read by --input_file"),
        (vocab, r"--output_file: '.*vocab.txt' is read by --vocab_file"),
        (f"{tmp_path}/a,{tmp_path}", r"--output_file: '.*' is a directory; name one directory, or only files"),
        (f"{tmp_path}/a,{tmp_path}/b,{tmp_path}/./a", r"--output_file names '.*/\./a' twice; name each file once"),
        (" ,", r"--output_file names no file"),
    ):
        with pytest.raises(InputError, match=sentence):
            config(text, vocab, output)


def test_inputs_and_values_are_checked_at_once(tmp_path: Path, vocab: str) -> None:
    with pytest.raises(InputError, match="--input_file: no file matches"):
        config(f"{tmp_path}/*.text", vocab, tmp_path / "a")
    with pytest.raises(InputError, match="--masked_lm_prob=15 must be between 0 and 1"):
        config(vocab, vocab, tmp_path / "a", masked_lm_prob=15)


def test_input_without_text(tmp_path: Path, vocab: str) -> None:
    (tmp_path / "empty").write_text("\n \n\n\x00\n")
    with pytest.raises(InputError, match=r"--input_file: no text in .*/empty; give text with one sentence per line"):
        create_pretraining_data(config(f"{tmp_path}/empty", vocab, tmp_path / "out" / "a"))
    assert os.listdir(tmp_path / "out") == []


def test_input_that_is_not_utf8(tmp_path: Path, vocab: str) -> None:
    (tmp_path / "latin").write_bytes(b"a b\n\xe9t\xe9\n")
    with pytest.raises(InputError, match=r"/latin, line 2: .* is not UTF-8"):
        create_pretraining_data(config(f"{tmp_path}/latin", vocab, tmp_path / "a"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a\nb\nc\nd\n", "The input has no empty lines and so is a single document"),
        ("a b\nc d\n\n" + "e " * 1200 + "\nf\n", "Lines with more than 1,000 tokens: 1."),
        ("a b\nc d\n\nx y\nf\n", "28.6 % of the tokens are [UNK]"),
        ("a b\n\nc d\n\ne f\n", "Every document is a single line"),
        ("a b\nc d\n\n" + "e " * 40 + "\nf\n", "Lines with more than the 29 tokens that fit into an instance: 1 of 4;"),
        (TEXT, None),
    ],
)
def test_odd_input_gets_a_warning(
    tmp_path: Path, vocab: str, caplog: pytest.LogCaptureFixture, content: str, sentence: str | None
) -> None:
    (tmp_path / "text").write_text(content)
    create_pretraining_data(config(f"{tmp_path}/text", vocab, tmp_path / "a"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == (sentence is not None)
    assert all(warning.startswith(str(sentence)) for warning in warnings)


def test_more_files_than_instances(tmp_path: Path, vocab: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "text").write_text("a b\nc d\n\ne f\ng h\n")
    outputs = [str(tmp_path / str(number)) for number in range(9)]
    create_pretraining_data(config(f"{tmp_path}/text", vocab, ",".join(outputs), dupe_factor=1))
    empty = sum(os.path.getsize(path) == 0 for path in outputs)
    assert empty >= 5
    assert "fewer instances than output files" in caplog.text
    reader.check_lengths(outputs, schema.pretraining(32, 5))


# --- Two processes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["{0}/a,{0}/b", "{0}/b", "{0}/c,{0}/a"])
def test_one_process_at_a_time_writes_an_output(
    tmp_path: Path, text: str, vocab: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one fails with a sentence and leaves the output of the first one alone."""
    make = shard.make
    seen: list[list[str]] = []

    def make_while_another_begins(*arguments: Any) -> shard.Summary:
        monkeypatch.undo()
        before = sorted(os.listdir(tmp_path / "out"))
        with pytest.raises(
            InputError, match=r"Another process \(process \d+ on .*\) writes .*/out/[ab]; wait for it, "
        ):
            create_pretraining_data(config(text, vocab, second.format(tmp_path / "out")))
        seen.extend([before, sorted(os.listdir(tmp_path / "out"))])
        return make(*arguments)

    monkeypatch.setattr(shard, "make", make_while_another_begins)
    create_pretraining_data(config(text, vocab, f"{tmp_path}/out/a,{tmp_path}/out/b"))
    assert seen == [[".a.lock", ".b.lock"]] * 2
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "a.summary.json", "b"]


def test_one_process_at_a_time_writes_a_directory(tmp_path: Path, text: str, vocab: str) -> None:
    with locks.held(tmp_path / "out/.lock", "", ""), pytest.raises(InputError, match=r"writes .*/out/; wait for it"):
        create_pretraining_data(config(text, vocab, f"{tmp_path}/out/"))
    assert os.listdir(tmp_path / "out") == [".lock"]
    create_pretraining_data(config(text, vocab, f"{tmp_path}/out/"))
    assert sorted(os.listdir(tmp_path / "out")) == ["part-00000-of-00001", "summary.json"]


def test_outputs_in_a_directory_with_a_comma(tmp_path: Path, text: str, vocab: str) -> None:
    (tmp_path / "a, b").mkdir()
    for output in (f"{tmp_path}/a, b/out.tfrecord", f"{tmp_path}/a, b/", f"{tmp_path}/a, b"):
        assert config(text, vocab, output).outputs == [output]
    assert config(text, vocab, f"{tmp_path}/c, {tmp_path}/d").outputs == [f"{tmp_path}/c", f"{tmp_path}/d"]


def test_devices_are_refused_as_outputs(tmp_path: Path, text: str, vocab: str) -> None:
    with pytest.raises(
        InputError, match=r"^/dev/null is a device, which cannot be replaced; give the path of a regular"
    ):
        config(text, vocab, "/dev/null")
