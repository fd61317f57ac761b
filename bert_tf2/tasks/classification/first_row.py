"""Detects a likely header in a file whose columns are given by number: a first row that is unlike all others."""

import re
from collections.abc import Sequence
from typing import Self

from bert_tf2.errors import InputError
from bert_tf2.io.delimited import is_number
from bert_tf2.io.tables import Block, Table
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.classification.task_description import TaskDescription

_MIN_OTHERS = 2
_MAX_SEEN = 100_000  # distinct labels in memory, to find out whether labels are repeated
_TEXT_COLUMN_NAMES = re.compile(
    r"abstract|body|comment|content|context|document|hypothesis|message|premise|query|question[12]?|review|"
    r"sentence[12]?|text[12]?|text_[ab]|title|tweet|utterance",
    re.IGNORECASE,
)


class FirstRow:
    """Decides whether the first row of a CSV or TSV file that is read without a header looks like one.

    It does if its label is in no other row, although other labels are repeated or are all numbers; if another column
    has a number in every row but the first; or if its text is a common name of text columns.

    Args:
      path: the path of the file.
      texts: the numbers of the text columns.
      label: the number of the label column; None if there is none.
      task: the task; a first row with one of its labels, which are unknown before training, is not a header.
    """

    def __init__(self, path: str, texts: Sequence[int], label: int | None, task: TaskDescription) -> None:
        self._path, self._texts, self._label = path, texts, label
        self._known, self._separator = frozenset(task.labels), task.label_separator
        self._first: list[str] | None = None
        self._line = 0
        self._other_count = 0
        self._seen: set[str] = set()
        self._has_repeated_labels = False  # in the other rows
        self._is_label_repeated = False  # the first row's label, in another row
        self._numeric_columns: list[int] = []  # those in which all rows but the first have numbers

    @classmethod
    def of(cls, table: Table, task: TaskDescription) -> Self | None:
        """Creates it for a table that is read without a header; None for any other table."""
        if table.width is None or table.names is not None:
            return None
        flags = {"--text_column": task.text_column, "--text_pair_column": task.text_pair_column}
        texts = [table.index(column, flag) % table.width for flag, column in flags.items() if column is not None]
        label = None
        if is_number(str(task.label_column)) and -table.width <= int(str(task.label_column)) < table.width:
            label = int(str(task.label_column)) % table.width
        return cls(table.path, texts, None if label in texts else label, task)

    def add(self, block: Block) -> None:
        """Examines the next rows."""
        rows = block.rows
        if self._first is None:
            self._first, self._line, rows = rows[0], block.lines[0], rows[1:]
            numbers = [column for column in range(len(self._first)) if column not in self._texts]
            self._numeric_columns = [column for column in numbers if not label_lists.are_numbers([self._first[column]])]
        self._other_count += len(rows)
        self._numeric_columns = [
            column for column in self._numeric_columns if label_lists.are_numbers(row[column] for row in rows)
        ]
        if self._label is None or self._is_label_repeated:
            return
        labels = [row[self._label] for row in rows]
        self._is_label_repeated = self._first[self._label] in labels
        if not self._has_repeated_labels and len(self._seen) < _MAX_SEEN:
            before = len(self._seen)
            self._seen.update(labels)
            self._has_repeated_labels = len(self._seen) < before + len(labels)

    def refuse_header(self) -> None:
        """Rejects a first row that looks like a header.

        Raises:
          InputError: it does; the message says why, and which flag decides.
        """
        reason = self._reason()
        if reason:
            raise InputError(
                f"{self._path}, line {self._line}: is this a header? {reason}; say so with --header=true or "
                "--header=false."
            )

    def _reason(self) -> str | None:
        if self._first is None or not self._other_count:
            return None
        if self._other_count >= _MIN_OTHERS:
            if self._has_unique_label():
                return f"Its label {self._first[self._label or 0]!r:.60} is in no other row"
            for column in self._numeric_columns:
                if column != self._label:
                    cell = f"{self._first[column]!r:.60}"
                    return f"Its cell {cell} is the only one of column {column} that is not a number"
        for column in self._texts:
            text = self._first[column]
            if _TEXT_COLUMN_NAMES.fullmatch(text.strip()):
                return f"Its text is {text!r}"
        return None

    def _has_unique_label(self) -> bool:
        if self._first is None or self._label is None or self._is_label_repeated:
            return False
        names = self._first[self._label].split(self._separator)
        if any(name.strip() in self._known for name in names):
            return False
        return self._has_repeated_labels or self._label in self._numeric_columns
