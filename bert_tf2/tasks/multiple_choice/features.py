"""Converts questions to token ids; no TensorFlow.

Each choice becomes a pair, `[CLS] context [SEP] question and choice [SEP]`.

Shapes: `N` questions, `C` the maximum number of choices, `P` pairs.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted, inflected
from bert_tf2.io.progress import Progress
from bert_tf2.io.spilled import SpilledArray
from bert_tf2.tasks.multiple_choice.examples import Example
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.sequences import CLS, SEP, join_rows, ranges

_QUESTIONS_AT_ONCE = 2048


@dataclasses.dataclass(frozen=True)
class Features:
    """Questions as model inputs, without padding; the pairs of a question are consecutive.

    Shapes: `T` tokens of all pairs.

    Attributes:
      row_splits: int64 [N + 1]; the tokens of question `i` are `row_splits[i]` to `row_splits[i + 1]` (exclusive).
      input_ids: int32 [T], including special tokens; in a file if they exceed memory.
      segment_ids: int32 [T], likewise.
      lengths: int32 [N, C], the number of tokens of each pair; 0 if a question has no such choice.
      truncated: the number of pairs that were truncated.
      longest: the number of tokens of the longest pair before truncation.
    """

    row_splits: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    segment_ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    truncated: int
    longest: int

    def summary(self, max_seq_length: int) -> str:
        """The numbers of questions, choices and truncated pairs, as text."""
        pairs = int(np.count_nonzero(self.lengths))
        sizes = (
            f"{counted(len(self.lengths), 'question')} with {counted(pairs, 'choice')}; the longest pair has "
            f"{counted(self.longest, 'token')}"
        )
        limit = f"max_seq_length={max_seq_length}"
        if not self.truncated:
            return f"{sizes}, all fit into {limit}."
        return f"{sizes}, {self.truncated:,} {inflected(self.truncated, 'was', 'were')} truncated to {limit}."


def featurize(
    examples: Sequence[Example], tokenizer: Tokenizer, max_seq_length: int, directory: str | None = None
) -> Features:
    """Tokenizes and truncates all pairs; the longer text of a pair is truncated first.

    Args:
      examples: N questions.
      tokenizer: the tokenizer of the model.
      max_seq_length: the maximum number of tokens per pair.
      directory: the directory for data that exceeds memory, see `spilled`.
    """
    counts = np.array([len(example.choices) for example in examples])  # [N]
    ids, segments = (SpilledArray((), np.int32, directory) for _ in range(2))
    lengths, full_lengths = [], []
    with Progress("Tokenizing", len(examples), unit="question") as progress:
        for begin in range(0, len(examples), _QUESTIONS_AT_ONCE):
            block = examples[begin : begin + _QUESTIONS_AT_ONCE]
            contexts = tokenizer.encode_batch([example.context for example in block])
            first = _repeat_rows(contexts, counts[begin : begin + len(block)])
            second = tokenizer.encode_batch(list(itertools.chain.from_iterable(example.pairs for example in block)))
            rows = join_rows(first, second, max_seq_length, tokenizer.vocab[CLS], tokenizer.vocab[SEP])
            pair_lengths = np.diff(rows.input_ids.row_splits)
            ids.append(rows.input_ids.values)
            segments.append((ranges(0, pair_lengths) >= np.repeat(rows.first_lengths, pair_lengths)).astype(np.int32))
            lengths.append(pair_lengths)
            full_lengths.append(rows.whole_lengths)
            progress.update(len(block))
    all_lengths, all_full_lengths = np.concatenate(lengths), np.concatenate(full_lengths)  # [P]
    table = np.zeros((len(examples), counts.max()), np.int32)
    table[np.arange(table.shape[1]) < counts[:, None]] = all_lengths
    return Features(
        row_splits=np.concatenate([[0], np.cumsum(table.sum(axis=1, dtype=np.int64))]),
        input_ids=ids.finish(),
        segment_ids=segments.finish(),
        lengths=table,
        truncated=int(np.count_nonzero(all_lengths < all_full_lengths)),
        longest=int(all_full_lengths.max()),
    )


def _repeat_rows(ragged: Ragged, counts: NDArray[np.int64]) -> Ragged:
    """The rows, each repeated as often as `counts` says."""
    rows = np.repeat(np.arange(len(counts)), counts)
    sizes = np.diff(ragged.row_splits)[rows]
    values = ragged.values[ranges(ragged.row_splits[rows], sizes)]
    return Ragged(values, np.concatenate([[0], np.cumsum(sizes)]))
