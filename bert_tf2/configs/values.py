"""Values of settings: parsed from text like flags, replaced in a dataclass of settings, formatted for people."""

import copy
import dataclasses
import re
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from bert_tf2.configs.fields import type_of
from bert_tf2.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
Value = bool | int | float | str

_BOOLS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}  # as on the command line


def parse(field: "dataclasses.Field[Any]", text: str) -> Value:
    """Parses the value of a setting; bounds and choices are checked by its dataclass.

    Raises:
      InputError: the text is not a value of the setting's type.
    """
    kind = type_of(field)
    if kind is bool:
        if text.lower() not in _BOOLS:
            raise InputError(f"--{field.name}={text!r:.60}; it must be true or false.")
        return _BOOLS[text.lower()]
    if kind is int:
        if not re.fullmatch(r"[+-]?[0-9]{1,38}", text):
            raise InputError(f"--{field.name}={text!r:.60}; it must be a whole number.")
        return int(text)
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise InputError(f"--{field.name}={text!r:.60}; it must be a number.") from None
    return text


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of a dataclass with other values of some flags, including those of nested dataclasses.

    Args:
      config: a dataclass of settings.
      values: the new values by the names of their flags, which must be flags of `config`.

    Raises:
      InputError: a value is invalid, alone or together with the others.
    """
    changed = {}
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(field.type):
            nested = getattr(config, field.name)
            names = {flag.name for flag in dataclasses.fields(typing.cast(Any, field.type))} & values.keys()
            if names:
                changed[field.name] = with_values(nested, {name: values[name] for name in names})
        elif field.name in values:
            changed[field.name] = values[field.name]
    return dataclasses.replace(config, **changed)


def with_checked_values(config: Config, **values: Any) -> Config:
    """A copy of a dataclass with other values of some of its own fields, without checking them again.

    This is for running one step of a command: a flag that has an effect on the command may have none on the step, and
    must not be rejected for it.
    """
    changed = copy.copy(config)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed


def format_value(value: Value) -> str:
    """A value as it is written in a flag, in its shortest form: 2e-05, 3, true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
