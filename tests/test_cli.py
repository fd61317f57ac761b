"""How scripts start and end: exit status, one sentence, verbosity."""

import subprocess
import sys

import pytest
from conftest import REPOSITORY

PROGRAM = """
import logging
from absl import flags
from bert_tf2 import cli
from bert_tf2.errors import InputError
flags.DEFINE_integer("number", 3, "A number.")
def main():
    {body}
cli.run(main)
"""


def run(body, *arguments):
    command = [sys.executable, "-c", PROGRAM.format(body=body), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)


def test_success_and_plain_log_lines():
    done = run("logging.info('read %d', flags.FLAGS.number); logging.warning('odd')", "--number=4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "read 4\nWARNING: odd\n")


@pytest.mark.parametrize(
    ("body", "stderr"),
    [
        ("raise InputError('a.txt is empty; give text.')", "ERROR: a.txt is empty; give text.\n"),
        ("open('/nonexistent/a.txt')", "ERROR: /nonexistent/a.txt: No such file or directory.\n"),
        ("raise OSError(28, 'No space left on device', 'out')", "ERROR: out: No space left on device.\n"),
        ("raise OSError('Cannot save x: full. Make room.')", "ERROR: Cannot save x: full. Make room.\n"),
    ],
)
def test_mistakes_are_one_sentence(body, stderr):
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", stderr)


def test_verbosity_adds_the_traceback():
    done = run("raise InputError('bad.')", "--verbosity=1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ERROR: bad.\n")


def test_defects_keep_their_traceback():
    done = run("raise RuntimeError('a defect')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_arguments_that_are_no_flags_are_refused():
    done = run("pass", "--number=4", "False")
    assert done.returncode == 1
    assert done.stderr == "ERROR: unexpected argument 'False'; flags are written --name=value.\n"


def test_interrupt():
    done = run("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "\nInterrupted.\n")


def test_tensorflow_starts_in_silence_and_says_why_it_does_not():
    done = run("cli.import_tensorflow(); import tensorflow as tf; print(tf.constant(1).numpy())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    body = "import os, sys; sys.modules['tensorflow'] = None; cli.import_tensorflow()"
    done = run(body)
    assert done.returncode == 1
    assert "tensorflow" in done.stderr


def test_being_stopped_has_a_status_of_its_own():
    done = run("from bert_tf2.errors import Stopped; raise Stopped('Saved step 3. Give the same command again.')")
    assert (done.returncode, done.stderr) == (75, "Saved step 3. Give the same command again.\n")


class TestConfigFile:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.json", '{"number": 5}'),
            ("a.yaml", "number: 5  # five"),
            ("run.json", '{"command": "x", "config": {"number": 5}, "versions": {}}'),
        ],
    )
    def test_gives_values_for_flags(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        for arguments, expected in (((), "5"), (("--number=6",), "6")):
            done = run("print(flags.FLAGS.number)", f"--config={tmp_path / name}", *arguments)
            assert (done.stdout.strip(), done.stderr) == (expected, "")

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.json", '{"numbr": 5}', "a.json: there is no flag 'numbr'; did you mean number?"),
            ("a.json", '{"zzz": 5}', "a.json: there is no flag 'zzz'; the flags are number."),
            ("a.json", '{"number": "x"}', "flag --number=x: invalid literal"),
            ("a.json", "{", "a.json is not JSON (Expecting property name enclosed in double quotes at column 2)."),
            ("a.yaml", "a: [", "a.yaml is not YAML: "),
            ("a.json", "[1]", "a.json does not map flags to values; an object like"),
            ("none.json", None, "none.json: No such file"),
        ],
    )
    def test_mistakes(self, tmp_path, name, text, message):
        if text is not None:
            (tmp_path / name).write_text(text)
        done = run("pass", f"--config={tmp_path / name}")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_print_config_is_what_config_takes(self, tmp_path):
        printed = run("print('ran')", "--number=8", "--print_config")
        assert (printed.stdout, printed.returncode) == ('{\n  "number": 8\n}\n', 0)
        (tmp_path / "a.json").write_text(printed.stdout)
        assert run("print(flags.FLAGS.number)", f"--config={tmp_path / 'a.json'}").stdout == "8\n"
