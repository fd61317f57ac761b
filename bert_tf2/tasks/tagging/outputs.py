"""The output files of predictions; no TensorFlow.

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
from bert_tf2.io.json_floats import as_printed
from bert_tf2.tasks.tagging import conll, schemes, span_rows
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.tag_sequence import TagSequence
from bert_tf2.tasks.tagging.task_description import OUTSIDE

_VALUES_AT_ONCE = 1 << 16  # of probabilities; as text each takes 128 bytes
_COLUMNS = ("line", "text", "type", "probability", "begin", "end", "sentence")


def write_predictions(
    folder: str,
    sentences: Sentences,
    tags: Sequence[str],
    probabilities: NDArray[np.float32],
    min_confidence: float = 0.0,
) -> list[str]:
    """Writes `predictions.txt`, the file that was read with one more column, `predictions.jsonl` and `predictions.csv`.

    Of a file of spans, moreover `predicted_spans.jsonl`, in its form.

    Args:
      folder: `output_dir`.
      sentences: what was predicted.
      tags: W of them, in BIO; they are written in the scheme of the file.
      probabilities: float32 [W], of each tag; NaN for words without pieces, of which the model says nothing.
      min_confidence: spans with a lower probability (see `describe`) are not predicted: their words become O.

    Returns:
      The paths.
    """
    if len(tags) != len(sentences.words):
        words = counted(len(sentences.words), "word")
        raise ValueError(f"{counted(len(tags), 'tag')} for {words}; expected one tag for each word.")

    if min_confidence > 0:
        tags = _sure(sentences, tags, probabilities, min_confidence)
    names = [run_files.TAGGED, run_files.PREDICTION_LINES, run_files.PREDICTION_TABLE]
    paths = [os.path.join(folder, name) for name in names]
    with atomic.replacing(paths[0]) as file:
        written = (schemes.from_bio(sentence, sentences.scheme) for sentence in sentences.split(tags))
        lines = conll.with_tags(sentences, itertools.chain.from_iterable(written))
        file.writelines(f"{line}\n" for line in lines)
    with atomic.replacing(paths[1]) as file, atomic.replacing(paths[2]) as table:
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row, spans in _rows(sentences, tags, _printed(probabilities, folder)):
            file.write(json_files.line(row))
            writer.writerows(spans)
    if sentences.is_of_spans:
        paths.append(os.path.join(folder, run_files.TAGGED_SPANS))
        span_rows.write(paths[-1], sentences, tags)
    return paths


def _sure(
    sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float32], min_confidence: float
) -> Sequence[str]:
    """The tags without the spans whose probability is lower than `min_confidence`."""

    values: Any = probabilities  # an array can be split as a sequence can

    def of_sentences() -> Iterator[list[str]]:
        for of_sentence, sure_of in zip(sentences.split(tags), sentences.split(values), strict=True):
            kept = list(of_sentence)
            for span in metrics.spans(of_sentence):
                words = slice(span.begin, span.end + 1)
                if math.prod(np.asarray(sure_of[words], np.float64).tolist()) < min_confidence:
                    kept[words] = [OUTSIDE] * len(of_sentence[words])
            yield kept

    return TagSequence.of(itertools.chain.from_iterable(of_sentences()))


def _printed(probabilities: NDArray[np.float32], folder: str) -> NDArray[np.float64]:
    """The values that float32 prints."""
    values: NDArray[np.float64] = spilled.empty(probabilities.shape, np.float64, folder)
    for begin, end in spilled.row_ranges(len(values), 1, _VALUES_AT_ONCE):
        values[begin:end] = as_printed(probabilities[begin:end])
    return values


def _rows(
    sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float64]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The row of `predictions.jsonl` for each sentence, and the rows of `predictions.csv` for its spans."""
    truths = itertools.repeat(None) if sentences.truths is None else sentences.split(sentences.truths)
    columns: Sequence[Any] = (sentences.words, tags, probabilities)
    parts = zip(*(sentences.split(column) for column in columns), strict=True)
    for number, ((words, predicted, sure_of), truth) in enumerate(zip(parts, truths, strict=False)):
        described = describe(words, predicted, np.asarray(sure_of).tolist())
        place = sentences.place_of(number, words)
        row = {"line": place.line, **described, "tags": schemes.from_bio(predicted, sentences.scheme)}
        if truth is not None:
            row["truth"] = schemes.from_bio(truth, sentences.scheme)
        if sentences.texts is not None:
            _add_text(row, place.text, place.offsets)
        spans = []
        for span in row["spans"]:
            begin, end = place.offsets[span["begin"]][0], place.offsets[span["end"] - 1][1]
            values = {name: span[name] for name in ("type", "probability", "begin", "end")}
            spans.append({"line": place.line, "text": place.text[begin:end], **values, "sentence": place.text})
        yield row, spans


def _add_text(line: dict[str, Any], text: str, offsets: Sequence[Sequence[int]]) -> None:
    """Adds the text of a sentence, and where each span begins and ends in it, in characters."""
    line["text"] = text
    for span in line["spans"]:
        span["start_character"], span["end_character"] = offsets[span["begin"]][0], offsets[span["end"] - 1][1]
        span["text"] = text[span["start_character"] : span["end_character"]]


def describe(words: Sequence[str], tags: Sequence[str], probabilities: Sequence[float]) -> dict[str, Any]:
    """A sentence as JSON has it.

    Args:
      words: of the sentence.
      tags: theirs.
      probabilities: of the tags; NaN becomes null.

    Returns:
      `words`, `tags`, `probabilities`, and `spans`, each with its `type`, `begin` and `end` (words `begin` to
      `end - 1`, from 0), these `words`, and as its `probability` the product of those of their tags.
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
    sure = [None if math.isnan(value) else value for value in probabilities]
    return {"words": list(words), "tags": list(tags), "probabilities": sure, "spans": spans}
