"""Words to pieces to windows, all of a file at once; no TensorFlow.

The tag of a word stands at its first piece; all other pieces, and words that another window decides, have none.

Shapes: `W` words, `M` windows, `T` pieces of all windows.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.io.progress import Progress
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tasks.tagging.windows import Ints, Windows, divide
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.sequences import CLS, SEP, SPECIAL_IN_TEXT, ranges

_WORDS_AT_ONCE = 1 << 16
_NO_WORD = -1


@dataclasses.dataclass(frozen=True)
class Features:
    """Windows as a model takes them, without padding.

    Attributes:
      row_splits: int64 [M + 1]; the pieces of window `i` are `row_splits[i]` to `row_splits[i + 1]`.
      input_ids: int32 [T], special pieces included.
      words: int64 [T], at the first piece of each word the word where the window decides it, else -1. Each word that
        has pieces is there exactly once.
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

    def tag_ids(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """1 + the label of the word that stands there in `words`, 0 elsewhere: int32 [T].

        Args:
          labels: int [W].
        """
        return np.where(self.words == _NO_WORD, 0, labels[self.words] + 1).astype(np.int32)

    def summary(self, description: TaggingDescription) -> str:
        """How sentences became windows, as a sentence or more."""
        limit = f"max_seq_length={description.max_seq_length}"
        text = f"{self.sentences:,} sentences in {len(self):,} windows; the longest has {self.longest:,} pieces"
        if self.divided:
            shared = 2 * description.context
            text += f", {self.divided:,} did not fit into {limit} and were divided, with {shared} pieces in common."
        else:
            text += f", all fit into {limit}."
        if self.cut:
            text += f" Words longer than a window, read up to its end: {self.cut:,}."
        if self.without_pieces:
            text += f" Words without any piece, tagged O: {self.without_pieces:,}."
        return text


def featurize(sentences: Sentences, tokenizer: Tokenizer, description: TaggingDescription) -> Features:
    """Tokenizes the words of a file, each by itself, and divides its sentences into windows.

    Args:
      sentences: the file.
      tokenizer: of the model.
      description: for the length of windows and their context.
    """
    whole = _tokenize(sentences, tokenizer)
    counts = np.diff(whole.row_splits)
    pieces = np.minimum(counts, description.room)
    kept = whole.values[ranges(whole.row_splits[:-1], pieces)]
    windows = divide(pieces, sentences.row_splits, description.room, description.context)
    places = np.concatenate([[0], np.cumsum(counts)])
    return Features(
        **_join(kept, pieces, windows, tokenizer.vocab[CLS], tokenizer.vocab[SEP]),
        sentences=len(sentences),
        divided=windows.divided,
        longest=int(np.diff(places[sentences.row_splits]).max()),
        cut=int((counts > pieces).sum()),
        without_pieces=int((counts == 0).sum()),
    )


def _tokenize(sentences: Sentences, tokenizer: Tokenizer) -> Ragged:
    """The pieces of each word."""
    words = sentences.words
    parts = []
    with Progress(f"Tokenizing {sentences.path}", len(words), unit="word") as progress:
        for begin in range(0, len(words), _WORDS_AT_ONCE):
            parts.append(tokenizer.encode_batch(words[begin : begin + _WORDS_AT_ONCE]))
            progress.update(len(parts[-1].row_splits) - 1)
    counts = np.concatenate([[0], *(np.diff(part.row_splits) for part in parts)])
    return Ragged(np.concatenate([part.values for part in parts]), np.cumsum(counts))


def _join(values: NDArray[np.int32], pieces: Ints, windows: Windows, cls: int, sep: int) -> dict[str, NDArray[Any]]:
    """`[CLS] pieces [SEP]` for each window: `row_splits`, `input_ids` and `words` of `Features`.

    Args:
      values: the pieces of all words.
      pieces: int [W], how many of them each word has.
      windows: M of them.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
    """
    places = np.concatenate([[0], np.cumsum(pieces)])  # [W + 1]
    sizes = places[windows.end] - places[windows.first]  # [M]
    row_splits = np.concatenate([[0], np.cumsum(sizes + SPECIAL_IN_TEXT)])
    sources = ranges(places[windows.first], sizes)  # of each piece in a window, its place in `values`
    targets = ranges(row_splits[:-1] + 1, sizes)
    input_ids = np.full(row_splits[-1], sep, np.int32)
    input_ids[row_splits[:-1]] = cls
    input_ids[targets] = values[sources]

    word_of = np.repeat(np.arange(len(pieces)), pieces)[sources]  # of each piece in a window
    is_first = sources == places[word_of]
    is_decided = windows.deciding(word_of) == np.repeat(np.arange(len(sizes)), sizes)
    words = np.full(row_splits[-1], _NO_WORD, np.int64)
    words[targets] = np.where(is_first & is_decided, word_of, _NO_WORD)
    return {"row_splits": row_splits, "input_ids": input_ids, "words": words}
