"""Converts words to pieces and windows, a whole file at once; no TensorFlow.

The tag of a word stands at its first piece; all other pieces, and words that another window decides, have none.

Shapes: `W` words, `M` windows, `T` pieces of all windows.
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
      row_splits: int64 [M + 1]; the pieces of window `i` are `row_splits[i]` to `row_splits[i + 1]`.
      input_ids: int32 [T], special pieces included.
      words: int64 [T], at the first piece of each word the word where the window decides it, else -1. Each word that
        has pieces is there exactly once. Where they are many, this and `input_ids` are in files.
      sentences: N, how many there are.
      divided: how many of them became several windows.
      longest: pieces of the longest sentence.
      cut: how many words have more pieces than a window has room for; the rest of these is left out.
      without_pieces: how many words have none, as all their characters are deleted.
    """

    row_splits: Ints
    input_ids: NDArray[np.int32]
    words: Ints
    sentences: int
    divided: int
    longest: int
    cut: int
    without_pieces: int

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def words_of(self, windows: Ints, width: int) -> Ints:
        """`words` of some windows, each filled up with -1: int64 [B, width].

        Args:
          windows: int [B].
          width: pieces of the longest window, or more.
        """
        starts, positions = self.row_splits[windows], np.arange(width)
        is_there = positions < (self.row_splits[windows + 1] - starts)[:, None]  # [B, width]
        found = np.full(is_there.shape, _NO_WORD, np.int64)
        found[is_there] = self.words[(starts[:, None] + positions)[is_there]]
        return found

    def tag_ids(self, labels: NDArray[np.int32], directory: str | None = None) -> NDArray[np.int32]:
        """1 + the label of the word that stands there in `words`, 0 elsewhere: int32 [T].

        Args:
          labels: int [W].
          directory: for a file, where they are many; None: the system's directory for temporary files.
        """
        found = spilled.SpilledArray((), np.int32, directory)
        for begin, end in spilled.row_ranges(len(self.words), 1):
            words = self.words[begin:end]
            found.append(np.where(words == _NO_WORD, 0, labels[words] + 1))
        return found.finish()

    def summary(self, description: TaggingDescription) -> str:
        """How sentences became windows, as a sentence or more."""
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
        if self.cut:
            text += f" Words longer than a window, read up to its end: {self.cut:,}."
        if self.without_pieces:
            text += f" Words without any piece, tagged O: {self.without_pieces:,}."
        return text


def featurize(
    sentences: Sentences, tokenizer: Tokenizer, description: TaggingDescription, directory: str | None = None
) -> Features:
    """Tokenizes each word of a file on its own, and splits its sentences into windows.

    Args:
      sentences: the file.
      tokenizer: of the model.
      description: for the length of windows and their context.
      directory: for what is large; None: the system's directory for temporary files.
    """
    whole = _tokenize(sentences, tokenizer, directory)
    counts = np.diff(whole.row_splits)
    pieces = np.minimum(counts, description.room)
    windows = divide(pieces, sentences.row_splits, description.room, description.context)
    return Features(
        **_join(whole, pieces, windows, (tokenizer.vocab[CLS], tokenizer.vocab[SEP]), directory),
        sentences=len(sentences),
        divided=windows.divided,
        longest=int(np.diff(whole.row_splits[sentences.row_splits]).max()),
        cut=int((counts > pieces).sum()),
        without_pieces=int((counts == 0).sum()),
    )


def _tokenize(sentences: Sentences, tokenizer: Tokenizer, directory: str | None) -> Ragged:
    """The pieces of each word."""
    words = sentences.words
    values, counts = spilled.SpilledArray((), np.int32, directory), [np.zeros(1, np.int64)]
    with Progress(f"Tokenizing {sentences.path}", len(words), unit="word") as progress:
        for begin in range(0, len(words), _WORDS_AT_ONCE):
            part = tokenizer.encode_batch(words[begin : begin + _WORDS_AT_ONCE])
            values.append(part.values)
            counts.append(np.diff(part.row_splits))
            progress.update(len(counts[-1]))
    return Ragged(values.finish(), np.cumsum(np.concatenate(counts)))


def _join(
    whole: Ragged, pieces: Ints, windows: Windows, special: tuple[int, int], directory: str | None
) -> dict[str, NDArray[Any]]:
    """`[CLS] pieces [SEP]` for each window: `row_splits`, `input_ids` and `words` of `Features`.

    Args:
      whole: the pieces of all words.
      pieces: int [W], how many of them are taken, the first ones of each word.
      windows: M of them.
      special: ids of `[CLS]` and `[SEP]`.
      directory: see `featurize`.
    """
    places = np.concatenate([[0], np.cumsum(pieces)])  # [W + 1]
    sizes = places[windows.end] - places[windows.first]  # [M]
    input_ids = spilled.SpilledArray((), np.int32, directory)
    words = spilled.SpilledArray((), np.int64, directory)
    for begin, end in spilled.row_ranges(len(sizes), int(sizes.max(initial=1)), _PIECES_AT_ONCE):
        part = slice(begin, end)
        first, last = int(windows.first[begin]), int(windows.end[part].max())
        # Of each piece in these windows, its place among all that are taken, and its word.
        sources = ranges(places[windows.first[part]], sizes[part])
        word_of = np.repeat(np.arange(first, last), pieces[first:last])[sources - places[first]]
        within = sources - places[word_of]
        is_decided = windows.deciding(word_of) == np.repeat(np.arange(begin, end), sizes[part])
        splits = np.concatenate([[0], np.cumsum(sizes[part] + SPECIAL_IN_TEXT)])
        targets = ranges(splits[:-1] + 1, sizes[part])
        ids = np.full(splits[-1], special[1], np.int32)
        ids[splits[:-1]] = special[0]
        ids[targets] = whole.values[whole.row_splits[word_of] + within]
        input_ids.append(ids)
        decided = np.full(splits[-1], _NO_WORD, np.int64)
        decided[targets] = np.where((within == 0) & is_decided, word_of, _NO_WORD)
        words.append(decided)
    row_splits = np.concatenate([[0], np.cumsum(sizes + SPECIAL_IN_TEXT)])
    return {"row_splits": row_splits, "input_ids": input_ids.finish(), "words": words.finish()}
