"""The output files of predictions; no TensorFlow.

Shapes: `W` words.
"""

import itertools
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.io import atomic, run_files, spilled
from bert_tf2.tasks.tagging import conll, schemes, span_rows
from bert_tf2.tasks.tagging.conll import Sentences

_VALUES_AT_ONCE = 1 << 16  # of probabilities; as text each takes 128 bytes


def write_predictions(
    folder: str, sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float32]
) -> list[str]:
    """Writes `predictions.txt`, the file that was read with one more column, and `predictions.jsonl`.

    Of a file of spans, moreover `predicted_spans.jsonl`, in its form.

    Args:
      folder: `output_dir`.
      sentences: what was predicted.
      tags: W of them, in BIO; they are written in the scheme of the file.
      probabilities: float32 [W], of each tag; NaN for words without pieces, of which the model says nothing.

    Returns:
      The paths.
    """
    if len(tags) != len(sentences.words):
        raise ValueError(f"{len(tags)} tags for {len(sentences.words)} words; expected one tag for each word.")

    def written() -> Iterator[list[str]]:
        return (schemes.from_bio(sentence, sentences.scheme) for sentence in sentences.split(tags))

    paths = [os.path.join(folder, run_files.TAGGED), os.path.join(folder, run_files.PREDICTION_LINES)]
    with atomic.replacing(paths[0]) as file:
        lines = conll.with_tags(sentences, itertools.chain.from_iterable(written()))
        file.writelines(f"{line}\n" for line in lines)
    # As float32 prints itself: 0.1, not 0.10000000149011612.
    values: Any = spilled.empty(probabilities.shape, np.float64, folder)
    for begin, end in spilled.row_ranges(len(values), 1, _VALUES_AT_ONCE):
        values[begin:end] = probabilities[begin:end].astype(str).astype(float)
    sure_of = (np.asarray(part).tolist() for part in sentences.split(values))
    parts = zip(sentences.split(sentences.words), sentences.split(tags), written(), sure_of, strict=True)
    with atomic.replacing(paths[1]) as file:
        for number, (of_sentence, found, as_written, sure) in enumerate(parts):
            begin = int(sentences.row_splits[number])
            described = describe(of_sentence, found, sure)
            line = {"line": int(sentences.word_lines[begin]) + 1, **described, "tags": as_written}
            if sentences.texts is not None and sentences.offsets is not None:
                line["line"] = sentences.text_lines[number]
                offsets = sentences.offsets[begin : begin + len(of_sentence)].tolist()
                _add_text(line, sentences.texts[number], offsets)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    if sentences.is_of_spans:
        paths.append(os.path.join(folder, run_files.TAGGED_SPANS))
        span_rows.write(paths[-1], sentences, tags)
    return paths


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
