"""Detects a header where columns are given by number: a first row unlike all others looks like one."""

import re
from collections.abc import Sequence
from typing import Self

from bert_tf2.errors import InputError
from bert_tf2.io.delimited import is_number
from bert_tf2.io.tables import Block, Table
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.classification.task_description import TaskDescription

_LEAST_OTHERS = 2
_MOST_SEEN = 100_000  # different labels among which one that is repeated is looked for
_NAMES_OF_TEXTS = re.compile(
    r"abstract|body|comment|content|context|document|hypothesis|message|premise|query|question[12]?|review|"
    r"sentence[12]?|text[12]?|text_[ab]|title|tweet|utterance",
    re.IGNORECASE,
)


class FirstRow:
    """Whether the first row of a CSV or TSV file that is read without a header looks like a header all the same.

    It does where its label is in no other row, although others are repeated or are all numbers; where another column
    has a number in every row but the first; and where its text is a usual name for texts.

    Args:
      path: the file.
      texts: numbers of the columns of texts.
      label: of the labels; None where the file has none.
      task: whose labels the first row may have; none in a training.
    """

    def __init__(self, path: str, texts: Sequence[int], label: int | None, task: TaskDescription) -> None:
        self._path, self._texts, self._label = path, texts, label
        self._known, self._separator = frozenset(task.labels), task.label_separator
        self._first: list[str] | None = None
        self._line = 0
        self._others = 0
        self._seen: set[str] = set()
        self._is_repeated = False  # a label of the other rows
        self._is_in_others = False  # the first label
        self._of_numbers: list[int] = []  # columns in which all rows but the first have numbers

    @classmethod
    def of(cls, table: Table, task: TaskDescription) -> Self | None:
        """For a table whose first row counts as a row; None for another one."""
        if table.width is None or table.names is not None:
            return None
        flags = {"--text_column": task.text_column, "--text_pair_column": task.text_pair_column}
        texts = [table.index(column, flag) % table.width for flag, column in flags.items() if column is not None]
        label = None
        if is_number(str(task.label_column)) and -table.width <= int(str(task.label_column)) < table.width:
            label = int(str(task.label_column)) % table.width
        return cls(table.path, texts, None if label in texts else label, task)

    def add(self, block: Block) -> None:
        """Looks at some rows, the first ones first."""
        rows = block.rows
        if self._first is None:
            self._first, self._line, rows = rows[0], block.lines[0], rows[1:]
            numbers = [column for column in range(len(self._first)) if column not in self._texts]
            self._of_numbers = [column for column in numbers if not label_lists.are_numbers([self._first[column]])]
        self._others += len(rows)
        self._of_numbers = [
            column for column in self._of_numbers if label_lists.are_numbers(row[column] for row in rows)
        ]
        if self._label is None or self._is_in_others:
            return
        labels = [row[self._label] for row in rows]
        self._is_in_others = self._first[self._label] in labels
        if not self._is_repeated and len(self._seen) < _MOST_SEEN:
            before = len(self._seen)
            self._seen.update(labels)
            self._is_repeated = len(self._seen) < before + len(labels)

    def refuse_header(self) -> None:
        """Ends the reading if the first row looks like a header.

        Raises:
          InputError: it does; says why, and which flag decides.
        """
        reason = self._reason()
        if reason:
            raise InputError(
                f"{self._path}, line {self._line}: is this a header? {reason}; say so with --header=true or "
                "--header=false."
            )

    def _reason(self) -> str | None:
        if self._first is None or not self._others:
            return None
        if self._others >= _LEAST_OTHERS:
            if self._has_other_label():
                return f"Its label {self._first[self._label or 0]!r:.60} is in no other row"
            for column in self._of_numbers:
                if column != self._label:
                    cell = f"{self._first[column]!r:.60}"
                    return f"Its cell {cell} is the only one of column {column} that is not a number"
        for column in self._texts:
            text = self._first[column]
            if _NAMES_OF_TEXTS.fullmatch(text.strip()):
                return f"Its text is {text!r}"
        return None

    def _has_other_label(self) -> bool:
        if self._first is None or self._label is None or self._is_in_others:
            return False
        names = self._first[self._label].split(self._separator)
        if any(name.strip() in self._known for name in names):
            return False
        return self._is_repeated or self._label in self._of_numbers
