"""Writes the tables of docs/data_formats.md from the code: `python publishing/format_tables.py`.

The table between `<!-- features NAME -->` and `<!-- end -->` describes the records of the function NAME in
`bert_tf2.records.schema`; the table between `<!-- files NAME -->` and `<!-- end -->` lists the files of NAME in
`bert_tf2.io.run_files`.
"""

import inspect
import re
from collections.abc import Sequence
from pathlib import Path

from bert_tf2.io import run_files
from bert_tf2.io.run_files import RunFile
from bert_tf2.records import schema

PAGE = Path(__file__).resolve().parents[1] / "docs" / "data_formats.md"

_SECTION = re.compile(r"<!-- (features|files) (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
_ROW = re.compile(r"^\| (?!feature |---)(.+?) \| (\[.+?\]) \| (.+) \|$", re.MULTILINE)
SCHEMAS = {
    "pretraining": [schema.pretraining(128, 20, marks_words=True)],
    "classification": [
        schema.classification(128, label_size=3, several=True),
        schema.classification(128, label_kind="float"),
    ],
    "squad": [schema.squad(128, training=True)],
}
_TYPES = {"int": "int64", "float": "float32"}


def described_features(name: str) -> list[tuple[list[str], str, str]]:
    """The rows of the table in the docstring of a function of `records.schema`: features, shape, meaning."""
    text = inspect.getdoc(getattr(schema, name)) or ""
    return [(features.split(", "), shape, meaning) for features, shape, meaning in _ROW.findall(text)]


def features_table(name: str) -> str:
    """A Markdown table of a kind of record: features, shape, type in the file, meaning."""
    kinds: dict[str, list[str]] = {}
    for record_schema in SCHEMAS[name]:
        for feature in record_schema.features:
            types = kinds.setdefault(feature.name, [])
            types += [_TYPES[feature.kind]] if _TYPES[feature.kind] not in types else []
    rows = [
        (", ".join(f"`{feature}`" for feature in features), f"`{shape}`", " or ".join(kinds[features[0]]), meaning)
        for features, shape, meaning in described_features(name)
    ]
    return _table(("feature", "shape", "type", ""), rows)


def files_table(name: str) -> str:
    """A Markdown table of output files: names, content, when they are written."""
    rows = [
        (", ".join(f"`{path}`" for path in file.names), file.what, "" if file.stage == "any" else file.stage)
        for file in files_of(name)
    ]
    return _table(("file", "", "written by"), rows)


def files_of(name: str) -> list[RunFile]:
    """The files of a table in `io.run_files`, without those in the tables above it; `training`: those of all runs."""
    shared = [file for file in run_files.PRETRAINING if file in run_files.FINETUNING]
    if name == "training":
        return shared
    above = [*shared, *(run_files.FINETUNING if name != "FINETUNING" else ())]
    return [file for file in getattr(run_files, name) if file not in above]


def render(page: str) -> str:
    """The page with all its tables generated from the code."""

    def section(match: re.Match[str]) -> str:
        kind, name, _ = match.groups()
        table = features_table(name) if kind == "features" else files_table(name)
        return f"<!-- {kind} {name} -->\n{table}<!-- end -->"

    return _SECTION.sub(section, page)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    used = [column for column in range(len(header)) if any(row[column] for row in rows)]
    lines = [
        [header[column] for column in used],
        ["---"] * len(used),
        *([row[column] for column in used] for row in rows),
    ]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
