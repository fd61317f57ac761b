"""Converts questions to token ids: each choice is a pair, `[CLS] context [SEP] question and choice [SEP]`; no
TensorFlow.

Shapes: `N` questions, `C` choices of the one that has most, `P` pairs.
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
    """Questions as model inputs, without padding; the pairs of a question follow each other.

    Attributes:
      row_splits: int64 [N + 1], the tokens of each question.
      input_ids: int32, special tokens included; where they are many, in a file.
      segment_ids: int32, likewise.
      lengths: int32 [N, C], tokens of each pair; 0 where a question has no such choice.
      cut: how many pairs lost tokens.
      longest: how many tokens the longest pair would have had.
    """

    row_splits: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    segment_ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    cut: int
    longest: int

    def summary(self, max_seq_length: int) -> str:
        """What there is and how much was truncated, as a sentence."""
        pairs = int(np.count_nonzero(self.lengths))
        what = (
            f"{counted(len(self.lengths), 'question')} with {counted(pairs, 'choice')}; the longest pair has "
            f"{counted(self.longest, 'token')}"
        )
        limit = f"max_seq_length={max_seq_length}"
        were = inflected(self.cut, "was", "were")
        return f"{what}, {self.cut:,} {were} truncated to {limit}." if self.cut else f"{what}, all fit into {limit}."


def featurize(
    examples: Sequence[Example], tokenizer: Tokenizer, max_seq_length: int, directory: str | None = None
) -> Features:
    """Tokenizes and truncates all pairs; of a pair, the longer text loses tokens first.

    Args:
      examples: N questions.
      tokenizer: of the model.
      max_seq_length: tokens of a pair at most.
      directory: for what is too much for memory, see `spilled`.
    """
    counts = np.array([len(one.choices) for one in examples])  # [N]
    ids, segments = (SpilledArray((), np.int32, directory) for _ in range(2))
    lengths, whole = [], []
    with Progress("Tokenizing", len(examples), unit="question") as progress:
        for begin in range(0, len(examples), _QUESTIONS_AT_ONCE):
            block = examples[begin : begin + _QUESTIONS_AT_ONCE]
            contexts = tokenizer.encode_batch([one.context for one in block])
            first = _repeated(contexts, counts[begin : begin + len(block)])
            second = tokenizer.encode_batch(list(itertools.chain.from_iterable(one.pairs for one in block)))
            rows = join_rows(first, second, max_seq_length, tokenizer.vocab[CLS], tokenizer.vocab[SEP])
            sizes = np.diff(rows.input_ids.row_splits)
            ids.append(rows.input_ids.values)
            segments.append((ranges(0, sizes) >= np.repeat(rows.first_lengths, sizes)).astype(np.int32))
            lengths.append(sizes)
            whole.append(rows.whole_lengths)
            progress.update(len(block))
    all_lengths, all_whole = np.concatenate(lengths), np.concatenate(whole)  # [P]
    table = np.zeros((len(examples), counts.max()), np.int32)
    table[np.arange(table.shape[1]) < counts[:, None]] = all_lengths
    return Features(
        row_splits=np.concatenate([[0], np.cumsum(table.sum(axis=1, dtype=np.int64))]),
        input_ids=ids.finish(),
        segment_ids=segments.finish(),
        lengths=table,
        cut=int(np.count_nonzero(all_lengths < all_whole)),
        longest=int(all_whole.max()),
    )


def _repeated(ragged: Ragged, counts: NDArray[np.int64]) -> Ragged:
    """Each row so many times."""
    rows = np.repeat(np.arange(len(counts)), counts)
    sizes = np.diff(ragged.row_splits)[rows]
    values = ragged.values[ranges(ragged.row_splits[rows], sizes)]
    return Ragged(values, np.concatenate([[0], np.cumsum(sizes)]))
