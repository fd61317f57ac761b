"""Questions, contexts and answers as token ids, with each context stored once; no TensorFlow.

Shapes: `E` examples.
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
_WORDS_AT_ONCE = 1 << 20  # of contexts, whose strings are in memory at once


@dataclass(frozen=True)
class TokenizedExamples:
    """Examples and their tokens.

    Attributes:
      examples: E questions.
      tokenizer: the tokenizer that created the tokens.
      paragraphs: the contexts of the examples, each once.
      documents: token ids of contexts, one row per paragraph.
      words: int32, for each token of `documents` the index of its word in the paragraph.
      questions: token ids of questions, one row per example.
      paragraph: int64 `[E]`, the row of each example's context in `documents`.
      answers: int64 `[E, 2]`, the indices in the document of the first and last token of the answer to train with; -1
        if there is none.
    """

    examples: Sequence[Example]
    tokenizer: FastTokenizer
    paragraphs: list[Paragraph]
    documents: Ragged
    words: NDArray[np.int32]
    questions: Ragged
    paragraph: Ints
    answers: Ints

    def subset(self, first: int, last: int) -> "TokenizedExamples":
        """Examples `first` to `last` (exclusive) with only their contexts, in memory."""
        rows, paragraph = np.unique(self.paragraph[first:last], return_inverse=True)
        return TokenizedExamples(
            examples=self.examples[first:last],
            tokenizer=self.tokenizer,
            paragraphs=[self.paragraphs[row] for row in rows],
            documents=_select_rows(self.documents, rows),
            words=_select_rows(Ragged(self.words, self.documents.row_splits), rows).values,
            questions=_select_rows(self.questions, np.arange(first, last)),
            paragraph=paragraph,
            answers=self.answers[first:last],
        )


def _select_rows(ragged: Ragged, rows: Ints) -> Ragged:
    splits = ragged.row_splits
    values = [ragged.values[splits[row] : splits[row + 1]] for row in rows.tolist()]
    return Ragged(
        np.concatenate([np.empty(0, np.int32), *values]),
        np.concatenate([[0], np.cumsum(splits[rows + 1] - splits[rows])]),
    )


def tokenize(
    examples: Sequence[Example], tokenizer: FastTokenizer, directory: str | None = None, *, is_shown: bool = True
) -> TokenizedExamples:
    """Tokenizes examples, one block of contexts at a time.

    Args:
      examples: the questions.
      tokenizer: the tokenizer of the model.
      directory: the directory for tokens that exceed memory; None: the system's directory for temporary files.
      is_shown: whether to show progress.

    Raises:
      OSError: tokens cannot be written.
    """
    paragraphs = list({id(example.paragraph): example.paragraph for example in examples}.values())
    row_of = {id(paragraph): row for row, paragraph in enumerate(paragraphs)}
    paragraph = np.fromiter((row_of[id(example.paragraph)] for example in examples), np.int64, len(examples))
    answered = [index for index, example in enumerate(examples) if example.answer]
    answered.sort(key=lambda index: int(paragraph[index]))  # stable
    answered_paragraph = paragraph[answered] if answered else paragraph[:0]
    total = sum(len(each.words) for each in paragraphs) + len(examples) + len(answered)
    ids, words = (SpilledArray((), np.int32, directory) for _ in range(2))
    lengths = [np.empty(0, np.int64)]
    answers = np.full((len(examples), 2), -1)
    with Progress("Tokenizing", total, unit="text", shown=is_shown) as progress:
        encode = functools.partial(_encode, tokenizer, progress=progress)
        questions = encode([example.question for example in examples])
        for first, last in _blocks([len(each.words) for each in paragraphs]):
            block = paragraphs[first:last]
            first_word = np.cumsum([0, *(len(each.words) for each in block)])
            pieces = encode([word for each in block for word in each.words])
            word_indices = np.arange(first_word[-1]) - np.repeat(first_word[:-1], np.diff(first_word))
            ids.append(pieces.values)
            words.append(np.repeat(word_indices, np.diff(pieces.row_splits)))
            lengths.append(np.diff(pieces.row_splits[first_word]))
            in_block = answered[slice(*np.searchsorted(answered_paragraph, [first, last]))]
            if in_block:
                texts = encode([answer.text for index in in_block if (answer := examples[index].answer)])
                begin = first_word[paragraph[in_block] - first]
                answers[in_block] = _answer_tokens([examples[index] for index in in_block], pieces, begin, texts)
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


def _blocks(word_counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of contexts with at most `_WORDS_AT_ONCE` words in total, or of a single context."""
    ends = np.cumsum([0, *word_counts])
    first = 0
    while first < len(word_counts):
        last = int(np.searchsorted(ends, ends[first] + _WORDS_AT_ONCE, side="right")) - 1
        last = max(last, first + 1)
        yield first, last
        first = last


def _answer_tokens(examples: Sequence[Example], pieces: Ragged, first_word: Ints, answers: Ragged) -> Ints:
    """The indices in the document of the first and last token of each answer, `[E, 2]`.

    Args:
      examples: E questions with answers.
      pieces: token ids of words, one row per word.
      first_word: `[E]`, the row in `pieces` of the first word of the question's paragraph.
      answers: token ids of answers, one row per example.
    """
    token_spans = np.empty((len(examples), 2), np.int64)
    ids, splits, first_words = pieces.values.tolist(), pieces.row_splits.tolist(), first_word.tolist()
    answer_ids, ends = answers.values.tolist(), answers.row_splits.tolist()
    for row, example in enumerate(examples):
        if example.answer is None:
            raise ValueError(f"Question {example.id} has no answer.")
        word = first_words[row]
        first, last = splits[word + example.answer.first_word], splits[word + example.answer.last_word + 1] - 1
        first, last = _narrow_to_answer(ids, first, last, answer_ids[ends[row] : ends[row + 1]])
        token_spans[row] = first - splits[word], last - splits[word]
    return token_spans


def _narrow_to_answer(ids: list[int], first: int, last: int, answer: list[int]) -> tuple[int, int]:
    """The first span within tokens `first` to `last` that equals the answer; all of these tokens if none does.

    Words may contain more than the answer: in `(1895-1943).`, the answer may be `1895`.
    """
    if answer:
        for start in range(first, last - len(answer) + 2):
            if ids[start : start + len(answer)] == answer:
                return start, start + len(answer) - 1
    return first, last


def _encode(tokenizer: FastTokenizer, texts: Sequence[str], progress: Progress) -> Ragged:
    """Token ids of texts, one row per text."""
    encoded = [Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))]
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        encoded.append(tokenizer.encode_batch(texts[first : first + _TEXTS_AT_ONCE]))
        progress.update(len(encoded[-1].row_splits) - 1)
    lengths = np.concatenate([np.diff(block.row_splits) for block in encoded])
    return Ragged(np.concatenate([block.values for block in encoded]), np.cumsum([0, *lengths]))
