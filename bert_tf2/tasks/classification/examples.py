"""What every reader of data returns: the rows of a file, as they stand there."""

import dataclasses
from collections.abc import Sequence

RawLabel = str | tuple[str, ...]
"""A label as the file has it; a tuple where the file has a list."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Rows of one file, column by column.

    Attributes:
      path: the file.
      lines: the line that each row begins on, from 1.
      ids: what each row is called.
      texts: the text, or the first of two.
      pairs: the second texts; None where there is one text a row.
      labels: None where the file is read without them.
    """

    path: str
    lines: Sequence[int]
    ids: Sequence[str | int]
    texts: Sequence[str]
    pairs: Sequence[str] | None
    labels: Sequence[RawLabel] | None

    def __len__(self) -> int:
        return len(self.texts)

    def place(self, row: int) -> str:
        """Where a row stands, for errors: `train.csv, line 7`."""
        return f"{self.path}, line {self.lines[row]}"
