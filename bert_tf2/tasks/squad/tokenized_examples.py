"""Questions, contexts and answers as token ids, with each context stored once; no TensorFlow.

`E` examples.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bert_tf2.io.progress import Progress
from bert_tf2.io.spilled import SpilledArray
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.words import Paragraph
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer, Ragged

Ints = NDArray[np.int64]

_TEXTS_AT_ONCE = 1 << 16
_WORDS_AT_ONCE = 1 << 20  # of contexts; their strings are held


@dataclass(frozen=True)
class TokenizedExamples:
    """Examples and their tokens.

    Attributes:
      examples: the questions, E.
      tokenizer: that made the tokens.
      paragraphs: the contexts of the examples, each once.
      documents: ids of contexts, a row for each paragraph.
      words: int32, for each of the ids of `documents` the word of its paragraph that the token is of.
      questions: ids of questions, a row for each example.
      paragraph: `[E]`, the row of `documents`.
      answers: `[E, 2]`, first and last token in its document of the answer to train with; -1 where there is none.
    """

    examples: Sequence[Example]
    tokenizer: FastTokenizer
    paragraphs: list[Paragraph]
    documents: Ragged
    words: NDArray[np.int32]
    questions: Ragged
    paragraph: Ints
    answers: Ints

    def part(self, first: int, last: int) -> "TokenizedExamples":
        """Examples `first` to `last` (not included) and their contexts alone, in memory."""
        rows, paragraph = np.unique(self.paragraph[first:last], return_inverse=True)
        return TokenizedExamples(
            examples=self.examples[first:last],
            tokenizer=self.tokenizer,
            paragraphs=[self.paragraphs[row] for row in rows],
            documents=_rows(self.documents, rows),
            words=_rows(Ragged(self.words, self.documents.row_splits), rows).values,
            questions=_rows(self.questions, np.arange(first, last)),
            paragraph=paragraph,
            answers=self.answers[first:last],
        )


def _rows(ragged: Ragged, rows: Ints) -> Ragged:
    splits = ragged.row_splits
    values = [ragged.values[splits[row] : splits[row + 1]] for row in rows.tolist()]
    return Ragged(
        np.concatenate([np.empty(0, np.int32), *values]),
        np.concatenate([[0], np.cumsum(splits[rows + 1] - splits[rows])]),
    )


def tokenize(
    examples: Sequence[Example], tokenizer: FastTokenizer, directory: str | None = None, *, is_shown: bool = True
) -> TokenizedExamples:
    """Tokenizes examples, a part of the contexts at a time.

    Args:
      examples: some.
      tokenizer: of the model.
      directory: where tokens go that are too many for memory; None: the system's directory for temporary files.
      is_shown: whether to show progress.

    Raises:
      OSError: tokens cannot be written.
    """
    paragraphs = list({id(example.paragraph): example.paragraph for example in examples}.values())
    row = {id(paragraph): number for number, paragraph in enumerate(paragraphs)}
    paragraph = np.fromiter((row[id(example.paragraph)] for example in examples), np.int64, len(examples))
    answered = [number for number, example in enumerate(examples) if example.answer]
    answered.sort(key=lambda number: int(paragraph[number]))  # stable
    answered_paragraph = paragraph[answered] if answered else paragraph[:0]
    total = sum(len(one.words) for one in paragraphs) + len(examples) + len(answered)
    ids, words = (SpilledArray((), np.int32, directory) for _ in range(2))
    lengths = [np.empty(0, np.int64)]
    answers = np.full((len(examples), 2), -1)
    with Progress("Tokenizing", total, unit="text", shown=is_shown) as progress:
        encode = functools.partial(_encode, tokenizer, progress=progress)
        questions = encode([example.question for example in examples])
        for first, last in _blocks([len(one.words) for one in paragraphs]):
            block = paragraphs[first:last]
            first_word = np.cumsum([0, *(len(one.words) for one in block)])
            pieces = encode([word for one in block for word in one.words])
            numbers = np.arange(first_word[-1]) - np.repeat(first_word[:-1], np.diff(first_word))
            ids.append(pieces.values)
            words.append(np.repeat(numbers, np.diff(pieces.row_splits)))
            lengths.append(np.diff(pieces.row_splits[first_word]))
            here = answered[slice(*np.searchsorted(answered_paragraph, [first, last]))]
            if here:
                texts = encode([answer.text for number in here if (answer := examples[number].answer)])
                begin = first_word[paragraph[here] - first]
                answers[here] = _answer_tokens([examples[number] for number in here], pieces, begin, texts)
    return TokenizedExamples(
        examples=examples,
        tokenizer=tokenizer,
        paragraphs=paragraphs,
        documents=Ragged(ids.finish(), np.concatenate([[0], np.cumsum(np.concatenate(lengths))])),
        words=words.finish(),
        questions=questions,
        paragraph=paragraph,
        answers=answers,
    )


def _blocks(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of contexts that have, by their sizes in words, some `_WORDS_AT_ONCE`, or of a single one."""
    ends = np.cumsum([0, *sizes])
    first = 0
    while first < len(sizes):
        last = int(np.searchsorted(ends, ends[first] + _WORDS_AT_ONCE, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


def _answer_tokens(examples: Sequence[Example], pieces: Ragged, first_word: Ints, answers: Ragged) -> Ints:
    """First and last token of each answer in its document; `[E, 2]`.

    Args:
      examples: E questions with answers.
      pieces: ids of words, a row for each.
      first_word: `[E]`, the row of the first word of the question's paragraph.
      answers: ids of answers, a row for each example.
    """
    found = np.empty((len(examples), 2), np.int64)
    ids, splits, first_words = pieces.values.tolist(), pieces.row_splits.tolist(), first_word.tolist()
    answer_ids, ends = answers.values.tolist(), answers.row_splits.tolist()
    for row, example in enumerate(examples):
        if example.answer is None:
            raise ValueError(f"Question {example.id} has no answer.")
        word = first_words[row]
        first, last = splits[word + example.answer.first_word], splits[word + example.answer.last_word + 1] - 1
        first, last = _improved(ids, first, last, answer_ids[ends[row] : ends[row + 1]])
        found[row] = first - splits[word], last - splits[word]
    return found


def _improved(ids: list[int], first: int, last: int, answer: list[int]) -> tuple[int, int]:
    """The first place within tokens `first` to `last` that is exactly the answer, or all of it where there is none.

    Words may hold more than the answer: of `(1895-1943).` the answer is `1895`.
    """
    if answer:
        for start in range(first, last - len(answer) + 2):
            if ids[start : start + len(answer)] == answer:
                return start, start + len(answer) - 1
    return first, last


def _encode(tokenizer: FastTokenizer, texts: Sequence[str], progress: Progress) -> Ragged:
    """Ids of texts, a row for each."""
    encoded = [Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))]
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        encoded.append(tokenizer.encode_batch(texts[first : first + _TEXTS_AT_ONCE]))
        progress.update(len(encoded[-1].row_splits) - 1)
    lengths = np.concatenate([np.diff(part.row_splits) for part in encoded])
    return Ragged(np.concatenate([part.values for part in encoded]), np.cumsum([0, *lengths]))
