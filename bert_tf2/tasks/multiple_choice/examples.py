r"""Questions with their choices, from SWAG, HellaSwag, RACE or custom files; no TensorFlow.

| | context | text before each choice | choices | right choice |
|---|---|---|---|---|
| SWAG | `sent1` | `sent2` | `ending0`, `ending1`, ... | `label`, from 0 |
| HellaSwag | `ctx_a` | `ctx_b` | `endings` | `label`, from 0 |
| RACE | `article` | `question` | `options` | `answer`, a letter |
| custom data | `context` | `question` | any of these | `label` or `answer`, a number or letter |

If a question contains a blank (`_`), as in RACE, the choice replaces it.
"""

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_tf2.errors import InputError, counted, some
from bert_tf2.io import file_kinds, file_system, files, json_files
from bert_tf2.io.delimited import Form
from bert_tf2.io.spilled import SpilledSequence
from bert_tf2.io.tables import find_form, open_table

_FORMS = (("sent1", "sent2"), ("ctx_a", "ctx_b"), ("article", "question"), ("context", "question"))
_LISTS = ("endings", "choices", "options")
_NUMBERED = re.compile(r"(?:ending|choice|option)_?(\d{1,9})")
_LABELS, _IDS = ("label", "answer"), ("id", "example_id", "ind")
BLANK = "_"
"""The character in a question that the choice replaces."""

_EXPECTED = (
    "expected context and question with ending0, ending1, ... (or a list, endings), or the keys of SWAG, HellaSwag or "
    "RACE"
)


@dataclasses.dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
      id: the id in the file; by default, the index of the question, from 0.
      context: the first text of each pair.
      pairs: the second text of each pair: the question with the choice.
      choices: the choices in the file.
      label: the index of the right choice; None if the file has no label.
      question: the text before each choice; "" if there is none.
    """

    id: str | int
    context: str
    pairs: tuple[str, ...]
    choices: tuple[str, ...]
    label: int | None
    question: str = dataclasses.field(default="", compare=False)  # already in `pairs`


def read(path: str, with_labels: bool, form: Form | None = None, directory: str | None = None) -> Sequence[Example]:
    """Reads the questions of a file.

    Args:
      path: a CSV, TSV, Excel, Parquet or JSON Lines file, optionally compressed; or a .txt file of RACE, or a directory
        of such files.
      with_labels: whether labels are required; if not, missing and invalid ones are None.
      form: the delimiter and encoding given by flags; those that are not given are detected.
      directory: the directory for questions that exceed memory, see `spilled`.

    Raises:
      InputError: the file cannot be read, has no questions, or a question is invalid.
    """
    examples = SpilledSequence[Example](directory)
    for where, row in _rows(path, form):
        for question in _questions(where, row):
            examples.extend([_example(where, question, len(examples), with_labels)])
    if not examples:
        raise InputError(f"{path} has no questions; {_EXPECTED}.")
    return examples


def _rows(path: str, form: Form | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The location of each row, for errors, and its content."""
    if file_system.isdir(path):
        paths = sorted(file_system.path(path).rglob("*.txt"))
        if not paths:
            raise InputError(f"{path} is a directory without .txt files; expected those of RACE, or name a file.")
        for text_path in paths:
            yield os.fspath(text_path), json_files.read_object(text_path, _EXPECTED)
        return
    if file_kinds.kind_of(path) == "text":
        yield path, json_files.read_object(path, _EXPECTED)
        return
    columns = [*itertools.chain(*_FORMS), *_LABELS]
    yield from open_table(path, header=True, form=find_form(path, columns, True, form)).named_rows()


def _questions(where: str, row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The questions of a row: one, or several if it is an article of RACE."""
    if "questions" not in row:
        yield row
        return
    name = json_files.get(row, "id", str, where, os.path.basename(where)).removesuffix(".txt")
    questions, options = (json_files.get(row, key, list, where, []) for key in ("questions", "options"))
    answers = json_files.get(row, "answers", list, where, [None] * len(questions))
    if not len(questions) == len(options) == len(answers):
        raise InputError(
            f"{where} has {counted(len(questions), 'question')}, {counted(len(options), 'option')} and "
            f"{counted(len(answers), 'answer')}; there must be as many of each."
        )
    for number, (question, choices, answer) in enumerate(zip(questions, options, answers, strict=True)):
        article = row.get("article")
        question_id = f"{name}-{number}"
        yield {"id": question_id, "article": article, "question": question, "options": choices, "answer": answer}


def _example(where: str, row: Mapping[str, Any], index: int, with_labels: bool) -> Example:
    keys = next((keys for keys in _FORMS if keys[0] in row), None)
    if keys is None:
        raise InputError(f"{where} has {some(map(repr, row), 6) or 'nothing'}; {_EXPECTED}.")
    if row[keys[0]] is None:
        raise InputError(f"{where} has no {keys[0]}; {_EXPECTED}.")
    context, question = _text(where, row, keys[0]), _text(where, row, keys[1])
    choices = _choices(where, row)
    pairs = tuple(_pair(question, choice) for choice in choices)
    label = _label(where, row, len(choices), with_labels)
    question_id = next((row[key] for key in _IDS if isinstance(row.get(key), str | int) and row[key] != ""), index)
    return Example(question_id, context, pairs, choices, label, question)


def _text(where: str, row: Mapping[str, Any], key: str) -> str:
    text: str = json_files.get(row, key, str, where, "")
    if not files.is_unicode(text):
        raise InputError(f"{where}: {key} is not valid Unicode (it contains an unpaired surrogate).")
    return text


def _pair(question: str, choice: str) -> str:
    if BLANK in question:
        return question.replace(BLANK, choice)
    return f"{question} {choice}" if question else choice


def _choices(where: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    key = next((key for key in _LISTS if row.get(key)), None)
    if key:
        listed: list[Any] = json_files.get(row, key, list, where)
    else:
        numbered = sorted((int(match[1]), name) for name in row if (match := _NUMBERED.fullmatch(name)))
        listed = [row[name] for _, name in numbered]
        while listed and listed[-1] in ("", None):  # a question with fewer choices than others
            listed.pop()
    if len(listed) < 2:
        raise InputError(f"{where} has {counted(len(listed), 'choice')}; there must be at least 2; {_EXPECTED}.")
    for choice in listed:
        if not isinstance(choice, str) or not choice.strip() or not files.is_unicode(choice):
            raise InputError(f"{where} has the choice {json_files.shown(choice)}; each must be a text.")
    return tuple(listed)


def _label(where: str, row: Mapping[str, Any], count: int, is_required: bool) -> int | None:
    value = next((row[key] for key in _LABELS if row.get(key) is not None), None)
    index = -1
    if isinstance(value, int) and not isinstance(value, bool):
        index = value
    elif isinstance(value, str):
        text = value.strip()
        if text.isdecimal() and text.isascii():
            index = int(text) if len(text) < 10 else -1
        elif len(text) == 1 and text.isascii() and text.isalpha():
            index = ord(text.upper()) - ord("A")
    if 0 <= index < count:
        return index
    if is_required:
        raise InputError(
            f"{where} has {json_files.shown(value)} as label of {count} choices; it must be a number from 0 to "
            f"{count - 1} or a letter from A to {chr(ord('A') + min(count, 26) - 1)}."
        )
    return None
