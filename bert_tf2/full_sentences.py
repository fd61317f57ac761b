"""Pre-training rows of consecutive sentences instead of pairs: RoBERTa's FULL-SENTENCES; no TensorFlow.

A row is `[CLS] s1 s2 ... [SEP]`: the sentences that follow each other in the corpus, as many as fit into
`max_seq_length`, over the ends of documents too. Where a document ends within a row, a `[SEP]` stands before the next
document's first sentence. A sentence that no row can hold is cut into parts as long as a row, and the rest; so no token
is lost. Every segment id is 0 and there is no next-sentence label.

See https://arxiv.org/abs/1907.11692, section 4.2.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bert_tf2.compilation import kernel
from bert_tf2.fast_instances import Corpus, InstanceArrays, Vocabulary, kernel_rules
from bert_tf2.instances import InstanceParameters, mask_tokens
from bert_tf2.sequences import CLS, SEP

_SPECIAL_TOKENS = 2  # [CLS] ... [SEP]
_ROWS_AT_ONCE = 8192  # of the compiled code, a fraction of a second


# Of all records: how many positions of each are masked, int32 [N]; which, int32; what is shown there, int32.
_Predictions: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


class _Rows(NamedTuple):
    """See `PackedRows`."""

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int32]


@dataclass(frozen=True)
class PackedRows:
    """Rows of sentences, `R` of them, to be written once or, with other masks, several times: `N` records.

    Attributes:
      token_ids: int32, the documents in shuffled order, a `[SEP]` behind each.
      starts: int64 [R], where the sentences of a row begin in token_ids.
      lengths: int32 [R], their tokens and the `[SEP]` between documents; at least 1.
      order: int64 [N], the record to be written n-th is `order[n]` of those made; record m shows row m modulo R.
      prediction_splits: int64 [N + 1], into the next two; all 0 where the rows are not masked.
      positions: int32, masked positions in a row, `[CLS]` counted, ascending in each record.
      replacements: int32, what is shown there instead.
      is_masked: whether `features` has the `masked_lm_` ones.
      cut_sentences: how many sentences were too long for a row.
      vocabulary: what they were made with.
      parameters: what they were made with.
    """

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int32]
    order: NDArray[np.int64]
    prediction_splits: NDArray[np.int64]
    positions: NDArray[np.int32]
    replacements: NDArray[np.int32]
    is_masked: bool
    cut_sentences: int
    vocabulary: Vocabulary
    parameters: InstanceParameters

    def __len__(self) -> int:
        """Number of records."""
        return self.order.size

    @property
    def padding(self) -> int:
        """Positions of all records that are padding."""
        a_round = self.starts.size * (self.parameters.max_seq_length - _SPECIAL_TOKENS) - int(self.lengths.sum())
        return a_round * (len(self) // max(1, self.starts.size))

    def features(self, start: int = 0, stop: int | None = None) -> dict[str, NDArray[Any]]:
        """Records `start` to `stop` of those to be written, as the values of `records.pretraining` without labels.

        With B = stop - start, S = `max_seq_length`, P = `max_predictions_per_seq`:

        Returns:
          input_ids, input_mask, segment_ids: int32 [B, S], padded with 0.
          masked_lm_positions, masked_lm_ids: int32 [B, P], padded with 0; where the rows are masked.
          masked_lm_weights: float32 [B, P], 1 for predictions, 0 for padding; where the rows are masked.
        """
        chosen = self.order[start:stop]
        input_ids, is_token = self._rows(chosen % max(1, self.starts.size))
        features: dict[str, NDArray[Any]] = {
            "input_ids": input_ids,
            "input_mask": is_token.astype(np.int32),
            "segment_ids": np.zeros_like(input_ids),
        }
        if not self.is_masked:
            return features

        slots = np.arange(self.parameters.max_predictions_per_seq)
        first = self.prediction_splits[chosen, None]  # [B, 1]
        is_prediction = slots < self.prediction_splits[chosen + 1, None] - first  # [B, P]
        at = (first + slots)[is_prediction]
        rows, positions = np.nonzero(is_prediction)[0], np.zeros(is_prediction.shape, np.int32)
        positions[is_prediction] = self.positions[at]
        labels = np.zeros_like(positions)
        labels[is_prediction] = input_ids[rows, self.positions[at]]
        input_ids[rows, self.positions[at]] = self.replacements[at]
        features["masked_lm_positions"] = positions
        features["masked_lm_ids"] = labels
        features["masked_lm_weights"] = is_prediction.astype(np.float32)
        return features

    def _rows(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Token ids of some rows, int32 [B, S], padded with 0, and which of them are tokens, bool [B, S]."""
        lengths = self.lengths[chosen, None]  # [B, 1]
        column = np.arange(self.parameters.max_seq_length)
        at = np.minimum(self.starts[chosen, None] + column - 1, self.token_ids.size - 1)
        input_ids = np.where(column <= lengths, self.token_ids[at], 0)
        input_ids[:, 0] = self.vocabulary.cls_id
        np.put_along_axis(input_ids, lengths.astype(np.int64) + 1, self.vocabulary.sep_id, axis=1)
        return input_ids, column < lengths + _SPECIAL_TOKENS


def pack(
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    masked: bool = True,
    after_rows: Callable[[int], None] | None = None,
) -> PackedRows:
    """All rows of a corpus, shuffled.

    Args:
      corpus: the documents; their order is shuffled first.
      vocabulary: see there.
      parameters: `max_seq_length` (5 at least) and, of masked rows, `max_predictions_per_seq`, `masked_lm_prob`,
        `do_whole_word_mask` and `dupe_factor`: each row is masked and written so many times. Rows that are not masked
        are written once, for copies would be the same. `short_seq_prob` has no meaning here.
      rng: the only source of randomness.
      masked: whether to mask, by the rules and the draws of `instances.mask_tokens`.
      after_rows: called now and then with the number of records that were masked since, to show progress.

    Raises:
      ValueError: token ids that the vocabulary does not have.
    """
    ids, known = corpus.token_ids, vocabulary.is_continuation.size
    if ids.size and not (ids.min() >= 0 and ids.max() < known):
        raise ValueError(f"The corpus has ids from {ids.min()} to {ids.max()}, the vocabulary from 0 to {known - 1}.")
    documents = list(range(len(corpus)))
    rng.shuffle(documents)
    token_ids, sentence_starts, sentence_ends = _stream(corpus, documents, vocabulary.sep_id)
    room = parameters.max_seq_length - _SPECIAL_TOKENS
    starts, lengths = _rows(*_parts(sentence_starts, sentence_ends, room), room)
    if masked:
        rows = _Rows(token_ids, starts, lengths)
        counts, positions, replacements = _mask(rows, vocabulary, parameters, rng, after_rows or (lambda _: None))
    else:
        counts, positions, replacements = np.zeros_like(lengths), np.zeros(0, np.int32), np.zeros(0, np.int32)
    order = list(range(counts.size))
    rng.shuffle(order)
    return PackedRows(
        token_ids=token_ids,
        starts=starts,
        lengths=lengths,
        order=np.array(order, np.int64),
        prediction_splits=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        positions=positions,
        replacements=replacements,
        is_masked=masked,
        cut_sentences=int(np.count_nonzero(np.diff(corpus.segment_splits) > room)),
        vocabulary=vocabulary,
        parameters=parameters,
    )


def _stream(
    corpus: Corpus, documents: Sequence[int], sep_id: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The tokens of all documents in the given order, a `[SEP]` behind each; where each sentence starts and ends."""
    sep, tokens, lengths = np.array([sep_id], np.int32), [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for document in documents:
        splits = corpus.segment_splits[corpus.document_splits[document] : corpus.document_splits[document + 1] + 1]
        tokens += [corpus.token_ids[splits[0] : splits[-1]], sep]
        lengths.append(np.diff(splits))
    separators_before = np.repeat(np.arange(len(documents)), [part.size for part in lengths[1:]])
    all_lengths = np.concatenate(lengths)
    ends = np.cumsum(all_lengths) + separators_before
    return np.concatenate(tokens), ends - all_lengths, ends


def _parts(
    starts: NDArray[np.int64], ends: NDArray[np.int64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of the sentences, those of more than `room` tokens cut into parts of that and the rest."""
    counts = -(-(ends - starts) // room)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # of a part in its sentence
    part_starts = np.repeat(starts, counts) + room * number
    return part_starts, np.minimum(part_starts + room, np.repeat(ends, counts))


def _rows(starts: NDArray[np.int64], ends: NDArray[np.int64], room: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Starts and lengths of the rows, each with as many sentences (or parts of one) as fit."""
    following = np.searchsorted(
        ends, starts + room, side="right"
    )  # the sentence behind a row that starts with this one
    firsts, sentence = [], 0
    while sentence < starts.size:
        firsts.append(sentence)
        sentence = int(following[sentence])
    chosen = np.array(firsts, np.int64)
    return starts[chosen], (ends[following[chosen] - 1] - starts[chosen]).astype(np.int32)


def _mask(
    rows: _Rows,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_rows: Callable[[int], None],
) -> _Predictions:
    compiled = kernel("bert_tf2.sentence_kernel")
    if compiled is None:
        return _mask_plainly(rows, vocabulary, parameters, rng, after_rows)
    return _mask_compiled(compiled, rows, vocabulary, parameters, rng, after_rows)


def _mask_compiled(
    compiled: Any,
    rows: _Rows,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_rows: Callable[[int], None],
) -> _Predictions:
    from bert_tf2 import mersenne_twister

    state = mersenne_twister.take_over(rng)
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
    mersenne_twister.hand_back(state, rng)
    empty = [np.zeros(0, np.int32)]
    return np.concatenate(empty + counts), np.concatenate(empty + positions), np.concatenate(empty + replacements)


def _mask_plainly(
    rows: _Rows,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_rows: Callable[[int], None],
) -> _Predictions:
    names = vocabulary.names
    id_of = {name: number for number, name in enumerate(names)}
    words = [names[number] for number in vocabulary.word_ids]
    counts, positions, replacements = [], [], []
    for _ in range(parameters.dupe_factor):
        for start, length in zip(rows.starts.tolist(), rows.lengths.tolist(), strict=True):
            tokens = [CLS, *(names[number] for number in rows.token_ids[start : start + length].tolist()), SEP]
            shown, chosen = mask_tokens(tokens, words, parameters, rng)
            counts.append(len(chosen))
            positions += chosen
            replacements += [id_of[shown[position]] for position in chosen]
            after_rows(1)
    return np.array(counts, np.int32), np.array(positions, np.int32), np.array(replacements, np.int32)


def unmasked_features(made: InstanceArrays, start: int = 0, stop: int | None = None) -> dict[str, NDArray[Any]]:
    """Pairs without masks: `made.features(start, stop)` with the original tokens and without `masked_lm_` features."""
    features = made.features(start, stop)
    rows, slots = np.nonzero(features["masked_lm_weights"])
    at = features["masked_lm_positions"][rows, slots]
    features["input_ids"][rows, at] = features["masked_lm_ids"][rows, slots]
    return {name: value for name, value in features.items() if not name.startswith("masked_lm_")}
