"""Pre-training rows of consecutive sentences instead of pairs: RoBERTa's FULL-SENTENCES; no TensorFlow.

A row is `[CLS] s1 s2 ... [SEP]`: as many consecutive sentences of the corpus as fit into `max_seq_length`, also across
documents. If a document ends within a row, a `[SEP]` follows it. A sentence that is longer than a row is split into
parts of a row's length and one of the remaining tokens, so that no token is lost. All segment ids are 0, and there is
no next-sentence label.

See https://arxiv.org/abs/1907.11692, section 4.2.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bert_tf2.numba_support import kernel
from bert_tf2.pretraining_data.fast_instances import Corpus, InstanceArrays, Vocabulary, kernel_rules, position_type
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.tokenization.sequences import SPECIAL_IN_TEXT, ranges

_ROWS_AT_ONCE = 8192  # per call of the kernel, which takes a fraction of a second

# For all records: the number of masked positions of each, int32 [N]; these positions, int32; their replacements, int32.
_Predictions: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


class Rows(NamedTuple):
    """R rows of one text each, before they are masked.

    Attributes:
      token_ids: int32, the array of which the rows are ranges; here the documents in shuffled order, each followed by
        `[SEP]`.
      starts: int64 [R], the start of each row in token_ids, without `[CLS]`.
      lengths: int32 [R], the number of tokens of each row, at least 1; without `[CLS]` and the last `[SEP]`, but with
        those between documents.
    """

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int32]


def pack(
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    masked: bool = True,
    after_rows: Callable[[int], None] = lambda _: None,
) -> InstanceArrays:
    """Creates all rows of a corpus, shuffled, as instances of one text.

    Args:
      corpus: the documents; their order is shuffled first.
      vocabulary: the properties of the vocabulary.
      parameters: `max_seq_length` (at least 5) and, for masked rows, `max_predictions_per_seq`, `masked_lm_prob`,
        `do_whole_word_mask` and `dupe_factor`, the number of times that each row is masked and written. Rows that are
        not masked are written once, as copies would be equal. `short_seq_prob` has no effect.
      rng: the only source of randomness.
      masked: whether to mask, with the rules and draws of `_instances_numba.mask_tokens`.
      after_rows: called from time to time with the number of records masked since the last call, to show progress.

    Raises:
      ValueError: the corpus has token ids that the vocabulary does not have.
    """
    vocabulary.check(corpus)
    documents = list(range(len(corpus)))
    rng.shuffle(documents)
    token_ids, sentence_starts, sentence_ends = _stream(corpus, documents, vocabulary.sep_id)
    room = parameters.max_seq_length - SPECIAL_IN_TEXT
    starts, lengths = _rows(*split(sentence_starts, sentence_ends, room), room)
    return instances(Rows(token_ids, starts, lengths), vocabulary, parameters, rng, masked, after_rows)


def instances(
    rows: Rows,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    masked: bool,
    after_rows: Callable[[int], None],
) -> InstanceArrays:
    """Masks rows and shuffles them; for the arguments, see `pack`."""
    if masked:
        counts, positions, replacements = _mask(rows, vocabulary, parameters, rng, after_rows)
    else:
        counts, positions, replacements = np.zeros_like(rows.lengths), np.zeros(0, np.int32), np.zeros(0, np.int32)
    order = np.arange(counts.size)
    _shuffle(order, rng)
    dtype = position_type(parameters)
    return InstanceArrays(
        token_ids=rows.token_ids,
        starts=rows.starts[:, None],
        lengths=rows.lengths[:, None].astype(dtype),
        is_random_next=np.zeros(counts.size, np.bool_),
        prediction_splits=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        positions=positions.astype(dtype),
        replacements=replacements,
        order=order,
        vocabulary=vocabulary,
        parameters=parameters,
    )


def _stream(
    corpus: Corpus, documents: Sequence[int], sep_id: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The tokens of all documents in the given order, each followed by `[SEP]`; starts and ends of the sentences."""
    sep, tokens, lengths = np.array([sep_id], np.int32), [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for document in documents:
        splits = corpus.segment_splits[corpus.document_splits[document] : corpus.document_splits[document + 1] + 1]
        tokens += [corpus.token_ids[splits[0] : splits[-1]], sep]
        lengths.append(np.diff(splits))
    separators_before = np.repeat(np.arange(len(documents)), [part.size for part in lengths[1:]])
    all_lengths = np.concatenate(lengths)
    ends = np.cumsum(all_lengths) + separators_before
    return np.concatenate(tokens, dtype=np.int32), ends - all_lengths, ends


def split(starts: NDArray[np.int64], ends: NDArray[np.int64], room: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of sentences; those of more than `room` tokens are split into parts of at most that length."""
    counts = -(-(ends - starts) // room)
    number = ranges(0, counts)  # of each part in its sentence
    part_starts = np.repeat(starts, counts) + room * number
    return part_starts, np.minimum(part_starts + room, np.repeat(ends, counts))


def _rows(starts: NDArray[np.int64], ends: NDArray[np.int64], room: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Starts and lengths of rows, each with as many sentences, or parts of them, as fit."""
    # For each sentence, the first one after a row that starts with it.
    following = np.searchsorted(ends, starts + room, side="right")
    firsts, sentence = [], 0
    while sentence < starts.size:
        firsts.append(sentence)
        sentence = int(following[sentence])
    first = np.array(firsts, np.int64)
    return starts[first], (ends[following[first] - 1] - starts[first]).astype(np.int32)


def _shuffle(values: NDArray[np.int64], rng: random.Random) -> None:
    """`rng.shuffle(values)` without a Python object for each row, of which there may be many millions."""
    kernel("bert_tf2.pretraining_data._full_sentences_numba")
    from bert_tf2.pretraining_data import _random_numba

    state = _random_numba.take_over(rng)
    _random_numba.shuffle(state, values)
    _random_numba.hand_back(state, rng)


def _mask(
    rows: Rows,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_rows: Callable[[int], None],
) -> _Predictions:
    compiled: Any = kernel("bert_tf2.pretraining_data._full_sentences_numba")
    from bert_tf2.pretraining_data import _random_numba

    state = _random_numba.take_over(rng)
    rules = kernel_rules(vocabulary, parameters)
    scratch = compiled.scratch(parameters.max_seq_length)
    out = compiled.room_for(_ROWS_AT_ONCE, int(rules.mask_counts.max()))
    counts, positions, replacements = [], [], []
    for _ in range(parameters.dupe_factor):
        for start in range(0, rows.starts.size, _ROWS_AT_ONCE):
            selected = slice(start, start + _ROWS_AT_ONCE)
            starts = rows.starts[selected]
            predictions = compiled.mask_rows(rows.token_ids, starts, rows.lengths[selected], rules, scratch, out, state)
            counts.append(out.counts[: starts.size].copy())
            positions.append(out.positions[:predictions].copy())
            replacements.append(out.replacements[:predictions].copy())
            after_rows(starts.size)
    _random_numba.hand_back(state, rng)
    empty = [np.zeros(0, np.int32)]
    return np.concatenate(empty + counts), np.concatenate(empty + positions), np.concatenate(empty + replacements)
