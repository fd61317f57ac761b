"""How text in a column of a table is read, for all commands that read large text; no TensorFlow."""

import dataclasses
from collections.abc import Sequence

from bert_tf2.configs.fields import FILES, check_has_effect, setting
from bert_tf2.io import delimited, text_columns, text_lines
from bert_tf2.io.delimited import Form


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextInput:
    """The flags of tables among the files of `--input_file`."""

    text_column: str = setting(
        "text",
        help="Of .csv, .tsv, .jsonl, .json and .parquet files, the column with the texts: its name, or its number from "
        "0 where CSV or TSV has no header. Each row is a document, its lines are sentences. If empty, such files "
        "are plain text like all others.",
        group=FILES,
    )
    delimiter: str | None = setting(
        None,
        help="What stands between the columns of .csv files: a character, or tab; if omitted, recognized.",
        group=FILES,
    )
    encoding: str | None = setting(
        None,
        help="Encoding of tables: utf-8, utf-16, cp1252, gb18030 or another that Python knows; if omitted, it is "
        "recognized. Plain text is UTF-8.",
        group=FILES,
    )

    @property
    def form(self) -> Form:
        """What flags say of how tables are written; empty where they say nothing.

        Raises:
          InputError: there is no such encoding or delimiter.
        """
        if self.encoding:
            text_lines.check_encoding(self.encoding)
        return Form(self.encoding, delimited.delimiter_named(self.delimiter) if self.delimiter else "")

    def check_tables(self, paths: Sequence[str]) -> None:
        """Checks that the flags make sense for files.

        Raises:
          InputError: a flag has an impossible value, or is about tables that are not among the files.
        """
        _ = self.form
        kinds = {text_columns.kind_of(path) for path in paths} if self.text_column else {None}
        is_table = kinds != {None}
        check_has_effect(
            self, ("text_column",), is_table or not self.text_column, "is for tables (.csv, .jsonl, ...); omit it"
        )
        check_has_effect(self, ("delimiter",), "csv" in kinds, "is for .csv files; omit it")
        check_has_effect(
            self, ("encoding",), bool(kinds - {None, "parquet"}), "is for CSV, TSV and JSON; plain text must be UTF-8"
        )
