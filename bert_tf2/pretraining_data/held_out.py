"""Choosing the documents that are held out of the training records; no TensorFlow.

A document's rank follows from the seed and its tokens alone, so that it is on the same side whatever else is in the
input, and every copy of it is, too.
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
      fraction: about how many of them are held out, above 0 and below 1.
      seed: what the choice follows from, besides the documents.
      whole_input: whether there are no other documents: then as many are held out as come nearest to the fraction, one
        at least and not all. Of a part of the input, those are whose rank is low enough, as in the other parts.
    """
    ranks = _ranks(corpus, seed)
    highest = _highest_rank(ranks, fraction) if whole_input else min(int(fraction * _RANKS), 2**64 - 1)
    is_held_out = ranks < np.uint64(highest)
    return _taken(corpus, ~is_held_out), _taken(corpus, is_held_out)


def _ranks(corpus: Corpus, seed: int) -> NDArray[np.uint64]:
    """A number for each document, spread evenly over all of 64 bits."""
    key = hashlib.blake2b(f"eval_fraction {seed}".encode(), digest_size=16).digest()
    content = np.ascontiguousarray(corpus.token_ids, "<i4").view(np.uint8).data
    ends = (4 * corpus.segment_splits[corpus.document_splits]).tolist()
    ranks = (
        int.from_bytes(hashlib.blake2b(content[start:end], digest_size=8, key=key).digest(), "little")
        for start, end in itertools.pairwise(ends)
    )
    return np.fromiter(ranks, np.uint64, len(corpus))


def _highest_rank(ranks: NDArray[np.uint64], fraction: float) -> int:
    """The rank below which the number of documents comes nearest to the fraction; copies stay together."""
    different, counts = np.unique(ranks, return_counts=True)
    if different.size < 2:
        return 0
    below = np.cumsum(counts)[:-1]  # each of the other ranks
    return int(different[1 + np.argmin(np.abs(below - fraction * ranks.size))])


def _taken(corpus: Corpus, chosen: NDArray[np.bool_]) -> Corpus:
    """Some of the documents of a corpus."""
    of_segments = np.repeat(chosen, np.diff(corpus.document_splits))
    lengths = np.diff(corpus.segment_splits)
    return Corpus(
        token_ids=corpus.token_ids[np.repeat(of_segments, lengths)],
        segment_splits=_splits(lengths[of_segments]),
        document_splits=_splits(np.diff(corpus.document_splits)[chosen]),
    )


def _splits(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
