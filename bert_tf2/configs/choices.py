"""Choices shared by the flags of several scripts and by the code that uses them; no TensorFlow."""

from typing import Literal

Compression = Literal["none", "gzip"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip")

MASKINGS = ("static", "dynamic")

LANGUAGES = ("en", "zh", "auto")
"""Languages of questions and contexts. `en` covers all languages that separate words by whitespace."""

ProblemType = Literal["single_label", "multi_label", "regression"]
PROBLEM_TYPES: tuple[ProblemType, ...] = ("single_label", "multi_label", "regression")

TAGGING = "tagging"
"""The `problem_type` in a tagger's `task.json`; a classifier's is one of `PROBLEM_TYPES`."""

MULTIPLE_CHOICE = "multiple_choice"
"""The `problem_type` in the `task.json` of a multiple-choice model."""
