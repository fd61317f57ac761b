"""Splits questions into windows that fit the model, all of them at once; no TensorFlow.

Follows `convert_examples_to_features` of google-research/bert `run_squad.py`.

A context is tokenized once, not once for each of its questions, and windows are rows of arrays. Kept is only which part
of which context a window has; ids, masks and positions are made for some thousands of windows at a time.

`E` examples, `F` windows ("features"), `B` windows of a block, `S` `max_seq_length`.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import records
from bert_tf2.errors import counted
from bert_tf2.io.progress import Progress
from bert_tf2.records.writer import BlockWriter
from bert_tf2.tasks.squad.tokenized_examples import Ints, TokenizedExamples
from bert_tf2.tasks.squad.window_parameters import FIRST_UNIQUE_ID, FeatureParameters
from bert_tf2.tokenization.sequences import CLS, SEP, SPECIAL_IN_PAIR, ranges

logger = logging.getLogger(__name__)

Bools = NDArray[np.bool_]

_BLOCK = 2048


@dataclass(frozen=True)
class FeatureSummary:
    """Statistics of the windows.

    Attributes:
      questions: examples.
      windows: of all of them.
      cut_questions: questions of more than `max_query_length` tokens, of which the rest is left out.
      without_windows: questions whose context has no token; they are predicted to have no answer.
      windows_with_answer: windows that hold all of the answer that they are to be trained with.
      without_answer: questions to be trained with an answer that no window holds whole.
    """

    questions: int
    windows: int
    cut_questions: int
    without_windows: int
    windows_with_answer: int
    without_answer: int

    def lines(self, training: bool) -> list[str]:
        """The summary as text; counts of 0 are omitted."""
        lines = [f"{counted(self.windows, 'window')} of {counted(self.questions, 'question')}"]
        if training:
            lines[0] += f", {self.windows_with_answer:,} with the answer"
        counts = {
            "answers that no window contains completely": self.without_answer,
            "questions longer than max_query_length, which were truncated": self.cut_questions,
            "questions whose context has no token": self.without_windows,
        }
        lines += [f"{what}: {count:,}" for what, count in counts.items() if count]
        return lines


@dataclass(frozen=True)
class Windows:
    """All windows of all questions.

    Attributes:
      tokenized: the questions with the tokens of question, context and answer.
      parameters: sizes.
      training: whether the windows have positions of answers.
      question_lengths: `[E]`, tokens of questions, those that are cut off not counted.
      example: `[F]`, the question of a window, ascending.
      start: `[F]`, the token of the document where a window's part begins.
      length: `[F]`, how many tokens of the document it has.
    """

    tokenized: TokenizedExamples
    parameters: FeatureParameters
    training: bool
    question_lengths: Ints
    example: Ints
    start: Ints
    length: Ints

    def __len__(self) -> int:
        return len(self.example)

    def parts(self, characters: int) -> Iterator["Windows"]:
        """The windows of some examples after the other, in order: of `characters` of context, or of one example."""
        sizes = [len(example.paragraph.text) for example in self.tokenized.examples]
        ends = np.cumsum([0, *sizes])
        first = 0
        while first < len(sizes):
            last = max(int(np.searchsorted(ends, ends[first] + characters, side="right")) - 1, first + 1)
            yield self._part(first, last)
            first = last

    def _part(self, first: int, last: int) -> "Windows":
        rows = slice(*self.splits[[first, last]].tolist())
        return Windows(
            tokenized=self.tokenized.part(first, last),
            parameters=self.parameters,
            training=self.training,
            question_lengths=self.question_lengths[first:last],
            example=self.example[rows] - first,
            start=self.start[rows],
            length=self.length[rows],
        )

    @cached_property
    def offset(self) -> Ints:
        """Where in a window the context begins, `[F]`: after [CLS], question and [SEP]."""
        return self.question_lengths[self.example] + 2

    @cached_property
    def lengths(self) -> Ints:
        """Tokens of a window without padding, `[F]`."""
        return self.offset + self.length + 1

    @cached_property
    def splits(self) -> Ints:
        """The windows of example `i` are `splits[i]` to `splits[i + 1]`, the last one not included; `[E + 1]`."""
        return np.searchsorted(self.example, np.arange(len(self.tokenized.examples) + 1))

    @cached_property
    def document_start(self) -> Ints:
        """Where in `documents.values` a window's part begins, `[F]`."""
        tokenized = self.tokenized
        return tokenized.documents.row_splits[tokenized.paragraph[self.example]] + self.start

    def columns(self, first: int = 0, last: int | None = None) -> dict[str, NDArray[np.int32]]:
        """Windows `first` to `last` (not included) as `records.squad` has them.

        Returns:
          For each feature of the schema, int32 `[B, *shape]`.
        """
        rows = slice(first, len(self) if last is None else last)
        positions = np.arange(self.parameters.max_seq_length)
        offset, lengths = self.offset[rows], self.lengths[rows]
        in_question = (positions > 0) & (positions < offset[:, None] - 1)  # [B, S]
        in_document = (positions >= offset[:, None]) & (positions < lengths[:, None] - 1)

        input_ids = np.zeros(in_question.shape, np.int32)
        numbers = np.arange(len(input_ids))
        vocab, questions = self.tokenized.tokenizer.vocab, self.tokenized.questions
        input_ids[:, 0] = vocab[CLS]
        input_ids[numbers, offset - 1] = input_ids[numbers, lengths - 1] = vocab[SEP]
        question_start = questions.row_splits[self.example[rows]]
        input_ids[in_question] = questions.values[ranges(question_start, offset - 2)]
        document_ids = self.tokenized.documents.values
        input_ids[in_document] = document_ids[ranges(self.document_start[rows], self.length[rows])]

        input_mask = positions < lengths[:, None]
        columns: dict[str, Any] = {
            "unique_ids": FIRST_UNIQUE_ID + np.arange(rows.start, rows.stop)[:, None],
            "input_ids": input_ids,
            "input_mask": input_mask,
            "segment_ids": input_mask & (positions >= offset[:, None]),
        }
        if self.training:
            found = self.answer_positions[rows]
            columns["start_positions"], columns["end_positions"] = found[:, :1], found[:, 1:]
            columns["is_impossible"] = self.is_impossible[rows, None]
        return {name: column.astype(np.int32) for name, column in columns.items()}

    @cached_property
    def is_impossible(self) -> Bools:
        """Whether the question of a window has no answer, `[F]`."""
        return np.array([example.is_impossible for example in self.tokenized.examples], np.bool_)[self.example]

    @cached_property
    def answer_positions(self) -> Ints:
        """First and last position of the answer in each window, 0 and 0 where it is not whole; `[F, 2]`."""
        answer = self.tokenized.answers[self.example]  # [F, 2]
        begin = self.start[:, None]
        end = begin + self.length[:, None] - 1
        found = (answer[:, :1] >= begin) & (answer[:, 1:] <= end) & (answer[:, :1] >= 0)
        return np.where(found, answer - begin + self.offset[:, None], 0)

    def is_max_context(self, first: int = 0, last: int | None = None) -> Bools:
        """Whether a window is the one with most context around a token, the first of several such.

        A window's context of a token is the smaller one of what is on its left and on its right, and a little more for
        a longer window.

        Returns:
          For the positions of windows `first` to `last` (not included), `[B, S]`; false outside contexts.
        """
        rows = np.arange(first, len(self) if last is None else last)
        positions = np.arange(self.parameters.max_seq_length) - self.offset[rows, None]  # [B, S], in the window's part
        best = (positions >= 0) & (positions < self.length[rows, None])
        windows = np.diff(self.splits)[self.example[rows]]
        several = np.flatnonzero(windows > 1)
        if not len(several):
            return best
        rows = rows[several]
        token = positions[several] + self.start[rows, None]  # in the document
        mine = self._context(rows, token)
        for distance in range(1, int(windows.max())):
            overlapping = False
            for sign in (-1, 1):
                other = np.clip(rows + sign * distance, 0, len(self) - 1)
                ends = np.minimum(self.start[rows] + self.length[rows], self.start[other] + self.length[other])
                shared = (self.example[other] == self.example[rows]) & (other != rows)
                shared &= np.maximum(self.start[rows], self.start[other]) < ends
                here = np.flatnonzero(shared)
                theirs = self._context(other[here], token[here])
                better = theirs >= mine[here] if sign < 0 else theirs > mine[here]  # the first of several best ones
                best[several[here]] &= ~better
                overlapping |= bool(len(here))
            if not overlapping:
                break
        return best

    def _context(self, rows: Ints, token: Ints) -> NDArray[np.float64]:
        """How much context windows have around tokens of their documents; -1 where they do not have the token.

        Args:
          rows: `[B]`, windows.
          token: `[B, S]`.
        """
        left = token - self.start[rows, None]
        smaller = np.minimum(left, self.length[rows, None] - 1 - left)
        return np.where(smaller >= 0, smaller + 0.01 * self.length[rows, None], -1.0)

    @property
    def summary(self) -> FeatureSummary:
        """What was made, counted."""
        tokenized, windows = self.tokenized, np.diff(self.splits)
        holds = self.answer_positions[:, 0] > 0
        held = np.bincount(self.example[holds], minlength=len(windows)) > 0
        return FeatureSummary(
            questions=len(windows),
            windows=len(self),
            cut_questions=int(np.count_nonzero(np.diff(tokenized.questions.row_splits) > self.question_lengths)),
            without_windows=int(np.count_nonzero(windows == 0)),
            windows_with_answer=int(np.count_nonzero(holds)),
            without_answer=int(np.count_nonzero((tokenized.answers[:, 0] >= 0) & ~held)),
        )


def make_windows(
    tokenized: TokenizedExamples, parameters: FeatureParameters, training: bool, *, is_logged: bool = True
) -> Windows:
    """The windows of all questions, in their order; a context without tokens has none.

    Args:
      tokenized: the questions, read for training if `training` is set.
      parameters: sizes.
      training: whether windows get positions of answers.
      is_logged: whether to log how many there are.
    """
    question_lengths = np.minimum(np.diff(tokenized.questions.row_splits), parameters.max_query_length)
    example, start, length = _spans(
        np.diff(tokenized.documents.row_splits)[tokenized.paragraph],
        parameters.max_seq_length - SPECIAL_IN_PAIR - question_lengths,
        parameters.doc_stride,
    )
    made = Windows(tokenized, parameters, training, question_lengths, example, start, length)
    if is_logged:
        logger.info("Made %s.", "; ".join(made.summary.lines(training)))
    return made


def write_records(windows: Windows, path: str) -> None:
    """Writes all windows as `train.tf_record` or `eval.tf_record` has them, in order.

    Raises:
      OSError: the file cannot be written.
    """
    schema = records.squad(windows.parameters.max_seq_length, windows.training)
    with (
        BlockWriter([path], schema) as writer,
        Progress("Writing records", len(windows), unit="record") as progress,
    ):
        for first in range(0, len(windows), _BLOCK):
            last = min(first + _BLOCK, len(windows))
            writer.write(windows.columns(first, last))
            progress.update(last - first)


def _spans(tokens: Ints, most: Ints, doc_stride: int) -> tuple[Ints, Ints, Ints]:
    """The parts into which documents are split: the document, start and length of each.

    A stride is never longer than a part, so that no token is left out.

    Args:
      tokens: `[E]`, of each document.
      most: `[E]`, tokens of a span.
      doc_stride: from one to the next.
    """
    stride = np.minimum(most, doc_stride)
    counts = np.where(tokens > 0, 1 + np.maximum(0, -((most - tokens) // stride)), 0)  # rounded up
    document = np.repeat(np.arange(len(tokens)), counts)
    start = ranges(0, counts) * stride[document]
    return document, start, np.minimum(tokens[document] - start, most[document])
