"""Settings: dataclass fields with their meaning and limits, from which flags, `--help` and checks are generated.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config:
        output_dir: str = setting(help="Directory for results.", group=FILES)
        log_steps: int = setting(100, help="Steps between TensorBoard events.", at_least=1)

        def __post_init__(self) -> None:
            check(self)

A field's name is the name of its flag, its annotation the type; a field without a default is a required flag. A field
may also be a dataclass of settings, whose fields are then flags, too. No TensorFlow.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bert_tf2.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FILES = "Files"
MODEL = "Model"
ACTIONS = "What to do"
TASK = "Task"
TRAINING = "Training"
EVALUATION = "Evaluation"
OPTIMIZER = "Optimizer"
CHECKPOINTS = "Checkpoints and logs"
DEVICES = "Precision and devices"
GROUPS = (FILES, MODEL, ACTIONS, TASK, TRAINING, EVALUATION, OPTIMIZER, CHECKPOINTS, DEVICES)
"""The sections of `--help`, in order."""

# Python's integers are unbounded; those of TensorFlow, NumPy and the kernels are not. A larger value would overflow, or
# take hours and terabytes of memory.
MOST = (1 << 31) - 1
MOST_BATCH = 1 << 20
MOST_LENGTH = 1 << 17
MOST_SEED = (1 << 32) - 1

_LARGEST = 3.4028234663852886e38  # of float32, to which all floats are converted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A field's metadata besides its name, type and default; see `setting`."""

    help: str = ""
    group: str = TASK
    original: bool = False
    choices: Sequence[str] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    may_be_infinite: bool = False
    flag_default: Any = ...  # the field's
    needed_if: Callable[[Mapping[str, Any]], bool] | None = None

    @classmethod
    def of(cls, field: "dataclasses.Field[Any]") -> "Setting":
        """The setting of a field; an empty one if the field was not made by `setting`."""
        return field.metadata.get(cls, cls())

    def fits(self, value: float) -> bool:
        """Whether a number is within the bounds."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    @property
    def range(self) -> str:
        """The bounds in words, to complete "it must be ..."."""
        if self.at_least is not None and self.at_most is not None:
            return f"between {self.at_least:,} and {self.at_most:,}"
        bounds = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        return " and ".join(f"{words} {bound:,}" for words, bound in bounds if bound is not None)


def setting(default: Any = dataclasses.MISSING, **attributes: Any) -> Any:
    """A field of a dataclass that is a flag.

    Args:
      default: the value if the flag is omitted; without a default, the flag is required.
      **attributes: those of `Setting`:
        help: what the flag is for.
        group: its section of `--help`, one of `GROUPS`.
        original: whether the original has a flag of this name; those are listed first.
        choices: the allowed strings.
        at_least, above, at_most, below: bounds of a number; integers are limited to `MOST` in any case.
        may_be_infinite: whether infinity makes sense, for example as a threshold that is never reached.
        flag_default: the default shown by `--help` and `--print_config` if the field's default is None, which
          distinguishes an omitted flag from one that is given.
        needed_if: takes the values of all flags by name and returns whether this one is required.
    """
    return dataclasses.field(default=default, metadata={Setting: Setting(**attributes)})


def flags_of(config: type) -> Iterator[tuple["dataclasses.Field[Any]", Setting]]:
    """The fields of a dataclass that are flags, including those of nested dataclasses."""
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(field.type):
            yield from flags_of(typing.cast(type, field.type))
        else:
            yield field, Setting.of(field)


def is_required(field: "dataclasses.Field[Any]") -> bool:
    """Whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def type_of(field: "dataclasses.Field[Any]") -> type:
    """The type of a field's values other than None: `bool`, `int`, `float` or `str`."""
    is_union = isinstance(field.type, types.UnionType) or typing.get_origin(field.type) is typing.Union
    kinds = typing.get_args(field.type) if is_union else (field.type,)
    kind = next(kind for kind in kinds if kind is not types.NoneType)
    return str if typing.get_origin(kind) is typing.Literal else typing.cast(type, kind)


def as_flag(name: str, value: Any) -> str:
    """A flag with a value, as it is written on the command line.

    >>> as_flag("do_train", True), as_flag("do_lower_case", False), as_flag("seed", 1)
    ('--do_train', '--do_lower_case=false', '--seed=1')
    """
    if value is True:
        return f"--{name}"
    return f"--{name}={'false' if value is False else value}"


def check(config: "DataclassInstance") -> None:
    """Checks the values of a dataclass of settings.

    Nested dataclasses check their own. Floats must be representable in float32, which is checked before their bounds:
    every comparison with NaN is false, and infinity is above 0.

    Raises:
      InputError: a value is not one of the choices, not a number, or out of range.
    """
    for field in dataclasses.fields(config):
        value, limits = getattr(config, field.name), Setting.of(field)
        if value is None:
            continue
        if limits.choices and value not in limits.choices:
            raise InputError(f"Unknown --{field.name} {value!r}; choose one of {', '.join(limits.choices)}.")
        if isinstance(value, float):
            _check_float(field.name, value, limits)
        elif isinstance(value, int) and not isinstance(value, bool):
            _check_int(field.name, value, limits)


def _check_float(name: str, value: float, limits: Setting) -> None:
    if math.isnan(value):
        raise InputError(f"--{name}={value}; it must be a number.")
    if abs(value) > _LARGEST and not limits.may_be_infinite:
        raise InputError(f"--{name}={value}; it must be a finite number, at most {_LARGEST:.1e} (float32).")
    if not limits.fits(value):
        raise InputError(f"--{name}={value}; it must be {limits.range}.")


def _check_int(name: str, value: int, limits: Setting) -> None:
    maximum = MOST if limits.at_most is None else int(limits.at_most)
    minimum = -MOST - 1 if limits.at_least is None else int(limits.at_least)
    if not minimum <= value <= maximum:
        shown = str(value) if abs(value) < 1 << 128 else "a number of more than 38 digits"
        raise InputError(
            f"--{name}={shown}; it must be {f'at most {maximum}' if value > maximum else f'at least {minimum}'}."
        )
    if not limits.fits(value):  # a float setting given as an integer
        raise InputError(f"--{name}={value}; it must be {limits.range}.")


def check_has_effect(config: "DataclassInstance", names: tuple[str, ...], has_effect: bool, needed: str) -> None:
    """Rejects flags that differ from their default but would be ignored.

    Only for flags that the original does not have: its commands accept any of its flags, whether they matter or not.

    Args:
      config: the flags.
      names: the flags in question.
      has_effect: whether they have an effect, given the other flags.
      needed: what they need to have an effect, to complete the error message: "needs --do_train and --do_eval: ...".

    Raises:
      InputError: one of them is given and has no effect.
    """
    if has_effect:
        return
    for field in dataclasses.fields(config):
        if field.name in names and getattr(config, field.name) != field.default:
            raise InputError(f"--{field.name} {needed}.")
