"""How text in a column of a table is read, for all commands that read large text; no TensorFlow."""

import dataclasses
from collections.abc import Sequence

from bert_tf2.configs.fields import FILES, check_has_effect, setting
from bert_tf2.configs.table_form import TableForm
from bert_tf2.io import text_columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextInput(TableForm):
    """The flags of tables among the files of `--input_file`: those of `TableForm`, and the column."""

    text_column: str = setting(
        "text",
        help="Of .csv, .tsv, .jsonl, .json and .parquet files, the column with the texts: its name, or its number from "
        "0 where CSV or TSV has no header. Each row is a document, its lines are sentences. If empty, such files "
        "are plain text like all others, in UTF-8.",
        group=FILES,
    )

    def check_tables(self, paths: Sequence[str]) -> None:
        """Checks that the flags make sense for files.

        Raises:
          InputError: a flag has an impossible value, or is about tables that are not among the files.
        """
        kinds = {text_columns.kind_of(path) for path in paths} - {None} if self.text_column else set()
        needed = "is for tables (.csv, .jsonl, ...); omit it"
        check_has_effect(self, ("text_column",), bool(kinds) or not self.text_column, needed)
        self.check_form(kinds, needed="is for CSV, TSV and JSON; plain text must be UTF-8")
