"""Pre-training rows of consecutive sentences instead of pairs: RoBERTa's FULL-SENTENCES; no TensorFlow.

A row is `[CLS] s1 s2 ... [SEP]`: the sentences that follow each other in the corpus, as many as fit into
`max_seq_length`, over the ends of documents too. Where a document ends within a row, a `[SEP]` stands before the next
document's first sentence. A sentence that no row can hold is split into parts as long as a row, and the rest; so no
token is lost. Every segment id is 0 and there is no next-sentence label.

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

_ROWS_AT_ONCE = 8192  # of the compiled code, a fraction of a second


# Of all records: how many positions of each are masked, int32 [N]; which, int32; what is shown there, int32.
_Predictions: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


class Rows(NamedTuple):
    """Rows before they are masked, R of them, each of one text.

    Attributes:
      token_ids: int32, what the rows are ranges of; here the documents in shuffled order, a `[SEP]` after each.
      starts: int64 [R], where each row begins in token_ids, `[CLS]` and the last `[SEP]` not counted.
      lengths: int32 [R], tokens of each row, those two not counted, a `[SEP]` between documents counted; at least 1.
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
    """All rows of a corpus, shuffled, as instances of one text.

    Args:
      corpus: the documents; their order is shuffled first.
      vocabulary: see there.
      parameters: `max_seq_length` (5 at least) and, of masked rows, `max_predictions_per_seq`, `masked_lm_prob`,
        `do_whole_word_mask` and `dupe_factor`: each row is masked and written so many times. Rows that are not masked
        are written once, for copies would be the same. `short_seq_prob` has no meaning here.
      rng: the only source of randomness.
      masked: whether to mask, by the rules and the draws of `_instances_numba.mask_tokens`.
      after_rows: called now and then with the number of records that were masked since, to show progress.

    Raises:
      ValueError: token ids that the vocabulary does not have.
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
    """Masks rows and shuffles them; the arguments are those of `pack`."""
    if masked:
        counts, positions, replacements = _mask(rows, vocabulary, parameters, rng, after_rows)
    else:
        counts, positions, replacements = np.zeros_like(rows.lengths), np.zeros(0, np.int32), np.zeros(0, np.int32)
    order = np.arange(counts.size)
    _shuffle(order, rng)
    small = position_type(parameters)
    return InstanceArrays(
        token_ids=rows.token_ids,
        starts=rows.starts[:, None],
        lengths=rows.lengths[:, None].astype(small),
        is_random_next=np.zeros(counts.size, np.bool_),
        prediction_splits=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        positions=positions.astype(small),
        replacements=replacements,
        order=order,
        vocabulary=vocabulary,
        parameters=parameters,
    )


def _stream(
    corpus: Corpus, documents: Sequence[int], sep_id: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The tokens of all documents in the given order, a `[SEP]` after each; where each sentence starts and ends."""
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
    """Starts and ends of the sentences, those of more than `room` tokens split into parts of that and the rest."""
    counts = -(-(ends - starts) // room)
    number = ranges(0, counts)  # of a part in its sentence
    part_starts = np.repeat(starts, counts) + room * number
    return part_starts, np.minimum(part_starts + room, np.repeat(ends, counts))


def _rows(starts: NDArray[np.int64], ends: NDArray[np.int64], room: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Starts and lengths of the rows, each with as many sentences (or parts of one) as fit."""
    following = np.searchsorted(ends, starts + room, side="right")  # the sentence after a row that starts with this one
    firsts, sentence = [], 0
    while sentence < starts.size:
        firsts.append(sentence)
        sentence = int(following[sentence])
    chosen = np.array(firsts, np.int64)
    return starts[chosen], (ends[following[chosen] - 1] - starts[chosen]).astype(np.int32)


def _shuffle(values: NDArray[np.int64], rng: random.Random) -> None:
    """`rng.shuffle(values)`, without a Python object for each of what may be many millions of rows."""
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
    out = compiled.room_for(_ROWS_AT_ONCE, int(rules.wanted.max()))
    counts, positions, replacements = [], [], []
    for _ in range(parameters.dupe_factor):
        for start in range(0, rows.starts.size, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            starts = rows.starts[part]
            predictions = compiled.mask_rows(rows.token_ids, starts, rows.lengths[part], rules, scratch, out, state)
            counts.append(out.counts[: starts.size].copy())
            positions.append(out.positions[:predictions].copy())
            replacements.append(out.replacements[:predictions].copy())
            after_rows(starts.size)
    _random_numba.hand_back(state, rng)
    empty = [np.zeros(0, np.int32)]
    return np.concatenate(empty + counts), np.concatenate(empty + positions), np.concatenate(empty + replacements)
