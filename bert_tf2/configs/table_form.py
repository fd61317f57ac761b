"""How tables are written, for all commands that read them; no TensorFlow."""

import dataclasses
from collections.abc import Collection, Iterable

from bert_tf2.configs.fields import TASK, check_has_effect, setting
from bert_tf2.io import delimited, text_lines
from bert_tf2.io.delimited import Form
from bert_tf2.io.file_kinds import Kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableForm:
    """The flags of how tables are written."""

    delimiter: str | None = setting(
        None,
        help="What stands between the columns of .csv files: a character, or tab; if omitted, recognized.",
        group=TASK,
    )
    encoding: str | None = setting(
        None,
        help="Encoding of tables: utf-8, utf-16, cp1252, gb18030 or another that Python knows; if omitted, recognized.",
        group=TASK,
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

    def check_form(
        self,
        kinds: Iterable[Kind | None],
        encoded: Collection[Kind] = ("csv", "tsv", "json lines", "json"),
        needed: str = "is for CSV, TSV and JSON; omit it",
    ) -> None:
        """Checks that the flags have an effect on one of the files.

        Args:
          kinds: of the files.
          encoded: the kinds that are read in any encoding.
          needed: the end of the error about `--encoding`.

        Raises:
          InputError: a flag has none, or an impossible value.
        """
        _ = self.form
        present = set(kinds)
        check_has_effect(self, ("delimiter",), "csv" in present, "is for .csv files; omit it")
        check_has_effect(self, ("encoding",), not present.isdisjoint(encoded), needed)
