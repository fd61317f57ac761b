"""The documents name existing flags, files and public names; their tables match the code."""

import importlib
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import command_pages
import format_tables
import pytest
import repository_links
from helpers.repository import REPOSITORY

import bert_tf2
from bert_tf2.__main__ import COMMANDS
from bert_tf2.configs.fields import flags_of, type_of
from bert_tf2.configs.values import parse
from bert_tf2.io import run_files

DOCS = REPOSITORY / "docs"
DOCUMENTS = [*sorted(REPOSITORY.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
BENCHMARKS = REPOSITORY / "benchmarks" / "README.md"
OTHERS_FIRST = {"from_transformers.md", "from_model_garden.md"}  # their tables begin with other programs' flags
OF_ALL_COMMANDS = {"config", "print_config", "help", "verbosity", "version"}
OF_OTHER_PROGRAMS = {
    "backend",  # --backend-store-uri of MLflow
    "extra",  # uv's
    "logdir",  # TensorBoard's
    *("direct_num_workers", "direct_running_mode", "environment_type", "flink_master", "parallelism"),  # Beam's
}
SCRIPTS = [script for script, _ in COMMANDS.values()]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def own_text(path: Path) -> str:
    """A document without its text about other programs: titled code blocks, and columns of tables."""
    text = re.sub(r'^```\w+ title=".*?^```$', "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^\| .*? \| ", "| ", text, flags=re.MULTILINE) if path.name in OTHERS_FIRST else text


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--([a-z][a-z0-9_]*)", text))


def flags_of_script(script: str) -> set[str]:
    """The names of a script's flags, including those that switch a boolean off."""
    names = {field.name for field, _ in flags_of(command_pages.config_of(script))} | OF_ALL_COMMANDS
    return names | {f"no{name}" for name in names}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_flags_in_documents_exist(path: Path) -> None:
    known = set[str]().union(*map(flags_of_script, SCRIPTS)) | OF_OTHER_PROGRAMS
    assert flags_in(own_text(path)) <= known


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_is_in_a_document(script: str) -> None:
    described = flags_in("\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS))
    described |= {name.removeprefix("no") for name in described}
    assert {field.name for field, _ in flags_of(command_pages.config_of(script))} <= described


def commands_in(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The scripts that the commands in a document's code blocks call, and their arguments."""
    for block in re.findall(
        r"^```(?:shell|bash)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        for line in block.replace("\\\n", " ").splitlines():
            called = re.search(r"(?:python (\w+)\.py|bert-tf2 ([a-z-]+)) (.*)", line)
            script = called and (called[1] or COMMANDS[called[2]][0])
            if called and script in SCRIPTS:
                yield script, shlex.split(called[3], comments=True)


def test_there_are_commands_in_documents() -> None:
    assert {script for path in DOCUMENTS for script, _ in commands_in(path)} == set(SCRIPTS)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if any(commands_in(path))], ids=name_of)
def test_commands_in_documents_have_valid_flags(path: Path) -> None:
    for script, arguments in commands_in(path):
        settings = {field.name: (field, setting) for field, setting in flags_of(command_pages.config_of(script))}
        for argument in arguments:
            flag, _, value = argument.removeprefix("--").partition("=")
            if not argument.startswith("--") or flag in OF_ALL_COMMANDS or flag in OF_OTHER_PROGRAMS:
                continue
            field, setting = settings[flag]
            assert value or type_of(field) is bool or argument.endswith("="), argument
            assert not setting.choices or value in setting.choices, argument
            if value and not value.startswith("$"):
                parse(field, value)


def test_sections_about_a_script_name_its_flags() -> None:
    """The tables that translate another program's flags name only flags of the command."""
    text = own_text(DOCS / "from_transformers.md")
    sections = re.findall(r"^## [^\n]*: (`[^\n]*`)\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    assert len(sections) == 5
    for heading, text in sections:
        known = set[str]().union(*(flags_of_script(script) for script in re.findall(r"(\w+)\.py", heading)))
        middle = [row.split(" | ")[0] for row in re.findall(r"^\| (.*)$", text, re.MULTILINE)]
        assert flags_in("\n".join(middle)) <= known, heading


def test_the_scripts_of_the_original_exist() -> None:
    text = (DOCS / "from_google_bert.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)\.py` \| `\1\.py`, `bert-tf2 ([\w-]+)` \|", text, re.MULTILINE)
    assert len(rows) == 5
    assert {command: COMMANDS[command][0] for _, command in rows} == {command: script for script, command in rows}


@pytest.mark.parametrize("path", [*DOCUMENTS, BENCHMARKS], ids=name_of)
def test_no_section_is_empty(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "code", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in text.splitlines() if line.strip()]
    for line, following in itertools.pairwise([*lines, "# end"]):
        if heading := re.match(r"#+ ", line):
            next_heading = re.match(r"#+ ", following)
            assert not next_heading or len(next_heading[0]) > len(heading[0]), line


@pytest.mark.parametrize("path", [*DOCUMENTS, BENCHMARKS], ids=name_of)
def test_links_lead_to_files(path: Path) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]+`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?", text):
        linked = path.parent / target if target else path
        if re.match(r"https?:", target) or is_generated(linked):
            continue
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The anchors of headings that both GitHub and the site generate."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = [re.sub(r"[^\w\s-]", "", line.lower()) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    return {heading.replace(" ", "-") for heading in headings} & {
        re.sub(r"[-\s]+", "-", heading) for heading in headings
    }


def is_generated(path: Path) -> bool:
    """Whether a page is the generated one of a command."""
    return path.resolve().parent == DOCS / "commands" and path.stem in COMMANDS


def test_absolute_links(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("docs/a.md", "docs/a.png", "LICENSE"):
        (tmp_path / name).touch()
    image = '<img src="docs/a.png">'
    text = f'see [a](docs/a.md#b), ![p](docs/a.png), {image}, [all](docs), [x](#x), [w](https://w.org), f["a"](b)'
    result = repository_links.absolute(text, "README.md", "https://github.com/o/n", "v1", tmp_path)
    base = "https://github.com/o/n"
    assert result == (
        f'see [a]({base}/blob/v1/docs/a.md#b), ![p]({base}/raw/v1/docs/a.png), <img src="{base}/raw/v1/docs/a.png">, '
        f'[all]({base}/tree/v1/docs), [x](#x), [w](https://w.org), f["a"](b)'
    )
    assert repository_links.rewritten("[l](../LICENSE)", "docs/a.md", str.lower, tmp_path) == "[l](license)"


# --- The map of the code ---------------------------------------------------------------------------------------------


def test_the_map_is_in_the_order_of_the_layers() -> None:
    """Each package imports only from those above it: docs/architecture.md says so, and import-linter checks it."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").split("\n## The map\n")[1].split("\n## ")[0]
    rows = [re.findall(r"`(\w+)`", cell) for cell in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    ranks = {name: rank for rank, layer in enumerate(reversed(layers)) for name in layer.split(" | ")}
    assert sorted(itertools.chain(*rows)) == sorted(ranks)
    for row, following in itertools.pairwise(rows):
        assert max(ranks[name] for name in row) <= min(ranks[name] for name in following), (row, following)


# --- Data formats ----------------------------------------------------------------------------------------------------


def test_tables_of_data_formats() -> None:
    page = format_tables.PAGE.read_text(encoding="utf-8")
    assert format_tables.render(page) == page, "update the tables with python publishing/format_tables.py"
    assert len(re.findall("<!-- features ", page)) == 3
    tables = {name for name, value in vars(run_files).items() if isinstance(value, tuple) and is_table(name, value)}
    assert {"training", *tables} == set(re.findall(r"<!-- files (\w+) -->", page))


def is_table(name: str, value: tuple[object, ...]) -> bool:
    """Whether a constant of `run_files` is the list of a command's files."""
    return not name.startswith("_") and all(isinstance(file, run_files.RunFile) for file in value)


@pytest.mark.parametrize("name", format_tables.SCHEMAS)
def test_descriptions_of_features(name: str) -> None:
    described = {
        feature: shape for features, shape, _ in format_tables.described_features(name) for feature in features
    }
    letters = {128: "S", 20: "P", 3: "L", 1: "1"}
    for schema in format_tables.SCHEMAS[name]:
        for feature in schema.features:
            shape = ", ".join(letters[size] for size in feature.shape)
            assert described[feature.name] in (f"[{shape}]", "[L]" if shape == "1" else ""), feature.name
    assert set(described) == {feature.name for schema in format_tables.SCHEMAS[name] for feature in schema.features}


# --- The API ---------------------------------------------------------------------------------------------------------


def public_names() -> Iterator[str]:
    """The exported names of the public packages."""
    yield from (f"bert_tf2.{name}" for name in bert_tf2.__all__)
    packages = ("checkpoints", "metrics", "modeling", "records", "tokenization", "training")
    tasks = ("classification", "feature_extraction", "multiple_choice", "pretraining", "squad", "tagging")
    for package in (*packages, *(f"tasks.{task}" for task in tasks)):
        module = importlib.import_module(f"bert_tf2.{package}")
        for name in module.__all__:
            if name not in bert_tf2.__all__:
                yield f"bert_tf2.{package}.{name}"


def test_the_reference_has_every_public_name() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
    described = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    names = set(public_names())
    packages = {name.rpartition(".")[0] for name in names} & described  # a page shows all of their names
    assert {name for name in names if name not in described and name.rpartition(".")[0] not in packages} == set()
