"""Converts examples to token ids and records, all rows at once; no TensorFlow.

A row becomes `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, by `sequences.join_rows`, as in `convert_single_example` of
google-research/bert `run_classifier.py`. With `--long_text=windows` it becomes several such sequences, which are then
the rows of `Features`.

Shapes: `N` rows, `S` `max_seq_length`, `L` labels.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import records
from bert_tf2.configs.long_texts import TRUNCATE_TAIL, WINDOWS
from bert_tf2.errors import InputError, counted, inflected, share
from bert_tf2.io import spilled
from bert_tf2.io.progress import Progress
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.records import writer as fast_records
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.row_windows import divide_rows
from bert_tf2.tokenization.sequences import CLS, SEP, SPECIAL_IN_PAIR, SPECIAL_IN_TEXT, join_rows

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 8192
_CHARACTERS_AT_ONCE = 1 << 23  # of texts; all their tokens are held before they are cut
_VALUES_AT_ONCE = 1 << 22  # of records, and of tokens whose segments are told


@dataclasses.dataclass(frozen=True)
class Features:
    """Rows as model inputs, without padding.

    Attributes:
      input_ids: N rows of at most S ids, special tokens included; where they are many, their values are in a file.
      first_lengths: int64 [N], how many of them belong to the first segment.
      labels: see `labels.encode`: int32 [N], sparse [N, L], or float32 [N].
      max_seq_length: S.
      cut: how many rows of the file lost tokens.
      longest: how many tokens the longest row of the file would have had.
      window_splits: int64 [rows of the file + 1]: row `i` of the file is in the rows `window_splits[i]` to
        `window_splits[i + 1]` of these, its windows. None where each is one row.
      whole_lengths: how many tokens each row of the file would have had: int64 [rows of the file].
    """

    input_ids: Ragged
    first_lengths: NDArray[np.int64]
    labels: NDArray[Any] | SparseRows
    max_seq_length: int
    cut: int
    longest: int
    window_splits: NDArray[np.int64] | None = None
    whole_lengths: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.first_lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each row has: int64 [N]."""
        return np.diff(self.input_ids.row_splits)

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """The weight of each window in training, float32 [N]: those of a text sum to one text. None: all 1."""
        if self.window_splits is None:
            return None
        counts = np.diff(self.window_splits)
        return np.repeat(1 / counts, counts).astype(np.float32)

    @property
    def schema(self) -> records.Schema:
        """Of the records."""
        if isinstance(self.labels, SparseRows):
            return records.classification(self.max_seq_length, label_size=self._most_labels, several=True)
        kind: records.Kind = "float" if self.labels.dtype.kind == "f" else "int"
        return records.classification(self.max_seq_length, label_kind=kind)

    @property
    def _most_labels(self) -> int:
        """Of a row, at least 1."""
        return max(1, int(np.diff(self.labels.row_splits).max())) if isinstance(self.labels, SparseRows) else 1

    def columns(self, begin: int = 0, end: int | None = None) -> dict[str, NDArray[Any]]:
        """Rows `begin` to `end`, padded with zeros to S: the features of `schema`, each [rows, ...]."""
        splits = self.input_ids.row_splits[begin : len(self) + 1 if end is None else end + 1]
        first_lengths = self.first_lengths[begin:end]
        positions = np.arange(self.max_seq_length)
        mask = positions < np.diff(splits)[:, None]  # [rows, S]
        input_ids = np.zeros(mask.shape, np.int32)
        input_ids[mask] = self.input_ids.values[splits[0] : splits[-1]]
        rows = len(mask)
        return {
            "input_ids": input_ids,
            "input_mask": mask.astype(np.int32),
            "segment_ids": (mask & (positions >= first_lengths[:, None])).astype(np.int32),
            **self._label_columns(begin, begin + rows),
            "is_real_example": np.ones((rows, 1), np.int32),
        }

    def _label_columns(self, begin: int, end: int) -> dict[str, NDArray[Any]]:
        if not isinstance(self.labels, SparseRows):
            return {"label_ids": self.labels[begin:end, None]}
        ids, counts = self.labels.padded(begin, end, self._most_labels)
        return {"label_ids": ids, "label_count": counts[:, None]}

    def segment_ids(self, directory: str | None = None) -> NDArray[np.int32]:
        """The segment of each token in `input_ids.values`, int32; where they are many, in a file.

        Args:
          directory: for the file; None: the system's directory for temporary files.
        """
        splits, lengths = self.input_ids.row_splits, self.lengths
        found = spilled.SpilledArray((), np.int32, directory)
        for begin, end in spilled.row_ranges(len(self), self.max_seq_length, _VALUES_AT_ONCE):
            within = np.arange(splits[begin], splits[end]) - np.repeat(splits[begin:end], lengths[begin:end])
            found.append(within >= np.repeat(self.first_lengths[begin:end], lengths[begin:end]))
        return found.finish()

    def write(self, path: str, multiple_of: int = 1) -> None:
        """Writes the rows as records, as the original does.

        Args:
          path: the file.
          multiple_of: rows of zeros, which say that they are no real examples, fill up to a multiple of it.

        Raises:
          OSError: the file cannot be written.
        """
        rows = max(1, min(_ROWS_AT_ONCE, _VALUES_AT_ONCE // sum(feature.size for feature in self.schema.features)))
        with fast_records.BlockWriter([path], self.schema) as writer:
            for begin in range(0, len(self), rows):
                writer.write(self.columns(begin, min(begin + rows, len(self))))
            filling = -len(self) % multiple_of
            if filling:
                writer.write(
                    {feature.name: np.zeros((filling, *feature.shape), int) for feature in self.schema.features}
                )

    def truncation(self) -> str:
        """How much was truncated, as a sentence."""
        limit, longest = f"max_seq_length={self.max_seq_length}", counted(self.longest, "token")
        if self.window_splits is not None:
            return self._division(limit, np.diff(self.window_splits))
        if not self.cut and len(self) == 1:
            return f"The text fits into {limit}; it has {longest}."
        if not self.cut:
            return f"All {len(self):,} rows fit into {limit}; the longest has {longest}."
        cut, were = share(self.cut, len(self), "row"), inflected(self.cut, "was", "were")
        return f"{cut} {were} truncated to {limit}; the longest had {longest}."

    def _division(self, limit: str, counts: NDArray[np.int64]) -> str:
        divided = int(np.count_nonzero(counts > 1))
        text = (
            f"{share(divided, len(counts), 'row')} did not fit into {limit} and {inflected(divided, 'was', 'were')} "
            f"split into {counted(len(self), 'window')} in total. The longest row has "
            f"{counted(self.longest, 'token')}."
        )
        if self.cut:
            cut = counted(self.cut, "row")
            text += f" Of {cut} the second text was truncated, to leave half of each window to the first."
        return text


def featurize(
    examples: Examples,
    labels: NDArray[Any] | SparseRows,
    tokenizer: Tokenizer,
    max_seq_length: int,
    directory: str | None = None,
    long_text: str = TRUNCATE_TAIL,
    window_stride: int | None = None,
) -> Features:
    """Tokenizes and truncates all rows, or splits them into windows.

    Args:
      examples: N rows.
      labels: theirs, from `labels.encode`.
      tokenizer: of the model.
      max_seq_length: S.
      directory: for ids that are too many for memory; None: the system's directory for temporary files.
      long_text: one of `long_texts.LONG_TEXTS`.
      window_stride: for windows, see `sequences.window_sizes`.

    Raises:
      InputError: S has no room for a token of each text.
    """
    least = SPECIAL_IN_TEXT + 1 if examples.pairs is None else SPECIAL_IN_PAIR + 2
    if max_seq_length < least:
        raise InputError(
            f"--max_seq_length={max_seq_length} has no room for a token of each text and the special tokens; it has to "
            f"be at least {least}."
        )
    values = spilled.SpilledArray((), np.int32, directory)
    blocks, windows = [], []
    with Progress(f"Tokenizing {examples.path}", len(examples), unit="row") as progress:
        for begin, end in _row_blocks(examples):
            first = tokenizer.encode_batch(examples.texts[begin:end])
            second = None if examples.pairs is None else tokenizer.encode_batch(examples.pairs[begin:end])
            joined = join_rows(first, second, max_seq_length, tokenizer.vocab[CLS], tokenizer.vocab[SEP], long_text)
            blocks.append((np.diff(joined.input_ids.row_splits), joined.first_lengths, joined.whole_lengths))
            ids = joined.input_ids.values
            if long_text == WINDOWS:
                found = divide_rows(joined.input_ids.row_splits, joined.first_lengths, max_seq_length, window_stride)
                ids = ids[found.sources]
                windows.append((np.diff(found.row_splits), found.first_lengths, found.counts))
            values.append(ids)
            progress.update(end - begin)
    lengths, first_lengths, whole_lengths = map(np.concatenate, zip(*blocks, strict=True))
    empty = int((lengths == SPECIAL_IN_TEXT).sum())
    if empty:
        logger.warning("%s: %s without any token.", examples.path, counted(empty, "row"))
    features = Features(
        input_ids=Ragged(values.finish(), np.concatenate([[0], np.cumsum(lengths)])),
        first_lengths=first_lengths,
        labels=labels,
        max_seq_length=max_seq_length,
        cut=int(np.count_nonzero(lengths < whole_lengths)),
        longest=int(whole_lengths.max()),
        whole_lengths=whole_lengths,
    )
    return _of_windows(features, *map(np.concatenate, zip(*windows, strict=True))) if windows else features


def _of_windows(
    rows: Features, lengths: NDArray[np.int64], first_lengths: NDArray[np.int64], counts: NDArray[np.int64]
) -> Features:
    """Rows as windows, whose tokens `rows` has already; `counts` of each row."""
    of_window = np.repeat(np.arange(len(counts)), counts)
    labels = rows.labels
    return dataclasses.replace(
        rows,
        input_ids=Ragged(rows.input_ids.values, np.concatenate([[0], np.cumsum(lengths)])),
        first_lengths=first_lengths,
        labels=labels.select(of_window) if isinstance(labels, SparseRows) else labels[of_window],
        window_splits=np.concatenate([[0], np.cumsum(counts)]),
    )


def _row_blocks(examples: Examples) -> Iterator[tuple[int, int]]:
    """Ranges of rows that are tokenized together: not too many, and not too much text, or a single row."""
    sizes = _sizes(examples.texts)
    if examples.pairs is not None:
        sizes = sizes + _sizes(examples.pairs)
    ends = np.cumsum(sizes)  # [N]
    begin = done = 0
    while begin < len(ends):
        end = int(np.searchsorted(ends, done + _CHARACTERS_AT_ONCE, side="right"))
        end = min(max(end, begin + 1), begin + _ROWS_AT_ONCE)
        yield begin, end
        begin, done = end, int(ends[end - 1])


def _sizes(texts: Sequence[str]) -> NDArray[np.int64]:
    """About how many characters each text has: int64 [N]."""
    if isinstance(texts, spilled.SpilledTexts):
        return texts.sizes
    return np.fromiter(map(len, texts), np.int64, len(texts))
