"""Values of settings: read from text as flags are, replaced in a dataclass of settings, written for people."""

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
    """The value of a setting that a text stands for; bounds and choices are checked by its dataclass.

    Raises:
      InputError: it is not of the setting's type.
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
    """The dataclass with other values of some of its flags, those of dataclasses in it included.

    Args:
      config: a dataclass of settings.
      values: by name of the flag; all names are flags of `config`.

    Raises:
      InputError: a value is impossible, alone or with the others.
    """
    changed = {}
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(field.type):
            part = getattr(config, field.name)
            names = {flag.name for flag in dataclasses.fields(typing.cast(Any, field.type))} & values.keys()
            if names:
                changed[field.name] = with_values(part, {name: values[name] for name in names})
        elif field.name in values:
            changed[field.name] = values[field.name]
    return dataclasses.replace(config, **changed)


def with_checked_values(config: Config, **values: Any) -> Config:
    """The dataclass with other values of some of its own fields, which are not checked again.

    A part of what a command asks for is so made of its flags: a flag that has an effect on the whole may have none on
    the part, which is no reason to refuse it.
    """
    changed = copy.copy(config)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed


def written(value: Value) -> str:
    """A value as a flag takes it, as short as it can be: 2e-05, 3, true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
