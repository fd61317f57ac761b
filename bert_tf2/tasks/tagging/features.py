"""Converts words to pieces and windows, for a whole file at once; no TensorFlow.

The first piece of a word has its tag; other pieces, and words that another window decides, have none.

Shapes: `W` words, `M` windows, `B` windows of a batch, `T` pieces of all windows.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted, inflected
from bert_tf2.io import spilled
from bert_tf2.io.progress import Progress
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tasks.tagging.windows import Ints, Windows, divide
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.sequences import CLS, SEP, SPECIAL_IN_TEXT, ranges

_WORDS_AT_ONCE = 1 << 16
_PIECES_AT_ONCE = 1 << 20
_NO_WORD = -1


@dataclasses.dataclass(frozen=True)
class Features:
    """Windows as model inputs, without padding.

    Attributes:
      row_splits: int64 [M + 1]; the pieces of window `i` are `row_splits[i]` to `row_splits[i + 1]` (exclusive).
      input_ids: int32 [T], including special pieces; in a file if they exceed memory.
      words: int64 [T], the index of the word at its first piece in the window that decides it, else -1; likewise. Each
        word that has pieces occurs exactly once.
      sentences: the number of sentences.
      divided: the number of sentences with several windows.
      longest: the number of pieces of the longest sentence.
      truncated: the number of words that were truncated, as they have more pieces than fit into a window.
      without_pieces: the number of words without pieces, as the tokenizer removes all their characters.
    """

    row_splits: Ints
    input_ids: NDArray[np.int32]
    words: Ints
    sentences: int
    divided: int
    longest: int
    truncated: int
    without_pieces: int

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def padded_words(self, windows: Ints, width: int) -> Ints:
        """`words` of some windows, padded with -1: int64 [B, width].

        Args:
          windows: int [B], the indices of windows.
          width: the length to pad to, at least that of the longest window.
        """
        starts, positions = self.row_splits[windows], np.arange(width)
        is_piece = positions < (self.row_splits[windows + 1] - starts)[:, None]  # [B, width]
        words = np.full(is_piece.shape, _NO_WORD, np.int64)
        words[is_piece] = self.words[(starts[:, None] + positions)[is_piece]]
        return words

    def tag_ids(self, labels: NDArray[np.int32], directory: str | None = None) -> NDArray[np.int32]:
        """The training targets: 1 + the label of each word in `words`, 0 for other pieces; int32 [T].

        Args:
          labels: int32 [W], the label of each word.
          directory: the directory for large data; None: the system's directory for temporary files.
        """
        tag_ids = spilled.SpilledArray((), np.int32, directory)
        for begin, end in spilled.row_ranges(len(self.words), 1):
            words = self.words[begin:end]
            tag_ids.append(np.where(words == _NO_WORD, 0, labels[words] + 1))
        return tag_ids.finish()

    def summary(self, description: TaggingDescription) -> str:
        """The numbers of sentences, windows and truncated words, as text."""
        limit = f"max_seq_length={description.max_seq_length}"
        text = (
            f"{counted(self.sentences, 'sentence')} in {counted(len(self), 'window')}; the longest has "
            f"{counted(self.longest, 'piece')}"
        )
        if self.divided:
            shared, were = 2 * description.context, inflected(self.divided, "was", "were")
            text += f", {self.divided:,} did not fit into {limit} and {were} split, with {shared} pieces in common."
        else:
            text += f", all fit into {limit}."
        if self.truncated:
            text += f" Words longer than a window, read up to its end: {self.truncated:,}."
        if self.without_pieces:
            text += f" Words without any piece, tagged O: {self.without_pieces:,}."
        return text


def featurize(
    sentences: Sentences, tokenizer: Tokenizer, description: TaggingDescription, directory: str | None = None
) -> Features:
    """Tokenizes each word of a file separately, and splits the sentences into windows.

    Args:
      sentences: the sentences.
      tokenizer: the tokenizer of the model.
      description: has the length of windows and their context.
      directory: the directory for large data; None: the system's directory for temporary files.
    """
    word_pieces = _tokenize(sentences, tokenizer, directory)
    counts = np.diff(word_pieces.row_splits)
    pieces = np.minimum(counts, description.room)
    windows = divide(pieces, sentences.row_splits, description.room, description.context)
    return Features(
        **_join(word_pieces, pieces, windows, (tokenizer.vocab[CLS], tokenizer.vocab[SEP]), directory),
        sentences=len(sentences),
        divided=windows.divided,
        longest=int(np.diff(word_pieces.row_splits[sentences.row_splits]).max()),
        truncated=int((counts > pieces).sum()),
        without_pieces=int((counts == 0).sum()),
    )


def _tokenize(sentences: Sentences, tokenizer: Tokenizer, directory: str | None) -> Ragged:
    """The ids of the pieces of each word."""
    words = sentences.words
    values, counts = spilled.SpilledArray((), np.int32, directory), [np.zeros(1, np.int64)]
    with Progress(f"Tokenizing {sentences.path}", len(words), unit="word") as progress:
        for begin in range(0, len(words), _WORDS_AT_ONCE):
            block = tokenizer.encode_batch(words[begin : begin + _WORDS_AT_ONCE])
            values.append(block.values)
            counts.append(np.diff(block.row_splits))
            progress.update(len(counts[-1]))
    return Ragged(values.finish(), np.cumsum(np.concatenate(counts)))


def _join(
    word_pieces: Ragged, pieces: Ints, windows: Windows, special: tuple[int, int], directory: str | None
) -> dict[str, NDArray[Any]]:
    """Creates `[CLS] pieces [SEP]` for each window.

    Args:
      word_pieces: the ids of all pieces of each word.
      pieces: int [W], the number of pieces of each word after truncation.
      windows: M windows.
      special: the ids of `[CLS]` and `[SEP]`.
      directory: see `featurize`.

    Returns:
      `row_splits`, `input_ids` and `words` of `Features`.
    """
    offsets = np.concatenate([[0], np.cumsum(pieces)])  # [W + 1]
    sizes = offsets[windows.end] - offsets[windows.first]  # [M]
    input_ids = spilled.SpilledArray((), np.int32, directory)
    words = spilled.SpilledArray((), np.int64, directory)
    for begin, end in spilled.row_ranges(len(sizes), int(sizes.max(initial=1)), _PIECES_AT_ONCE):
        block = slice(begin, end)
        first, last = int(windows.first[begin]), int(windows.end[block].max())
        # For each piece in these windows, its index among the pieces of all words, and its word.
        sources = ranges(offsets[windows.first[block]], sizes[block])
        word_of = np.repeat(np.arange(first, last), pieces[first:last])[sources - offsets[first]]
        within = sources - offsets[word_of]
        is_decided = windows.deciding_window(word_of) == np.repeat(np.arange(begin, end), sizes[block])
        splits = np.concatenate([[0], np.cumsum(sizes[block] + SPECIAL_IN_TEXT)])
        targets = ranges(splits[:-1] + 1, sizes[block])
        ids = np.full(splits[-1], special[1], np.int32)
        ids[splits[:-1]] = special[0]
        ids[targets] = word_pieces.values[word_pieces.row_splits[word_of] + within]
        input_ids.append(ids)
        decided = np.full(splits[-1], _NO_WORD, np.int64)
        decided[targets] = np.where((within == 0) & is_decided, word_of, _NO_WORD)
        words.append(decided)
    row_splits = np.concatenate([[0], np.cumsum(sizes + SPECIAL_IN_TEXT)])
    return {"row_splits": row_splits, "input_ids": input_ids.finish(), "words": words.finish()}
