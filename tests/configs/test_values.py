"""Values of settings: parsed from text, in nested dataclasses, and written as text."""

import dataclasses

import pytest

from bert_tf2.configs import values
from bert_tf2.configs.fields import check, setting
from bert_tf2.errors import InputError


@dataclasses.dataclass(frozen=True)
class Part:
    rate: float = setting(0.5, above=0)
    kind: str | None = setting(None, choices=("a", "b"))

    def __post_init__(self) -> None:
        check(self)


@dataclasses.dataclass(frozen=True)
class Config:
    count: int = setting(3, at_least=1)
    is_on: bool = setting(False)
    part: Part = dataclasses.field(default_factory=Part)

    def __post_init__(self) -> None:
        check(self)


FIELDS = {field.name: field for config in (Config, Part) for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7),
        ("count", "-1", -1),
        ("rate", "2e-5", 2e-5),
        ("rate", "3", 3.0),
        ("is_on", "True", True),
        ("is_on", "0", False),
        ("kind", "c", "c"),
    ],
)
def test_parse(name: str, text: str, value: values.Value) -> None:
    parsed = values.parse(FIELDS[name], text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("count", "1.5", "--count='1.5'; it must be a whole number"),
        ("count", "９", "--count='９'; it must be a whole number"),
        ("rate", "fast", "--rate='fast'; it must be a number"),
        ("is_on", "maybe", "--is_on='maybe'; it must be true or false"),
    ],
)
def test_values_of_other_types(name: str, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        values.parse(FIELDS[name], text)


def test_with_values() -> None:
    changed = values.with_values(Config(), {"count": 5, "rate": 0.25})
    assert changed == Config(5, False, Part(0.25))
    with pytest.raises(InputError, match=r"--rate=-1\.0"):
        values.with_values(Config(), {"rate": -1.0})
    assert values.with_checked_values(changed, count=0).count == 0
    assert changed.count == 5


@pytest.mark.parametrize(
    ("value", "text"), [(2e-5, "2e-05"), (3.0, "3"), (0.1 + 0.2, "0.30000000000000004"), (True, "true"), ("a b", "a b")]
)
def test_format_value(value: values.Value, text: str) -> None:
    assert values.format_value(value) == text
