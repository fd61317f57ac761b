"""README.md: every command in it, in order, in a directory like that of a clone."""

import contextlib
import dataclasses
import itertools
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.model_server import ModelServer, serving
from helpers.repository import REPOSITORY
from helpers.scripts import Scripts

from bert_tf2.__main__ import COMMANDS

TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SCRIPTS = {script for script, _ in COMMANDS.values()}
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
HUB_MODELS = ("sentence-transformers/all-MiniLM-L6-v2", "google-bert/bert-base-uncased", "google-bert/bert-base-cased")


@dataclasses.dataclass(frozen=True)
class Command:
    """A line of a shell block, `python SCRIPT FLAGS < FILE`.

    Attributes:
      section: its heading.
      line: as printed.
      script: without `.py`; None if it is another program.
      flags: its arguments.
      stdin: the file that is redirected to it, or None.
    """

    section: str
    line: str
    script: str | None
    flags: tuple[str, ...]
    stdin: str | None = None

    @classmethod
    def of(cls, section: str, line: str) -> "Command":
        program, *arguments = shlex.split(line)
        if program != "python":
            return cls(section, line, None, tuple(arguments))
        script, *flags = arguments
        stdin = flags.pop() if flags[-2:-1] == ["<"] else None
        return cls(section, line, script.removesuffix(".py"), tuple(flag for flag in flags if flag != "<"), stdin)

    def value(self, flag: str) -> str | None:
        return next((one.partition("=")[2] for one in self.flags if one.startswith(f"--{flag}=")), None)


def commands() -> Iterator[Command]:
    for section in TEXT.split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        for block in re.findall(r"^```shell\n(.*?)^```$", section, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                yield Command.of(heading, " ".join(line.split()))


ALL = list(commands())
OURS = [command for command in ALL if command.script]


def test_the_page_is_short_and_has_all_scripts() -> None:
    assert TEXT.count("\n") < 250
    assert {command.script for command in OURS} == SCRIPTS - {"inspect_model"}
    assert len(re.findall("```", TEXT)) % 2 == 0
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT):
        assert (REPOSITORY / picture).stat().st_size < 150_000


def test_commands_that_install() -> None:
    """All extras exist; besides pip and our scripts there are only programs of Python and the shell."""
    others = [command.line for command in ALL if not command.script]
    assert [re.sub(r"'.*'", "X", line) for line in others] == [
        "python3 -m venv .venv",
        ".venv/bin/pip install X",
        "source .venv/bin/activate",
    ]
    for extras in re.findall(r"pip install '\.\[([\w,]+)\]'", TEXT):
        assert set(extras.split(",")) <= EXTRAS.keys()
    sentence = TEXT.split("The extras: ")[1].split("[docs/versions")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) <= EXTRAS.keys()


def test_sections_do_not_share_directories() -> None:
    """Their inputs come with the repository or from an earlier command."""
    written: dict[str, str] = {}
    for command in OURS:
        for flag, value in (flag.lstrip("-").split("=", 1) for flag in command.flags if "=" in flag):
            if flag in ("output_dir", "export_dir") and command.script != "export_model":
                owner = written.setdefault(value.removesuffix("/best"), command.section)
                assert owner == command.section, value
            elif flag == "output_file":
                written.setdefault(value.rstrip("/"), command.section)
            elif flag.endswith("_file") and value != "-" and not value.startswith(tuple(written)):
                assert list(REPOSITORY.glob(value)), command.line
        assert command.stdin is None or (REPOSITORY / command.stdin).is_file()


def write_clone(directory: Path) -> Path:
    shutil.copytree(REPOSITORY / "examples", directory / "examples")
    return directory


@pytest.mark.parametrize("command", OURS, ids=itertools.count())
def test_flags_are_valid(command: Command, scripts: Scripts, tmp_path: Path) -> None:
    """As far as can be seen without running the commands."""
    write_clone(tmp_path)
    for name in ("vocab.txt", "records/part-0"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    done = scripts.run(f"{command.script}.py", [*command.flags, "--print_config"], directory=str(tmp_path))
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def public_models(directory: Path) -> Iterator[dict[str, str]]:
    """Serves tiny models under the names of public ones; yields the environment variables that lead there."""
    from helpers.golden_outputs import own_vocabulary

    from bert_tf2 import checkpoints
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.conversion.convert import ConversionConfig, convert
    from bert_tf2.modeling.encoder import BertModel

    vocabulary = own_vocabulary("uncased")
    (directory / "google").mkdir()
    shutil.copy(vocabulary, directory / "google" / "vocab.txt")
    size = len(Path(vocabulary).read_text(encoding="utf-8").splitlines())
    config = BertConfig(size, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64)
    (directory / "google" / "bert_config.json").write_text(config.to_json_string())
    variables = checkpoints.tf_variables(BertModel(config).named_variables())
    checkpoints.write(str(directory / "google" / "bert_model.ckpt"), variables)
    convert(ConversionConfig(str(directory / "google"), str(directory / "hub"), output_format="huggingface"))
    with serving(ModelServer()) as server:
        content = {path.name: path.read_bytes() for path in (directory / "hub").iterdir()}
        server.repositories = dict.fromkeys(HUB_MODELS, content)
        yield {"HF_ENDPOINT": server.url, "HF_HOME": str(directory / "cache"), "HF_HUB_OFFLINE": "0"}


@pytest.mark.slow
def test_every_command_in_order(scripts: Scripts, tmp_path: Path) -> None:
    work = write_clone(tmp_path / "clone")
    with public_models(tmp_path) as environment:
        for command in OURS:
            stdin = command.stdin and str(work / command.stdin)
            options = {"environment": environment, "directory": str(work), "stdin": stdin}
            done = scripts.run(f"{command.script}.py", list(command.flags), **options)
            assert done.returncode == 0, f"{command.line}\n{done.stderr}"
            for flag in ("output_dir", "export_dir", "output_file"):
                value = command.value(flag)
                assert value in (None, "-") or (work / value).exists(), command.line
    for name in ("reviews/label_report.json", "pretrained/fill_mask.jsonl", "entities/predictions.txt"):
        assert (work / "models" / name).is_file(), name
