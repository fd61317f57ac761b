"""Chooses the documents that are held out of the training records; no TensorFlow.

A document's rank depends only on the seed and its tokens, so that it is on the same side whatever else is in the input,
as are all copies of it.
"""

import hashlib
import itertools

import numpy as np
from numpy.typing import NDArray

from bert_tf2.pretraining_data.fast_instances import Corpus

_RANKS = 2.0**64


def split(corpus: Corpus, fraction: float, seed: int, whole_input: bool) -> tuple[Corpus, Corpus]:
    """The documents to train on and those to evaluate on, both in order.

    Args:
      corpus: the documents.
      fraction: the approximate fraction of documents to hold out, above 0 and below 1.
      seed: the seed of the ranks.
      whole_input: whether the corpus is the entire input: then the number of held-out documents is as close to the
        fraction as possible, at least one and not all. From a part of the input, all documents below a fixed rank are
        held out, as in the other parts.
    """
    ranks = _ranks(corpus, seed)
    highest = _highest_rank(ranks, fraction) if whole_input else min(int(fraction * _RANKS), 2**64 - 1)
    is_held_out = ranks < np.uint64(highest)
    return _select(corpus, ~is_held_out), _select(corpus, is_held_out)


def _ranks(corpus: Corpus, seed: int) -> NDArray[np.uint64]:
    """A number for each document, uniformly distributed over 64 bits."""
    key = hashlib.blake2b(f"eval_fraction {seed}".encode(), digest_size=16).digest()
    content = np.ascontiguousarray(corpus.token_ids, "<i4").view(np.uint8).data
    ends = (4 * corpus.segment_splits[corpus.document_splits]).tolist()
    ranks = (
        int.from_bytes(hashlib.blake2b(content[start:end], digest_size=8, key=key).digest(), "little")
        for start, end in itertools.pairwise(ends)
    )
    return np.fromiter(ranks, np.uint64, len(corpus))


def _highest_rank(ranks: NDArray[np.uint64], fraction: float) -> int:
    """The rank below which the number of documents is closest to the fraction; copies stay together."""
    distinct, counts = np.unique(ranks, return_counts=True)
    if distinct.size < 2:
        return 0
    below = np.cumsum(counts)[:-1]  # below each rank except the lowest
    return int(distinct[1 + np.argmin(np.abs(below - fraction * ranks.size))])


def _select(corpus: Corpus, is_selected: NDArray[np.bool_]) -> Corpus:
    """The selected documents of a corpus."""
    segments = np.repeat(is_selected, np.diff(corpus.document_splits))
    lengths = np.diff(corpus.segment_splits)
    return Corpus(
        token_ids=corpus.token_ids[np.repeat(segments, lengths)],
        segment_splits=_splits(lengths[segments]),
        document_splits=_splits(np.diff(corpus.document_splits)[is_selected]),
    )


def _splits(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
