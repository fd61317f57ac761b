"""What `--search` tries: values of flags, and ranges of numbers; no TensorFlow.

learning_rate=2e-5,3e-5,5e-5;train_batch_size=16,32     a grid: every value with every other
learning_rate=1e-5..1e-4:log;train_batch_size=16,32     ranges: as many runs as --search_trials says
paper                                                   the grid of BERT's appendix A.3
"""

import dataclasses
import difflib
import hashlib
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, Self

from bert_tf2.configs.fields import ACTIONS, flags_of, type_of
from bert_tf2.configs.training import DistributionConfig
from bert_tf2.configs.values import Value, format_value, parse
from bert_tf2.errors import InputError

Settings = Mapping[str, Value]
"""A value for each flag that is searched."""

MOST_RUNS = 1000
_NAMED = {"paper": "learning_rate=5e-5,3e-5,2e-5;train_batch_size=16,32;num_train_epochs=2,3,4"}
_EXAMPLE = "expected FLAG=VALUE,VALUE,... of each flag, separated by semicolons: learning_rate=2e-5,3e-5;seed=1,2"
_RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>.+?)(?P<log>:log)?")
# Scores could not be compared, or the runs would not be where the search looks for them.
_NEVER = ("dev_file", "metric_for_best", "output_dir", "search", "search_trials", "seeds", "validation_split")
_LONGEST_NAME = 150


@dataclasses.dataclass(frozen=True)
class Choices:
    """A flag with the values to try."""

    name: str
    values: tuple[Value, ...]

    def has(self, value: Value) -> bool:
        """Whether a value is among those to try."""
        return value in self.values


@dataclasses.dataclass(frozen=True)
class Range:
    """A flag with a range of numbers to try, whole ones if both ends are.

    Attributes:
      name: of the flag.
      low, high: the ends, which belong to it.
      is_log: whether each power of ten is as likely as the next.
    """

    name: str
    low: int | float
    high: int | float
    is_log: bool

    @property
    def values(self) -> tuple[Value, ...]:
        """Both ends."""
        return self.low, self.high

    def has(self, value: Value) -> bool:
        """Whether a value is in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """What is tried.

    Attributes:
      axes: one for each flag.
    """

    axes: tuple[Choices | Range, ...]

    @classmethod
    def parse(cls, text: str, config: type) -> Self:
        """The meaning of `--search`.

        Args:
          text: see the module.
          config: the dataclass of settings whose flags can be searched.

        Raises:
          InputError: it cannot be understood, names a flag that does not exist or cannot be searched, or has a value
            that is not of the flag's type.
        """
        fields = {field.name: field for field, _ in flags_of(config)}
        searchable = _searchable(config)
        axes: list[Choices | Range] = []
        for part in _parts(text):
            name, equals, values = part.partition("=")
            name = name.strip().removeprefix("--")
            if not equals:
                raise InputError(f"--search: {part!r:.60} has no =; {_EXAMPLE}, or {' or '.join(_NAMED)}.")
            if name not in searchable:
                raise InputError(f"--search: {_why_not(name, fields, searchable)}")
            if any(axis.name == name for axis in axes):
                raise InputError(f"--search names {name} twice; give all its values at once: {name}=VALUE,VALUE.")
            axes.append(_axis(fields[name], values.strip()))
        if not axes:
            raise InputError(f"--search names no flag; {_EXAMPLE}, or {' or '.join(_NAMED)}.")
        return cls(tuple(axes))

    @property
    def names(self) -> tuple[str, ...]:
        """The flags that are searched."""
        return tuple(axis.name for axis in self.axes)

    @property
    def has_ranges(self) -> bool:
        """Whether a grid cannot cover it."""
        return any(isinstance(axis, Range) for axis in self.axes)

    def grid(self) -> list[Settings]:
        """Every value with every other, the first flag changing slowest; for spaces without ranges.

        Raises:
          InputError: there are too many.
        """
        count = math.prod(len(axis.values) for axis in self.axes)
        if count > MOST_RUNS:
            raise InputError(
                f"--search asks for {count:,} runs; give fewer values (at most {MOST_RUNS:,} runs), or --search_trials."
            )
        return [
            dict(zip(self.names, values, strict=True))
            for values in itertools.product(*(axis.values for axis in self.axes))
        ]

    def samples(self) -> list[Settings]:
        """A few settings in which each value, and both ends of each range, occur at least once."""
        longest = max(len(axis.values) for axis in self.axes)
        return [
            {axis.name: axis.values[min(number, len(axis.values) - 1)] for axis in self.axes}
            for number in range(longest)
        ]

    def has(self, settings: Settings) -> bool:
        """Whether settings lie in it."""
        return settings.keys() == set(self.names) and all(axis.has(settings[axis.name]) for axis in self.axes)


def described(settings: Settings) -> str:
    """Settings for people: `learning_rate=2e-05, train_batch_size=16`."""
    return ", ".join(f"{name}={format_value(value)}" for name, value in settings.items())


def directory_name(settings: Settings) -> str:
    """Settings as the name of a directory: different ones have different names, the same ones always the same."""
    plain = ",".join(f"{name}={format_value(settings[name])}" for name in sorted(settings))
    name = re.sub(r"[^A-Za-z0-9._+=,-]", "-", plain)
    if name == plain and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _parts(text: str) -> list[str]:
    """The parts that have one flag each, those that have a name spelled out."""
    parts = [part for named in text.split(";") for part in _NAMED.get(named.strip(), named).split(";")]
    return [part.strip() for part in parts if part.strip()]


def _searchable(config: type) -> list[str]:
    never = {*_NEVER, *(field.name for field, _ in flags_of(DistributionConfig))}
    return [field.name for field, setting in flags_of(config) if setting.group != ACTIONS and field.name not in never]


def _why_not(name: str, fields: Mapping[str, Any], searchable: list[str]) -> str:
    if name in fields:
        return f"{name} must be the same for all runs; give it as a flag of its own, --{name}=VALUE."
    close = difflib.get_close_matches(name, searchable, 3)
    hint = f"did you mean {' or '.join(close)}?" if close else "--help lists the flags."
    return f"there is no flag {name!r:.60}; {hint}"


def _axis(field: "dataclasses.Field[Any]", text: str) -> Choices | Range:
    is_range = _RANGE.fullmatch(text) if type_of(field) in (int, float) and ".." in text else None
    if is_range:
        return _range(field, text, is_range["low"], is_range["high"], bool(is_range["log"]))
    values = tuple(_value(field, value.strip()) for value in text.split(","))
    if len(set(map(format_value, values))) < len(values):
        raise InputError(f"--search: {field.name}={text:.200} has a value twice; give each once.")
    return Choices(field.name, values)


def _range(field: "dataclasses.Field[Any]", text: str, low: str, high: str, is_log: bool) -> Range:
    ends = _value(field, low.strip()), _value(field, high.strip())
    first, last = (end for end in ends if isinstance(end, int | float))
    if not first < last or not math.isfinite(last - first) or (is_log and first <= 0):
        expected = (
            "a smaller number above 0, .. and a larger one" if is_log else "a smaller number, .. and a larger one"
        )
        raise InputError(f"--search: {field.name}={text:.60} is not a range; {expected} are expected.")
    return Range(field.name, first, last, is_log)


def _value(field: "dataclasses.Field[Any]", text: str) -> Value:
    if not text:
        raise InputError(f"--search: {field.name} has an empty value; {_EXAMPLE}.")
    try:
        return parse(field, text)
    except InputError as error:
        raise InputError(f"--search: {error}") from None
