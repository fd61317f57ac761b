"""extract_features.py as a user calls it: flags, streams, a kill."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from helpers.command_flags import defaults_of
from helpers.repository import REPOSITORY
from helpers.tiny_huggingface import write_directory

ORIGINAL_DEFAULTS = {
    "input_file": None,
    "output_file": None,
    "layers": "-1,-2,-3,-4",
    "bert_config_file": None,
    "max_seq_length": 128,
    "init_checkpoint": None,
    "vocab_file": None,
    "do_lower_case": True,
    "batch_size": 32,
    "use_tpu": False,
    "master": None,
    "num_tpu_cores": 8,
    "use_one_hot_embeddings": False,
}
SCRIPT = [sys.executable, str(REPOSITORY / "extract_features.py")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("model"), "BertModel")


def flags_of(model, **options):
    chosen = {"init_checkpoint": model, "layers": "-1", "max_seq_length": 8, **options}
    return [f"--{name}={value}" for name, value in chosen.items()]


def test_flags_and_defaults_match_the_original():
    defaults = defaults_of("extract_features")
    assert {name: defaults[name] for name in ORIGINAL_DEFAULTS} == ORIGINAL_DEFAULTS


def test_required_flags():
    done = subprocess.run(SCRIPT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "ERROR: --input_file, --output_file and --init_checkpoint are missing; --help lists the flags.\n"
    )


def test_a_mistake_is_one_sentence(model, tmp_path, scripts):
    done = scripts.run("extract_features.py", flags_of(model, input_file="none", output_file=tmp_path / "out"))
    assert done.returncode == 1
    assert re.search(r"^ERROR: --input_file: no file matches 'none' .*check the path\.$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_streams(model, tmp_path, scripts):
    """Standard input to standard output, line by line, gzip or not; nothing else is printed there."""
    streams = flags_of(model, input_file="-", output_file="-", never_split="a", use_one_hot_embeddings=True)
    (tmp_path / "packed").write_bytes(gzip.compress(b"co\n\na ||| covid\naco"))
    packed = scripts.run("extract_features.py", streams, stdin=tmp_path / "packed")
    assert packed.returncode == 0, packed.stderr
    lines = [json.loads(line) for line in packed.stdout.splitlines()]
    tokens = [[feature["token"] for feature in line["features"]] for line in lines]
    assert tokens == [
        ["[CLS]", "co", "[SEP]"],
        ["[CLS]", "[SEP]"],
        ["[CLS]", "a", "[SEP]", "co", "##vid", "[SEP]"],
        ["[CLS]", "a", "co", "[SEP]"],
    ]
    assert [line["linex_index"] for line in lines] == [0, 1, 2, 3]

    pipes = {name: tmp_path / name for name in ("stdin", "stdout")}
    for pipe in pipes.values():
        os.mkfifo(pipe)
    process = scripts.start("extract_features.py", streams, **pipes)
    with pipes["stdin"].open("w") as asked, pipes["stdout"].open() as answered:
        for number, (text, pieces) in enumerate((("co", 3), ("covid +", 5))):
            asked.write(f"{text}\n")
            asked.flush()
            line = json.loads(answered.readline())  # before anything more is written
            assert line["linex_index"] == number
            assert len(line["features"]) == pieces
        asked.close()
        assert answered.read() == ""
    assert process.wait() == 0


def test_a_reader_that_closes_standard_output(model, tmp_path, scripts):
    (tmp_path / "text").write_text("co covid a\n" * 5_000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    flags = flags_of(model, input_file=tmp_path / "text", output_file="-", pooling="mean")
    process = scripts.start("extract_features.py", flags, stdout=pipe)
    with pipe.open() as answered:
        assert json.loads(answered.readline())["linex_index"] == 0
    assert process.wait() == 0
    messages = process.stderr.read_text()
    assert "The reader of standard output is gone" in messages
    assert "Traceback" not in messages


def test_continues_after_sigkill(model, tmp_path, scripts):
    """Killed after some blocks, it continues, and writes what an uninterrupted run writes."""
    text, directory = tmp_path / "text", tmp_path / ".out.unfinished"
    text.write_text("co covid a\n+ a\n\nas ||| co\n" * 4_000)
    options = {"input_file": text, "pooling": "mean", "batch_size": 256}
    program = (  # its state is saved after each block, not every few seconds
        "from bert_tf2.io import resumable_output; resumable_output._SECONDS_BETWEEN_STATES = 0.0; "
        "from bert_tf2.commands import extract_features; extract_features.main()"
    )
    process = scripts.start_program(program, flags_of(model, output_file=tmp_path / "out", **options))
    while not (directory / "state.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = json.loads((directory / "state.json").read_text())["done"]["lines"]
    assert 0 < done < 16_000
    assert not (tmp_path / "out").exists()

    # The output of the killed run is reused unchanged: a mark in it stays.
    lines = directory / "lines.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"linex_index", b"LINEX_INDEX", 1))
    for name in ("out", "whole"):
        done = scripts.run("extract_features.py", flags_of(model, output_file=tmp_path / name, **options))
        assert done.returncode == 0, done.stderr
    assert not directory.exists()
    found = (tmp_path / "out").read_text()
    assert found.startswith('{"LINEX_INDEX": 0')
    assert found.lower() == (tmp_path / "whole").read_text().lower()
