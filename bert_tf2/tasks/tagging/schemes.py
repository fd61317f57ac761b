"""Tagging schemes: all are read as BIO, and written back in the original scheme; no TensorFlow.

    word    BIO    IOBES  BILOU  IOB1   IO
    Empire  B-LOC  B-LOC  B-LOC  I-LOC  I-LOC
    State   I-LOC  E-LOC  L-LOC  I-LOC  I-LOC
    Paris   B-LOC  S-LOC  U-LOC  B-LOC  I-LOC

Between prefix and type stands a hyphen, or an underscore (`B_LOC`). Models know BIO with hyphens alone.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from bert_tf2 import metrics
from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging.task_description import OUTSIDE

Name = Literal["BIO", "IOBES", "BILOU", "IOB1", "IO"]

NAMES: tuple[Name, ...] = ("BIO", "IOBES", "BILOU", "IOB1", "IO")

_TAG = re.compile(r"O|[BIESLU]([-_].+)?")
_SURELY_TAG = re.compile(r"O|[BI]|[BIESLU][-_].+")
_TO_IOBES = str.maketrans("LU", "ES")
_TO_BILOU = str.maketrans("ES", "LU")


@dataclasses.dataclass(frozen=True)
class Scheme:
    """The tagging scheme of a file.

    Attributes:
      name: which prefixes there are, and when.
      separator: what stands between prefix and type.
    """

    name: Name = "BIO"
    separator: str = "-"

    @classmethod
    def parse(cls, text: str) -> "Scheme":
        """What `str` made.

        Raises:
          ValueError: it is not the name of a scheme.
        """
        name, separator = text.removesuffix("_"), "_" if text.endswith("_") else "-"
        return cls(next(known for known in NAMES if known == name), separator) if name in NAMES else _unknown(text)

    def __str__(self) -> str:
        return self.name + ("_" if self.separator == "_" else "")


BIO = Scheme()


def _unknown(text: str) -> Scheme:
    raise ValueError(f"Unknown scheme of tags {text!r}.")


def is_tag(tag: str) -> bool:
    """Whether it is a tag of one of the schemes."""
    return _TAG.fullmatch(tag) is not None


def looks_like_tag(cell: str) -> bool:
    """Whether it is a tag and not just as well a word: a lone S, for example."""
    return _SURELY_TAG.fullmatch(cell) is not None


def find(tags: Iterable[Sequence[str]], path: str) -> Scheme:
    """The scheme of a file.

    IOB1 is where `I-` begins spans, and `B-` only those that follow one of the same type directly. Where there is no
    `B-` at all it is IO. Where `I-` begins some spans and `B-` others, it is BIO.

    Args:
      tags: of each sentence; each one `is_tag`.
      path: for the error.

    Raises:
      InputError: tags of IOBES and of BILOU stand in one file.
    """
    prefixes, separator = set(), ""
    i_begins = b_begins = False
    for sentence in tags:
        previous = ""
        for tag in sentence:
            prefix, kind = tag[0], tag[2:]
            prefixes.add(prefix)
            separator = separator or tag[1:2]
            if prefix == OUTSIDE:
                previous = ""
                continue
            goes_on = previous == f"-{kind}"
            i_begins = i_begins or (prefix == "I" and not goes_on)
            b_begins = b_begins or (prefix == "B" and not goes_on)
            previous = f"-{kind}"
    if prefixes & set("ES") and prefixes & set("LU"):
        raise InputError(
            f"{path} has tags of two schemes: {', '.join(sorted(prefixes & set('ESLU')))} before types; expected "
            "E- and S- (IOBES), or L- and U- (BILOU). Is --tag_column right?"
        )
    if prefixes & set("ES"):
        return Scheme("IOBES", separator or "-")
    if prefixes & set("LU"):
        return Scheme("BILOU", separator or "-")
    if "I" in prefixes and "B" not in prefixes:
        return Scheme("IO", separator or "-")
    return Scheme("IOB1" if i_begins and not b_begins else "BIO", separator or "-")


def to_bio(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """A sentence's tags in BIO; those in BIO stay as they are, but for the separator."""
    plain = [tag if tag[1:2] != "_" else f"{tag[0]}-{tag[2:]}" for tag in tags]
    if scheme.name == "BIO":
        return plain
    return _of_spans([tag[0].translate(_TO_IOBES) + tag[1:] if tag != OUTSIDE else tag for tag in plain], "BIO")


def from_bio(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """A sentence's tags of BIO in another scheme."""
    found = list(tags) if scheme.name == "BIO" else _of_spans(tags, scheme.name)
    if scheme.separator == "-":
        return found
    return [tag if len(tag) == 1 else f"{tag[0]}{scheme.separator}{tag[2:]}" for tag in found]


def _of_spans(tags: Sequence[str], name: Name) -> list[str]:
    """Tags that describe the same spans, with hyphens."""
    found = [OUTSIDE] * len(tags)
    last_kind, last_end = "", -2
    for span in metrics.spans(tags):
        kind, length = tags[span.begin][1:], span.end - span.begin + 1
        prefixes = {
            "BIO": "B" + "I" * (length - 1),
            "IOBES": "S" if length == 1 else "B" + "I" * (length - 2) + "E",
            "IOB1": ("B" if (kind, span.begin) == (last_kind, last_end + 1) else "I") + "I" * (length - 1),
            "IO": "I" * length,
        }
        prefixes["BILOU"] = prefixes["IOBES"].translate(_TO_BILOU)
        found[span.begin : span.end + 1] = [f"{prefix}{kind}" for prefix in prefixes[name]]
        last_kind, last_end = kind, span.end
    return found
