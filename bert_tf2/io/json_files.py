"""Reads JSON from users, turning any error into one sentence; no TensorFlow.

Python's parser fails in more ways than `JSONDecodeError`: deep nesting raises `RecursionError`, and a number with more
digits than Python converts another `ValueError`. It also accepts NaN and numbers beyond float64, which are not JSON and
would spoil any computation.
"""

import json
import math
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from bert_tf2.errors import InputError
from bert_tf2.io import files, text_encoding

_NAMES = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a string",
}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text:.40} is out of range")
    return value


# One decoder for all: json.loads with options creates a new one in each call, which is slow for millions of lines.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def parse(text: str, where: str, advice: str = "") -> Any:
    """The value of a JSON text.

    Args:
      text: one value.
      where: the text's name in errors: a path, or a path and a line.
      advice: the end of error messages: what was expected, what to do.

    Raises:
      InputError: it is not JSON, contains NaN or infinity, or has deeper nesting or longer numbers than Python reads.
    """
    try:
        if text.strip():
            return _DECODER.decode(text.removeprefix("\ufeff"))
        reason = "it is empty"
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        reason = f"{error.msg} at {line}column {error.colno}"
    except RecursionError:
        reason = "lists or objects are nested too deeply"
    except ValueError as error:
        reason = str(error).partition(";")[0]  # about a long number, followed by advice for programmers
    raise InputError(f"{where} is not JSON ({reason}){f'; {advice}' if advice else ''}".rstrip(".") + ".")


def decode_from(text: str, begin: int) -> tuple[Any, int]:
    """The value that begins at a character of a text, and the position after it.

    Raises:
      ValueError: no complete value begins there; `parse` turns this into an InputError.
      RecursionError: it is nested too deeply.
    """
    return _DECODER.raw_decode(text, begin)


def read(path: str | os.PathLike[str], advice: str = "") -> Any:
    """The value in a JSON file, in UTF-8, UTF-16 or UTF-32, which may be compressed.

    Args:
      path: the file.
      advice: see `parse`.

    Raises:
      InputError: the file cannot be read, or `parse` rejects it.
    """
    try:
        with files.open_bytes(path) as file:
            content = file.read()
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{os.fspath(path)} is not JSON ({text_encoding.not_utf8_reason(f'byte {error.start + 1:,}', content)})"
            f"{f'; {advice}' if advice else ''}".rstrip(".")
            + "."
        ) from None
    del content  # to save memory while parsing
    return parse(text, os.fspath(path), advice)


def read_object(path: str | os.PathLike[str], advice: str = "") -> dict[str, Any]:
    """The object in a JSON file; see `read`.

    Raises:
      InputError: as `read`; or the file contains anything but an object.
    """
    values = read(path, advice)
    if not isinstance(values, dict):
        raise InputError(
            f"{os.fspath(path)} holds {kind(values)} instead of a JSON object{f'; {advice}' if advice else ''}".rstrip(
                "."
            )
            + "."
        )
    return values


def get(values: Mapping[str, Any], key: str, expected: type, where: str, default: Any = None) -> Any:
    """The value of a key in an object, checked for its type; null counts as missing.

    Args:
      values: the object.
      key: the key.
      expected: `str`, `int`, `bool`, `list` or `dict`.
      where: the object's name in errors.
      default: the value for a missing key.

    Raises:
      InputError: the value is of another type.
    """
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise InputError(f"{where}: {key} is {kind(value)} ({shown(value)}); it must be {_NAMES[expected]}.")
    return value


def without_nan(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers as JSON allows them: None instead of NaN and infinity."""
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


def with_nan(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """The reverse of `without_nan`, except for infinity: NaN instead of None."""
    return {name: math.nan if number is None else number for name, number in numbers.items()}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of flags as JSON allows them: NaN and infinity as texts, which the command line reads as these numbers."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def shown(value: Any) -> str:
    """A value as shown in a message."""
    return "null" if value is None else f"{value!r:.60}"


def kind(value: Any) -> str:
    """The kind of a JSON value, for messages."""
    return "null" if value is None else _NAMES.get(type(value), "something else")


def line(value: Any, indent: int | None = None) -> str:
    """A value as JSON with a line end; non-ASCII characters are kept, or all escaped if some are lone surrogates."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return (text if files.is_unicode(text) else json.dumps(value, indent=indent)) + "\n"
