"""The files of a prediction; no TensorFlow.

Shapes: `W` words.
"""

import csv
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.errors import counted
from bert_tf2.io import atomic, json_files, run_files, spilled
from bert_tf2.io.delimited import LineEnds
from bert_tf2.io.json_floats import as_printed
from bert_tf2.tasks.tagging import conll, schemes, span_rows
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.tag_sequence import TagSequence
from bert_tf2.tasks.tagging.task_description import OUTSIDE

_VALUES_AT_ONCE = 1 << 16  # of probabilities; as text each takes 128 bytes
_COLUMNS = ("line", "text", "type", "probability", "begin", "end", "sentence")


def write_predictions(
    directory: str,
    sentences: Sentences,
    tags: Sequence[str],
    probabilities: NDArray[np.float32],
    min_confidence: float = 0.0,
) -> list[str]:
    """Writes `predictions.txt` (the input with another column), `predictions.jsonl` and `predictions.csv`.

    For a file of spans, it also writes `predicted_spans.jsonl`, in the format of the file.

    Args:
      directory: the directory to write them into.
      sentences: the sentences that were predicted.
      tags: the W predicted tags, in BIO; they are written in the scheme of `sentences`.
      probabilities: float32 [W], the probability of each tag; NaN for words without pieces, which have no prediction.
      min_confidence: spans with a lower probability (see `sentence_row`) are removed: their words become O.

    Returns:
      The paths.

    Raises:
      ValueError: the number of tags is not that of words.
      OSError: a file cannot be written.
    """
    if len(tags) != len(sentences.words):
        words = counted(len(sentences.words), "word")
        raise ValueError(f"{counted(len(tags), 'tag')} for {words}; expected one tag for each word.")

    if min_confidence > 0:
        tags = _without_unlikely_spans(sentences, tags, probabilities, min_confidence)
    names = [run_files.TAGGED, run_files.PREDICTION_LINES, run_files.PREDICTION_TABLE]
    paths = [os.path.join(directory, name) for name in names]
    with atomic.replacing(paths[0]) as file:
        converted = (schemes.from_bio(sentence, sentences.scheme) for sentence in sentences.split(tags))
        lines = conll.lines_with_tags(sentences, itertools.chain.from_iterable(converted))
        file.writelines(f"{line}\n" for line in lines)
    with atomic.replacing(paths[1]) as file, atomic.replacing(paths[2]) as table:
        writer = csv.DictWriter(LineEnds(table), _COLUMNS)
        writer.writeheader()
        for row, spans in _rows(sentences, tags, _as_printed(probabilities, directory)):
            file.write(json_files.line(row))
            writer.writerows(spans)
    if sentences.is_span_file:
        paths.append(os.path.join(directory, run_files.TAGGED_SPANS))
        span_rows.write(paths[-1], sentences, tags)
    return paths


def _without_unlikely_spans(
    sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float32], min_confidence: float
) -> Sequence[str]:
    """The tags without the spans whose probability is lower than `min_confidence`."""

    values: Any = probabilities  # an array can be split as a sequence can

    def by_sentence() -> Iterator[list[str]]:
        for sentence_tags, sentence_values in zip(sentences.split(tags), sentences.split(values), strict=True):
            kept = list(sentence_tags)
            for span in metrics.spans(sentence_tags):
                words = slice(span.begin, span.end + 1)
                if math.prod(np.asarray(sentence_values[words], np.float64).tolist()) < min_confidence:
                    kept[words] = [OUTSIDE] * len(sentence_tags[words])
            yield kept

    return TagSequence.of(itertools.chain.from_iterable(by_sentence()))


def _as_printed(probabilities: NDArray[np.float32], directory: str) -> NDArray[np.float64]:
    """The probabilities, rounded to the digits with which float32 is printed."""
    spilling = spilled.directory_for_spilling(directory)
    values: NDArray[np.float64] = spilled.empty(probabilities.shape, np.float64, spilling)
    for begin, end in spilled.row_ranges(len(values), 1, _VALUES_AT_ONCE):
        values[begin:end] = as_printed(probabilities[begin:end])
    return values


def _rows(
    sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float64]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The row of `predictions.jsonl` for each sentence, and the rows of `predictions.csv` for its spans."""
    truths = itertools.repeat(None) if sentences.truths is None else sentences.split(sentences.truths)
    columns: Sequence[Any] = (sentences.words, tags, probabilities)
    by_sentence = zip(*(sentences.split(column) for column in columns), strict=True)
    for index, ((words, predicted, word_probabilities), truth) in enumerate(zip(by_sentence, truths, strict=False)):
        values = sentence_row(words, predicted, np.asarray(word_probabilities).tolist())
        line, text, offsets = sentences.located_text(index, words)
        row = {"line": line, **values, "tags": schemes.from_bio(predicted, sentences.scheme)}
        if truth is not None:
            row["truth"] = schemes.from_bio(truth, sentences.scheme)
        if sentences.texts is not None:
            _add_text(row, text, offsets)
        spans = []
        for span in row["spans"]:
            begin, end = offsets[span["begin"]][0], offsets[span["end"] - 1][1]
            cells = {name: span[name] for name in ("type", "probability", "begin", "end")}
            spans.append({"line": line, "text": text[begin:end], **cells, "sentence": text})
        yield row, spans


def _add_text(row: dict[str, Any], text: str, offsets: Sequence[Sequence[int]]) -> None:
    """Adds the text of a sentence to its row, and the text and character offsets of each span."""
    row["text"] = text
    for span in row["spans"]:
        span["start_character"], span["end_character"] = offsets[span["begin"]][0], offsets[span["end"] - 1][1]
        span["text"] = text[span["start_character"] : span["end_character"]]


def sentence_row(words: Sequence[str], tags: Sequence[str], probabilities: Sequence[float]) -> dict[str, Any]:
    """The values of a sentence in `predictions.jsonl`.

    Args:
      words: the words of the sentence.
      tags: their tags, in BIO.
      probabilities: the probabilities of the tags; NaN becomes None.

    Returns:
      `words`, `tags`, `probabilities`, and `spans`, each with `type`, `begin` and `end` (of words `begin` to `end - 1`,
      from 0), these `words`, and `probability`, the product of the probabilities of their tags.
    """
    spans = [
        {
            "type": span.type,
            "begin": span.begin,
            "end": span.end + 1,
            "words": list(words[span.begin : span.end + 1]),
            "probability": round(math.prod(probabilities[span.begin : span.end + 1]), 8),
        }
        for span in metrics.spans(tags)
    ]
    values = [None if math.isnan(value) else value for value in probabilities]
    return {"words": list(words), "tags": list(tags), "probabilities": values, "spans": spans}
