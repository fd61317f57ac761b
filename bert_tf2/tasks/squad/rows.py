"""Questions in rows, each with its context: JSON Lines, an array of objects, or a table; no TensorFlow.

    {"question": "Who?", "context": "Jim was here.", "answer": "Jim", "answer_start": 0}

A row has `question` and `context`; optionally `id`, by default the number of the row; and for training or evaluation
`answer` (a text) with `answer_start`, or `answers` in the form of SQuAD or of Hugging Face's datasets. Without
`answer_start`, the answer is the first occurrence of its text in the context.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from bert_tf2.errors import MOST_NAMED, InputError, some
from bert_tf2.io import delimited, files, json_files, tables
from bert_tf2.io.delimited import Form

FORM = 'write {"question": ..., "context": ...}'
COLUMNS = ("question", "context")
_MOST_DIGITS = 19  # of `answer_start`; Python refuses to convert thousands
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


class Row(NamedTuple):
    """The row of a question.

    Attributes:
      where: the file and the line or row, for errors.
      number: the number of the line or row, from 1, as text; the default id.
      content: the parsed JSON; for tables, a dict of the cells that are not empty, and of `answer` even if it is empty.
    """

    where: str
    number: str
    content: Any


def read_json_lines(path: str) -> Iterator[Row]:
    """The lines of a file, except those that are empty or only whitespace.

    Raises:
      InputError: the file cannot be read, or a line is not JSON.
    """
    for number, line in enumerate(files.read_lines(path), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield Row(where, str(number), json_files.parse(line, where, FORM))


def read_table(path: str, form: Form | None = None) -> Iterator[Row]:
    """The rows of a CSV, TSV, Parquet or Excel file after the header.

    Args:
      path: the file.
      form: the delimiter and encoding given by flags; those that are not given are detected.

    Raises:
      InputError: the file cannot be read, lacks the column `question` or `context`, or a row is invalid.
    """
    table = tables.open_table(path, header=True, form=tables.find_form(path, COLUMNS, True, form))
    names = table.names or []
    missing = [name for name in COLUMNS if name not in names]
    if missing or len(set(names)) < len(names):
        fault = f"no column {missing[0]!r}" if missing else "columns of the same name"
        raise InputError(
            f"{path} has {fault}, but {some(map(repr, names), MOST_NAMED)}; the first row must name the columns: "
            "question, context, and perhaps id, answer, answer_start, is_impossible."
            + delimited.delimiter_hint(COLUMNS[0], names)
        )
    has_types = tables.kind_of(path) == "parquet"
    for number, (where, row) in enumerate(table.named_rows(), 1):
        yield Row(where, str(number), _from_typed_cells(row) if has_types else _from_text_cells(row, where))


def _from_typed_cells(row: dict[str, Any]) -> dict[str, Any]:
    """The content of a row with typed cells, without nulls; but a null `answer` is kept, as it means no answer."""
    return {name: value for name, value in row.items() if value is not None or name == "answer"}


def _from_text_cells(row: dict[str, str], where: str) -> dict[str, Any]:
    """The content of a row whose cells are text."""
    content: dict[str, Any] = {name: row[name] for name in (*COLUMNS, "answer") if name in row}
    if row.get("id", "").strip():
        content["id"] = row["id"].strip()
    if start := row.get("answer_start", "").strip():
        if not (start.isascii() and start.isdecimal() and len(start) < _MOST_DIGITS):
            raise InputError(f"{where}: answer_start is {start!r:.60}; it must be a whole number, from 0.")
        content["answer_start"] = int(start)
    if row.get("is_impossible", "").strip():
        content["is_impossible"] = _parse_bool(row["is_impossible"], where)
    return content


def _parse_bool(cell: str, where: str) -> bool:
    value = cell.strip().lower()
    if value not in (*_TRUE, *_FALSE):
        raise InputError(f"{where}: is_impossible is {cell!r:.60}; it must be true or false.")
    return value in _TRUE


def as_squad(row: Row, context: str) -> dict[str, Any]:
    """A row in the form of SQuAD's JSON: `id`, `question`, and if the row has them, `answers` and `is_impossible`.

    Args:
      row: a row whose content is an object with a `question`.
      context: its context.

    Raises:
      InputError: the answers are invalid.
    """
    content, where = row.content, row.where
    question: dict[str, Any] = {"id": content.get("id", row.number), "question": content.get("question")}
    answers = _answers(content, where)
    if answers is not None:
        question["answers"] = [_with_start(answer, context) for answer in answers]
        question["is_impossible"] = not answers
    if content.get("is_impossible") is not None:
        question["is_impossible"] = content["is_impossible"]
    if question.get("is_impossible") is True:
        question.setdefault("answers", [])
    return question


def _answers(content: dict[str, Any], where: str) -> list[Any] | None:
    """The answers in the form of SQuAD, possibly without `answer_start`; None if the row has no answers."""
    if "answers" in content:
        answers = content["answers"]
        if not isinstance(answers, dict):
            return answers if isinstance(answers, list) or answers is None else _refuse(where, "answers", answers)
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise InputError(f"{where}: answers must have lists 'text' and 'answer_start' of the same length.")
        return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if "answer" not in content:
        return None
    answer = content["answer"]
    if answer is None or answer == "":
        return []
    if not isinstance(answer, str):
        return _refuse(where, "answer", answer)
    start = content.get("answer_start")
    return [{"text": answer} if start is None else {"text": answer, "answer_start": start}]


def _refuse(where: str, key: str, value: Any) -> list[Any]:
    raise InputError(
        f'{where}: {key!r} is {json_files.kind(value)}; expected "answer": a string, or "answers": a list of objects '
        "with text and answer_start."
    )


def _with_start(answer: Any, context: str) -> Any:
    """An answer with `answer_start`, by default its first occurrence; unchanged if it is not in the context."""
    if not isinstance(answer, dict) or "answer_start" in answer or not isinstance(answer.get("text"), str):
        return answer
    start = context.find(answer["text"])
    return answer if start < 0 else {**answer, "answer_start": start}


def lacks_start(answer: Any) -> bool:
    """Whether an answer of `as_squad` has no `answer_start`, because it is not in the context."""
    return isinstance(answer, dict) and isinstance(answer.get("text"), str) and "answer_start" not in answer
