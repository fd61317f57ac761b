"""What flags of several scripts can be, where code with arrays or TensorFlow needs the same names; no TensorFlow."""

from typing import Literal

Compression = Literal["none", "gzip"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip")

MASKINGS = ("static", "dynamic")

ProblemType = Literal["single_label", "multi_label", "regression"]
PROBLEM_TYPES: tuple[ProblemType, ...] = ("single_label", "multi_label", "regression")
