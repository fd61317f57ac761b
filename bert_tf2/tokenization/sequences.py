"""Sequences in BERT's form: `[CLS] a [SEP] b [SEP]`, truncated to fit and padded; no TensorFlow.

`S` is the sequence length, `N` a number of rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.long_texts import HEAD_TAIL, TRUNCATE_HEAD, TRUNCATE_TAIL, WINDOWS
from bert_tf2.errors import InputError
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.wordpiece import SPECIAL_IN_PAIR as SPECIAL_IN_PAIR
from bert_tf2.tokenization.wordpiece import SPECIAL_IN_TEXT as SPECIAL_IN_TEXT
from bert_tf2.tokenization.wordpiece import SPECIAL_TOKENS

T = TypeVar("T")
Ints = NDArray[np.int64]

PAD, _, CLS, SEP, MASK = SPECIAL_TOKENS


def truncated_lengths(a: Any, b: Any, room: Any, operations: Any = np) -> tuple[Any, Any]:
    """The lengths of pairs after truncation: the longer text loses its last token until both fit; on a tie, `b` does.

    Follows google-research/bert `_truncate_seq_pair`, without its loop.

    Args:
      a: int64 [N], the number of tokens of the first texts.
      b: int64 [N], the number of tokens of the second texts.
      room: int64 [N] or a number, the maximum of both together, without special tokens.
      operations: the module with `minimum` and `maximum`: NumPy, or TensorFlow for tensors.

    Returns:
      The number of tokens that remain of each first and each second text, both int64 [N].
    """
    # The longer one is truncated to the other's length, then both in turn, the second first.
    kept_b = operations.minimum(b, operations.maximum(room // 2, room - a))
    return operations.minimum(a, room - kept_b), kept_b


def head_lengths(kept: Any, long_text: str) -> Any:
    """The number of tokens of a truncated text that are taken from its beginning; the others are taken from its end.

    For `head_tail`, a quarter: the first 128 and the last 382 of 510, as in Sun et al. 2019, "How to Fine-Tune BERT for
    Text Classification?".

    Args:
      kept: int64 [N], the number of tokens that are kept; of NumPy or TensorFlow.
      long_text: one of `long_texts.LONG_TEXTS`.
    """
    return {TRUNCATE_HEAD: 0 * kept, HEAD_TAIL: (kept + 2) // 4}.get(long_text, kept)


class WindowSizes(NamedTuple):
    """How rows are split into windows: all windows of a row have the same size and the same second text.

    Attributes:
      second: int64 [N], the number of tokens of the second text, truncated to leave up to half of the room to the
        first.
      size: int64 [N], the number of tokens of the first text in each window.
      step: int64 [N], tokens from the start of a window to the start of the next; the last window ends with the text.
      counts: int64 [N], the number of windows of each row, at least 1.
    """

    second: Any
    size: Any
    step: Any
    counts: Any

    def starts(self, a: Any, rows: Any, numbers: Any, operations: Any = np) -> Any:
        """The index in the first text of the token with which each of M windows begins: int64 [M].

        Args:
          a: int64 [N], the number of tokens of the first texts.
          rows: int64 [M], the row of each window.
          numbers: int64 [M], the index of each window among those of its row.
          operations: NumPy, or TensorFlow for tensors.
        """
        take = np.take if operations is np else operations.gather
        return operations.minimum(numbers * take(self.step, rows), take(a - self.size, rows))


def window_sizes(a: Any, b: Any, room: Any, stride: int | None, operations: Any = np) -> WindowSizes:
    """Determines how to split rows whose first text does not fit.

    Args:
      a: int64 [N], the number of tokens of the first texts.
      b: int64 [N], the number of tokens of the second texts.
      room: int64 [N], the maximum of both together, without special tokens; at least 1, and 2 for pairs.
      stride: maximum number of tokens from the start of a window to the start of the next; None: half a window.
      operations: the module with `minimum` and `maximum`: NumPy, or TensorFlow for tensors.
    """
    _, second = truncated_lengths(a, b, room, operations)
    room_for_first = room - second
    step = (room_for_first + 1) // 2 if stride is None else operations.minimum(room_for_first, stride)
    step = operations.maximum(step, 1)  # if the first text is empty, the second may fill the row
    size = operations.minimum(a, room_for_first)
    return WindowSizes(second, size, step, 1 + (a - size + step - 1) // step)


class JoinedRows(NamedTuple):
    """Rows in BERT's form, without padding.

    Attributes:
      input_ids: N rows of at most S ids, special tokens included.
      first_lengths: int64 [N], the number of ids in the first segment of each row.
      whole_lengths: int64 [N], the number of tokens of each row without truncation.
    """

    input_ids: Ragged
    first_lengths: Ints
    whole_lengths: Ints


def join_rows(
    first: Ragged, second: Ragged | None, max_seq_length: int, cls: int, sep: int, long_text: str = TRUNCATE_TAIL
) -> JoinedRows:
    """Converts texts and pairs to BERT's form, truncated by `truncated_lengths`.

    Args:
      first: N rows of ids.
      second: N rows of ids; an empty row means that there is no second text. None: there are no second texts.
      max_seq_length: S.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      long_text: one of `long_texts.LONG_TEXTS`: which tokens of a long text are kept. With `windows`, first texts are
        not truncated, so that rows may be longer than S, for `row_windows.divide_rows` to split.
    """
    a = np.diff(first.row_splits)
    b = np.zeros_like(a) if second is None else np.diff(second.row_splits)
    special = np.where(b > 0, SPECIAL_IN_PAIR, SPECIAL_IN_TEXT)
    kept_a, kept_b = truncated_lengths(a, b, max_seq_length - special)
    if long_text == WINDOWS:
        kept_a = a

    row_splits = np.concatenate([[0], np.cumsum(kept_a + kept_b + special)])
    starts, first_lengths = row_splits[:-1], kept_a + SPECIAL_IN_TEXT
    values = np.full(row_splits[-1], sep, np.int32)
    values[starts] = cls
    for text, offsets, counts in ((first, starts + 1, kept_a), (second, starts + first_lengths, kept_b)):
        if text is not None:
            values[ranges(offsets, counts)] = text.values[_kept_indices(text, counts, long_text)]
    return JoinedRows(Ragged(values, row_splits), first_lengths, a + b + special)


def _kept_indices(text: Ragged, counts: Ints, long_text: str) -> Ints:
    """The indices in `text.values` of the tokens that are kept, `counts[i]` of row `i`."""
    indices = ranges(text.row_splits[:-1], counts)
    if long_text in (TRUNCATE_TAIL, WINDOWS):
        return indices
    dropped = np.diff(text.row_splits) - counts
    is_of_tail = ranges(0, counts) >= np.repeat(head_lengths(counts, long_text), counts)
    return indices + is_of_tail * np.repeat(dropped, counts)


def make_batch(
    encode_batch: Callable[[Sequence[str]], Ragged],
    vocab: Mapping[str, int],
    texts: str | Sequence[str],
    pairs: str | Sequence[str] | None = None,
    max_length: int | None = None,
    pad_to_max_length: bool = False,
) -> dict[str, NDArray[np.int32]]:
    """Converts texts to a model's inputs, exactly like the scripts.

    Args:
      encode_batch: the tokenizer's method of this name.
      vocab: the tokenizer's vocabulary.
      texts: one text, or N of them: a list, an array, a column of a data frame.
      pairs: the second text for each, or None.
      max_length: maximum tokens per row, including special tokens; the longer text of a pair is truncated first. None:
        nothing is truncated.
      pad_to_max_length: whether rows are padded to `max_length` instead of to the longest row.

    Returns:
      `input_ids`, `input_mask` (0 at padding) and `segment_ids` (1 for the second text), each int32 [N, S].

    Raises:
      InputError: an item is not a string, the numbers of texts and second texts differ, or `max_length` has no room
        for a token of each text.
    """
    first, second = _list_of(texts, "texts"), None if pairs is None else _list_of(pairs, "pairs")
    if second is not None and len(first) != len(second):
        raise InputError(
            f"The numbers of texts ({len(first):,}) and pairs ({len(second):,}) differ; there must be as many of both."
        )
    least = SPECIAL_IN_TEXT + 1 if second is None else SPECIAL_IN_PAIR + 2
    if max_length is not None and max_length < least:
        raise InputError(f"max_length={max_length}; a token of each text and the special tokens need at least {least}.")
    if max_length is None and pad_to_max_length:
        raise InputError("pad_to_max_length=True needs max_length; give both.")
    limit = np.iinfo(np.int32).max if max_length is None else max_length
    encoded = None if second is None else encode_batch(second)
    ids, first_lengths, _ = join_rows(encode_batch(first), encoded, limit, vocab[CLS], vocab[SEP])
    lengths = np.diff(ids.row_splits)
    positions = np.arange(limit if pad_to_max_length else max(lengths, default=0))
    mask = positions < lengths[:, None]  # [N, S]
    input_ids = np.zeros(mask.shape, np.int32)
    input_ids[mask] = ids.values
    segments = mask & (positions >= first_lengths[:, None])
    return {"input_ids": input_ids, "input_mask": mask.astype(np.int32), "segment_ids": segments.astype(np.int32)}


def _list_of(texts: str | Sequence[str], name: str) -> list[str]:
    texts = [texts] if isinstance(texts, str) else list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{name}[{row}] is {text!r:.60} of type {type(text).__name__}; expected str.")
    return texts


def ranges(starts: Ints | int, counts: Ints) -> Ints:
    """Concatenated ranges, each of `counts[i]` numbers from `starts[i]` on: int64 [sum of counts].

    Args:
      starts: int64 [N], or one number for all ranges.
      counts: int64 [N].
    """
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


def join_pair(tokens_a: Sequence[str], tokens_b: Sequence[str] | None = None) -> tuple[list[str], list[int]]:
    """Converts one or two sequences to BERT's form.

    Args:
      tokens_a: first sequence.
      tokens_b: second sequence; None if there is only one.

    Returns:
      tokens: `[CLS] a [SEP]`, then `b [SEP]`.
      segment_ids: 0 up to and including the first `[SEP]`, 1 after it; as long as the tokens.
    """
    first = [CLS, *tokens_a, SEP]
    second = [] if tokens_b is None else [*tokens_b, SEP]
    return first + second, [0] * len(first) + [1] * len(second)


def pad(values: Sequence[T], length: int, value: T) -> list[T]:
    """`values`, padded with `value` to `length`.

    Raises:
      ValueError: there are more than `length` values.
    """
    if len(values) > length:
        raise ValueError(f"{len(values)} values do not fit into {length}; truncate them first.")
    return [*values, *[value] * (length - len(values))]
