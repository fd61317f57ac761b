"""What is checked of the values of flags, whichever dataclass holds them; no TensorFlow."""

import dataclasses
import math
from typing import TYPE_CHECKING

from bert_tf2.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAY_BE_INFINITE = {"may_be_infinite": True}
"""`metadata` of a field for which infinity makes sense, a threshold that is never reached for example."""

_LARGEST = 3.4028234663852886e38  # of float32, in which all of it ends


def check_floats(config: "DataclassInstance") -> None:
    """Checks that the floats among the fields of a config are numbers that float32 has.

    Call it before bounds are checked: every comparison with NaN is false, and infinity is above 0.

    Raises:
      InputError: one is NaN or, without `MAY_BE_INFINITE`, infinite or larger than float32's largest number.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, float):
            continue
        if math.isnan(value):
            raise InputError(f"--{field.name}={value}; it must be a number.")
        if abs(value) > _LARGEST and not field.metadata.get("may_be_infinite"):
            raise InputError(f"--{field.name}={value}; it must be a finite number, at most {_LARGEST:.1e} (float32).")


def check_has_effect(config: "DataclassInstance", names: tuple[str, ...], has_effect: bool, needed: str) -> None:
    """Refuses flags that would be ignored: those that have another value than their default.

    Only for flags that the original does not have: its commands may have any of its flags, with or without effect.

    Args:
      config: the flags.
      names: those in question.
      has_effect: whether they have an effect, with the other flags as they are.
      needed: what gives them one, the end of a sentence: "needs --do_train and --do_eval: ...".

    Raises:
      InputError: they have none, and one is given.
    """
    if has_effect:
        return
    for field in dataclasses.fields(config):
        if field.name in names and getattr(config, field.name) != field.default:
            raise InputError(f"--{field.name} {needed}.")
