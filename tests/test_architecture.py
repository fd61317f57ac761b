"""Who may import whom: levels hold, no cycle, TensorFlow and flags only where they belong, quick imports."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

import bert_tf2

# A module may import from lower levels, and from its own level what SAME_LEVEL says.
LEVELS = {
    0: [
        "character_tables",
        "compilation",
        "config",
        "configs",
        "errors",
        "fast_tokenizer",
        "files",
        "finite",
        "growing_array",
        "interruption",
        "io",
        "json_files",
        "line_blocks",
        "locks",
        "huggingface_config",
        "mersenne_twister",
        "metrics",
        "number_kernel",
        "number_text",
        "progress",
        "run_folder",
        "pytorch_pickle",
        "sentencepiece_tokenizer",
        "sequences",
        "sparse_rows",
        "spilled",
        "subword_sampling",
        "tensor_files",
        "text_encoding",
        "tokenization",
        "tokenizer_choice",
        "unicode_tables",
        "vocabulary_case",
        "wordpiece_kernel",
    ],
    1: [
        "batches",
        "checkpoint_list",
        "checkpoints",
        "model_summary",
        "events",
        "example_batches",
        "fast_instances",
        "fast_records",
        "frame_kernel",
        "full_sentences",
        "graph_tokenizer",
        "heads",
        "huggingface",
        "instance_kernel",
        "instances",
        "masking",
        "modeling",
        "operations",
        "optimization",
        "packing",
        "precision",
        "record_files",
        "record_index",
        "record_kernel",
        "record_stream",
        "records",
        "sentence_kernel",
        "task_model",
        "text_groups",
        "training_schedules",
        "vocabulary",
        "vocabulary_growth",
    ],
    2: ["distribution", "evaluation", "training", "training_step"],
    3: ["initialization", "tasks"],
    4: ["cli"],
}
WITH_TENSORFLOW = {
    "batches",
    "checkpoint_list",
    "checkpoints",
    "events",
    "example_batches",
    "graph_tokenizer",
    "heads",
    "initialization",
    "masking",
    "modeling",
    "operations",
    "optimization",
    "packing",
    "precision",
    "task_model",
    "training_schedules",
}
SAME_LEVEL = {
    "batches": {"record_files", "record_stream"},
    "bounds": {"errors"},
    "compilation": {"errors"},
    "character_tables": {"tokenization", "unicode_tables"},
    "checkpoints": {"checkpoint_list", "huggingface"},
    "config": {"errors", "json_files"},
    "example_batches": {"batches"},
    "fast_instances": {"instance_kernel", "instances", "records"},
    "fast_records": {"records"},
    "fast_tokenizer": {"compilation", "files", "tokenization", "unicode_tables", "wordpiece_kernel"},
    "files": {"errors", "io", "text_encoding"},
    "finite": {"errors"},
    "frame_kernel": {"record_kernel"},
    "full_sentences": {"fast_instances", "instances"},
    "heads": {"modeling", "operations"},
    "huggingface_config": {"config", "errors", "files", "json_files"},
    "initialization": {"tasks"},  # task_files
    "json_files": {"errors", "files", "text_encoding"},
    "line_blocks": {"files"},
    "locks": {"errors", "files"},
    "masking": {"fast_instances", "instances", "records"},
    "mersenne_twister": {"compilation"},
    "model_summary": {"config"},
    "modeling": {"operations"},
    "metrics": {"configs"},
    "number_kernel": {"compilation"},
    "number_text": {"compilation"},
    "optimization": {"checkpoints"},
    "packing": {"batches", "records"},
    "pytorch_pickle": {"errors", "tensor_files"},
    "record_files": {"records"},
    "record_stream": {"record_files", "record_index"},
    "run_folder": {"errors", "files", "locks"},
    "sentence_kernel": {"instance_kernel"},
    "sentencepiece_tokenizer": {"errors", "fast_tokenizer", "subword_sampling", "tokenization"},
    "sequences": {"fast_tokenizer", "tokenization"},
    "subword_sampling": {"errors"},
    "tasks": {"initialization"},
    "tensor_files": {"errors", "files", "json_files"},
    "tokenization": {"errors", "files"},
    "tokenizer_choice": {"errors", "fast_tokenizer", "files", "sentencepiece_tokenizer"},
    "training": {"distribution", "training_step"},
    "unicode_tables": {"files", "tokenization"},
    "wordpiece_kernel": {"compilation", "unicode_tables"},
}
WITHOUT_TENSORFLOW = sorted({*LEVELS[0], *LEVELS[1], "cli"} - WITH_TENSORFLOW)
LEVEL_OF = {module: level for level, modules in LEVELS.items() for module in modules}
SCRIPTS = sorted(REPOSITORY.glob("*.py"))
MODULES = sorted((REPOSITORY / "bert_tf2").rglob("*.py"))


def module_of(path: Path) -> str:
    """The first name below bert_tf2: `tasks/pretraining.py` belongs to `tasks`."""
    return path.relative_to(REPOSITORY / "bert_tf2").parts[0].removesuffix(".py")


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names of what a file imports, names in `from x import a` included as `x.a`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    """The modules of bert_tf2 that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("bert_tf2.")}


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "__init__.py"], ids=module_of)
def test_levels(path):
    module = module_of(path)
    assert module in LEVEL_OF, f"give {module} a level"
    for other in ours(path):
        lower = LEVEL_OF[other] < LEVEL_OF[module]
        assert lower or other == module or other in SAME_LEVEL.get(module, ()), f"{module} may not import {other}"


def test_no_cycle():
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        graph[name] = {
            other
            for other in imports(path)
            for other in (other, other.rpartition(".")[0])
            if other.startswith("bert_tf2.")
        }

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        for other in graph.get(name, ()):
            visit(other, (*above, name))

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_flags_belong_to_cli_and_scripts(path):
    if path.name != "cli.py":
        assert not any(name.startswith("absl") for name in imports(path))


@pytest.mark.parametrize("module", WITHOUT_TENSORFLOW)
def test_no_tensorflow_when_imported(module):
    place = REPOSITORY / "bert_tf2" / module
    for path in sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
        heavy = {name for name in imports(path, top_level_only=True) if name.split(".")[0] in ("tensorflow", "keras")}
        assert not heavy
        if LEVEL_OF[module] == 0:
            assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in imports(path))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_only_wire(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
    assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in imports(path, top_level_only=True))


@pytest.mark.parametrize("path", [*MODULES, *sorted((REPOSITORY / "tests").glob("*.py"))], ids=lambda path: path.name)
def test_no_file_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 460


def test_exported_names():
    assert bert_tf2.__all__ == [
        "BasicTokenizer",
        "BertConfig",
        "BertModel",
        "FullTokenizer",
        "InputError",
        "WordpieceTokenizer",
    ]
    for name in bert_tf2.__all__:
        assert getattr(bert_tf2, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = bert_tf2.Nothing
    assert importlib.import_module("bert_tf2.modeling").BertConfig is bert_tf2.BertConfig


def test_importing_the_package_does_not_import_tensorflow():
    program = "import bert_tf2, bert_tf2.cli, sys; sys.exit('tensorflow' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_help_does_not_import_tensorflow(path):
    done = subprocess.run([sys.executable, "-X", "importtime", path, "--help"], capture_output=True, text=True)
    assert "flags:" in done.stdout
    assert "| tensorflow" not in done.stderr
    assert "| numpy" not in done.stderr
