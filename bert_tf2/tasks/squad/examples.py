"""Questions with their contexts from SQuAD's JSON, 1.1 and 2.0, or from rows (JSON Lines, CSV); no TensorFlow.

Follows `read_squad_examples` of google-research/bert `run_squad.py`. In addition, errors say where in the file they
are, and the contents of a file are counted.
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
"""The original's seed for the order of training records; independent of all other seeds."""

_TYPE_NAMES = {str: "a string", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


class Answer(NamedTuple):
    """The answer that a question is trained with.

    Attributes:
      text: the text in the file.
      first_word: the index of its first word in the paragraph.
      last_word: the index of its last word (inclusive).
    """

    text: str
    first_word: int
    last_word: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question.

    Attributes:
      id: the id of the question in prediction files.
      question: the text of the question.
      paragraph: the context that the answer is in.
      gold: the texts of the right answers, empty if the question has no answer; None if the file has no answers.
      answer: the answer to train with; None for prediction, and if `is_impossible`.
      is_impossible: whether the question has no answer to train with; always false for prediction.
      gold_starts: the character offset of each text of `gold` in the paragraph, -1 if it does not occur; empty for
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
    """Statistics of a file.

    Attributes:
      paragraphs: the number of contexts; in rows, equal ones count once.
      questions: the number of questions, including those left out.
      empty_contexts: the number of contexts without words.
      impossible: the number of questions without an answer; counted only for training on SQuAD 2.0.
      several_answers: the number of questions with several answers, of which the first is trained with.
      not_found: the ids of questions that are left out of training, as the answer is not in the context.
      repeated_ids: the ids that several questions share; only the last one's prediction is kept.
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
    """The questions of a file.

    Attributes:
      examples: in the order of the file.
      language: how contexts were split into words, `en` or `zh`.
      summary: statistics of the file.
    """

    examples: list[Example]
    language: str
    summary: ReadSummary

    @property
    def gold(self) -> dict[str, tuple[str, ...]]:
        """The right answers of each question, by id.

        Raises:
          InputError: the file has no answers for a question.
        """
        missing = next((example.id for example in self.examples if example.gold is None), None)
        if missing is not None:
            raise InputError(f"Question {missing} has no answers to compare with; scoring needs a file with answers.")
        return {example.id: example.gold for example in self.examples if example.gold is not None}


def read(
    path: str | os.PathLike[str],
    *,
    training: bool,
    version_2_with_negative: bool = False,
    language: str = "en",
    options: TokenizerOptions = PLAIN,
    form: Form | None = None,
) -> SquadData:
    """Reads a file for training or prediction; its format is determined by the extension.

    `.jsonl` is JSON Lines; `.csv`, `.tsv`, `.parquet` and `.xlsx`, optionally followed by # and a sheet, are tables;
    all others are SQuAD's JSON, or a JSON array of the objects that JSON Lines would have. Files may be compressed with
    gzip or Zstandard.

    Args:
      path: the file.
      training: whether to train with the answers, which are therefore required and checked.
      version_2_with_negative: whether questions may have no answer; has an effect only for training.
      language: `en`, `zh`, or `auto`: detected from all contexts, see `words.detect_language`.
      options: the options of the tokenizer, see `words.split`.
      form: the delimiter and encoding of CSV and TSV files given by flags; those that are not given are detected.

    Raises:
      InputError: the file cannot be read, is invalid, or has no usable question.
    """
    if language not in LANGUAGES:
        raise InputError(f"Unknown --language {language!r}; choose one of {', '.join(LANGUAGES)}.")
    where = os.fspath(path)
    content: Any = None
    source: Iterable[Row]
    kind = file_kinds.kind_of(where)
    if kind == "json lines":
        source = rows.read_json_lines(where)
    elif kind in ("csv", "tsv", "parquet", "xlsx"):
        source = rows.read_table(where, form)
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
        source = (Row(f"{where}: [{index}]", str(index + 1), row) for index, row in enumerate(content))
    return read_rows(
        where,
        source,
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

    If a question has several answers, training uses the first. A question is left out of training, and counted, if the
    words at `answer_start` do not contain the text of the answer.

    Args:
      path: the file.
      training: see `read`.
      version_2_with_negative: see `read`.
      language: see `read`.
      options: see `read`.
      content: the parsed content of the file, if it has been read already.

    Raises:
      InputError: the file cannot be read, is invalid, or has no usable question.
    """
    where = os.fspath(path)
    content = _load(where) if content is None else content
    articles = _get(content, "data", list, where)
    paragraphs = [
        (f"{where}: data[{i}].paragraphs[{j}]", _title(article), paragraph)
        for i, article in enumerate(articles)
        for j, paragraph in enumerate(_get(article, "paragraphs", list, f"{where}: data[{i}]"))
    ]
    contexts = [_get(paragraph, "context", str, location) for location, _, paragraph in paragraphs]
    if language == "auto":
        language = words.detect_language(contexts)
    summary = ReadSummary(paragraphs=len(paragraphs))
    examples = []
    for (location, title, entry), context in zip(paragraphs, contexts, strict=True):
        paragraph = words.split(context, language, options, title)
        summary.empty_contexts += not paragraph.words
        for k, question in enumerate(_get(entry, "qas", list, location)):
            summary.questions += 1
            example = _example(question, paragraph, f"{location}.qas[{k}]")
            if training:
                trained = _with_answer(example, question, f"{location}.qas[{k}]", version_2_with_negative, summary)
                examples += [trained] if trained else []
            else:
                examples.append(example)
    return _validate(SquadData(examples, language, summary), where, training)


def read_rows(
    path: str,
    source: Iterable[Row],
    *,
    training: bool,
    version_2_with_negative: bool = False,
    language: str = "en",
    options: TokenizerOptions = PLAIN,
) -> SquadData:
    """Reads rows that each have a question and its context; see `rows`.

    Questions with equal contexts share a paragraph. Unless training, invalid answers are ignored, as are unknown keys.

    Args:
      path: the file, for errors and the log.
      source: its rows.
      training: see `read`.
      version_2_with_negative: see `read`.
      language: see `read`.
      options: see `read`.

    Raises:
      InputError: a row is invalid, or there is no usable question.
    """
    with_contexts = [(row, _get(row.content, "context", str, row.where)) for row in source]
    contexts = dict.fromkeys(context for _, context in with_contexts)
    if language == "auto":
        language = words.detect_language(contexts)
    paragraphs = {context: words.split(context, language, options) for context in contexts}
    summary = ReadSummary(
        paragraphs=len(paragraphs),
        questions=len(with_contexts),
        empty_contexts=sum(not paragraph.words for paragraph in paragraphs.values()),
    )
    examples = []
    for row, context in with_contexts:
        _get(row.content, "question", str, row.where)
        question = rows.as_squad(row, context) if training else _as_squad_leniently(row, context)
        example = _example(question, paragraphs[context], row.where)
        if not training:
            examples.append(example)
            continue
        if version_2_with_negative:
            question.setdefault("is_impossible", False)
        if any(map(rows.lacks_start, (question.get("answers") or ())[:1])):
            summary.not_found.append(example.id)
            continue
        trained = _with_answer(example, question, row.where, version_2_with_negative, summary)
        examples += [trained] if trained else []
    return _validate(SquadData(examples, language, summary), path, training)


def _as_squad_leniently(row: Row, context: str) -> dict[str, Any]:
    """A row in the form of SQuAD's JSON, without answers if they are invalid."""
    without_answers = {"id": row.content.get("id", row.number), "question": row.content["question"]}
    try:
        question = rows.as_squad(row, context)
        for answer in question.get("answers") or ():
            _get(answer, "text", str, row.where)
    except InputError:
        return without_answers
    return question


def training_order(examples: Iterable[Example]) -> list[Example]:
    """The examples in the order of the original's `train.tf_record`: shuffled, always in the same way."""
    shuffled = list(examples)
    random.Random(TRAINING_SEED).shuffle(shuffled)
    return shuffled


def _example(question: Any, paragraph: Paragraph, where: str) -> Example:
    """The question for prediction, without an answer to train with."""
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
    """The `answer_start` of an answer if its text is there, else the offset of its first occurrence, or -1."""
    text, start = answer["text"], answer.get("answer_start")
    if isinstance(start, int) and start >= 0 and context.startswith(text, start):
        return start
    return context.find(text)


def _title(article: Any) -> str:
    """The title of an article; "" if it has none."""
    title = article.get("title")
    return title if isinstance(title, str) else ""


def _with_answer(example: Example, question: Any, where: str, version_2: bool, summary: ReadSummary) -> Example | None:
    """The example with the answer to train with; None if the answer is not in the context."""
    if version_2 and "is_impossible" not in question:
        raise InputError(
            f"{where} has no is_impossible: the file is SQuAD 1.1; omit --version_2_with_negative, or give a 2.0 file."
        )
    question_id, text, paragraph, gold = example.id, example.question, example.paragraph, example.gold
    if version_2 and _get(question, "is_impossible", bool, where):
        summary.impossible += 1
        return Example(question_id, text, paragraph, gold, is_impossible=True)
    if not gold:
        if question.get("is_impossible"):
            advice = "the file is SQuAD 2.0; give --version_2_with_negative."
        else:
            advice = "training needs one for each question" + (" that is not is_impossible." if version_2 else ".")
        raise InputError(f"{where} (id {question_id}) has no answer: {advice}")
    summary.several_answers += len(gold) > 1
    answer = _answer(question["answers"][0], paragraph, f"{where}.answers[0]")
    if answer is None:
        summary.not_found.append(question_id)
        return None
    return Example(question_id, text, paragraph, gold, answer)


def _answer(entry: Any, paragraph: Paragraph, where: str) -> Answer | None:
    """The words that contain an answer; None if the words at `answer_start` do not, as the original defines it."""
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
        is_contained = 0 <= first <= last and cleaned in " ".join(paragraph.quote(*paragraph.span(first, last)).split())
    else:
        is_contained = cleaned in " ".join(paragraph.words[first : last + 1])
    if not (cleaned and is_contained):
        return None
    # `first` is -1 if the answer begins before the first word; then only a lone word can contain it.
    return Answer(text, first % len(paragraph.words), last)


def _validate(data: SquadData, path: str, training: bool) -> SquadData:
    """Counts repeated ids, logs the summary, and rejects files without usable questions; returns the data."""
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
    """The value of a key of an object in the file; checks its type."""
    if not isinstance(holder, dict):
        raise InputError(f"{where} is {_kind(holder)}, expected an object with {key!r}.")
    if key not in holder:
        raise InputError(
            f"{where} has no {key!r}, only {', '.join(map(repr, holder)) or 'nothing'}; see the SQuAD format."
        )
    value = holder[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where}: {key!r} is {_kind(value)}, expected {_TYPE_NAMES[kind]}.")
    return value


def _id(holder: Any, where: str) -> str:
    value = _get(holder, "id", object, where)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(f"{where}: 'id' is {_kind(value)}, expected a string.")
    return str(value)


def _kind(value: Any) -> str:
    return "null" if value is None else _TYPE_NAMES.get(type(value), "a number")
