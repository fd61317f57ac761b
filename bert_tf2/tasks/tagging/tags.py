"""Tags: their list, ids and weights; no TensorFlow.

Shapes: `W` words, `L` labels.
"""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.checkpoints.task_metadata import check_labels
from bert_tf2.errors import MOST_NAMED, InputError, counted, inflected, some
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.task_description import OUTSIDE, is_tag

logger = logging.getLogger(__name__)


def infer_labels(sentences: Sentences) -> tuple[str, ...]:
    """O, then B and I of each type of the training data, types sorted; also the one of the two that does not occur.

    Raises:
      InputError: all words have the tag O, or a tag cannot be a line of a file.
    """
    kinds = sorted({tag[1:] for tag in set(_tags_of(sentences)) - {OUTSIDE}})
    if not kinds:
        count = len(sentences.words)
        all_have = inflected(count, "the only word has", f"all {count:,} words have")
        raise InputError(
            f"{sentences.path}: {all_have} the tag O, so there is nothing to learn. Is --tag_column right?"
        )
    labels = (OUTSIDE, *(f"{prefix}{kind}" for kind in kinds for prefix in "BI"))
    check_labels(labels, sentences.path)
    return labels


def checked(labels: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The labels, if they are tags of BIO.

    Args:
      labels: O and others.
      where: where they come from, for the error.

    Raises:
      InputError: one is not a tag, or O is missing, or all others.
    """
    wrong = [label for label in labels if not is_tag(label)]
    if wrong or OUTSIDE not in labels or len(labels) < 2:
        found = f"the label {wrong[0]!r:.60}" if wrong else f"the labels {', '.join(labels)}"
        raise InputError(f"{where} has {found}; expected O, and B-type and I-type for each type of span.")
    return labels


def encode(sentences: Sentences, labels: Sequence[str]) -> NDArray[np.int32]:
    """The number of each word's tag, int32 [W]; zeros where the file was read without tags.

    Raises:
      InputError: a tag is not among `labels`; names file and line.
    """
    if sentences.tags is None:
        return np.zeros(len(sentences.words), np.int32)
    ids = {label: index for index, label in enumerate(labels)}
    encoded = np.fromiter((ids.get(tag, -1) for tag in sentences.tags), np.int32, len(sentences.words))
    unknown = np.flatnonzero(encoded < 0)
    if len(unknown):
        raise InputError(
            f"{sentences.place(unknown[0])} has the tag {sentences.tags[unknown[0]]!r:.60}, which the model does not "
            f"know; it knows {some(labels, MOST_NAMED)}."
        )
    return encoded


def balanced_weights(encoded: NDArray[np.int32], count: int) -> NDArray[np.float32]:
    """Weights that give every label that occurs the same total weight: words / (labels * words of the label).

    Args:
      encoded: int [W], the tags that are learned.
      count: L.

    Returns:
      float32 [L], 0 for labels that do not occur; the weights of all words sum to W.
    """
    words = np.bincount(encoded, minlength=count)
    occurs = words > 0
    return np.where(occurs, len(encoded) / (occurs.sum() * np.maximum(words, 1)), 0).astype(np.float32)


def describe(sentences: Sentences) -> None:
    """Logs what a file holds, and warns of spans that no B- begins."""
    tags = _tags_of(sentences)
    found = Counter[str]()
    unusual = 0
    for sentence in sentences.split(tags):
        spans = metrics.spans(sentence)
        found.update(span.type for span in spans)
        unusual += sum(sentence[span.begin].startswith("I") for span in spans)
    logger.info(
        "%s: %s, %s, %s%s.",
        *(sentences.path, counted(len(sentences), "sentence"), counted(len(sentences.words), "word")),
        counted(found.total(), "span"),
        f" ({', '.join(f'{kind} {count:,}' for kind, count in found.most_common(MOST_NAMED))})" if found else "",
    )
    if unusual:
        logger.warning(
            "%s: %s of %s %s with I- instead of B- (as in the older scheme IOB1). Such spans count, as in seqeval and "
            "conlleval, and the model learns the tags unchanged.",
            *(sentences.path, f"{unusual:,}", counted(found.total(), "span"), inflected(unusual, "begins", "begin")),
        )


def _tags_of(sentences: Sentences) -> Sequence[str]:
    if sentences.tags is None:
        raise ValueError(f"{sentences.path} was read without tags.")
    return sentences.tags
