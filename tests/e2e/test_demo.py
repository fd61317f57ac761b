"""The demo: its sentences, all of it on a little text with a few steps, and what it refuses to replace."""

import functools
import runpy
import subprocess
import sys

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.tokenization.wordpiece import FullTokenizer


@functools.cache
def demo():
    """The script's names; it can be run only once in a process, as it defines flags."""
    return runpy.run_path(str(REPOSITORY / "demo.py"))


def test_sentences():
    docstring = """Returns the element-wise sum of both. It works on tensors
    of any shape.

    >>> add(1, 2)
    3

    ```python
    This is code. It does not count as a sentence at all.
    ```

    Args:
    -----
    x: too short.
    """
    assert demo()["sentences"](docstring) == [
        "Returns the element-wise sum of both.",
        "It works on tensors of any shape.",
    ]


def check_demo(directory, shown):
    """Checks what a demo with a vocabulary of 600 printed and wrote."""
    commands = ("create_pretraining_data", "run_pretraining")
    for line in ("[1/5]", "[5/5]", *(f"$ python {command}.py" for command in commands), "  to guess: ", "Done in"):
        assert line in shown
    table = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.startswith("masked_lm_")}
    before, after = (float(value) for value in table["masked_lm_loss"])
    assert after < before - 0.2
    assert len(FullTokenizer(str(directory / "vocab.txt")).vocab) == 600
    assert (directory / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    train, held_out = ((directory / f"{name}.txt").read_text().split("\n\n") for name in ("train", "held_out"))
    assert not {document.strip() for document in train} & {document.strip() for document in held_out}


@pytest.mark.slow
def test_demo_end_to_end(tmp_path):
    directory = tmp_path / "demo"
    arguments = ["--text_megabytes=0.2", "--num_train_steps=40", "--vocab_size=600", f"--output_dir={directory}"]
    done = subprocess.run([sys.executable, REPOSITORY / "demo.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check_demo(directory, done.stdout)
    assert "Returns a [MASK] of the same shape" in done.stdout


@pytest.mark.parametrize("name", ["thesis.txt", "bert_config.json"])
def test_an_existing_directory_is_kept(tmp_path, name):
    occupied = tmp_path / "work"
    occupied.mkdir()
    (occupied / name).touch()
    done = subprocess.run(
        [sys.executable, REPOSITORY / "demo.py", f"--output_dir={occupied}"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "exists and is not from an earlier demo; give another --output_dir" in done.stderr
    assert (occupied / name).exists()


def test_an_interrupted_demo_is_replaced(tmp_path):
    new_directory = demo()["new_directory"]
    new_directory(tmp_path / "demo")
    (tmp_path / "demo" / "train.txt").touch()  # its first file
    new_directory(tmp_path / "demo")
    assert not (tmp_path / "demo" / "train.txt").exists()
