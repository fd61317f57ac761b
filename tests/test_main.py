"""`bert-tf2` and `python -m bert_tf2`: the commands, and the equivalent scripts in a clone."""

import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY

import bert_tf2
from bert_tf2 import __main__ as program

MODULES = {path.stem for path in (REPOSITORY / "bert_tf2/commands").glob("[!_]*.py")}


def call(monkeypatch, capsys, *arguments: str) -> tuple[object, str]:
    """The exit status, which may be a message, and the output."""
    monkeypatch.setattr(sys, "argv", ["bert-tf2", *arguments])
    status: object = 0
    try:
        program.main()
    except SystemExit as end:
        status = end.code
    return status, capsys.readouterr().out


def test_each_command_has_a_module_and_a_script() -> None:
    scripts = {path.stem for path in REPOSITORY.glob("*.py")} - {"demo"}
    assert {script for script, _ in program.COMMANDS.values()} == MODULES == scripts
    for name, (script, _) in program.COMMANDS.items():
        namespace = runpy.run_path(str(REPOSITORY / f"{script}.py"))
        assert namespace["main"] is importlib.import_module(f"bert_tf2.commands.{script}").main
        assert f"`bert-tf2 {name}`" in namespace["__doc__"]
        assert f"| `bert-tf2 {name}` | `{script}.py` |\n" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_help_lists_the_commands(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, printed = call(monkeypatch, capsys, "--help")
    assert status == 0
    for name, (script, about) in program.COMMANDS.items():
        assert f" {name} {about} ({script}.py) " in " ".join(printed.split())
    assert max(map(len, printed.splitlines())) <= 80
    for alias in ("-h", "help"):
        assert call(monkeypatch, capsys, alias) == (0, printed)
    assert call(monkeypatch, capsys) == (printed.rstrip("\n"), "")


def test_version(monkeypatch, capsys) -> None:
    assert call(monkeypatch, capsys, "--version") == (0, f"bert-tf2 {bert_tf2.__version__}\n")


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("clasify", "there is no command 'clasify'; did you mean classify?"),
        ("run_ner.py", "there is no command 'run_ner.py'; did you mean ner?"),
        ("zzz", f"there is no command 'zzz'; choose one of {', '.join(program.COMMANDS)}."),
        ("--do_train", "the command comes before its flags, as in `bert-tf2 classify --do_train`; --help lists"),
    ],
)
def test_mistakes(monkeypatch, capsys, argument: str, sentence: str) -> None:
    status, printed = call(monkeypatch, capsys, argument)
    assert str(status).startswith(f"ERROR: {sentence}")
    assert printed == ""


def test_a_command_has_the_help_of_its_script_with_its_own_name(tmp_path: Path) -> None:
    program_of = {"module": ["-m", "bert_tf2", "build-vocab"], "script": [str(REPOSITORY / "build_vocab.py")]}
    printed = {
        name: subprocess.run(
            [sys.executable, *arguments, "--help"], check=True, capture_output=True, text=True, cwd=REPOSITORY
        ).stdout
        for name, arguments in program_of.items()
    }
    assert "    python build_vocab.py --input_file" in printed["script"]
    assert printed["module"] == printed["script"].replace("python build_vocab.py", "bert-tf2 build-vocab")


def test_a_command_runs_and_refuses_other_arguments(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some text that has words, and words again\n" * 3, encoding="utf-8")
    flags = ["--input_file=text.txt", "--output_file=vocab.txt", "--vocab_size=100", "--num_unused=0"]
    command = [sys.executable, "-m", "bert_tf2", "build-vocab", *flags]
    refused = subprocess.run([*command, "more"], capture_output=True, text=True, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "ERROR: unexpected argument 'more'; flags are written --name=value.\n"
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    assert "##" in (tmp_path / "vocab.txt").read_text(encoding="utf-8")
