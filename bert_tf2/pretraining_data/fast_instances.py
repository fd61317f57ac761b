"""Creates pre-training instances from documents, and records from instances, in compiled code; no TensorFlow.

Tokens are ids and texts are ranges of one array, so that a corpus takes 4 bytes per token and an instance about 37
bytes plus 6 per masked position.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bert_tf2.numba_support import kernel
from bert_tf2.pretraining_data.growing_array import GrowingArray
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.records.schema import CONTINUES_WORD, Schema
from bert_tf2.tokenization.sequences import CLS, MASK, SEP

_SLICE = 32_768  # instances created at once, in a fraction of a second


@dataclass(frozen=True)
class Corpus:
    """Documents as token ids: a document is a range of segments, a segment a range of tokens.

    Attributes:
      token_ids: int32 [tokens], the concatenated segments.
      segment_splits: int64 [segments + 1], splits of token_ids; no segment is empty.
      document_splits: int64 [documents + 1], splits of the segments; no document is empty.

    Raises:
      ValueError: the splits are invalid.
    """

    token_ids: NDArray[np.int32]
    segment_splits: NDArray[np.int64]
    document_splits: NDArray[np.int64]

    def __post_init__(self) -> None:
        splits_and_sizes = {"segment": (self.segment_splits, self.token_ids.size)}
        splits_and_sizes["document"] = (self.document_splits, self.segment_splits.size - 1)
        for name, (splits, size) in splits_and_sizes.items():
            if not splits.size or splits[0] != 0 or splits[-1] != size or (splits[1:] <= splits[:-1]).any():
                raise ValueError(f"{name}_splits does not rise from 0 to {size:,}; no {name} may be empty.")

    def __len__(self) -> int:
        """Number of documents."""
        return self.document_splits.size - 1


@dataclass(frozen=True)
class Vocabulary:
    """The properties of the vocabulary that instances depend on.

    Attributes:
      word_ids: int32 [words], the ids of all pieces in the vocabulary's order, from which random replacements are
        drawn.
      is_continuation: bool [highest id + 1], whether a piece begins with `##`.
      cls_id: id of `[CLS]`.
      sep_id: id of `[SEP]`.
      mask_id: id of `[MASK]`.
      shift: the number by which ids of tokens that continue a word are increased while instances are created, but not
        in records; 0: words are not marked.
    """

    word_ids: NDArray[np.int32]
    is_continuation: NDArray[np.bool_]
    cls_id: int
    sep_id: int
    mask_id: int
    shift: int = 0

    @classmethod
    def of(cls, vocab: Mapping[str, int], is_continuation: NDArray[np.bool_] | None = None) -> Self:
        """Makes it from pieces and their ids.

        Args:
          vocab: pieces and their ids, from `tokenization.load_vocab` or a tokenizer.
          is_continuation: a tokenizer's array; by default, pieces that begin with `##` are continuations.
        """
        if is_continuation is None:
            is_continuation = np.zeros(max(vocab.values()) + 1, np.bool_)
            is_continuation[[number for piece, number in vocab.items() if piece.startswith("##")]] = True
        word_ids = np.fromiter(vocab.values(), np.int32, len(vocab))
        return cls(word_ids, is_continuation, vocab[CLS], vocab[SEP], vocab[MASK])

    def with_marks(self) -> Self:
        """Returns a vocabulary with twice as many ids, the second half for continuation pieces; see `chinese_words`."""
        marked = np.ones_like(self.is_continuation)
        is_continuation = np.concatenate([self.is_continuation, marked])
        return dataclasses.replace(self, is_continuation=is_continuation, shift=marked.size)

    def check(self, corpus: Corpus) -> None:
        """Checks that the vocabulary has all ids of a corpus.

        Raises:
          ValueError: it does not.
        """
        ids, known = corpus.token_ids, self.is_continuation.size
        if ids.size and not (ids.min() >= 0 and ids.max() < known):
            raise ValueError(
                f"The corpus has ids from {ids.min()} to {ids.max()}, the vocabulary from 0 to {known - 1}."
            )


@dataclass(frozen=True)
class InstanceArrays:
    """Instances in the order in which they were created; `rows` returns them in the order in which to write them.

    There are `N` instances of `T` texts each (two, or one in rows of full sentences) with `M` masked positions in
    total. Below, instance `n` is the n-th that was created; its texts are those of row `n % R`, as rows may be written
    several times with different masks. Arrays of uint16 are int32 if `max_seq_length` is above 2**16.

    Attributes:
      token_ids: int32, the array of which the texts are ranges.
      starts: int64 [R, T], the start of each text in token_ids.
      lengths: uint16 [R, T], the number of tokens of each text, at least one.
      is_random_next: bool [N], whether the second text was drawn at random.
      prediction_splits: int64 [N + 1], splits of the next two arrays.
      positions: uint16 [M], masked positions in `[CLS] a [SEP] b [SEP]`, ascending in each instance.
      replacements: int32 [M], the ids that replace the tokens there.
      order: int64 [N]; the n-th instance to write is `order[n]`.
      vocabulary: the vocabulary that they were created with.
      parameters: the parameters that they were created with.
    """

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[Any]
    is_random_next: NDArray[np.bool_]
    prediction_splits: NDArray[np.int64]
    positions: NDArray[Any]
    replacements: NDArray[np.int32]
    order: NDArray[np.int64]
    vocabulary: Vocabulary
    parameters: InstanceParameters

    def __len__(self) -> int:
        """Number of instances."""
        return self.order.size

    @property
    def padding(self) -> int:
        """The number of positions of all instances that are padding."""
        rows, texts = self.starts.shape
        room = self.parameters.max_seq_length - 1 - texts  # [CLS], and a [SEP] after each text
        return (room * rows - int(self.lengths.sum())) * (len(self) // max(1, rows))

    def rows(self, schema: Schema, start: int = 0, stop: int | None = None) -> NDArray[np.int32]:
        """Instances `start` to `stop` in the order in which to write them, as rows for `records.writer`.

        Args:
          schema: `records.pretraining` with the sizes of `parameters`. If it has no `masked_lm_` features, the tokens
            are not masked.
          start: the first one.
          stop: the one after the last; None: up to the end.

        Returns:
          int32 [B, `schema.width`], with the bits of floats.
        """
        compiled: Any = kernel("bert_tf2.pretraining_data._instances_numba")
        chosen = self.order[start:stop]
        rows, places = np.empty((chosen.size, schema.width), np.int32), schema.slices
        compiled.write_rows(
            compiled.Instances(**{name: getattr(self, name) for name in compiled.Instances._fields}),
            chosen,
            compiled.Columns(
                **{name: place.start for name, place in places.items() if name in compiled.Columns._fields}
            ),
            self.parameters.max_seq_length,
            self.parameters.max_predictions_per_seq,
            int(self.vocabulary.cls_id),
            int(self.vocabulary.sep_id),
            rows,
        )
        if shift := self.vocabulary.shift:
            if CONTINUES_WORD in places:
                rows[:, places[CONTINUES_WORD]] = rows[:, places["input_ids"]] >= shift
            for name in ("input_ids", "masked_lm_ids"):
                if name in places:
                    ids = rows[:, places[name]]
                    ids[ids >= shift] -= shift
        return rows


def create_instances(
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_documents: Callable[[int], None] = lambda _: None,
) -> InstanceArrays:
    """Creates all instances of a corpus, shuffled, identical to the original's.

    Args:
      corpus: the documents.
      vocabulary: the properties of the vocabulary.
      parameters: the parameters of the instances.
      rng: the only source of randomness; afterwards, its state is the same as after the original's draws.
      after_documents: called from time to time with the number of documents processed since the last call, to show
        progress; the total is `dupe_factor * len(corpus)`.

    Raises:
      ValueError: the corpus has token ids that the vocabulary does not have.
    """
    vocabulary.check(corpus)
    compiled: Any = kernel("bert_tf2.pretraining_data._instances_numba")
    from bert_tf2.pretraining_data import _random_numba

    state = _random_numba.take_over(rng)
    documents = np.arange(len(corpus))
    _random_numba.shuffle(state, documents)
    # The kernel is compiled for exactly these types.
    text = compiled.Text(
        np.require(corpus.token_ids, np.int32, ("C", "W")),
        np.require(corpus.segment_splits, np.int64, ("C", "W")),
        np.require(corpus.document_splits, np.int64, ("C", "W")),
        documents,
    )
    rules = kernel_rules(vocabulary, parameters)
    visits = parameters.dupe_factor * len(corpus)
    dtype = position_type(parameters)
    columns = {
        "starts": GrowingArray((2,), np.int64),
        "lengths": GrowingArray((2,), dtype),
        "is_random_next": GrowingArray((), np.bool_),
        "prediction_counts": GrowingArray((), np.int32),
    }
    prediction_columns = {"positions": GrowingArray((), dtype), "replacements": GrowingArray((), np.int32)}
    cursor, scratch = compiled.FIRST_CURSOR, compiled.scratch(parameters.max_seq_length)
    most_predictions = _SLICE * int(rules.mask_counts.max())
    while cursor.visits < visits:
        before, fraction = cursor.visits, cursor.visits / visits
        room = {name: column.room(_SLICE, fraction) for name, column in columns.items()}
        room |= {name: column.room(most_predictions, fraction) for name, column in prediction_columns.items()}
        out = compiled.Buffers(**room)
        instances, predictions, cursor = compiled.create_instances(text, rules, visits, cursor, scratch, out, state)
        for column in columns.values():
            column.size += instances
        for column in prediction_columns.values():
            column.size += predictions
        after_documents(cursor.visits - before)

    arrays = {name: column.filled() for name, column in (columns | prediction_columns).items()}
    prediction_splits = np.concatenate([[0], np.cumsum(arrays.pop("prediction_counts"), dtype=np.int64)])
    order = np.arange(prediction_splits.size - 1)
    _random_numba.shuffle(state, order)
    _random_numba.hand_back(state, rng)
    return InstanceArrays(
        token_ids=text.token_ids,
        prediction_splits=prediction_splits,
        order=order,
        vocabulary=vocabulary,
        parameters=parameters,
        **arrays,
    )


def kernel_rules(vocabulary: Vocabulary, parameters: InstanceParameters) -> Any:
    """The `Rules` for `_instances_numba`, whose functions are compiled for exactly these types."""
    from bert_tf2.pretraining_data import _instances_numba

    counts = [parameters.number_to_mask(length) for length in range(parameters.max_seq_length + 1)]
    roles = np.full(vocabulary.is_continuation.size, _instances_numba.BEGINS, np.uint8)
    if parameters.do_whole_word_mask:
        roles[vocabulary.is_continuation] = _instances_numba.CONTINUES
    roles[[vocabulary.cls_id, vocabulary.sep_id]] = _instances_numba.SPECIAL
    return _instances_numba.Rules(
        max_tokens=parameters.max_tokens,
        short_seq_prob=float(parameters.short_seq_prob),
        mask_counts=np.array(counts, np.int64),
        word_ids=np.require(vocabulary.word_ids, np.int32, ("C", "W")),
        roles=roles,
        cls=int(vocabulary.cls_id),
        sep=int(vocabulary.sep_id),
        mask=int(vocabulary.mask_id),
    )


def position_type(parameters: InstanceParameters) -> type[np.uint16 | np.int32]:
    """The type of `InstanceArrays.lengths` and `positions`."""
    return np.uint16 if parameters.max_seq_length <= 2**16 else np.int32
