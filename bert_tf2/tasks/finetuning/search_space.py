"""The settings that `--search` tries: values of flags, and ranges of numbers; no TensorFlow.

learning_rate=2e-5,3e-5,5e-5;train_batch_size=16,32     a grid: all combinations of values
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
"""A value for each searched flag."""

MAX_RUNS = 1000
_PRESETS = {"paper": "learning_rate=5e-5,3e-5,2e-5;train_batch_size=16,32;num_train_epochs=2,3,4"}
_EXAMPLE = "expected FLAG=VALUE,VALUE,... of each flag, separated by semicolons: learning_rate=2e-5,3e-5;seed=1,2"
_RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>.+?)(?P<log>:log)?")
# With different values, scores could not be compared, or the search would not find its runs.
_NOT_SEARCHABLE = (
    *("task_name", "data_dir", "dev_file", "validation_split", "metric_for_best"),
    *("output_dir", "search", "search_trials", "seeds"),
)
_MAX_NAME_LENGTH = 150


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
    """A flag with a range of numbers to try, integers if both ends are integers.

    Attributes:
      name: the name of the flag.
      low: the lower end, inclusive.
      high: the upper end, inclusive.
      is_log: whether values are sampled uniformly on a logarithmic scale.
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
    """The settings to try.

    Attributes:
      axes: the values of each searched flag.
    """

    axes: tuple[Choices | Range, ...]

    @classmethod
    def parse(cls, text: str, config: type) -> Self:
        """Parses the value of `--search`.

        Args:
          text: the value, whose syntax the module's docstring shows.
          config: the config class whose flags can be searched.

        Raises:
          InputError: the text has a syntax error, names a flag that does not exist or cannot be searched, or has a
            value that is not of the flag's type.
        """
        fields = {field.name: field for field, _ in flags_of(config)}
        searchable = _searchable(config)
        axes: list[Choices | Range] = []
        for part in _split_axes(text):
            name, equals, values = part.partition("=")
            name = name.strip().removeprefix("--")
            if not equals:
                raise InputError(f"--search: {part!r:.60} has no =; {_EXAMPLE}, or {' or '.join(_PRESETS)}.")
            if name not in searchable:
                raise InputError(f"--search: {_why_not_searchable(name, fields, searchable)}")
            if any(axis.name == name for axis in axes):
                raise InputError(f"--search names {name} twice; give all its values at once: {name}=VALUE,VALUE.")
            axes.append(_axis(fields[name], values.strip()))
        if not axes:
            raise InputError(f"--search names no flag; {_EXAMPLE}, or {' or '.join(_PRESETS)}.")
        return cls(tuple(axes))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the searched flags."""
        return tuple(axis.name for axis in self.axes)

    @property
    def has_ranges(self) -> bool:
        """Whether there is a range, so that the space has no grid."""
        return any(isinstance(axis, Range) for axis in self.axes)

    def grid(self) -> list[Settings]:
        """All combinations of values, the first flag changing slowest; for spaces without ranges.

        Raises:
          InputError: there are more than `MAX_RUNS`.
        """
        count = math.prod(len(axis.values) for axis in self.axes)
        if count > MAX_RUNS:
            raise InputError(
                f"--search asks for {count:,} runs; give fewer values (at most {MAX_RUNS:,} runs), or --search_trials."
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
        """Whether settings are in the space."""
        return settings.keys() == set(self.names) and all(axis.has(settings[axis.name]) for axis in self.axes)


def describe(settings: Settings) -> str:
    """Formats settings for messages: `learning_rate=2e-05, train_batch_size=16`."""
    return ", ".join(f"{name}={format_value(value)}" for name, value in settings.items())


def directory_name(settings: Settings) -> str:
    """A directory name for settings, which is always the same for the same settings and otherwise different."""
    plain = ",".join(f"{name}={format_value(settings[name])}" for name in sorted(settings))
    name = re.sub(r"[^A-Za-z0-9._+=,-]", "-", plain)
    if name == plain and len(name) <= _MAX_NAME_LENGTH:
        return name
    return f"{name[:_MAX_NAME_LENGTH]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _split_axes(text: str) -> list[str]:
    """Splits the value of `--search` into the texts of single flags; presets are spelled out."""
    parts = [part for entry in text.split(";") for part in _PRESETS.get(entry.strip(), entry).split(";")]
    return [part.strip() for part in parts if part.strip()]


def _searchable(config: type) -> list[str]:
    excluded = {*_NOT_SEARCHABLE, *(field.name for field, _ in flags_of(DistributionConfig))}
    return [
        field.name for field, setting in flags_of(config) if setting.group != ACTIONS and field.name not in excluded
    ]


def _why_not_searchable(name: str, fields: Mapping[str, Any], searchable: list[str]) -> str:
    if name in fields:
        return f"{name} must be the same for all runs; give it as a flag of its own, --{name}=VALUE."
    close = difflib.get_close_matches(name, searchable, 3)
    hint = f"did you mean {' or '.join(close)}?" if close else "--help lists the flags."
    return f"there is no flag {name!r:.60}; {hint}"


def _axis(field: "dataclasses.Field[Any]", text: str) -> Choices | Range:
    range_match = _RANGE.fullmatch(text) if type_of(field) in (int, float) and ".." in text else None
    if range_match:
        return _range(field, text, range_match["low"], range_match["high"], bool(range_match["log"]))
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
