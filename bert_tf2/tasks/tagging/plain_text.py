"""Plain sentences taken for columns: what tells them apart. No TensorFlow."""

import re
from collections.abc import Sequence

from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging.conll import ONE_WORD_A_LINE, Sentences, cells_of
from bert_tf2.tasks.tagging.task_description import is_tag

_MOST_READ = 1000  # words from which a file is judged
_ENOUGH = 10  # of them, for what a column repeats to say something
_FEATURE = re.compile(r"[A-Z][A-Z0-9$]*(-.+)?|_|-")  # a part of speech, a chunk, a placeholder
_SENTENCE = re.compile(r".{3,}[。！？]", re.DOTALL)  # as Chinese and Japanese end, without spaces


def check(sentences: Sentences, token_column: int) -> None:
    """Refuses a file to predict whose lines are sentences, not words.

    Lines with tabs are columns. So are lines with as many cells each, one of which looks like a column: it holds tags,
    or parts of speech and the like, or repeats itself. What is not clear counts as sentences: then it is the user who
    says which column the words are in.

    Args:
      sentences: the file.
      token_column: where the words are thought to be.

    Raises:
      InputError: they are sentences, or could be.
    """
    numbers = sentences.word_lines[:_MOST_READ].tolist()
    lines = [sentences.lines[number] for number in numbers]
    if any("\t" in line for line in lines):
        return
    rows = [cells_of(line) for line in lines]
    where = f"{sentences.path}, line {numbers[0] + 1}"
    if len(rows[0]) == 1:
        if 2 * sum(_SENTENCE.fullmatch(row[0]) is not None for row in rows) > len(rows):
            raise InputError(f"{where} is a sentence, {rows[0][0]!r:.60}; expected {ONE_WORD_A_LINE}.")
        return
    words = [row[token_column] for row in rows]
    columns = list(zip(*rows, strict=True))
    del columns[token_column % len(columns)]
    if not any(_is_column(column, words) for column in columns):
        raise InputError(
            f"{where} has {len(rows[0])} words between spaces, {lines[0]!r:.60}, which looks like a sentence; expected "
            f"{ONE_WORD_A_LINE}. If they are columns, say which one has the words: --token_column={token_column}."
        )


def _is_column(cells: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the cells under each other are something that words have, not words of sentences."""
    if all(map(is_tag, cells)):
        return True
    if len(cells) >= _ENOUGH and 2 * len(set(cells)) <= len(cells):
        return True
    # The parts of speech of punctuation are punctuation.
    of_words = [cell for cell, word in zip(cells, words, strict=True) if word[:1].isalpha()]
    return len(of_words) > 1 and all(map(_FEATURE.fullmatch, of_words))
