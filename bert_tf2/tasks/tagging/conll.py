"""CoNLL-style files: one word per line with its tag in another column, an empty line after each sentence.

    The     O
    Empire  B-location
    State   I-location

Tags of other schemes, or with an underscore, are read as BIO and written as they were (`schemes`). Columns stand
between tabs where a line has a tab, else between spaces. Comments (`# id 1`, `# text = The Empire`)
before a sentence are not words. All lines are kept as they are, so that a prediction can be written in the same form;
what is large is in files without names (`spilled`). No TensorFlow.

Shapes: `W` words of a file, `N` its sentences.
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
"""The first cell of a line that begins a document and is not a word."""

ONE_WORD_A_LINE = "one word per line, and an empty line after each sentence"

Comments = Literal["auto", "yes", "no"]
"""Which lines that begin with `#` are comments: those that look like comments, all before a sentence, or none."""

Value = TypeVar("Value")

_BOM = "\ufeff"
COMMENTS = ("# ", "#begin document", "#end document")
"""How lines begin that may be comments."""

_SENTENCES_AT_ONCE = 4096
_WORD, _DOCUMENT = 1, 2  # kinds of lines

_METADATA = re.compile(r"# id |# \S+ = |#(begin|end) document")


@dataclasses.dataclass(frozen=True)
class Sentences:
    """A file.

    Attributes:
      path: the file.
      lines: all its lines, without line ends.
      words: W words; one may be empty in a file with tabs.
      tags: theirs, in BIO; None where the file was read without.
      word_lines: int64 [W], the index in `lines` of each word.
      row_splits: int64 [N + 1]; the words of sentence `i` are `row_splits[i]` to `row_splits[i + 1]`.
      documents: indices in `lines` of the lines `-DOCSTART-` that have as many columns as those of words.
      comments: indices in `lines` of the comments.
      scheme: of the tags in the file; of a file that was read without, of those to be written.
      texts: of plain sentences, the text of each of the N, in which the words are; `lines` are then made of them.
      text_lines: the line of the file that each text is, from 1.
      offsets: int64 [W, 2], where each word begins and ends in its text, in characters.
      is_of_spans: whether the texts are of a file of `span_rows`.
      truths: the tags that a file to predict has, in BIO, including those unknown to the model; None if it has none.
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
    is_of_spans: bool = False
    truths: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def place(self, word: int) -> str:
        """Where a word stands, for errors: `train.conll, line 7`."""
        if self.texts is not None:
            return f"{self.path}, line {self.text_lines[int(np.searchsorted(self.row_splits, word, 'right')) - 1]}"
        return f"{self.path}, line {self.word_lines[word] + 1}"

    def place_of(self, number: int, words: Sequence[str]) -> "Place":
        """The position and the text of a sentence; without texts, its words separated by spaces.

        Args:
          number: the index of the sentence.
          words: its words.
        """
        begin = int(self.row_splits[number])
        if self.texts is not None and self.offsets is not None:
            offsets = self.offsets[begin : begin + len(words)].tolist()
            return Place(self.text_lines[number], self.texts[number], offsets)
        ends = itertools.accumulate(len(word) + 1 for word in words)
        offsets = [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
        return Place(int(self.word_lines[begin]) + 1, " ".join(words), offsets)

    def split(self, values: Sequence[Value]) -> Iterator[Sequence[Value]]:
        """What there is for each word, sentence by sentence."""
        for first, last in row_ranges(len(self), 1, _SENTENCES_AT_ONCE):
            bounds = self.row_splits[first : last + 1].tolist()
            part = values[bounds[0] : bounds[-1]]
            for begin, end in itertools.pairwise(bounds):
                yield part[begin - bounds[0] : end - bounds[0]]

    def lines_of_words(self) -> Iterator[str]:
        """The line of each word."""
        return itertools.compress(self.lines, (kind == _WORD for kind in self._kinds_of_lines()))

    def _kinds_of_lines(self) -> bytes:
        """A number for each line: `_WORD`, for one of `documents` `_DOCUMENT`, for all others 0."""
        kinds = np.zeros(len(self.lines), np.uint8)
        kinds[self.word_lines] = _WORD
        kinds[np.array(self.documents, np.int64)] = _DOCUMENT
        return kinds.tobytes()


class Place(NamedTuple):
    """The position of a sentence in its file, and its text.

    Attributes:
      line: the line where it begins, from 1.
      text: the text.
      offsets: the character offsets of the beginning and end of each word in the text.
    """

    line: int
    text: str
    offsets: Sequence[Sequence[int]]


class Collected:
    """Lines and words of a file, as they are read.

    Args:
      directory: for what is large; None: the system's directory for temporary files.
    """

    def __init__(self, directory: str | None) -> None:
        self._lines, self._words = SpilledSequence[str](directory), SpilledSequence[str](directory)
        self._word_lines, self._splits = array("q"), array("q", [0])

    def add_line(self, line: str) -> None:
        """Adds a line, as it is written."""
        self._lines.extend([line])

    def add_word(self, word: str) -> None:
        """Adds a word, which stands on the last line, to the sentence."""
        self._words.extend([word])
        self._word_lines.append(len(self._lines) - 1)

    @property
    def in_sentence(self) -> bool:
        """Whether the sentence has a word."""
        return self._splits[-1] < len(self._word_lines)

    def end_sentence(self) -> None:
        """The next word is one of another sentence."""
        if self.in_sentence:
            self._splits.append(len(self._word_lines))

    def sentences(self, path: str, documents: Sequence[int] = (), comments: Sequence[int] = ()) -> Sentences:
        """All of it, without tags."""
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
    path: str, token_column: int, tag_column: int | None, comments: Comments = "auto", directory: str | None = None
) -> Sentences:
    """Reads a file, which may be gzip or Zstandard.

    Args:
      path: the file.
      token_column: number of the column of the words, from 0; from the end if negative.
      tag_column: of the tags; None: they are not read, and need not be there.
      comments: which lines that begin with `#` are comments.
      directory: for what is large; None: the system's directory for temporary files.

    Raises:
      InputError: it cannot be read, has no words, lines of different numbers of columns, no such column, or a tag that
        is of no scheme.
    """
    rule = _Comments.of(_lines_of(path), -1 if tag_column is None else tag_column, comments)
    collected, names, tags = Collected(directory), dict[str, int](), array("i")
    marks: list[tuple[int, int]] = []
    found_comments: list[int] = []
    columns, first = 0, (0, "")  # of the first word
    for number, line in enumerate(_lines_of(path)):
        collected.add_line(line)
        cells = cells_of(line)
        if not any(cells) or cells[0] == DOCUMENT:
            collected.end_sentence()
            if any(cells):
                marks.append((number, len(cells)))
            continue
        if not collected.in_sentence and rule.has(line, cells):
            found_comments.append(number)
            continue
        if not columns:
            columns, first = len(cells), (number, line)
            _check_columns(path, number, columns, token_column, tag_column)
        elif len(cells) != columns:
            _refuse_ragged(path, (number, line), first)
        collected.add_word(cells[token_column])
        if tag_column is not None:
            tag = cells[tag_column]
            if tag not in names and not schemes.is_tag(tag):
                _refuse_tag(path, number, tag)
            tags.append(names.setdefault(tag, len(names)))
    if not columns:
        raise InputError(f"{path} has no words; expected {ONE_WORD_A_LINE}.")
    documents = [number for number, count in marks if count == columns]
    sentences = collected.sentences(path, documents, found_comments)
    return sentences if tag_column is None else _tagged(sentences, TagSequence(list(names), np.array(tags, np.int32)))


def _lines_of(path: str) -> Iterator[str]:
    for number, line in enumerate(files.read_lines(path)):
        yield line if number else line.removeprefix(_BOM)


def _tagged(sentences: Sentences, tags: TagSequence) -> Sentences:
    """A file with its tags, which may be of another scheme."""
    scheme = schemes.find(sentences.split(tags), sentences.path)
    if scheme != schemes.BIO or any(tag[1:2] == "_" for tag in tags.different):
        parts = (schemes.to_bio(sentence, scheme) for sentence in sentences.split(tags))
        tags = TagSequence.of(itertools.chain.from_iterable(parts))
    return dataclasses.replace(sentences, tags=tags, scheme=scheme)


def tagged_by_column(sentences: Sentences, tag_column: int, token_column: int) -> Sentences | None:
    """A file that was read without tags, with the tags of a column; None if that has no tags, or only O."""
    names, tags = dict[str, int](), array("i")
    for line in sentences.lines_of_words():
        cells = cells_of(line)
        if not -len(cells) <= tag_column < len(cells) or tag_column % len(cells) == token_column % len(cells):
            return None
        tag = cells[tag_column]
        if tag not in names and not schemes.is_tag(tag):
            return None
        tags.append(names.setdefault(tag, len(names)))
    if set(names) <= {OUTSIDE}:
        return None
    return _tagged(sentences, TagSequence(list(names), np.array(tags, np.int32)))


@dataclasses.dataclass(frozen=True)
class _Comments:
    """Distinguishes comments from words that begin with `#`, which are frequent in social media.

    Attributes:
      columns: how many a line has that does not look like a comment; 0: there is none.
      has_tabs: whether that line has tabs.
      tag_column: where a tag would be.
      wanted: see `read`.
    """

    columns: int
    has_tabs: bool
    tag_column: int
    wanted: Comments

    @classmethod
    def of(cls, lines: Iterable[str], tag_column: int, wanted: Comments) -> "_Comments":
        """Of a file, from its first line with a word that does not begin with `#`."""
        for line in lines:
            if not line.startswith(COMMENTS) and any(cells := cells_of(line)) and cells[0] != DOCUMENT:
                return cls(len(cells), "\t" in line, tag_column, wanted)
        return cls(0, False, tag_column, wanted)

    def has(self, line: str, cells: Sequence[str]) -> bool:
        """Whether the first line of a sentence, or one after comments, is a comment."""
        if self.wanted != "auto":
            return self.wanted == "yes" and line.startswith("#")
        if not self.columns or not line.startswith(COMMENTS):
            return False
        is_column = -len(cells) <= self.tag_column < len(cells)
        is_tagged = looks_like_tag(cells[self.tag_column if is_column else -1])
        is_untabbed = self.has_tabs and "\t" not in line
        if len(cells) == self.columns:
            return not is_tagged and (is_untabbed or _METADATA.match(line) is not None)
        return is_untabbed or not is_tagged or _METADATA.match(line) is not None


def cells_of(line: str) -> list[str]:
    """The columns of a line: between its tabs, or where it has none between runs of spaces."""
    line = line.removesuffix("\r")
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return [cell for cell in line.split(" ") if cell]


def with_tags(sentences: Sentences, tags: Iterable[str]) -> Iterator[str]:
    """The lines of a file with one more column, the last: a tag for each word, O for `-DOCSTART-`.

    So a file with tags has the true and the predicted one side by side, as `conlleval` wants them. Empty lines, and
    lines `-DOCSTART-` with fewer columns than words have, stay as they are.

    Args:
      sentences: the file.
      tags: W of them, as they are to be written.
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
    # A type with a space in it, as annotators may have it, needs a tab.
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


def _refuse_ragged(path: str, found: tuple[int, str], first: tuple[int, str]) -> NoReturn:
    """Rejects a line whose number of columns differs from the first; takes the number, from 0, and text of both."""
    number, cells = found[0], cells_of(found[1])
    advice = "Words that contain spaces need tabs between the columns."
    if not any("\t" in line for _, line in (found, first)) and not looks_like_tag(cells[-1]):
        advice = f"If these are plain sentences: expected {ONE_WORD_A_LINE}. {advice}"
    raise InputError(
        f"{path}, line {number + 1} has {counted(len(cells), 'column')}, but line {first[0] + 1} has "
        f"{len(cells_of(first[1]))}; expected the same number for every word. {advice}"
    )


def _refuse_tag(path: str, number: int, tag: str) -> NoReturn:
    found = f"the tag {tag!r:.60}" if tag else "no tag"
    raise InputError(
        f"{path}, line {number + 1} has {found}; expected O, B-type or I-type (or the tags of "
        "IOBES or BILOU), with a hyphen or an underscore. Is --tag_column right?"
    )
