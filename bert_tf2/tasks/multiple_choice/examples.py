r"""Questions with their choices, from SWAG, HellaSwag, RACE or custom files; no TensorFlow.

| | context | what stands before each choice | choices | right one |
|---|---|---|---|---|
| SWAG | `sent1` | `sent2` | `ending0`, `ending1`, ... | `label`, from 0 |
| HellaSwag | `ctx_a` | `ctx_b` | `endings` | `label`, from 0 |
| RACE | `article` | `question` | `options` | `answer`, a letter |
| own data | `context` | `question` | any of these | `label` or `answer`, number or letter |

A question with a space (`_`) has the choice in its place, as RACE's have it.
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
_NUMBERED = re.compile(r"(?:ending|choice|option)_?(\d+)")
_LABELS, _IDS = ("label", "answer"), ("id", "example_id", "ind")
BLANK = "_"
"""What a choice stands in for, in a question that has it."""

_EXPECTED = (
    "expected context and question with ending0, ending1, ... (or a list, endings), or the keys of SWAG, HellaSwag or "
    "RACE"
)


@dataclasses.dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
      id: what it is called; its number in the file, from 0, where it has no name.
      context: the first text of each pair.
      pairs: the second text of each: what stands before the choice, and the choice.
      choices: as the file has them.
      label: the index of the right choice; None if the file has no label.
      question: the text before each choice; "" if there is none.
    """

    id: str | int
    context: str
    pairs: tuple[str, ...]
    choices: tuple[str, ...]
    label: int | None
    question: str = dataclasses.field(default="", compare=False)  # a part of the pairs


def read(path: str, with_labels: bool, given: Form | None = None, directory: str | None = None) -> Sequence[Example]:
    """The questions of a file.

    Args:
      path: a CSV, TSV, Excel or JSON Lines file, perhaps compressed; or a .txt file of RACE, or a directory of such.
      with_labels: whether labels are required; if not, missing and invalid ones are None.
      given: what flags say of delimiter and encoding; what is empty there is found.
      directory: for questions that exceed memory, see `spilled`.

    Raises:
      InputError: the file cannot be read, has no questions, or one of them is not what it must be.
    """
    examples = SpilledSequence[Example](directory)
    for place, row in _rows(path, given):
        for one in _questions(place, row):
            examples.extend([_example(place, one, len(examples), with_labels)])
    if not examples:
        raise InputError(f"{path} has no questions; {_EXPECTED}.")
    return examples


def _rows(path: str, given: Form | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each row stands, for errors, and what it has."""
    if file_system.isdir(path):
        found = sorted(file_system.path(path).rglob("*.txt"))
        if not found:
            raise InputError(f"{path} is a directory without .txt files; expected those of RACE, or name a file.")
        for one in found:
            yield os.fspath(one), json_files.read_object(one, _EXPECTED)
        return
    if file_kinds.kind_of(path) == "text":
        yield path, json_files.read_object(path, _EXPECTED)
        return
    columns = [*itertools.chain(*_FORMS), *_LABELS]
    yield from open_table(path, header=True, form=find_form(path, columns, True, given)).named_rows()


def _questions(place: str, row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The questions of a row: one, or those of an article of RACE, which has lists of them."""
    if "questions" not in row:
        yield row
        return
    name = json_files.get(row, "id", str, place, os.path.basename(place)).removesuffix(".txt")
    questions, options = (json_files.get(row, key, list, place, []) for key in ("questions", "options"))
    answers = json_files.get(row, "answers", list, place, [None] * len(questions))
    if not len(questions) == len(options) == len(answers):
        raise InputError(
            f"{place} has {counted(len(questions), 'question')}, {counted(len(options), 'option')} and "
            f"{counted(len(answers), 'answer')}; there must be as many of each."
        )
    for number, (question, choices, answer) in enumerate(zip(questions, options, answers, strict=True)):
        article = row.get("article")
        identity = f"{name}-{number}"
        yield {"id": identity, "article": article, "question": question, "options": choices, "answer": answer}


def _example(place: str, row: Mapping[str, Any], number: int, with_labels: bool) -> Example:
    keys = next((keys for keys in _FORMS if keys[0] in row), None)
    if keys is None:
        raise InputError(f"{place} has {some(map(repr, row), 6) or 'nothing'}; {_EXPECTED}.")
    if row[keys[0]] is None:
        raise InputError(f"{place} has no {keys[0]}; {_EXPECTED}.")
    context, question = _text(place, row, keys[0]), _text(place, row, keys[1])
    choices = _choices(place, row)
    pairs = tuple(_pair(question, choice) for choice in choices)
    label = _label(place, row, len(choices), with_labels)
    identity = next((row[key] for key in _IDS if isinstance(row.get(key), str | int) and row[key] != ""), number)
    return Example(identity, context, pairs, choices, label, question)


def _text(place: str, row: Mapping[str, Any], key: str) -> str:
    text: str = json_files.get(row, key, str, place, "")
    if not files.is_unicode(text):
        raise InputError(f"{place}: {key} is not valid Unicode (it contains an unpaired surrogate).")
    return text


def _pair(question: str, choice: str) -> str:
    if BLANK in question:
        return question.replace(BLANK, choice)
    return f"{question} {choice}" if question else choice


def _choices(place: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    key = next((key for key in _LISTS if row.get(key)), None)
    if key:
        listed: list[Any] = json_files.get(row, key, list, place)
    else:
        numbered = sorted((int(match[1]), name) for name in row if (match := _NUMBERED.fullmatch(name)))
        listed = [row[name] for _, name in numbered]
        while listed and listed[-1] in ("", None):  # a question with fewer choices than others
            listed.pop()
    if len(listed) < 2:
        raise InputError(f"{place} has {counted(len(listed), 'choice')}; there must be at least 2; {_EXPECTED}.")
    for choice in listed:
        if not isinstance(choice, str) or not choice.strip() or not files.is_unicode(choice):
            raise InputError(f"{place} has the choice {json_files.shown(choice)}; each must be a text.")
    return tuple(listed)


def _label(place: str, row: Mapping[str, Any], count: int, is_needed: bool) -> int | None:
    value = next((row[key] for key in _LABELS if row.get(key) is not None), None)
    found = -1
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str):
        text = value.strip()
        if text.isdecimal() and text.isascii():
            found = int(text) if len(text) < 10 else -1
        elif len(text) == 1 and text.isascii() and text.isalpha():
            found = ord(text.upper()) - ord("A")
    if 0 <= found < count:
        return found
    if is_needed:
        raise InputError(
            f"{place} has {json_files.shown(value)} as label of {count} choices; it must be a number from 0 to "
            f"{count - 1} or a letter from A to {chr(ord('A') + min(count, 26) - 1)}."
        )
    return None
