"""How text is read from a column of a table, for all commands that read large text; no TensorFlow."""

import dataclasses
from collections.abc import Sequence

from bert_tf2.configs.fields import FILES, check_has_effect, setting
from bert_tf2.configs.table_form import TableForm
from bert_tf2.errors import InputError
from bert_tf2.io import file_kinds, text_columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextInput(TableForm):
    """The flags of tables among the files of `--input_file`: those of `TableForm`, and the column."""

    text_column: str = setting(
        "text",
        help="Column of the texts in .csv, .tsv, .jsonl, .json, .parquet and .xlsx files: its name, or its number from "
        "0 without a header. Each row is a document, its lines are sentences. If empty, such files are read as plain "
        "UTF-8 text, like all others.",
        group=FILES,
    )

    def check_tables(self, paths: Sequence[str]) -> None:
        """Checks that the flags make sense for the files.

        Raises:
          InputError: a flag has an invalid value, or is about tables and none of the files is one; or a file is an
            Excel workbook that would be read as plain text.
        """
        for path in paths:
            if not self.text_column and file_kinds.kind_of(path) == "xlsx":
                raise InputError(
                    f"{path} is an Excel workbook, not plain text; name the column to read by --text_column."
                )
        kinds = {text_columns.kind_of(path) for path in paths} - {None} if self.text_column else set()
        needed = "is for tables (.csv, .jsonl, ...); omit it"
        check_has_effect(self, ("text_column",), bool(kinds) or not self.text_column, needed)
        self.check_form(kinds, needed="is for CSV, TSV and JSON; plain text must be UTF-8")
