"""CoNLL-style files: one word per line with its tag in another column, an empty line after each sentence.

    The     O
    Empire  B-location
    State   I-location

Tags of other schemes, or with underscores, are converted to BIO when read, and back when written (`schemes`). Columns
are separated by tabs if a line has a tab, else by spaces. Comments before a sentence (`# id 1`, `# text = The Empire`)
are not words. All lines are kept unchanged, so that predictions can be written in the same format; large data is in
unnamed temporary files (`spilled`). No TensorFlow.

Shapes: `W` words of a file, `N` sentences.
"""

import dataclasses
import itertools
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError, counted
from bert_tf2.io import files
from bert_tf2.io.spilled import SpilledSequence, row_ranges
from bert_tf2.tasks.tagging import schemes
from bert_tf2.tasks.tagging.schemes import Scheme, looks_like_tag
from bert_tf2.tasks.tagging.tag_sequence import TagSequence
from bert_tf2.tasks.tagging.task_description import OUTSIDE

DOCUMENT = "-DOCSTART-"
"""The first cell of a line that begins a document; it is not a word."""

ONE_WORD_PER_LINE = "one word per line, and an empty line after each sentence"

CommentMode = Literal["auto", "yes", "no"]
"""Which lines that begin with `#` are comments: those that look like comments, all before a sentence, or none."""

Value = TypeVar("Value")

_BOM = "\ufeff"
COMMENT_PREFIXES = ("# ", "#begin document", "#end document")
"""The beginnings of lines that may be comments."""

_SENTENCES_AT_ONCE = 4096
_WORD, _DOCUMENT = 1, 2  # kinds of lines; all others are 0

_METADATA = re.compile(r"# id |# \S+ = |#(begin|end) document")


@dataclasses.dataclass(frozen=True)
class Sentences:
    """The sentences of a file.

    Attributes:
      path: the path of the file.
      lines: all its lines, without line endings.
      words: W words; a word may be empty in a file with tabs.
      tags: the W tags of the words, in BIO; None if the file was read without tags.
      word_lines: int64 [W], the index in `lines` of each word.
      row_splits: int64 [N + 1]; the words of sentence `i` are `row_splits[i]` to `row_splits[i + 1]` (exclusive).
      documents: the indices in `lines` of the `-DOCSTART-` lines that have as many columns as the lines of words.
      comments: the indices in `lines` of the comments.
      scheme: the scheme of the tags in the file, or, without tags, of the tags to write.
      texts: the N texts of a file of texts, which contain the words; `lines` are then generated from the words. None if
        the file has columns.
      text_lines: the line number in the file of each text, from 1.
      offsets: int64 [W, 2], the character offsets in its text of the beginning and end of each word.
      is_span_file: whether the file has the format of `span_rows`.
      truths: the tags of a file to predict, in BIO, including tags unknown to the model; None if it has none.
    """

    path: str
    lines: Sequence[str]
    words: Sequence[str]
    tags: Sequence[str] | None
    word_lines: NDArray[np.int64]
    row_splits: NDArray[np.int64]
    documents: Sequence[int]
    comments: Sequence[int] = ()
    scheme: Scheme = schemes.BIO
    texts: Sequence[str] | None = None
    text_lines: Sequence[int] = ()
    offsets: NDArray[np.int64] | None = None
    is_span_file: bool = False
    truths: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def location(self, word: int) -> str:
        """The location of a word, for errors: `train.conll, line 7`."""
        if self.texts is not None:
            return f"{self.path}, line {self.text_lines[int(np.searchsorted(self.row_splits, word, 'right')) - 1]}"
        return f"{self.path}, line {self.word_lines[word] + 1}"

    def located_text(self, index: int, words: Sequence[str]) -> "LocatedText":
        """The line and the text of a sentence; the text of a sentence in columns is its words separated by spaces.

        Args:
          index: the index of the sentence.
          words: its words.
        """
        begin = int(self.row_splits[index])
        if self.texts is not None and self.offsets is not None:
            offsets = self.offsets[begin : begin + len(words)].tolist()
            return LocatedText(self.text_lines[index], self.texts[index], offsets)
        ends = itertools.accumulate(len(word) + 1 for word in words)
        offsets = [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
        return LocatedText(int(self.word_lines[begin]) + 1, " ".join(words), offsets)

    def split(self, values: Sequence[Value]) -> Iterator[Sequence[Value]]:
        """Splits one value per word into sentences.

        Args:
          values: W values.

        Yields:
          The values of the words of each sentence.
        """
        for first, last in row_ranges(len(self), 1, _SENTENCES_AT_ONCE):
            bounds = self.row_splits[first : last + 1].tolist()
            block = values[bounds[0] : bounds[-1]]
            for begin, end in itertools.pairwise(bounds):
                yield block[begin - bounds[0] : end - bounds[0]]

    def lines_of_words(self) -> Iterator[str]:
        """The line of each word."""
        return itertools.compress(self.lines, (kind == _WORD for kind in self._kinds_of_lines()))

    def _kinds_of_lines(self) -> bytes:
        """The kind of each line: `_WORD`, `_DOCUMENT` (if it is one of `documents`), or 0."""
        kinds = np.zeros(len(self.lines), np.uint8)
        kinds[self.word_lines] = _WORD
        kinds[np.array(self.documents, np.int64)] = _DOCUMENT
        return kinds.tobytes()


class LocatedText(NamedTuple):
    """The text of a sentence and its location in the file.

    Attributes:
      line: the number of the line where the sentence begins, from 1.
      text: the text.
      offsets: the character offsets of the beginning and end of each word in the text.
    """

    line: int
    text: str
    offsets: Sequence[Sequence[int]]


class Collected:
    """Collects the lines and words of a file while it is read.

    Args:
      directory: the directory for large data; None: the system's directory for temporary files.
    """

    def __init__(self, directory: str | None) -> None:
        self._lines, self._words = SpilledSequence[str](directory), SpilledSequence[str](directory)
        self._word_lines, self._splits = array("q"), array("q", [0])

    def add_line(self, line: str) -> None:
        """Adds a line."""
        self._lines.extend([line])

    def add_word(self, word: str) -> None:
        """Adds a word, which is on the last line, to the current sentence."""
        self._words.extend([word])
        self._word_lines.append(len(self._lines) - 1)

    @property
    def in_sentence(self) -> bool:
        """Whether the current sentence has a word."""
        return self._splits[-1] < len(self._word_lines)

    def end_sentence(self) -> None:
        """Ends the current sentence, unless it has no words."""
        if self.in_sentence:
            self._splits.append(len(self._word_lines))

    def sentences(self, path: str, documents: Sequence[int] = (), comments: Sequence[int] = ()) -> Sentences:
        """The collected sentences, without tags."""
        self.end_sentence()
        return Sentences(
            path=path,
            lines=self._lines,
            words=self._words,
            tags=None,
            word_lines=np.array(self._word_lines, np.int64),
            row_splits=np.array(self._splits, np.int64),
            documents=documents,
            comments=comments,
        )


def read(
    path: str, token_column: int, tag_column: int | None, comments: CommentMode = "auto", directory: str | None = None
) -> Sentences:
    """Reads a file, which may be compressed with gzip or Zstandard.

    Args:
      path: the path of the file.
      token_column: the index of the column of the words, from 0; counted from the end if negative.
      tag_column: the index of the column of the tags, likewise; None: tags are not read and need not exist.
      comments: which lines that begin with `#` are comments.
      directory: the directory for large data; None: the system's directory for temporary files.

    Raises:
      InputError: the file cannot be read or has no words, its lines have different numbers of columns, a column does
        not exist, or a tag belongs to no scheme.
    """
    rule = _CommentRule.of(lines_of(path), -1 if tag_column is None else tag_column, comments)
    collected, tag_numbers, tags = Collected(directory), dict[str, int](), array("i")
    document_lines: list[tuple[int, int]] = []  # with their numbers of columns
    comment_lines: list[int] = []
    columns, first_word = 0, (0, "")  # the number of columns, and the index and text of the first line with a word
    for number, line in enumerate(lines_of(path)):
        collected.add_line(line)
        cells = cells_of(line)
        if not any(cells) or cells[0] == DOCUMENT:
            collected.end_sentence()
            if any(cells):
                document_lines.append((number, len(cells)))
            continue
        if not collected.in_sentence and rule.matches(line, cells):
            comment_lines.append(number)
            continue
        if not columns:
            columns, first_word = len(cells), (number, line)
            _check_columns(path, number, columns, token_column, tag_column)
        elif len(cells) != columns:
            _reject_ragged(path, (number, line), first_word)
        collected.add_word(cells[token_column])
        if tag_column is not None:
            tag = cells[tag_column]
            if tag not in tag_numbers and not schemes.is_tag(tag):
                _reject_tag(path, number, tag)
            tags.append(tag_numbers.setdefault(tag, len(tag_numbers)))
    if not columns:
        raise InputError(f"{path} has no words; expected {ONE_WORD_PER_LINE}.")
    documents = [number for number, count in document_lines if count == columns]
    sentences = collected.sentences(path, documents, comment_lines)
    if tag_column is None:
        return sentences
    return _with_tags(sentences, TagSequence(list(tag_numbers), np.array(tags, np.int32)))


def lines_of(path: str) -> Iterator[str]:
    """The lines of a file, without a byte order mark; see `files.read_lines`."""
    for number, line in enumerate(files.read_lines(path)):
        yield line if number else line.removeprefix(_BOM)


def _with_tags(sentences: Sentences, tags: TagSequence) -> Sentences:
    """The sentences with tags, which are converted to BIO if they are in another scheme."""
    scheme = schemes.detect(sentences.split(tags), sentences.path)
    if scheme != schemes.BIO or any(tag[1:2] == "_" for tag in tags.distinct):
        converted = (schemes.to_bio(sentence, scheme) for sentence in sentences.split(tags))
        tags = TagSequence.of(itertools.chain.from_iterable(converted))
    return dataclasses.replace(sentences, tags=tags, scheme=scheme)


def with_tag_column(sentences: Sentences, tag_column: int, token_column: int) -> Sentences | None:
    """Adds the tags of a column to sentences that were read without tags.

    Args:
      sentences: the sentences.
      tag_column: the index of the column of the tags.
      token_column: the index of the column of the words.

    Returns:
      The sentences with tags; None if the column does not exist, is that of the words, has anything other than tags, or
      only O.
    """
    tag_numbers, tags = dict[str, int](), array("i")
    for line in sentences.lines_of_words():
        cells = cells_of(line)
        if not -len(cells) <= tag_column < len(cells) or tag_column % len(cells) == token_column % len(cells):
            return None
        tag = cells[tag_column]
        if tag not in tag_numbers and not schemes.is_tag(tag):
            return None
        tags.append(tag_numbers.setdefault(tag, len(tag_numbers)))
    if set(tag_numbers) <= {OUTSIDE}:
        return None
    return _with_tags(sentences, TagSequence(list(tag_numbers), np.array(tags, np.int32)))


@dataclasses.dataclass(frozen=True)
class _CommentRule:
    """Distinguishes comments from words that begin with `#`, which are frequent in social media.

    Attributes:
      columns: the number of columns of the first line with a word that does not look like a comment; 0 if there is no
        such line.
      has_tabs: whether that line has tabs.
      tag_column: the index of the column of tags.
      mode: see `read`.
    """

    columns: int
    has_tabs: bool
    tag_column: int
    mode: CommentMode

    @classmethod
    def of(cls, lines: Iterable[str], tag_column: int, mode: CommentMode) -> "_CommentRule":
        """The rule for a file; takes its lines."""
        for line in lines:
            if not line.startswith(COMMENT_PREFIXES) and any(cells := cells_of(line)) and cells[0] != DOCUMENT:
                return cls(len(cells), "\t" in line, tag_column, mode)
        return cls(0, False, tag_column, mode)

    def matches(self, line: str, cells: Sequence[str]) -> bool:
        """Whether a line before the first word of a sentence is a comment."""
        if self.mode != "auto":
            return self.mode == "yes" and line.startswith("#")
        if not self.columns or not line.startswith(COMMENT_PREFIXES):
            return False
        is_column = -len(cells) <= self.tag_column < len(cells)
        is_tagged = looks_like_tag(cells[self.tag_column if is_column else -1])
        is_untabbed = self.has_tabs and "\t" not in line
        if len(cells) == self.columns:
            return not is_tagged and (is_untabbed or _METADATA.match(line) is not None)
        return is_untabbed or not is_tagged or _METADATA.match(line) is not None


def cells_of(line: str) -> list[str]:
    """The cells of a line, separated by tabs, or, if it has none, by runs of spaces."""
    line = line.removesuffix("\r")
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return [cell for cell in line.split(" ") if cell]


def lines_with_tags(sentences: Sentences, tags: Iterable[str]) -> Iterator[str]:
    """The lines of a file with another column at the end: a tag for each word, O for `-DOCSTART-`.

    The true and predicted tags of a file with tags are thus side by side, as `conlleval` expects. Empty lines, comments
    and `-DOCSTART-` lines with fewer columns than the lines of words are unchanged.

    Args:
      sentences: the sentences of the file.
      tags: W tags, in the scheme to write.
    """
    remaining = iter(tags)
    for kind, line in zip(sentences._kinds_of_lines(), sentences.lines, strict=True):
        if kind == _WORD:
            yield _with_cell(line, next(remaining))
        else:
            yield _with_cell(line, OUTSIDE) if kind == _DOCUMENT else line


def _with_cell(line: str, cell: str) -> str:
    content = line.removesuffix("\r")
    end = line[len(content) :]
    # A tag whose type contains a space needs a tab before it.
    return f"{content}\t{cell}{end}" if "\t" in content or " " in cell else f"{content.rstrip(' ')} {cell}{end}"


def _check_columns(path: str, number: int, columns: int, token_column: int, tag_column: int | None) -> None:
    for flag, column in (("token_column", token_column), ("tag_column", tag_column)):
        if column is not None and not -columns <= column < columns:
            raise InputError(
                f"{path}, line {number + 1} has {counted(columns, 'column')}, so there is no --{flag}={column}; "
                f"they are numbered from 0 to {columns - 1}, or from the end from -1 to -{columns}."
            )
    if tag_column is not None and token_column % columns == tag_column % columns:
        raise InputError(
            f"{path}, line {number + 1} has {counted(columns, 'column')}: --token_column={token_column} and "
            f"--tag_column={tag_column} are the same column; expected a word and its tag, separated by a tab or spaces."
        )


def _reject_ragged(path: str, line: tuple[int, str], first_word: tuple[int, str]) -> NoReturn:
    """Raises an error for a line with another number of columns than the first; takes the index and text of both."""
    number, cells = line[0], cells_of(line[1])
    advice = "Words that contain spaces need tabs between the columns."
    if not any("\t" in text for _, text in (line, first_word)) and not looks_like_tag(cells[-1]):
        advice = f"If these are plain sentences: expected {ONE_WORD_PER_LINE}. {advice}"
    raise InputError(
        f"{path}, line {number + 1} has {counted(len(cells), 'column')}, but line {first_word[0] + 1} has "
        f"{len(cells_of(first_word[1]))}; expected the same number for every word. {advice}"
    )


def _reject_tag(path: str, number: int, tag: str) -> NoReturn:
    shown = f"the tag {tag!r:.60}" if tag else "no tag"
    raise InputError(
        f"{path}, line {number + 1} has {shown}; expected O, B-type or I-type (or the tags of "
        "IOBES or BILOU), with a hyphen or an underscore. Is --tag_column right?"
    )
