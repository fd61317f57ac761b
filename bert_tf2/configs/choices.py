"""What flags of several scripts can be, where code with arrays or TensorFlow needs the same names; no TensorFlow."""

from typing import Literal

Compression = Literal["none", "gzip"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip")

MASKINGS = ("static", "dynamic")

LANGUAGES = ("en", "zh", "auto")
"""Of questions and contexts. `en`, words between whitespace, is for all languages that separate words so."""

ProblemType = Literal["single_label", "multi_label", "regression"]
PROBLEM_TYPES: tuple[ProblemType, ...] = ("single_label", "multi_label", "regression")

TAGGING = "tagging"
"""What `task.json` has as `problem_type` in a tagger's directory, beside a classifier's `PROBLEM_TYPES`."""

MULTIPLE_CHOICE = "multiple_choice"
"""What it has in the directory of a model for multiple choice."""
