"""Commands whose standard output nobody reads to its end."""

import os
import subprocess
import sys

import pytest
from helpers.repository import REPOSITORY


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command",
    [
        ("-m", "bert_tf2", "--help"),
        ("-m", "bert_tf2", "--version"),
        ("run_classifier.py", "--help"),
        ("run_classifier.py", "--print_config", "--output_dir=model"),
    ],
)
def test_a_reader_that_is_gone_is_no_error(command, unbuffered):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [sys.executable, *command],
            stdout=closed,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert (done.returncode, done.stderr) == (0, b"")
