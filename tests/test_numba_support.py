"""Compiled code: compiled once, a clear error if that fails, the same results without compilation."""

import logging
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numba
import pytest
from helpers import kernels
from helpers.repository import REPOSITORY

from bert_tf2 import numba_support
from bert_tf2.errors import InputError
from bert_tf2.numba_support import compiled, kernel
from bert_tf2.records.shuffled import RecordSource


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
    )


@pytest.fixture(autouse=True)
def empty_caches() -> None:
    kernel.cache_clear()
    numba_support._warn_about_cache.cache_clear()
    numba_support._log_compilation_once.cache_clear()


def add_module(monkeypatch: pytest.MonkeyPatch, **content: Any) -> types.ModuleType:
    module = types.ModuleType("some_kernel")
    for name, value in content.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "some_kernel", module)
    return module


def test_a_kernel_is_tried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    module = add_module(monkeypatch, try_out=lambda: calls.append(None))
    assert kernel("some_kernel") is module
    assert kernel("some_kernel") is module
    assert len(calls) == 1


def test_the_error_for_code_that_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def try_out() -> None:
        raise OSError("LLVM is broken\nin many lines")

    add_module(monkeypatch, try_out=try_out)
    with pytest.raises(InputError) as caught:
        kernel("some_kernel")
    assert str(caught.value) == (
        "Numba cannot compile some_kernel on this machine (OSError: LLVM is broken); repair it with: python -m pip "
        "install --force-reinstall numba; or set NUMBA_DISABLE_JIT=1 to run uncompiled, with the same results many "
        "times slower."
    )


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bert_tf2.records._frames_numba", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(InputError, match=r"Numba cannot compile bert_tf2.records._frames_numba .*ModuleNotFoundError"):
        list(RecordSource().records(["a"]))


def test_uncompiled_code_gives_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import numba; from helpers import kernels\n"
        "assert numba.config.DISABLE_JIT\n"
        "print(kernels.results(sys.argv[1]))"
    )
    done = python(code, str(tmp_path / "uncompiled"), NUMBA_DISABLE_JIT="1", PYTHONWARNINGS="error::RuntimeWarning")
    assert done.stderr == ""
    assert done.stdout.split() == [kernels.results(str(tmp_path / "compiled"))]


def test_without_a_writable_cache_directory(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    njit = numba.njit

    def no_cache(*functions: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*functions, **options)

    monkeypatch.setattr(numba, "njit", no_cache)

    with caplog.at_level(logging.WARNING):

        @compiled
        def double(number: int) -> int:
            return number * 2

        @compiled
        def triple(number: int) -> int:
            return number * 3

    assert double(21) == 42
    assert triple(14) == 42
    [message] = caplog.messages
    assert message == (
        "Compiling, which takes up to a minute in every run, as no cache directory is writable; set NUMBA_CACHE_DIR to "
        "a writable directory, and only the first run takes that long."
    )


def test_compiling_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Compilation is logged once; calling compiled code is not logged."""
    caplog.set_level(logging.INFO)
    double, triple = numba.njit(lambda number: number * 2), numba.njit(lambda number: number * 3)
    add_module(monkeypatch, try_out=lambda: (double(1), triple(1)))
    kernel("some_kernel")
    message = "Compiling with Numba, which takes up to a minute; later runs find the result on disk."
    assert caplog.messages == [message]
    kernel.cache_clear()
    numba_support._log_compilation_once.cache_clear()
    kernel("some_kernel")
    assert caplog.messages == [message]


@pytest.mark.parametrize(
    ("name", "function"),
    [("pretraining_data._instances_numba", "create_instances"), ("records._tfrecord_numba", "encode")],
)
def test_compiled_code_is_cached_between_runs(name: str, function: str) -> None:
    kernel(f"bert_tf2.{name}")
    code = (
        "import logging; from bert_tf2.numba_support import kernel\n"
        "logging.basicConfig(level=logging.INFO)\n"
        f"stats = kernel('bert_tf2.{name}').{function}.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))"
    )
    done = python(code)
    assert done.stdout.split() == ["1", "0"]
    assert "Compiling" not in done.stderr


def test_kernels_are_imported_on_first_use() -> None:
    modules = "bert_tf2.pretraining_data.fast_instances, bert_tf2.records.writer"
    code = f"import sys, {modules}; sys.exit('numba' in sys.modules)"
    assert python(code).returncode == 0
