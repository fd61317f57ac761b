import logging
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numba
import pytest

from bert_tf2 import compilation
from bert_tf2.compilation import compiled, kernel

REPOSITORY = Path(__file__).resolve().parents[1]


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=REPOSITORY, **options
    )


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    kernel.cache_clear()


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


def test_what_cannot_be_compiled_gives_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def try_out() -> None:
        raise OSError("LLVM is broken\nin many lines")

    add_module(monkeypatch, try_out=try_out)
    with caplog.at_level(logging.WARNING):
        assert kernel("some_kernel") is None
        assert kernel("some_kernel") is None
    (record,) = caplog.records
    assert "some_kernel cannot be compiled here (OSError: LLVM is broken); going on in plain Python" in record.message


def test_without_numba() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from bert_tf2.compilation import kernel\n"
        "for name in ('instance_kernel', 'record_kernel'): assert kernel(f'bert_tf2.{name}') is None"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be compiled here (ModuleNotFoundError") == 2


def test_where_no_code_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def no_cache(*functions: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*functions, **options)

    monkeypatch.setattr(numba, "njit", no_cache)

    @compiled
    def double(number: int) -> int:
        return number * 2

    assert double(21) == 42


@pytest.mark.parametrize(("name", "function"), [("instance_kernel", "create_instances"), ("record_kernel", "encode")])
def test_code_is_kept_between_runs(name: str, function: str, tmp_path: Path) -> None:
    assert compilation.kernel(f"bert_tf2.{name}") is not None
    code = (
        "from bert_tf2.compilation import kernel\n"
        f"stats = kernel('bert_tf2.{name}').{function}.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))"
    )
    assert python(code).stdout.split() == ["1", "0"]


def test_kernels_are_imported_when_there_is_work_for_them() -> None:
    code = "import sys, bert_tf2.fast_instances, bert_tf2.fast_records; sys.exit('numba' in sys.modules)"
    assert python(code).returncode == 0
