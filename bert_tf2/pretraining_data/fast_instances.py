"""Creates pre-training instances from documents, and records from instances, in compiled code; no TensorFlow.

Tokens are ids and texts are ranges of one array here, so that a corpus takes 4 bytes a token and an instance about
37 bytes and 6 a masked position.
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

_SLICE = 32_768  # instances made at once: a fraction of a second


@dataclass(frozen=True)
class Corpus:
    """Documents as token ids: a document is a range of segments, a segment a range of tokens.

    Attributes:
      token_ids: int32 [tokens], those of all segments one after the other.
      segment_splits: int64 [segments + 1], into token_ids; no segment is empty.
      document_splits: int64 [documents + 1], into segments; no document is empty.

    Raises:
      ValueError: the splits do not fit.
    """

    token_ids: NDArray[np.int32]
    segment_splits: NDArray[np.int64]
    document_splits: NDArray[np.int64]

    def __post_init__(self) -> None:
        inner = {"segment": (self.segment_splits, self.token_ids.size)}
        inner["document"] = (self.document_splits, self.segment_splits.size - 1)
        for name, (splits, size) in inner.items():
            if not splits.size or splits[0] != 0 or splits[-1] != size or (splits[1:] <= splits[:-1]).any():
                raise ValueError(f"{name}_splits does not rise from 0 to {size:,}; no {name} may be empty.")

    def __len__(self) -> int:
        """Number of documents."""
        return self.document_splits.size - 1


@dataclass(frozen=True)
class Vocabulary:
    """The properties of the vocabulary that instances depend on.

    Attributes:
      word_ids: int32 [words], the ids of all pieces in the vocabulary's order; random replacements are drawn from it.
      is_continuation: bool [highest id + 1], whether a piece begins with `##`.
      cls_id: id of `[CLS]`.
      sep_id: id of `[SEP]`.
      mask_id: id of `[MASK]`.
      shift: an id of at least this is that of a token which continues a word, higher by this much; such ids are not
        written. 0: there are none.
    """

    word_ids: NDArray[np.int32]
    is_continuation: NDArray[np.bool_]
    cls_id: int
    sep_id: int
    mask_id: int
    shift: int = 0

    @classmethod
    def of(cls, vocab: Mapping[str, int], is_continuation: NDArray[np.bool_] | None = None) -> Self:
        """From pieces and their ids, as `tokenization.load_vocab` or a tokenizer has them.

        Args:
          vocab: pieces and their ids.
          is_continuation: a tokenizer's; by default those that begin with `##` are.
        """
        if is_continuation is None:
            is_continuation = np.zeros(max(vocab.values()) + 1, np.bool_)
            is_continuation[[number for piece, number in vocab.items() if piece.startswith("##")]] = True
        word_ids = np.fromiter(vocab.values(), np.int32, len(vocab))
        return cls(word_ids, is_continuation, vocab[CLS], vocab[SEP], vocab[MASK])

    def with_marks(self) -> Self:
        """With as many ids more, for the same pieces where they continue a word, see `chinese_words`."""
        marked = np.ones_like(self.is_continuation)
        is_continuation = np.concatenate([self.is_continuation, marked])
        return dataclasses.replace(self, is_continuation=is_continuation, shift=marked.size)

    def check(self, corpus: Corpus) -> None:
        """Raises ValueError for a corpus with ids that the vocabulary does not have."""
        ids, known = corpus.token_ids, self.is_continuation.size
        if ids.size and not (ids.min() >= 0 and ids.max() < known):
            raise ValueError(
                f"The corpus has ids from {ids.min()} to {ids.max()}, the vocabulary from 0 to {known - 1}."
            )


@dataclass(frozen=True)
class InstanceArrays:
    """Instances, in memory in the order in which they were made; `rows` gives them in the order to write them.

    `N` instances of `T` texts each (two, or one in rows of full sentences) with `M` masked positions together. Instance
    `n` below is the n-th made; its texts are those of number `n` modulo `R`, as rows may be written several times with
    other masks. What is uint16 below is int32 where `max_seq_length` is above 2**16.

    Attributes:
      token_ids: int32, what the texts are ranges of.
      starts: int64 [R, T], where the texts begin in token_ids.
      lengths: uint16 [R, T], tokens of each; all have at least one.
      is_random_next: bool [N], whether the second text was drawn at random.
      prediction_splits: int64 [N + 1], into the next two.
      positions: uint16 [M], masked positions in `[CLS] a [SEP] b [SEP]`, ascending in each instance.
      replacements: int32 [M], what is shown there instead.
      order: int64 [N], the instance to be written n-th is `order[n]`.
      vocabulary: what they were made with.
      parameters: what they were made with.
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
        """Positions of all instances that are padding."""
        rows, texts = self.starts.shape
        room = self.parameters.max_seq_length - 1 - texts  # [CLS], and a [SEP] after each text
        return (room * rows - int(self.lengths.sum())) * (len(self) // max(1, rows))

    def rows(self, schema: Schema, start: int = 0, stop: int | None = None) -> NDArray[np.int32]:
        """Instances `start` to `stop` of those to be written, as `writer` writes them.

        Args:
          schema: `records.pretraining` with the sizes of `parameters`. Where it has no `masked_lm_` features, the
            tokens are shown as they are.
          start: the first one.
          stop: the one after the last; None: all that are left.

        Returns:
          int32 [B, `schema.width`], floats as their bits.
        """
        compiled: Any = kernel("bert_tf2.pretraining_data._instances_numba")
        chosen = self.order[start:stop]
        rows, places = np.empty((chosen.size, schema.width), np.int32), schema.slices
        compiled.write_rows(
            compiled.Instances(**{name: getattr(self, name) for name in compiled.Instances._fields}),
            chosen,
            compiled.Places(**{name: place.start for name, place in places.items() if name in compiled.Places._fields}),
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
    """All instances of a corpus, shuffled, identical to the original's.

    Args:
      corpus: the documents.
      vocabulary: see there.
      parameters: see there.
      rng: the only source of randomness; at the end it is in the state that the original's draws leave.
      after_documents: called now and then with the number of documents that were done since, to show progress; in the
        end `dupe_factor * len(corpus)`.

    Raises:
      ValueError: token ids that the vocabulary does not have.
    """
    vocabulary.check(corpus)
    compiled: Any = kernel("bert_tf2.pretraining_data._instances_numba")
    from bert_tf2.pretraining_data import _random_numba

    state = _random_numba.take_over(rng)
    documents = np.arange(len(corpus))
    _random_numba.shuffle(state, documents)
    # The types are a part of what the code was compiled for.
    text = compiled.Text(
        np.require(corpus.token_ids, np.int32, ("C", "W")),
        np.require(corpus.segment_splits, np.int64, ("C", "W")),
        np.require(corpus.document_splits, np.int64, ("C", "W")),
        documents,
    )
    rules = kernel_rules(vocabulary, parameters)
    visits = parameters.dupe_factor * len(corpus)
    small = position_type(parameters)
    columns = {
        "starts": GrowingArray((2,), np.int64),
        "lengths": GrowingArray((2,), small),
        "is_random_next": GrowingArray((), np.bool_),
        "prediction_counts": GrowingArray((), np.int32),
    }
    prediction_columns = {"positions": GrowingArray((), small), "replacements": GrowingArray((), np.int32)}
    cursor, scratch = compiled.FIRST_CURSOR, compiled.scratch(parameters.max_seq_length)
    most = _SLICE * int(rules.wanted.max())
    while cursor.visits < visits:
        before, share = cursor.visits, cursor.visits / visits
        room = {name: column.room(_SLICE, share) for name, column in columns.items()}
        room |= {name: column.room(most, share) for name, column in prediction_columns.items()}
        out = compiled.Buffers(**room)
        made, predictions, cursor = compiled.create_instances(text, rules, visits, cursor, scratch, out, state)
        for column in columns.values():
            column.size += made
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
    """The `Rules` of `_instances_numba`; the types are a part of what that was compiled for."""
    from bert_tf2.pretraining_data import _instances_numba

    wanted = np.array([parameters.number_to_mask(length) for length in range(parameters.max_seq_length + 1)], np.int64)
    roles = np.full(vocabulary.is_continuation.size, _instances_numba.BEGINS, np.uint8)
    if parameters.do_whole_word_mask:
        roles[vocabulary.is_continuation] = _instances_numba.CONTINUES
    roles[[vocabulary.cls_id, vocabulary.sep_id]] = _instances_numba.SPECIAL
    return _instances_numba.Rules(
        max_tokens=parameters.max_tokens,
        short_seq_prob=float(parameters.short_seq_prob),
        wanted=wanted,
        word_ids=np.require(vocabulary.word_ids, np.int32, ("C", "W")),
        roles=roles,
        cls=int(vocabulary.cls_id),
        sep=int(vocabulary.sep_id),
        mask=int(vocabulary.mask_id),
    )


def position_type(parameters: InstanceParameters) -> type[np.uint16 | np.int32]:
    """Of `InstanceArrays.lengths` and `positions`."""
    return np.uint16 if parameters.max_seq_length <= 2**16 else np.int32
