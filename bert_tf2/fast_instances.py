"""The instances of `instances.create_instances`, the same ones, made by compiled code; no TensorFlow.

Tokens are ids and texts are ranges of one array here, so that a corpus takes 4 bytes a token and an instance about
37 bytes and 6 a masked position. Where Numba does not work, `instances` itself makes them, after a warning.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import instances
from bert_tf2.compilation import kernel
from bert_tf2.growing_array import GrowingArray
from bert_tf2.instances import MASK, SPECIAL_TOKENS, Document, InstanceParameters
from bert_tf2.sequences import CLS, SEP

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
    """What the making of instances has to know about the vocabulary.

    Attributes:
      word_ids: int32 [words], the ids of all pieces in the vocabulary's order; random replacements are drawn from it.
      is_continuation: bool [highest id + 1], whether a piece begins with `##`.
      cls_id: id of `[CLS]`.
      sep_id: id of `[SEP]`.
      mask_id: id of `[MASK]`.
    """

    word_ids: NDArray[np.int32]
    is_continuation: NDArray[np.bool_]
    cls_id: int
    sep_id: int
    mask_id: int

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

    @property
    def names(self) -> list[str]:
        """A token for each id, all that the plain code looks at: is it [CLS], [SEP] or [MASK], or a ## piece."""
        names = [f"##{number}" if piece else str(number) for number, piece in enumerate(self.is_continuation)]
        for number, name in ((self.cls_id, CLS), (self.sep_id, SEP), (self.mask_id, MASK)):
            names[number] = name
        return names


@dataclass(frozen=True)
class InstanceArrays:
    """Instances, in memory in the order in which they were made; `features` gives them in the order to write them.

    `N` instances with `M` masked positions together; instance `n` below is the n-th made. What is uint16
    below is int32 where `max_seq_length` is above 2**16.

    Attributes:
      token_ids: int32, what the texts are ranges of (the corpus's array itself, where the compiled code made them).
      starts: int64 [N, 2], where the two texts of an instance begin in token_ids.
      lengths: uint16 [N, 2], tokens of each; both have at least one.
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
    def nbytes(self) -> int:
        """Memory that the instances take, that of `token_ids` not counted."""
        arrays = (getattr(self, field.name) for field in fields(self) if field.name != "token_ids")
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def features(self, start: int = 0, stop: int | None = None) -> dict[str, NDArray[Any]]:
        """Instances `start` to `stop` of those to be written, as the values of `records.pretraining`.

        With B = stop - start, S = `max_seq_length`, P = `max_predictions_per_seq`:

        Returns:
          input_ids, input_mask, segment_ids: int32 [B, S], padded with 0.
          masked_lm_positions, masked_lm_ids: int32 [B, P], padded with 0.
          masked_lm_weights: float32 [B, P], 1 for predictions, 0 for padding.
          next_sentence_labels: int32 [B, 1].
        """
        chosen = self.order[start:stop]
        vocabulary, parameters = self.vocabulary, self.parameters
        # Columns, [B, 1], so that all that follows has the shape [B, S] or [B, P].
        a_start, b_start = np.hsplit(self.starts[chosen], 2)
        a_length, b_length = np.hsplit(self.lengths[chosen].astype(np.int32), 2)
        first_sep = 1 + a_length
        last_sep = first_sep + 1 + b_length
        column = np.arange(parameters.max_seq_length, dtype=np.int32)
        is_token = column <= last_sep
        at = np.where(column <= first_sep, a_start - 1, b_start - first_sep - 1)
        at += column
        input_ids = _take(self.token_ids, at) * is_token
        input_ids[:, 0] = vocabulary.cls_id
        np.put_along_axis(input_ids, np.hstack([first_sep, last_sep]), vocabulary.sep_id, axis=1)

        at = self.prediction_splits[chosen, None] + np.arange(parameters.max_predictions_per_seq)
        is_prediction = at < self.prediction_splits[chosen + 1, None]
        positions = _take(self.positions, at).astype(np.int32) * is_prediction
        labels = np.take_along_axis(input_ids, positions, axis=1) * is_prediction
        # Places without a prediction point at [CLS], which stays.
        shown = np.where(is_prediction, _take(self.replacements, at), np.int32(vocabulary.cls_id))
        np.put_along_axis(input_ids, positions, shown, axis=1)
        return {
            "input_ids": input_ids,
            "input_mask": is_token.astype(np.int32),
            "segment_ids": (is_token & (column > first_sep)).astype(np.int32),
            "masked_lm_positions": positions,
            "masked_lm_ids": labels,
            "masked_lm_weights": is_prediction.astype(np.float32),
            "next_sentence_labels": self.is_random_next[chosen, None].astype(np.int32),
        }

    def rows(self, places: Mapping[str, int], width: int, start: int = 0, stop: int | None = None) -> NDArray[np.int32]:
        """`features` by compiled code, as rows of values; needs Numba.

        Args:
          places: where in a row each feature begins; without the `masked_lm_` ones, the tokens are shown as they are.
          width: values of a row.
          start: see `features`.
          stop: see `features`.

        Returns:
          int32 [B, width], floats as their bits.
        """
        from bert_tf2 import instance_kernel

        arrays = {name: getattr(self, name) for name in instance_kernel.Instances._fields}
        chosen = self.order[start:stop]
        rows = np.empty((chosen.size, width), np.int32)
        instance_kernel.instance_features(
            instance_kernel.Instances(**arrays),
            chosen,
            instance_kernel.Places(**places),
            self.parameters.max_seq_length,
            self.parameters.max_predictions_per_seq,
            int(self.vocabulary.cls_id),
            int(self.vocabulary.sep_id),
            rows,
        )
        return rows


def _take(values: NDArray[Any], at: NDArray[np.int64]) -> NDArray[Any]:
    """`values[at]`; anything where there is no such place."""
    return values.take(at, mode="clip") if values.size else np.zeros(at.shape, values.dtype)


def create_instances(
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_documents: Callable[[int], None] | None = None,
) -> InstanceArrays:
    """All instances of a corpus, shuffled: those that `instances.create_instances` makes.

    Args:
      corpus: the documents.
      vocabulary: see there.
      parameters: see there.
      rng: the only source of randomness; at the end it is in the state that `instances.create_instances` leaves.
      after_documents: called now and then with the number of documents that were done since, to show progress; in the
        end `dupe_factor * len(corpus)`.

    Raises:
      ValueError: token ids that the vocabulary does not have.
    """
    ids, known = corpus.token_ids, vocabulary.is_continuation.size
    if ids.size and not (ids.min() >= 0 and ids.max() < known):
        raise ValueError(f"The corpus has ids from {ids.min()} to {ids.max()}, the vocabulary from 0 to {known - 1}.")
    compiled = kernel("bert_tf2.instance_kernel")
    if compiled is None:
        return _create_plainly(corpus, vocabulary, parameters, rng, after_documents or (lambda _: None))
    return _create_compiled(compiled, corpus, vocabulary, parameters, rng, after_documents or (lambda _: None))


def _create_compiled(
    compiled: Any,
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_documents: Callable[[int], None],
) -> InstanceArrays:
    from bert_tf2 import mersenne_twister

    state = mersenne_twister.take_over(rng)
    documents = np.arange(len(corpus))
    mersenne_twister.shuffle(state, documents)
    # The types are a part of what the code was compiled for.
    text = compiled.Text(
        np.require(corpus.token_ids, np.int32, ("C", "W")),
        np.require(corpus.segment_splits, np.int64, ("C", "W")),
        np.require(corpus.document_splits, np.int64, ("C", "W")),
        documents,
    )
    rules = kernel_rules(vocabulary, parameters)
    visits = parameters.dupe_factor * len(corpus)
    small = np.uint16 if parameters.max_seq_length <= 2**16 else np.int32
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
    prediction_splits = _splits(arrays.pop("prediction_counts"))
    order = np.arange(prediction_splits.size - 1)
    mersenne_twister.shuffle(state, order)
    mersenne_twister.hand_back(state, rng)
    return InstanceArrays(
        token_ids=text.token_ids,
        prediction_splits=prediction_splits,
        order=order,
        vocabulary=vocabulary,
        parameters=parameters,
        **arrays,
    )


def kernel_rules(vocabulary: Vocabulary, parameters: InstanceParameters) -> Any:
    """The `Rules` of `instance_kernel`; the types are a part of what that was compiled for. Needs Numba."""
    from bert_tf2 import instance_kernel

    wanted = np.array([parameters.number_to_mask(length) for length in range(parameters.max_seq_length + 1)], np.int64)
    roles = np.full(vocabulary.is_continuation.size, instance_kernel.BEGINS, np.uint8)
    if parameters.do_whole_word_mask:
        roles[vocabulary.is_continuation] = instance_kernel.CONTINUES
    roles[[vocabulary.cls_id, vocabulary.sep_id]] = instance_kernel.SPECIAL
    return instance_kernel.Rules(
        max_tokens=parameters.max_tokens,
        short_seq_prob=float(parameters.short_seq_prob),
        wanted=wanted,
        word_ids=np.require(vocabulary.word_ids, np.int32, ("C", "W")),
        roles=roles,
        cls=int(vocabulary.cls_id),
        sep=int(vocabulary.sep_id),
        mask=int(vocabulary.mask_id),
    )


def _create_plainly(
    corpus: Corpus,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    rng: random.Random,
    after_documents: Callable[[int], None],
) -> InstanceArrays:
    names = vocabulary.names
    id_of = {name: number for number, name in enumerate(names)}
    words = [names[number] for number in vocabulary.word_ids]
    made = instances.create_instances(
        list(_documents(corpus, names)), words, parameters, rng, after_document=lambda: after_documents(1)
    )

    tokens: list[int] = []
    starts, lengths, positions, replacements = [], [], [], []
    for instance in made:
        original = [id_of[token] for token in instance.tokens]
        replacements += [original[at] for at in instance.masked_lm_positions]
        positions += instance.masked_lm_positions
        for at, label in zip(instance.masked_lm_positions, instance.masked_lm_labels, strict=True):
            original[at] = id_of[label]
        b_length = sum(instance.segment_ids) - 1
        a_length = len(original) - SPECIAL_TOKENS - b_length
        starts.append((len(tokens) + 1, len(tokens) + a_length + 2))
        lengths.append((a_length, b_length))
        tokens += original
    return InstanceArrays(
        token_ids=np.array(tokens, np.int32),
        starts=np.array(starts, np.int64).reshape(-1, 2),
        lengths=np.array(lengths, np.int32).reshape(-1, 2),
        is_random_next=np.array([instance.is_random_next for instance in made], np.bool_),
        prediction_splits=_splits([len(instance.masked_lm_positions) for instance in made]),
        positions=np.array(positions, np.int32),
        replacements=np.array(replacements, np.int32),
        order=np.arange(len(made)),
        vocabulary=vocabulary,
        parameters=parameters,
    )


def _documents(corpus: Corpus, names: Sequence[str]) -> Iterator[Document]:
    """The documents as `instances` knows them."""
    ids, splits = corpus.token_ids.tolist(), corpus.segment_splits.tolist()
    segments = [[names[number] for number in ids[start:end]] for start, end in itertools.pairwise(splits)]
    for start, end in itertools.pairwise(corpus.document_splits.tolist()):
        yield segments[start:end]


def _splits(counts: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    splits = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=splits[1:])
    return splits
