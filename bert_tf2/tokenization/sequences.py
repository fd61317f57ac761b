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
      a: int64 [N], tokens of the first texts.
      b: int64 [N], tokens of the second texts.
      room: int64 [N] or a number, what both together may have, special tokens not counted.
      operations: what has `minimum` and `maximum`: NumPy, or TensorFlow for tensors.

    Returns:
      How many of the first tokens of each remain, int64 [N] both.
    """
    # The longer one is truncated to the other's length, then both in turn, the second first.
    kept_b = operations.minimum(b, operations.maximum(room // 2, room - a))
    return operations.minimum(a, room - kept_b), kept_b


def head_lengths(kept: Any, long_text: str) -> Any:
    """How many of the tokens kept of a truncated text are taken from its beginning; the others are from its end.

    Of `head_tail` a quarter: the first 128 and the last 382 of 510, as in Sun et al. 2019, "How to Fine-Tune BERT for
    Text Classification?".

    Args:
      kept: int64 [N], how many are kept; NumPy's or TensorFlow's.
      long_text: one of `long_texts.LONG_TEXTS`.
    """
    return {TRUNCATE_HEAD: 0 * kept, HEAD_TAIL: (kept + 2) // 4}.get(long_text, kept)


class WindowSizes(NamedTuple):
    """How rows are split into windows: all windows of a row have the same size and the same second text.

    Attributes:
      second: int64 [N], tokens of the second text: all of them, or, of a long one, those that leave half of the room
        to the first.
      size: int64 [N], tokens of the first text in each window.
      step: int64 [N], from the begin of a window to that of the next; but the last window ends where the text does.
      counts: int64 [N], windows of each row, at least 1.
    """

    second: Any
    size: Any
    step: Any
    counts: Any

    def starts(self, a: Any, rows: Any, numbers: Any, operations: Any = np) -> Any:
        """Which token of the first text each of M windows begins with: int64 [M].

        Args:
          a: int64 [N], tokens of the first texts.
          rows: int64 [M], the row of each window.
          numbers: int64 [M], which of the windows of its row it is.
          operations: NumPy, or TensorFlow for tensors.
        """
        take = np.take if operations is np else operations.gather
        return operations.minimum(numbers * take(self.step, rows), take(a - self.size, rows))


def window_sizes(a: Any, b: Any, room: Any, stride: int | None, operations: Any = np) -> WindowSizes:
    """Splits rows whose first text does not fit.

    Args:
      a: int64 [N], tokens of the first texts.
      b: int64 [N], tokens of the second texts.
      room: int64 [N], what both together may have, special tokens not counted; at least 1, and 2 for pairs.
      stride: tokens from the begin of a window to that of the next, at most; None: half a window.
      operations: what has `minimum` and `maximum`: NumPy, or TensorFlow for tensors.
    """
    _, second = truncated_lengths(a, b, room, operations)
    of_first = room - second
    step = (of_first + 1) // 2 if stride is None else operations.minimum(of_first, stride)
    step = operations.maximum(step, 1)  # beside an empty first text, the second may fill the row
    size = operations.minimum(a, of_first)
    return WindowSizes(second, size, step, 1 + (a - size + step - 1) // step)


class JoinedRows(NamedTuple):
    """Rows in BERT's form, without padding.

    Attributes:
      input_ids: N rows of at most S ids, special tokens included.
      first_lengths: int64 [N], how many of them belong to the first segment.
      whole_lengths: int64 [N], how many tokens each row would have had without a limit.
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
      second: likewise; a row without ids counts as no second text. None where there are none.
      max_seq_length: S.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      long_text: one of `long_texts.LONG_TEXTS`: which tokens of a truncated text are kept. For `windows` first texts
        are left whole, so that rows may be longer than S: they are for `row_windows.divide_rows`.
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
    for text, places, counts in ((first, starts + 1, kept_a), (second, starts + first_lengths, kept_b)):
        if text is not None:
            values[ranges(places, counts)] = text.values[_kept_places(text, counts, long_text)]
    return JoinedRows(Ragged(values, row_splits), first_lengths, a + b + special)


def _kept_places(text: Ragged, counts: Ints, long_text: str) -> Ints:
    """Where in `text.values` the tokens are that are kept, `counts` of each row."""
    places = ranges(text.row_splits[:-1], counts)
    if long_text in (TRUNCATE_TAIL, WINDOWS):
        return places
    dropped = np.diff(text.row_splits) - counts
    is_of_tail = ranges(0, counts) >= np.repeat(head_lengths(counts, long_text), counts)
    return places + is_of_tail * np.repeat(dropped, counts)


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
      encode_batch: a tokenizer's.
      vocab: its vocabulary.
      texts: one text, or N of them: a list, an array, a column of a data frame.
      pairs: the second text of each, or None.
      max_length: maximum tokens per row, including special tokens; the longer text of a pair is truncated first. None
        truncates nothing.
      pad_to_max_length: whether rows are padded to `max_length` instead of to the longest row.

    Returns:
      `input_ids`, `input_mask` (0 at padding) and `segment_ids` (1 for the second text), each int32 [N, S].

    Raises:
      InputError: something is not a text, the numbers of texts and second texts differ, or `max_length` has no room for
        a token of each text.
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
    """`starts[0], starts[0] + 1, ...`, `counts[0]` of them, then those of the next: int64 [sum of counts].

    Args:
      starts: int64 [N], or one number where all begin with the same.
      counts: int64 [N].
    """
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


def join_pair(tokens_a: Sequence[str], tokens_b: Sequence[str] | None = None) -> tuple[list[str], list[int]]:
    """Converts one or two sequences to BERT's form.

    Args:
      tokens_a: first sequence.
      tokens_b: second sequence, or None where there is only one.

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
