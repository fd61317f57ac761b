"""The format of tables (delimiter, encoding), for all commands that read them; no TensorFlow."""

import dataclasses
from collections.abc import Collection, Iterable

from bert_tf2.configs.fields import TASK, check_has_effect, setting
from bert_tf2.io import delimited, text_lines
from bert_tf2.io.delimited import Form
from bert_tf2.io.file_kinds import Kind

TABLES = ".csv, .tsv, .jsonl, .json, .parquet or .xlsx (Excel; .xlsx#NAME for a sheet)"
"""The tables that fine-tuning reads, for `--help` and errors."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableForm:
    """The flags about the format of tables."""

    delimiter: str | None = setting(
        None,
        help="Delimiter of .csv files: a character, or tab; if omitted, detected.",
        group=TASK,
    )
    encoding: str | None = setting(
        None,
        help="Encoding of tables: utf-8, utf-16, cp1252, gb18030 or any other that Python supports; if omitted, "
        "detected.",
        group=TASK,
    )

    @property
    def form(self) -> Form:
        """The format that the flags specify; empty where they are omitted.

        Raises:
          InputError: the encoding or delimiter is unknown.
        """
        if self.encoding:
            text_lines.check_encoding(self.encoding)
        return Form(self.encoding, delimited.delimiter_named(self.delimiter) if self.delimiter else "")

    def check_form(
        self,
        kinds: Iterable[Kind | None],
        encoded: Collection[Kind] = ("csv", "tsv", "json lines", "json"),
        needed: str = "is for CSV, TSV and JSON; omit it",
    ) -> None:
        """Checks that the flags have an effect on one of the files.

        Args:
          kinds: the kinds of the files.
          encoded: the kinds that can be in any encoding.
          needed: the end of the error message about `--encoding`.

        Raises:
          InputError: a flag has no effect, or an invalid value.
        """
        _ = self.form
        present = set(kinds)
        check_has_effect(self, ("delimiter",), "csv" in present, "is for .csv files; omit it")
        check_has_effect(self, ("encoding",), not present.isdisjoint(encoded), needed)
