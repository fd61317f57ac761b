"""Questions with their contexts from SQuAD's JSON, 1.1 and 2.0, or from rows (JSON Lines, CSV); no TensorFlow.

Follows `read_squad_examples` of google-research/bert `run_squad.py`. Beyond it: mistakes in a file get a sentence that
names the place, and what a file holds is counted.
"""

import logging
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bert_tf2.configs.choices import LANGUAGES
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError, counted, inflected, some
from bert_tf2.io import file_kinds, json_files
from bert_tf2.io.delimited import Form
from bert_tf2.tasks.squad import rows, words
from bert_tf2.tasks.squad.rows import Row
from bert_tf2.tasks.squad.words import Paragraph

logger = logging.getLogger(__name__)

TRAINING_SEED = 12345
"""The original's, for the order of its training records; independent of other randomness."""

_NAMES = {str: "a string", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


class Answer(NamedTuple):
    """The answer that a question is trained with.

    Attributes:
      text: as the file has it.
      first_word: index into the words of the paragraph.
      last_word: likewise, included.
    """

    text: str
    first_word: int
    last_word: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question.

    Attributes:
      id: of the question, in the files of predictions.
      question: its text.
      paragraph: where the answer is sought.
      gold: texts of the right answers, none where there is no answer; None where the file does not tell.
      answer: what to train with; None for prediction, and where it is impossible.
      is_impossible: there is no answer to train with; always false for prediction.
      gold_starts: the character offset of each text of `gold` in the paragraph, -1 if it is not found; empty for
        training.
    """

    id: str
    question: str
    paragraph: Paragraph
    gold: tuple[str, ...] | None = None
    answer: Answer | None = None
    is_impossible: bool = False
    gold_starts: tuple[int, ...] = field(default=(), compare=False)


@dataclass
class ReadSummary:
    """Statistics of what was read.

    Attributes:
      paragraphs: contexts, equal ones of JSON Lines counted once.
      questions: all, whether they can be used or not.
      empty_contexts: contexts of nothing but whitespace.
      impossible: questions without an answer; training on 2.0 alone.
      several_answers: questions with more than one answer of which the first is trained with.
      not_found: ids of the questions that are left out of training, as the answer is not in the context.
      repeated_ids: ids that several questions have; of these, only the last one's prediction will be kept.
    """

    paragraphs: int = 0
    questions: int = 0
    empty_contexts: int = 0
    impossible: int = 0
    several_answers: int = 0
    not_found: list[str] = field(default_factory=list)
    repeated_ids: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The summary as text; counts of 0 are omitted."""
        lines = [f"{counted(self.questions, 'question')} on {counted(self.paragraphs, 'context')}"]
        if self.impossible:
            lines.append(f"{counted(self.impossible, 'question')} without an answer")
        if self.several_answers:
            lines.append(f"{counted(self.several_answers, 'question')} with several answers, trained with the first")
        if self.not_found:
            left_out = counted(len(self.not_found), "question")
            lines.append(f"{left_out} left out, as the answer is not in the context: {some(self.not_found, 3)}")
        if self.empty_contexts:
            lines.append(counted(self.empty_contexts, "empty context"))
        if self.repeated_ids:
            lines.append(f"{counted(len(self.repeated_ids), 'id')} of several questions: {some(self.repeated_ids, 3)}")
        return lines


@dataclass(frozen=True)
class SquadData:
    """A file.

    Attributes:
      examples: in the order of the file.
      language: how contexts were cut into words, "en" or "zh".
      summary: what was read.
    """

    examples: list[Example]
    language: str
    summary: ReadSummary

    @property
    def gold(self) -> dict[str, tuple[str, ...]]:
        """The right answers of each question, by id.

        Raises:
          InputError: the file does not tell them.
        """
        without = next((example.id for example in self.examples if example.gold is None), None)
        if without is not None:
            raise InputError(f"Question {without} has no answers to compare with; scoring needs a file with answers.")
        return {example.id: example.gold for example in self.examples if example.gold is not None}


def read(
    path: str | os.PathLike[str],
    *,
    training: bool,
    version_2_with_negative: bool = False,
    language: str = "en",
    options: TokenizerOptions = PLAIN,
    given: Form | None = None,
) -> SquadData:
    """Reads a file for training or prediction: of the kind that its ending says, else SQuAD's JSON.

    `.jsonl` is JSON Lines; `.csv`, `.tsv`, `.parquet` and `.xlsx`, perhaps with # and a sheet, are tables.

    JSON may also be an array of what the lines of JSON Lines are. All may be compressed with gzip or Zstandard.

    Args:
      path: the file.
      training: whether answers are to be trained with, and so checked.
      version_2_with_negative: whether questions may have no answer; matters for training alone.
      language: "en", "zh", or "auto": what `words.detect_language` says about all contexts together.
      options: of the tokenizer, see `words.split`.
      given: what flags say of the delimiter and the encoding of CSV and TSV; what is empty there is found.

    Raises:
      InputError: the file cannot be read, has not the form that it should have, or has no question that can be used.
    """
    if language not in LANGUAGES:
        raise InputError(f"Unknown --language {language!r}; choose one of {', '.join(LANGUAGES)}.")
    where = os.fspath(path)
    content: Any = None
    found: Iterable[Row]
    kind = file_kinds.kind_of(where)
    if kind == "json lines":
        found = rows.read_json_lines(where)
    elif kind in ("csv", "tsv", "parquet", "xlsx"):
        found = rows.read_table(where, given)
    else:
        content = _load(where)
        if not isinstance(content, list):
            return read_squad(
                where,
                training=training,
                version_2_with_negative=version_2_with_negative,
                language=language,
                options=options,
                content=content,
            )
        found = (Row(f"{where}: [{index}]", str(index + 1), row) for index, row in enumerate(content))
    return read_rows(
        where,
        found,
        training=training,
        version_2_with_negative=version_2_with_negative,
        language=language,
        options=options,
    )


def read_squad(
    path: str | os.PathLike[str],
    *,
    training: bool,
    version_2_with_negative: bool = False,
    language: str = "en",
    options: TokenizerOptions = PLAIN,
    content: Any = None,
) -> SquadData:
    """Reads SQuAD's JSON; see `read`.

    Of several answers to a question, training takes the first. Where the words at its place do not hold the text of
    the answer, the question is left out, and counted.

    Args:
      path: the file.
      training: see `read`.
      version_2_with_negative: see there.
      language: see there.
      options: see there.
      content: of the file, if it has been parsed.
    """
    where = os.fspath(path)
    content = _load(where) if content is None else content
    articles = _get(content, "data", list, where)
    paragraphs = [
        (f"{where}: data[{i}].paragraphs[{j}]", _title(article), paragraph)
        for i, article in enumerate(articles)
        for j, paragraph in enumerate(_get(article, "paragraphs", list, f"{where}: data[{i}]"))
    ]
    contexts = [_get(paragraph, "context", str, place) for place, _, paragraph in paragraphs]
    if language == "auto":
        language = words.detect_language(contexts)
    summary = ReadSummary(paragraphs=len(paragraphs))
    examples = []
    for (place, title, entry), context in zip(paragraphs, contexts, strict=True):
        paragraph = words.split(context, language, options, title)
        summary.empty_contexts += not paragraph.words
        for k, question in enumerate(_get(entry, "qas", list, place)):
            summary.questions += 1
            example = _example(question, paragraph, f"{place}.qas[{k}]")
            if training:
                trained = _with_answer(example, question, f"{place}.qas[{k}]", version_2_with_negative, summary)
                examples += [trained] if trained else []
            else:
                examples.append(example)
    return _checked(SquadData(examples, language, summary), where, training)


def read_rows(
    path: str,
    found: Iterable[Row],
    *,
    training: bool,
    version_2_with_negative: bool = False,
    language: str = "en",
    options: TokenizerOptions = PLAIN,
) -> SquadData:
    """Reads rows that each have a question and its context; see `read` and `rows`.

    Questions on equal contexts share a paragraph. Where answers are only to be compared with, those in another form
    than `rows` says are ignored, as all other keys are.
    """
    kept = [(row, _get(row.content, "context", str, row.where)) for row in found]
    contexts = dict.fromkeys(context for _, context in kept)
    if language == "auto":
        language = words.detect_language(contexts)
    paragraphs = {context: words.split(context, language, options) for context in contexts}
    summary = ReadSummary(
        paragraphs=len(paragraphs),
        questions=len(kept),
        empty_contexts=sum(not paragraph.words for paragraph in paragraphs.values()),
    )
    examples = []
    for row, context in kept:
        _get(row.content, "question", str, row.where)
        question = rows.as_squad(row, context) if training else _lenient(row, context)
        example = _example(question, paragraphs[context], row.where)
        if not training:
            examples.append(example)
            continue
        if version_2_with_negative:
            question.setdefault("is_impossible", False)
        if any(map(rows.is_not_found, (question.get("answers") or ())[:1])):
            summary.not_found.append(example.id)
            continue
        trained = _with_answer(example, question, row.where, version_2_with_negative, summary)
        examples += [trained] if trained else []
    return _checked(SquadData(examples, language, summary), path, training)


def _lenient(row: Row, context: str) -> dict[str, Any]:
    """A row as a question of SQuAD's JSON; without answers where they have another form."""
    plain = {"id": row.content.get("id", row.name), "question": row.content["question"]}
    try:
        question = rows.as_squad(row, context)
        for answer in question.get("answers") or ():
            _get(answer, "text", str, row.where)
    except InputError:
        return plain
    return question


def training_order(examples: Iterable[Example]) -> list[Example]:
    """The examples in the order in which the original wrote them to `train.tf_record`: shuffled, always the same."""
    shuffled = list(examples)
    random.Random(TRAINING_SEED).shuffle(shuffled)
    return shuffled


def _example(question: Any, paragraph: Paragraph, where: str) -> Example:
    """The question as prediction needs it."""
    text = _get(question, "question", str, where)
    answers = question.get("answers")
    if answers is None:
        return Example(_id(question, where), text, paragraph)
    if not isinstance(answers, list):
        raise InputError(f"{where}: answers is {_kind(answers)}, expected a list.")
    gold = tuple(_get(answer, "text", str, f"{where}.answers[{i}]") for i, answer in enumerate(answers))
    starts = tuple(_start(answer, paragraph.text) for answer in answers)
    return Example(_id(question, where), text, paragraph, gold, gold_starts=starts)


def _start(answer: dict[str, Any], context: str) -> int:
    """The given character offset of an answer if the text is there, else that of its first occurrence, or -1."""
    text, start = answer["text"], answer.get("answer_start")
    if isinstance(start, int) and start >= 0 and context.startswith(text, start):
        return start
    return context.find(text)


def _title(article: Any) -> str:
    """The title of an article, which is optional."""
    title = article.get("title")
    return title if isinstance(title, str) else ""


def _with_answer(example: Example, question: Any, where: str, version_2: bool, summary: ReadSummary) -> Example | None:
    """The example with what it is trained with; None where the answer is not in the text."""
    if version_2 and "is_impossible" not in question:
        raise InputError(
            f"{where} has no is_impossible: the file is SQuAD 1.1; omit --version_2_with_negative, or give a 2.0 file."
        )
    identity, text, paragraph, gold = example.id, example.question, example.paragraph, example.gold
    if version_2 and _get(question, "is_impossible", bool, where):
        summary.impossible += 1
        return Example(identity, text, paragraph, gold, is_impossible=True)
    if not gold:
        if question.get("is_impossible"):
            advice = "the file is SQuAD 2.0; give --version_2_with_negative."
        else:
            advice = "training needs one for each question" + (" that is not is_impossible." if version_2 else ".")
        raise InputError(f"{where} (id {identity}) has no answer: {advice}")
    summary.several_answers += len(gold) > 1
    answer = _answer(question["answers"][0], paragraph, f"{where}.answers[0]")
    if answer is None:
        summary.not_found.append(identity)
        return None
    return Example(identity, text, paragraph, gold, answer)


def _answer(entry: Any, paragraph: Paragraph, where: str) -> Answer | None:
    """The words that hold an answer; None where they do not, after the original's rules."""
    text = _get(entry, "text", str, where)
    start = _get(entry, "answer_start", int, where)
    end = start + len(text)
    if not 0 <= start <= end <= len(paragraph.text):
        raise InputError(
            f"{where}: the answer {text[:60]!r} goes from character {start} to {end}, beyond the context's "
            f"{len(paragraph.text)}; answer_start counts characters (not bytes) from 0."
        )
    first, last = paragraph.word_at(start), paragraph.word_at(end - 1)
    cleaned = " ".join(text.split())
    if paragraph.language == "zh":
        found = 0 <= first <= last and cleaned in " ".join(paragraph.quote(*paragraph.span(first, last)).split())
    else:
        found = cleaned in " ".join(paragraph.words[first : last + 1])
    if not (cleaned and found):
        return None
    return Answer(text, first % len(paragraph.words), last)  # -1, before the first word, is found for a lone word only


def _checked(data: SquadData, path: str, training: bool) -> SquadData:
    """The data; counts repeated ids, and rejects files without anything to do."""
    summary = data.summary
    if not summary.questions:
        raise InputError(f"{path} has no questions.")
    if not data.examples:
        none_of_several = f"none of the {summary.questions:,} questions has"
        none_has = inflected(summary.questions, "the only question does not have", none_of_several)
        raise InputError(
            f"{path}: {none_has} its answer where answer_start says; it has to count characters of the context from 0."
        )
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for example in data.examples:
        if example.id in seen:
            repeated[example.id] = None
        seen.add(example.id)
    summary.repeated_ids += repeated
    logger.info("Read %s: %s.", path, "; ".join(summary.lines()))
    if repeated and not training:
        logger.warning(
            "%s in %s: only the last prediction of each will be kept (%s).",
            *(f"{counted(len(repeated), 'id')} of several questions", path, some(summary.repeated_ids, 3)),
        )
    return data


def _load(path: str) -> Any:
    return json_files.read(path, "expected SQuAD JSON; JSON Lines must be named .jsonl, CSV .csv")


def _get(holder: Any, key: str, kind: type, where: str) -> Any:
    """What an object of the file has under a key, of the type that it should have."""
    if not isinstance(holder, dict):
        raise InputError(f"{where} is {_kind(holder)}, expected an object with {key!r}.")
    if key not in holder:
        raise InputError(
            f"{where} has no {key!r}, only {', '.join(map(repr, holder)) or 'nothing'}; see the SQuAD format."
        )
    value = holder[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where}: {key!r} is {_kind(value)}, expected {_NAMES[kind]}.")
    return value


def _id(holder: Any, where: str) -> str:
    value = _get(holder, "id", object, where)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(f"{where}: 'id' is {_kind(value)}, expected a string.")
    return str(value)


def _kind(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), "a number")
