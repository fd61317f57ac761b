"""The examples in docstrings of public names run unchanged, and every public class and function has one."""

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.repository import REPOSITORY

TASKS = ("classification", "multiple_choice", "pretraining", "squad", "tagging")
TRAINING = {"bert_tf2.training.Trainer", *(f"bert_tf2.tasks.{task}.run" for task in TASKS)}  # they take seconds
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = sorted((REPOSITORY / "docs/reference").glob("*.md"))
NAMES = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)]


def is_package(name: str) -> bool:
    """Whether a name is a package, whose page shows everything that it exports."""
    return name.count(".") == 1 and name.islower()


def cases() -> Iterator[Any]:
    for name in NAMES:
        exported = importlib.import_module(name).__all__ if is_package(name) else ()
        for full_name in dict.fromkeys((name, *(f"{name}.{attribute}" for attribute in exported))):
            yield pytest.param(full_name, marks=[pytest.mark.slow] * (full_name in TRAINING), id=full_name)


def resolve(name: str) -> Any:
    """The package, class, function or constant of a name."""
    if is_package(name):
        return importlib.import_module(name)
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def examples_of(described: Any) -> list[doctest.DocTest]:
    """The examples in a docstring, for a class including those of its methods."""
    if isinstance(described, ModuleType):
        text = inspect.getdoc(described) or ""
        return [doctest.DocTestParser().get_doctest(text, {}, described.__name__, described.__file__, 0)]
    if not (inspect.isclass(described) or inspect.isfunction(described)):
        return []
    finder = doctest.DocTestFinder()
    return [test for test in finder.find(described, described.__name__, globs={}) if test.examples]


@pytest.mark.parametrize("name", list(cases()))
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = resolve(name)
    tests = examples_of(described)
    if inspect.isclass(described) or inspect.isfunction(described):
        module, _, attribute = name.rpartition(".")
        (package_examples,) = examples_of(importlib.import_module(module))
        code = "".join(example.source for example in package_examples.examples)
        assert tests or re.search(rf"\b{attribute}\b", code), f"{name} has no example"
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    printed: list[str] = []
    for test in tests:
        runner.run(test, out=printed.append)
    assert not runner.failures, "".join(printed)
