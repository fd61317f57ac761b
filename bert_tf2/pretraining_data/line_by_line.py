"""Pre-training rows of single lines: `[CLS] line [SEP]`; no TensorFlow.

Segment ids are 0 and there is no next-sentence label, as in `full_sentences`, whose code masks the rows.
"""

import random
from collections.abc import Callable

import numpy as np

from bert_tf2.pretraining_data import full_sentences
from bert_tf2.pretraining_data.fast_instances import Corpus, InstanceArrays, Vocabulary
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.tokenization.sequences import SPECIAL_IN_TEXT


def pack(
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    masked: bool = True,
    long_lines: str = "truncate",
    after_rows: Callable[[int], None] = lambda _: None,
) -> InstanceArrays:
    """The lines of a corpus as instances of one text, shuffled.

    Args:
      corpus: its segments are the lines; its documents do not matter.
      vocabulary: the properties of the vocabulary.
      parameters: as in `full_sentences.pack`.
      rng: the only source of randomness.
      masked: whether to mask; each line is then masked and written `dupe_factor` times, otherwise written once.
      long_lines: how to handle lines of more than `max_seq_length - 2` tokens: "truncate" keeps as many tokens as fit,
        "split" makes parts of that length and one of the remaining tokens.
      after_rows: called from time to time with the number of records masked since the last call, to show progress.

    Raises:
      ValueError: the corpus has token ids that the vocabulary does not have.
    """
    vocabulary.check(corpus)
    room = parameters.max_seq_length - SPECIAL_IN_TEXT
    starts, ends = corpus.segment_splits[:-1], corpus.segment_splits[1:]
    if long_lines == "split":
        starts, ends = full_sentences.split(starts, ends, room)
    lengths = np.minimum(ends - starts, room).astype(np.int32)
    # The kernel is compiled for exactly these types.
    token_ids = np.require(corpus.token_ids, np.int32, ("C", "W"))
    rows = full_sentences.Rows(token_ids, np.require(starts, np.int64, ("C", "W")), lengths)
    return full_sentences.instances(rows, vocabulary, parameters, rng, masked, after_rows)
