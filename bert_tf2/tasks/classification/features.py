"""Examples to token ids to records, all rows at once; no TensorFlow.

A row becomes `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, by `sequences.join_rows`, as in `convert_single_example` of
google-research/bert `run_classifier.py`.

Shapes: `N` rows, `S` `max_seq_length`, `L` labels.
"""

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import fast_records, records
from bert_tf2.errors import InputError
from bert_tf2.fast_tokenizer import Ragged
from bert_tf2.progress import Progress
from bert_tf2.sequences import CLS, SEP, SPECIAL_IN_PAIR, SPECIAL_IN_TEXT, join_rows
from bert_tf2.sparse_rows import SparseRows
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tokenizer_choice import Tokenizer

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 8192
_CHARACTERS_AT_ONCE = 1 << 23  # of texts; all their tokens are held before they are cut
_VALUES_AT_ONCE = 1 << 22  # of records


@dataclasses.dataclass(frozen=True)
class Features:
    """Rows as a model takes them, without padding.

    Attributes:
      input_ids: N rows of at most S ids, special tokens included.
      first_lengths: int64 [N], how many of them belong to the first segment.
      labels: see `labels.encode`: int32 [N], [N, L], perhaps sparse, or float32 [N].
      max_seq_length: S.
      cut: how many rows lost tokens.
      longest: how many tokens the longest row would have had.
    """

    input_ids: Ragged
    first_lengths: NDArray[np.int64]
    labels: NDArray[Any] | SparseRows
    max_seq_length: int
    cut: int
    longest: int

    def __len__(self) -> int:
        return len(self.first_lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each row has: int64 [N]."""
        return np.diff(self.input_ids.row_splits)

    @property
    def schema(self) -> records.Schema:
        """Of the records."""
        kind: records.Kind = "float" if self.labels.dtype.kind == "f" else "int"
        return records.classification(self.max_seq_length, label_size=self._label_size, label_kind=kind)

    @property
    def _label_size(self) -> int:
        return self.labels.shape[1] if self.labels.ndim == 2 else 1

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
            "label_ids": self.labels[begin:end].reshape(rows, self._label_size),
            "is_real_example": np.ones((rows, 1), np.int32),
        }

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
        """How much was cut, as a sentence."""
        limit = f"max_seq_length={self.max_seq_length}"
        if not self.cut:
            return f"All {len(self):,} rows fit into {limit}; the longest has {self.longest:,} tokens."
        share = f"{self.cut:,} of {len(self):,} rows ({100 * self.cut / len(self):.2g} %)"
        return f"{share} were cut to {limit}; the longest had {self.longest:,} tokens."


def featurize(
    examples: Examples, labels: NDArray[Any] | SparseRows, tokenizer: Tokenizer, max_seq_length: int
) -> Features:
    """Tokenizes and cuts all rows.

    Args:
      examples: N rows.
      labels: theirs, from `labels.encode`.
      tokenizer: of the model.
      max_seq_length: S.

    Raises:
      InputError: S has no room for a token of each text.
    """
    least = SPECIAL_IN_TEXT + 1 if examples.pairs is None else SPECIAL_IN_PAIR + 2
    if max_seq_length < least:
        raise InputError(
            f"--max_seq_length={max_seq_length} has no room for a token of each text and the special tokens; it has to "
            f"be at least {least}."
        )
    with Progress(f"Tokenizing {examples.path}", len(examples), unit="row") as progress:
        blocks = []
        for begin, end in _row_blocks(examples):
            first = tokenizer.encode_batch(examples.texts[begin:end])
            second = None if examples.pairs is None else tokenizer.encode_batch(examples.pairs[begin:end])
            blocks.append(join_rows(first, second, max_seq_length, tokenizer.vocab[CLS], tokenizer.vocab[SEP]))
            progress.update(end - begin)
    lengths = np.concatenate([np.diff(block.input_ids.row_splits) for block in blocks])
    whole_lengths = np.concatenate([block.whole_lengths for block in blocks])
    features = Features(
        input_ids=Ragged(
            np.concatenate([block.input_ids.values for block in blocks]), np.concatenate([[0], np.cumsum(lengths)])
        ),
        first_lengths=np.concatenate([block.first_lengths for block in blocks]),
        labels=labels,
        max_seq_length=max_seq_length,
        cut=int(np.count_nonzero(lengths < whole_lengths)),
        longest=int(whole_lengths.max()),
    )
    empty = int((features.lengths == SPECIAL_IN_TEXT).sum())
    if empty:
        logger.warning("%s: %s row%s without any token.", examples.path, f"{empty:,}", "s" * (empty > 1))
    return features


def _row_blocks(examples: Examples) -> Iterator[tuple[int, int]]:
    """Ranges of rows that are tokenized together: not too many, and not too much text, or a single row."""
    sizes = [list(map(len, texts)) for texts in (examples.texts, examples.pairs or ())]
    begin, characters = 0, 0
    for row in range(len(examples)):
        size = sum(of_text[row] for of_text in sizes if of_text)
        if row > begin and (row - begin == _ROWS_AT_ONCE or characters + size > _CHARACTERS_AT_ONCE):
            yield begin, row
            begin, characters = row, 0
        characters += size
    yield begin, len(examples)
