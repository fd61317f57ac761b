"""Numba: functions that are compiled when they are first called; a clear error if a machine cannot compile.

Modules of compiled functions ("kernels") import Numba with their first line of code, which costs a second. Therefore
nobody imports them directly: `kernel` does, when there is work for them.

`NUMBA_DISABLE_JIT=1` runs the same functions uncompiled: the same results, many times slower.
"""

import contextlib
import functools
import importlib
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from bert_tf2.errors import InputError

logger = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a function on its first call and caches the machine code on disk for later runs.

    The code is kept in `__pycache__` next to the source or, if that is not writable, in the user's cache directory;
    `NUMBA_CACHE_DIR` overrides both. If none of them is writable, every run compiles again, after a warning.
    Numba notices changes to the file that contains the function, but not to other files whose functions it calls.
    """
    import numba

    if numba.config.DISABLE_JIT:
        return np.errstate(over="ignore")(function)  # integers wrap around in compiled code, too
    return _compiled(function, forceinline=False)


def inlined(function: _Function) -> _Function:
    """Like `compiled`, for a small function in an inner loop, which is inlined wherever it is called."""
    return _compiled(function, forceinline=True)


def _compiled(function: _Function, *, forceinline: bool) -> _Function:
    import numba

    try:
        return numba.njit(cache=True, forceinline=forceinline)(function)
    except RuntimeError:  # no cache directory is writable
        _warn_about_cache()
        return numba.njit(forceinline=forceinline)(function)


@functools.cache
def _warn_about_cache() -> None:
    logger.warning(
        "Compiling, which takes up to a minute in every run, as no cache directory is writable; set NUMBA_CACHE_DIR to "
        "a writable directory, and only the first run takes that long."
    )


@functools.cache
def _log_compilation_once() -> None:
    if not _warn_about_cache.cache_info().currsize:  # its warning says the same
        logger.info("Compiling with Numba, which takes up to a minute; later runs find the result on disk.")


def _compilation_logged() -> contextlib.AbstractContextManager[Any]:
    """Inside, logs once per process that Numba compiles something instead of loading it from its cache."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            _log_compilation_once()

        def on_end(self, event: Any) -> None:
            pass

    return event.install_listener("numba:compile", Listener())


@functools.cache
def kernel(name: str) -> ModuleType:
    """Imports a module of compiled functions and compiles them.

    Args:
      name: dotted name. The module must have a function `try_out()` that calls every function that other modules call,
        with arguments of the same types and almost no data, so that everything is compiled, or fails to compile, before
        the real work begins.

    Raises:
      InputError: Numba is missing or does not work here.
    """
    try:
        module = importlib.import_module(name)
        with _compilation_logged():
            module.try_out()
    except Exception as error:  # it may come from the import, LLVM or the cache
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InputError(
            f"Numba cannot compile {name} on this machine ({reason}); repair it with: python -m pip install "
            "--force-reinstall numba; or set NUMBA_DISABLE_JIT=1 to run uncompiled, with the same results many times "
            "slower."
        ) from error
    return module
