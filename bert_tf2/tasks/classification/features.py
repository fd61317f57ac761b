"""Converts examples to token ids and records, in blocks of rows; no TensorFlow.

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
from bert_tf2.errors import InputError, counted, inflected, proportion
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
_CHARACTERS_AT_ONCE = 1 << 23  # of texts; all their tokens are in memory before truncation
_VALUES_AT_ONCE = 1 << 22  # of records, or of segment ids


@dataclasses.dataclass(frozen=True)
class Features:
    """Rows as model inputs, without padding.

    Attributes:
      input_ids: N rows of at most S ids, including special tokens; their values are in a file if they exceed memory.
      first_lengths: the number of tokens in the first segment of each row, int64 [N].
      labels: int32 [N], sparse [N, L], or float32 [N]; see `labels.encode`.
      max_seq_length: S.
      truncated_count: how many rows of the file lost tokens.
      longest: the number of tokens in the longest row of the file before truncation.
      window_splits: int64 [rows of the file + 1]: the windows of row `i` of the file are the rows `window_splits[i]` to
        `window_splits[i + 1]`. None if the rows are not split into windows.
      full_lengths: the number of tokens in each row of the file before truncation, int64 [rows of the file].
    """

    input_ids: Ragged
    first_lengths: NDArray[np.int64]
    labels: NDArray[Any] | SparseRows
    max_seq_length: int
    truncated_count: int
    longest: int
    window_splits: NDArray[np.int64] | None = None
    full_lengths: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.first_lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of tokens in each row, int64 [N]."""
        return np.diff(self.input_ids.row_splits)

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """The weight of each window in training, float32 [N]; those of a row of the file sum to 1. None: all are 1."""
        if self.window_splits is None:
            return None
        counts = np.diff(self.window_splits)
        return np.repeat(1 / counts, counts).astype(np.float32)

    @property
    def schema(self) -> records.Schema:
        """The schema of the records."""
        if isinstance(self.labels, SparseRows):
            return records.classification(self.max_seq_length, label_size=self._max_labels, several=True)
        kind: records.Kind = "float" if self.labels.dtype.kind == "f" else "int"
        return records.classification(self.max_seq_length, label_kind=kind)

    @property
    def _max_labels(self) -> int:
        """The largest number of labels in a row, at least 1."""
        return max(1, int(np.diff(self.labels.row_splits).max())) if isinstance(self.labels, SparseRows) else 1

    def columns(self, begin: int = 0, end: int | None = None) -> dict[str, NDArray[Any]]:
        """The features of `schema` for rows `begin` to `end`, each [rows, ...]; tokens are padded with zeros to S."""
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
        ids, counts = self.labels.padded(begin, end, self._max_labels)
        return {"label_ids": ids, "label_count": counts[:, None]}

    def segment_ids(self, directory: str | None = None) -> NDArray[np.int32]:
        """The segment of each token in `input_ids.values`, int32; in a file if they exceed memory.

        Args:
          directory: for the file; None: the system's directory for temporary files.
        """
        splits, lengths = self.input_ids.row_splits, self.lengths
        segment_ids = spilled.SpilledArray((), np.int32, directory)
        for begin, end in spilled.row_ranges(len(self), self.max_seq_length, _VALUES_AT_ONCE):
            positions = np.arange(splits[begin], splits[end]) - np.repeat(splits[begin:end], lengths[begin:end])
            segment_ids.append(positions >= np.repeat(self.first_lengths[begin:end], lengths[begin:end]))
        return segment_ids.finish()

    def write(self, path: str, multiple_of: int = 1) -> None:
        """Writes the rows as records, as the original does.

        Args:
          path: the path of the file.
          multiple_of: the number of rows is padded to a multiple of this with rows of zeros, whose `is_real_example` is
            0.

        Raises:
          OSError: the file cannot be written.
        """
        rows = max(1, min(_ROWS_AT_ONCE, _VALUES_AT_ONCE // sum(feature.size for feature in self.schema.features)))
        with fast_records.BlockWriter([path], self.schema) as writer:
            for begin in range(0, len(self), rows):
                writer.write(self.columns(begin, min(begin + rows, len(self))))
            padding = -len(self) % multiple_of
            if padding:
                writer.write(
                    {feature.name: np.zeros((padding, *feature.shape), int) for feature in self.schema.features}
                )

    def truncation(self) -> str:
        """Says how many rows were truncated or split, for the log."""
        limit, longest = f"max_seq_length={self.max_seq_length}", counted(self.longest, "token")
        if self.window_splits is not None:
            return self._describe_windows(limit, np.diff(self.window_splits))
        if not self.truncated_count and len(self) == 1:
            return f"The text fits into {limit}; it has {longest}."
        if not self.truncated_count:
            return f"All {len(self):,} rows fit into {limit}; the longest has {longest}."
        rows, were = proportion(self.truncated_count, len(self), "row"), inflected(self.truncated_count, "was", "were")
        return f"{rows} {were} truncated to {limit}; the longest had {longest}."

    def _describe_windows(self, limit: str, counts: NDArray[np.int64]) -> str:
        split = int(np.count_nonzero(counts > 1))
        text = (
            f"{proportion(split, len(counts), 'row')} did not fit into {limit} and {inflected(split, 'was', 'were')} "
            f"split into {counted(len(self), 'window')} in total. The longest row has "
            f"{counted(self.longest, 'token')}."
        )
        if self.truncated_count:
            rows = counted(self.truncated_count, "row")
            text += f" Of {rows} the second text was truncated, to leave half of each window to the first."
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
      examples: the rows.
      labels: their labels, from `labels.encode`.
      tokenizer: the model's tokenizer.
      max_seq_length: S.
      directory: for data that exceeds memory; None: the system's directory for temporary files.
      long_text: one of `long_texts.LONG_TEXTS`.
      window_stride: for windows, see `sequences.window_sizes`.

    Raises:
      InputError: S is too small for a token of each text and the special tokens.
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
                divided = divide_rows(joined.input_ids.row_splits, joined.first_lengths, max_seq_length, window_stride)
                ids = ids[divided.sources]
                windows.append((np.diff(divided.row_splits), divided.first_lengths, divided.counts))
            values.append(ids)
            progress.update(end - begin)
    lengths, first_lengths, full_lengths = map(np.concatenate, zip(*blocks, strict=True))
    empty = int((lengths == SPECIAL_IN_TEXT).sum())
    if empty:
        logger.warning("%s: %s without any token.", examples.path, counted(empty, "row"))
    features = Features(
        input_ids=Ragged(values.finish(), np.concatenate([[0], np.cumsum(lengths)])),
        first_lengths=first_lengths,
        labels=labels,
        max_seq_length=max_seq_length,
        truncated_count=int(np.count_nonzero(lengths < full_lengths)),
        longest=int(full_lengths.max()),
        full_lengths=full_lengths,
    )
    return _as_windows(features, *map(np.concatenate, zip(*windows, strict=True))) if windows else features


def _as_windows(
    rows: Features, lengths: NDArray[np.int64], first_lengths: NDArray[np.int64], counts: NDArray[np.int64]
) -> Features:
    """Rows split into windows.

    Args:
      rows: the rows; the values of `input_ids` are those of the windows already.
      lengths: the number of tokens in each window.
      first_lengths: how many of them belong to the first segment.
      counts: the number of windows of each row.
    """
    window_rows = np.repeat(np.arange(len(counts)), counts)
    labels = rows.labels
    return dataclasses.replace(
        rows,
        input_ids=Ragged(rows.input_ids.values, np.concatenate([[0], np.cumsum(lengths)])),
        first_lengths=first_lengths,
        labels=labels.select(window_rows) if isinstance(labels, SparseRows) else labels[window_rows],
        window_splits=np.concatenate([[0], np.cumsum(counts)]),
    )


def _row_blocks(examples: Examples) -> Iterator[tuple[int, int]]:
    """Yields ranges of rows to tokenize together, limited in rows and characters but with at least one row."""
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
    """The approximate number of characters in each text, int64 [N]."""
    if isinstance(texts, spilled.SpilledTexts):
        return texts.sizes
    return np.fromiter(map(len, texts), np.int64, len(texts))
