"""Texts with labelled spans, one object per line, as exported by annotation tools; no TensorFlow.

    {"text": "Peter ran.", "label": [[0, 5, "PER"]]}                              Doccano
    {"text": "Peter ran.", "entities": [[0, 5, "PER"]]}                           spaCy
    {"text": "Peter ran.", "spans": [{"start": 0, "end": 5, "label": "PER"}]}     Prodigy

Offsets count characters from 0; a span ends before `end`. A text is a sentence, whose words are those of `plain_text`;
spans become tags in BIO. A prediction is written in the form that the file has.
"""

import dataclasses
import itertools
import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bert_tf2 import metrics
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError, counted, inflected
from bert_tf2.io import atomic, file_kinds, files, json_files, json_rows
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.plain_text import Texts
from bert_tf2.tasks.tagging.tag_sequence import TagSequence
from bert_tf2.tasks.tagging.task_description import OUTSIDE

logger = logging.getLogger(__name__)

EXPECTED = 'expected an object on each line: {"text": "Peter ran.", "label": [[0, 5, "PER"]]}'

_TEXT = "text"
_KEYS = ("spans", "entities", "labels", "label")
_OF_SPAN = (
    # Those of predictions.jsonl, whose begin and end are words, come first.
    ("start_character", "end_character"),
    ("start_offset", "end_offset"),
    ("start", "end"),
)
_LABELS = ("label", "type", "entity_group")


class Span(NamedTuple):
    """A part of a text.

    Attributes:
      start: its first character, from 0.
      end: the character after its last.
      label: of it.
    """

    start: int
    end: int
    label: str


@dataclasses.dataclass
class _Counts:
    """Statistics of converting spans to tags."""

    spans: int = 0
    widened: int = 0
    left_out: int = 0
    first: str = ""

    def log(self, path: str) -> None:
        if self.widened or self.left_out:
            logger.warning(
                "%s: of %s, %s %s widened to whole words, and %s %s no word, or only words of another span. The first "
                "is %s. Do the offsets count characters from 0?",
                *(path, counted(self.spans, "span"), f"{self.widened:,}"),
                inflected(self.widened, "begins or ends within a word and was", "begin or end within a word and were"),
                f"{self.left_out:,}",
                inflected(self.left_out, "was left out, as it has", "were left out, as they have"),
                self.first,
            )


def is_span_file(path: str) -> bool:
    """Whether a file is of objects, by its ending."""
    return file_kinds.kind_of(path) in ("json lines", "json")


def read(path: str, with_spans: bool, options: TokenizerOptions = PLAIN, directory: str | None = None) -> Sentences:
    """Reads texts, and their spans as tags.

    A span that begins or ends within a word is widened to the word; a warning says how many are.

    Args:
      path: JSON Lines, or a JSON array of objects; perhaps compressed.
      with_spans: whether spans are required; if not, the spans of a file become `truths` if all of them are valid.
      options: of the model's tokenizer; see `plain_text.read`.
      directory: for what is large; None: the system's directory for temporary files.

    Raises:
      InputError: the file cannot be read, a row has another form, or spans overlap.
    """
    texts = Texts(options, directory)
    names, tags = dict[str, int](), array("i")
    counts = _Counts()
    key, has_spans = _KEYS[0], True
    for line, row in json_rows.read(path, EXPECTED):
        where = f"{path}, line {line}"
        text = _text(row, where)
        offsets = texts.add(line, text)
        if not has_spans:
            continue
        try:
            key = key if key in row else _key(row, where)
            spans = _spans(row[key], text, where)
        except InputError:
            if with_spans:
                raise
            has_spans = False
            continue
        of_text = _tags(spans, text, offsets, where, counts)
        tags.extend(names.setdefault(tag, len(names)) for tag in of_text)
    of_words = TagSequence(list(names), np.array(tags, np.int32))
    if with_spans:
        counts.log(path)
        sentences = texts.sentences(path, "texts with labelled spans", of_words)
        return dataclasses.replace(sentences, is_of_spans=True)
    sentences = texts.sentences(path, "texts with labelled spans")
    is_tagged = has_spans and not of_words.different <= {OUTSIDE}  # empty lists may be placeholders
    return dataclasses.replace(sentences, is_of_spans=True, truths=of_words if is_tagged else None)


def write(path: str, sentences: Sentences, tags: Sequence[str]) -> None:
    """Writes the rows of a file with the spans of tags, in the form of the file; if it has no spans, as Doccano's.

    Args:
      path: the file to write.
      sentences: what `read` made of the file, which is read again.
      tags: W of them, in BIO.

    Raises:
      InputError: the file has changed since.
      OSError: the new file cannot be written.
    """
    form = _Form.of(sentences.path)
    texts = zip(sentences.texts or (), _spans_of_tags(sentences, tags), strict=True)
    text, spans = next(texts, (None, []))
    with atomic.replacing(path) as file:
        for _, row in json_rows.read(sentences.path, EXPECTED):
            is_next = row.get(_TEXT) == text  # else it is a text without words
            file.write(json_files.line({**row, **form.describe(spans if is_next else [])}))
            if is_next:
                text, spans = next(texts, (None, []))
        if text is not None:
            raise InputError(f"{sentences.path} changed during the prediction; run it again.")


def _spans_of_tags(sentences: Sentences, tags: Sequence[str]) -> Iterator[list[Span]]:
    """The spans of each text."""
    offsets = np.asarray(sentences.offsets)
    for begin, found in zip(sentences.row_splits[:-1].tolist(), sentences.split(tags), strict=True):
        spans = metrics.spans(found)
        yield [
            Span(int(offsets[begin + span.begin, 0]), int(offsets[begin + span.end, 1]), span.type) for span in spans
        ]


class _Form(NamedTuple):
    """The format of a file's spans.

    Attributes:
      key: of the list.
      names: of start, end and label where a span is an object.
    """

    key: str = "label"
    names: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, path: str) -> "_Form":
        """That of the first span of a file."""
        form = cls()
        for _, row in json_rows.read(path, EXPECTED):
            for key in _KEYS:
                spans = row.get(key)
                if isinstance(spans, list):
                    form = cls(key)
                    if spans and isinstance(spans[0], dict):
                        ends = next((names for names in _OF_SPAN if names[0] in spans[0]), _OF_SPAN[-1])
                        form = cls(key, (*ends, next((name for name in _LABELS if name in spans[0]), _LABELS[0])))
                    if spans:
                        return form
                    break
        return form

    def describe(self, spans: Sequence[Span]) -> dict[str, Any]:
        """Spans as a row has them."""
        names = self.names
        return {self.key: [dict(zip(names, span, strict=True)) if names else list(span) for span in spans]}


def _text(row: Mapping[str, Any], where: str) -> str:
    text = row.get(_TEXT)
    if not isinstance(text, str):
        raise InputError(f"{where} has {'no text' if text is None else f'the text {text!r:.60}'}; {EXPECTED}.")
    if not files.is_unicode(text):
        raise InputError(f"{where}: the text is not valid Unicode (it contains an unpaired surrogate).")
    return text


def _key(row: Mapping[str, Any], where: str) -> str:
    for key in _KEYS:
        if key in row:
            return key
    raise InputError(f"{where} has no spans ({', '.join(_KEYS)}); {EXPECTED}. A text without any has an empty list.")


def _spans(found: Any, text: str, where: str) -> list[Span]:
    """The spans of a row in their order, without the spaces at their ends unless they are nothing else, each once."""
    if not isinstance(found, list):
        raise InputError(f"{where} has {found!r:.60} instead of a list of spans; {EXPECTED}.")
    spans = set()
    for one in found:
        start, end, label = _parts(one, where)
        if not 0 <= start < end <= len(text):
            raise InputError(
                f"{where} has a span from {start} to {end}, but the text has {counted(len(text), 'character')}; "
                "offsets count them from 0, and a span ends after it begins."
            )
        inside = text[start:end]
        if not inside.strip():
            spans.add(Span(start, end, label))
            continue
        spans.add(Span(start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip()), label))
    ordered = sorted(spans)
    for one, other in itertools.pairwise(ordered):
        if other.start < one.end:
            raise InputError(
                f"{where} has spans that overlap, {list(one)} and {list(other)}; a word can have only one tag, so "
                "remove one of them."
            )
    return ordered


def _parts(span: Any, where: str) -> tuple[int, int, str]:
    """Start, end and label of a span in any of the forms."""
    values: Sequence[Any] = span if isinstance(span, list) else ()
    if isinstance(span, dict):
        keys = next((keys for keys in _OF_SPAN if keys[0] in span), _OF_SPAN[-1])
        label = next((span[name] for name in _LABELS if name in span), None)
        values = (*(span.get(key) for key in keys), label)
    if len(values) != 3 or not all(type(value) is int for value in values[:2]) or not isinstance(values[2], str):
        raise InputError(f'{where} has the span {span!r:.80}; expected [start, end, "label"], or an object with these.')
    if not values[2].strip():
        raise InputError(f"{where} has the span {span!r:.80} without a label; expected a label.")
    return values[0], values[1], values[2].strip()


def _tags(
    spans: Sequence[Span], text: str, offsets: Sequence[tuple[int, int]], where: str, counts: _Counts
) -> list[str]:
    """The tags of a text's words, which begin and end at `offsets`."""
    tags = [OUTSIDE] * len(offsets)
    word = 0
    for span in spans:
        counts.spans += 1
        while word < len(offsets) and offsets[word][1] <= span.start:
            word += 1
        end = word
        while end < len(offsets) and offsets[end][0] < span.end:
            end += 1
        begin = word
        while begin < end and tags[begin] != OUTSIDE:  # the last word of the span before
            begin += 1
        tags[begin:end] = [f"{'I' if number > begin else 'B'}-{span.label}" for number in range(begin, end)]
        is_widened = begin < end and (offsets[begin][0], offsets[end - 1][1]) != (span.start, span.end)
        counts.widened += is_widened
        counts.left_out += begin == end
        if (is_widened or begin == end) and not counts.first:
            counts.first = f"{list(span)} of {where}, {text[span.start : span.end]!r:.60}"
    return tags
