"""Tagging schemes: tags are converted to BIO when read, and to the scheme of the file when written; no TensorFlow.

    word    BIO    IOBES  BILOU  IOB1   IO
    Empire  B-LOC  B-LOC  B-LOC  I-LOC  I-LOC
    State   I-LOC  E-LOC  L-LOC  I-LOC  I-LOC
    Paris   B-LOC  S-LOC  U-LOC  B-LOC  I-LOC

Prefix and type are separated by a hyphen or an underscore (`B_LOC`). Models use BIO with hyphens only.
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
      name: the name of the scheme, which determines the prefixes.
      separator: the character between prefix and type, `-` or `_`.
    """

    name: Name = "BIO"
    separator: str = "-"

    @classmethod
    def parse(cls, text: str) -> "Scheme":
        """Parses the result of `str`.

        Raises:
          ValueError: it is not the name of a scheme.
        """
        separator = "_" if text.endswith("_") else "-"
        for name in NAMES:
            if name == text.removesuffix("_"):
                return cls(name, separator)
        raise ValueError(f"Unknown scheme of tags {text!r}.")

    def __str__(self) -> str:
        return self.name + ("_" if self.separator == "_" else "")


BIO = Scheme()


def is_tag(tag: str) -> bool:
    """Whether a text is a tag of one of the schemes."""
    return _TAG.fullmatch(tag) is not None


def looks_like_tag(cell: str) -> bool:
    """Whether a cell is a tag that is unlikely to be a word, as a lone S is."""
    return _SURELY_TAG.fullmatch(cell) is not None


def detect(tags: Iterable[Sequence[str]], path: str) -> Scheme:
    """Detects the scheme of a file.

    It is IOB1 if `I-` begins spans, and `B-` only those that directly follow a span of the same type; IO if there is no
    `B-` at all; BIO if some spans begin with `I-` and others with `B-`.

    Args:
      tags: the tags of each sentence, which all satisfy `is_tag`.
      path: the path of the file, for errors.

    Raises:
      InputError: the file has tags of both IOBES and BILOU.
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
            is_continuation = previous == f"-{kind}"
            i_begins = i_begins or (prefix == "I" and not is_continuation)
            b_begins = b_begins or (prefix == "B" and not is_continuation)
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
    """Converts the tags of a sentence to BIO with hyphens; of BIO tags, only the separator changes."""
    hyphenated = [tag if tag[1:2] != "_" else f"{tag[0]}-{tag[2:]}" for tag in tags]
    if scheme.name == "BIO":
        return hyphenated
    return _retag([tag[0].translate(_TO_IOBES) + tag[1:] if tag != OUTSIDE else tag for tag in hyphenated], "BIO")


def from_bio(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Converts the BIO tags of a sentence to another scheme."""
    hyphenated = list(tags) if scheme.name == "BIO" else _retag(tags, scheme.name)
    if scheme.separator == "-":
        return hyphenated
    return [tag if len(tag) == 1 else f"{tag[0]}{scheme.separator}{tag[2:]}" for tag in hyphenated]


def _retag(tags: Sequence[str], name: Name) -> list[str]:
    """The tags of the same spans in another scheme, with hyphens."""
    retagged = [OUTSIDE] * len(tags)
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
        retagged[span.begin : span.end + 1] = [f"{prefix}{kind}" for prefix in prefixes[name]]
        last_kind, last_end = kind, span.end
    return retagged
