"""What import-linter (`make lint`) cannot see: sizes, quick starts, exported names."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY

import bert_tf2

SCRIPTS = sorted(REPOSITORY.glob("*.py"))
MODULES = sorted((REPOSITORY / "bert_tf2").rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
MOST_LINES_OF_A_FILE = 460
MOST_LINES_OF_A_FUNCTION = 60
LONGER = {"_encode"}  # a kernel that took twice the time when it was divided; its docstring says why
# Importing these takes no TensorFlow, which takes seconds: a script's --help and its checks of flags need them.
QUICK = (
    *("bert_tf2.checkpoints.huggingface", "bert_tf2.configs.model", "bert_tf2.configs.training", "bert_tf2.io.files"),
    *("bert_tf2.metrics", "bert_tf2.pretraining_data.runner", "bert_tf2.records", "bert_tf2.tokenization.vocab_runner"),
    *("bert_tf2.tasks.classification.config", "bert_tf2.tasks.pretraining.config", "bert_tf2.tasks.squad.config"),
    *("bert_tf2.tasks.tagging.config", "bert_tf2.tasks.classification.features", "bert_tf2.tasks.squad.windows"),
    *("bert_tf2.tokenization.fast_wordpiece", "bert_tf2.tokenization.sentencepiece", "bert_tf2.export.config"),
    *("bert_tf2.tasks.multiple_choice.features", "bert_tf2.inspection.config", "bert_tf2.inspection.attention_page"),
)


# What asks the operating system itself is blind to gs:// and other schemes; `io.file_system` has the same.
OF_THE_SYSTEM = re.compile(
    r"((io|gzip|os)\.)?open|glob\.i?glob|(pathlib\.)?Path|shutil\.(copy(2|file|tree)?|move|rmtree)|"
    r"os\.(access|link|listdir|lstat|makedirs|mkdir|readlink|remove|rename|replace|rmdir|scandir|stat|symlink|"
    r"truncate|unlink|walk)|"
    r"os\.path\.(abspath|exists|get[acm]time|getsize|isdir|isfile|islink|lexists|realpath|samefile)"
)
LOCAL = {
    "bert_tf2/checkpoints/google_archives.py": "the cache of downloads is of this machine",
    "bert_tf2/checkpoints/hub.py": "the cache of huggingface_hub is of this machine",
    "bert_tf2/modeling/keras_backend.py": "Keras's settings are of this machine",
    "bert_tf2/tasks/feature_extraction/runner.py": "/dev/null",
    "bert_tf2/tokenization/unicode_tables.py": "the cache of tables is of this machine",
    "bert_tf2/training/precision.py": "/proc/cpuinfo",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", [*MODULES, *TESTS, *SCRIPTS], ids=name_of)
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_A_FILE


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=name_of)
def test_no_function_is_too_long(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name not in LONGER:
            first = node.body[0]
            has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if has_docstring else node.lineno
            assert start is not None
            assert node.end_lineno is not None
            assert node.end_lineno - start <= MOST_LINES_OF_A_FUNCTION, f"{node.name} of {path.name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_paths_are_valid_on_any_file_system(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    local = [f"{ast.unparse(call.func)} in line {call.lineno}" for call in calls]
    local = [each for each in local if OF_THE_SYSTEM.fullmatch(each.split()[0])]
    if name_of(path) in LOCAL:
        assert local, "an exception that is not needed any more"
    elif path.parent.name != "io":
        assert not local, f"use bert_tf2.io.file_system: {', '.join(local)}"


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_no_test_imports_from_another(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.module.split(".")[-1].startswith("test_"), (
                f"put what both need into tests/helpers: {node.module}"
            )


def test_tests_mirror_the_packages() -> None:
    packages = {path.parent.relative_to(REPOSITORY / "bert_tf2") for path in MODULES}
    others = {Path(name) for name in ("e2e", "e2e/fuzz", "helpers", "real_data", "reference")}
    for path in TESTS:
        assert path.parent.relative_to(REPOSITORY / "tests") in packages | others, f"where does {path.name} belong?"


def test_exported_names() -> None:
    assert bert_tf2.__all__ == [
        "BasicTokenizer",
        "BertClassifier",
        "BertConfig",
        "BertForMultipleChoice",
        "BertForPreTraining",
        "BertForQuestionAnswering",
        "BertMaskedLM",
        "BertModel",
        "BertTagger",
        "FullTokenizer",
        "InputError",
        "WordpieceTokenizer",
    ]
    for name in bert_tf2.__all__:
        assert getattr(bert_tf2, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = bert_tf2.Nothing


@pytest.mark.parametrize(
    "package", ["checkpoints", "inspection", "metrics", "modeling", "records", "tokenization", "training"]
)
def test_exported_names_exist(package: str) -> None:
    module = importlib.import_module(f"bert_tf2.{package}")
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_names_of_the_original() -> None:
    modeling = importlib.import_module("bert_tf2.modeling")
    assert modeling.BertConfig is bert_tf2.BertConfig
    assert modeling.BertModel is bert_tf2.BertModel


def test_importing_the_package_imports_neither_tensorflow_nor_numpy() -> None:
    program = "import bert_tf2, bert_tf2.cli, sys; sys.exit('tensorflow' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_modules_imported_without_tensorflow() -> None:
    program = f"import sys, {', '.join(QUICK)}; print(*({{'tensorflow', 'keras'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_help_does_not_import_tensorflow(path: Path) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", path, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "flags:" in done.stdout
    assert re.findall(r"\| +(tensorflow|keras|numpy|numba)$", done.stderr, re.MULTILINE) == []
