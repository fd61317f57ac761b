"""Excel workbooks (.xlsx), read as rows like those of CSV; no TensorFlow.

    for number, cells in spreadsheets.read("reviews.xlsx#Sheet2"): ...

Workbooks are read with openpyxl, row by row. Formulas have the values that Excel saved.
"""

import datetime
import functools
import importlib.util
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from bert_tf2.errors import MOST_NAMED, InputError, some
from bert_tf2.io import file_system

logger = logging.getLogger(__name__)

_WITH_SHEET = re.compile(r"(.*\.xlsx)#(.+)", re.IGNORECASE | re.DOTALL)
_MOST_DIGITS = 15  # Excel's precision


class Workbook(NamedTuple):
    """A workbook and the sheet to read, as named by a path.

    Attributes:
      path: the path of the file.
      sheet: the name of the sheet; None: the first one.
    """

    path: str
    sheet: str | None = None

    @classmethod
    def of(cls, path: str) -> "Workbook | None":
        """The workbook of `reviews.xlsx` or `reviews.xlsx#Sheet2`; None for another kind of file."""
        match = _WITH_SHEET.fullmatch(path)
        if match and not file_system.exists(path):
            return cls(match[1], match[2])
        return cls(path) if path.lower().endswith(".xlsx") else None


def read(path: str, takes_sheet: bool = True) -> Iterator[tuple[int, list[str]]]:
    """The number of each row that is not empty, as Excel shows it, and its cells as texts.

    Whole numbers have no decimal point, truth values are `true` and `false`, dates are 2026-01-31. All rows have at
    least as many cells as the first; empty cells beyond these are omitted.

    Args:
      path: see `Workbook.of`.
      takes_sheet: whether users can name a sheet, as the log then tells them if there are several.

    Raises:
      InputError: openpyxl is not installed, the file cannot be read, or has no such sheet.
    """
    if importlib.util.find_spec("openpyxl") is None:
        raise InputError(
            f"{path}: Excel workbooks need openpyxl, which is not installed: pip install 'bert-tf2[excel]'. "
            "Or save the sheet as CSV."
        )
    import openpyxl

    book, name = Workbook.of(path) or Workbook(path)
    width = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about features of Excel that openpyxl ignores; none contains cells
            workbook = openpyxl.load_workbook(file_system.local_copy(book), read_only=True, data_only=True)
        try:
            sheet = _sheet(workbook, book, name, takes_sheet)
            sheet.reset_dimensions()  # some programs write wrong dimensions, and cells would be missing
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                cells = list(map(_text, row))
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    width = width or len(cells)
                    yield number, cells + [""] * (width - len(cells))
        finally:
            workbook.close()
    except (InputError, MemoryError):
        raise
    except Exception as error:  # openpyxl and its parsers raise almost any for a corrupt file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"Cannot read {book} as an Excel workbook: {reason:.200}.") from None


def _sheet(workbook: Any, path: str, name: str | None, takes_sheet: bool) -> Any:
    sheets = {sheet.title: sheet for sheet in workbook.worksheets}
    if not sheets:
        raise InputError(f"{path} has no sheet with cells.")
    if name is None:
        name = next(iter(sheets))
        if len(sheets) > 1:
            others = some((f"{path}#{other}" for other in sheets if other != name), 3)
            _log_sheet(path, name, f"give {others}" if takes_sheet else "save it as a file of its own")
    if name not in sheets:
        raise InputError(f"{path} has no sheet {name!r:.60}; it has {some(map(repr, sheets), MOST_NAMED)}.")
    return sheets[name]


@functools.cache  # a file may be read more than once
def _log_sheet(path: str, name: str, advice: str) -> None:
    logger.info("%s: reading the first sheet, %r; to read another one, %s.", path, name, advice)


def _text(value: Any) -> str:
    """A cell as text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 10**_MOST_DIGITS else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value)
