"""Compiled code where Numba can make it, a warning where it cannot.

Modules of compiled functions ("kernels") import Numba with their first line of code, which costs a second and may fail.
Therefore nobody imports them directly: `kernel` does, when there is work for them.
"""

import functools
import importlib
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a function when it is called first and keeps the machine code on disk for later runs.

    The code is kept in `__pycache__` beside the source or, where that cannot be written, in the user's cache folder;
    `NUMBA_CACHE_DIR` names another place. Where none of them can be written, each run compiles anew. Numba notices
    changes of the file that a function is in, not of those that it calls into.
    """
    return _compiled(function, forceinline=False)


def inlined(function: _Function) -> _Function:
    """As `compiled`, for a small function in an inner loop: its code is put wherever it is called."""
    return _compiled(function, forceinline=True)


def _compiled(function: _Function, *, forceinline: bool) -> _Function:
    import numba

    try:
        return numba.njit(cache=True, forceinline=forceinline)(function)
    except RuntimeError:  # no folder for the code
        return numba.njit(forceinline=forceinline)(function)


@functools.cache
def kernel(name: str) -> ModuleType | None:
    """A module of compiled functions, tried out.

    Args:
      name: dotted name. The module has a function `try_out()` that calls what others call, with arguments of the types
        that they pass, on next to no work: so it is compiled, or shown that it cannot be, before the real work.

    Returns:
      None where Numba is missing or does not work here; the first time, a warning says why.
    """
    try:
        module = importlib.import_module(name)
        module.try_out()
    except Exception as error:  # whatever it is (import, LLVM, the cache): the caller has another way
        logger.warning(
            "%s cannot be compiled here (%s: %s); going on in plain Python, which gives the same results many times "
            "slower. Repair it with: python -m pip install --force-reinstall numba",
            *(name, type(error).__name__, str(error).partition("\n")[0]),
        )
        return None
    return module
