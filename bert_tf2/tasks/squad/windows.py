"""Splits questions into windows that fit the model, for all questions at once; no TensorFlow.

Follows `convert_examples_to_features` of google-research/bert `run_squad.py`.

A context is tokenized once, not once per question, and windows are rows of arrays. Only the span of the context is
stored for each window; ids, masks and positions are computed for a few thousand windows at a time.

Shapes: `E` examples, `F` windows ("features"), `B` windows of a block, `S` `max_seq_length`.
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

_WINDOWS_PER_BLOCK = 2048


@dataclass(frozen=True)
class FeatureSummary:
    """Statistics of the windows.

    Attributes:
      questions: the number of questions.
      windows: the number of windows of all questions.
      cut_questions: the number of questions that were truncated to `max_query_length` tokens.
      without_windows: the number of questions whose context has no token; their prediction is "no answer".
      windows_with_answer: the number of windows that contain the complete answer to train with.
      without_answer: the number of questions with an answer to train with that no window contains completely.
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
        lines += [f"{name}: {count:,}" for name, count in counts.items() if count]
        return lines


@dataclass(frozen=True)
class Windows:
    """All windows of all questions.

    Attributes:
      tokenized: the questions with the tokens of question, context and answer.
      parameters: the sizes of windows.
      training: whether the windows have positions of answers.
      question_lengths: int64 `[E]`, the number of tokens of each question after truncation.
      example: int64 `[F]`, the index of the question of each window, ascending.
      start: int64 `[F]`, the index in the document of the first token of a window's span.
      length: int64 `[F]`, the number of tokens of the span.
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

    def blocks(self, characters: int) -> Iterator["Windows"]:
        """The windows in order, in blocks of whole examples.

        Args:
          characters: the maximum total length of the contexts in a block of more than one example.
        """
        sizes = [len(example.paragraph.text) for example in self.tokenized.examples]
        ends = np.cumsum([0, *sizes])
        first = 0
        while first < len(sizes):
            last = max(int(np.searchsorted(ends, ends[first] + characters, side="right")) - 1, first + 1)
            yield self._subset(first, last)
            first = last

    def _subset(self, first: int, last: int) -> "Windows":
        rows = slice(*self.splits[[first, last]].tolist())
        return Windows(
            tokenized=self.tokenized.subset(first, last),
            parameters=self.parameters,
            training=self.training,
            question_lengths=self.question_lengths[first:last],
            example=self.example[rows] - first,
            start=self.start[rows],
            length=self.length[rows],
        )

    @cached_property
    def offset(self) -> Ints:
        """The position in a window of the first token of the context, `[F]`: after [CLS], question and [SEP]."""
        return self.question_lengths[self.example] + 2

    @cached_property
    def lengths(self) -> Ints:
        """The number of tokens of a window without padding, `[F]`."""
        return self.offset + self.length + 1

    @cached_property
    def splits(self) -> Ints:
        """The windows of example `i` are `splits[i]` to `splits[i + 1]` (exclusive); `[E + 1]`."""
        return np.searchsorted(self.example, np.arange(len(self.tokenized.examples) + 1))

    @cached_property
    def document_start(self) -> Ints:
        """The index in `documents.values` of the first token of a window's span, `[F]`."""
        tokenized = self.tokenized
        return tokenized.documents.row_splits[tokenized.paragraph[self.example]] + self.start

    def columns(self, first: int = 0, last: int | None = None) -> dict[str, NDArray[np.int32]]:
        """The features of windows `first` to `last` (exclusive), by their names in `records.squad`.

        Returns:
          For each feature of the schema, int32 `[B, *shape]`.
        """
        rows = slice(first, len(self) if last is None else last)
        positions = np.arange(self.parameters.max_seq_length)
        offset, lengths = self.offset[rows], self.lengths[rows]
        in_question = (positions > 0) & (positions < offset[:, None] - 1)  # [B, S]
        in_document = (positions >= offset[:, None]) & (positions < lengths[:, None] - 1)

        input_ids = np.zeros(in_question.shape, np.int32)
        indices = np.arange(len(input_ids))
        vocab, questions = self.tokenized.tokenizer.vocab, self.tokenized.questions
        input_ids[:, 0] = vocab[CLS]
        input_ids[indices, offset - 1] = input_ids[indices, lengths - 1] = vocab[SEP]
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
            answers = self.answer_positions[rows]
            columns["start_positions"], columns["end_positions"] = answers[:, :1], answers[:, 1:]
            columns["is_impossible"] = self.is_impossible[rows, None]
        return {name: column.astype(np.int32) for name, column in columns.items()}

    @cached_property
    def is_impossible(self) -> Bools:
        """Whether the question of a window has no answer, `[F]`."""
        return np.array([example.is_impossible for example in self.tokenized.examples], np.bool_)[self.example]

    @cached_property
    def answer_positions(self) -> Ints:
        """The positions of the answer's first and last token in each window, `[F, 2]`; 0, 0 if it is not complete."""
        answer = self.tokenized.answers[self.example]  # [F, 2]
        begin = self.start[:, None]
        end = begin + self.length[:, None] - 1
        is_complete = (answer[:, :1] >= begin) & (answer[:, 1:] <= end) & (answer[:, :1] >= 0)
        return np.where(is_complete, answer - begin + self.offset[:, None], 0)

    def is_max_context(self, first: int = 0, last: int | None = None) -> Bools:
        """Whether a window is the one with the most context around a token, or the first of several such windows.

        The context of a token in a window is the smaller of the numbers of tokens to its left and to its right, plus
        0.01 per token of the window's span.

        Returns:
          For each position of windows `first` to `last` (exclusive), bool `[B, S]`; false outside contexts.
        """
        rows = np.arange(first, len(self) if last is None else last)
        positions = np.arange(self.parameters.max_seq_length) - self.offset[rows, None]  # [B, S], in the window's span
        best = (positions >= 0) & (positions < self.length[rows, None])
        window_counts = np.diff(self.splits)[self.example[rows]]  # of the window's question
        contested = np.flatnonzero(window_counts > 1)
        if not len(contested):
            return best
        rows = rows[contested]
        token = positions[contested] + self.start[rows, None]  # in the document
        own_context = self._context(rows, token)
        for distance in range(1, int(window_counts.max())):
            any_overlap = False
            for sign in (-1, 1):
                other = np.clip(rows + sign * distance, 0, len(self) - 1)
                ends = np.minimum(self.start[rows] + self.length[rows], self.start[other] + self.length[other])
                overlaps = (self.example[other] == self.example[rows]) & (other != rows)
                overlaps &= np.maximum(self.start[rows], self.start[other]) < ends
                compared = np.flatnonzero(overlaps)
                other_context = self._context(other[compared], token[compared])
                own = own_context[compared]
                is_better = other_context >= own if sign < 0 else other_context > own  # ties go to the earlier window
                best[contested[compared]] &= ~is_better
                any_overlap |= bool(len(compared))
            if not any_overlap:
                break
        return best

    def _context(self, rows: Ints, token: Ints) -> NDArray[np.float64]:
        """The context of tokens in windows, see `is_max_context`; -1 if a window does not contain the token.

        Args:
          rows: `[B]`, the indices of windows.
          token: `[B, S]`, the indices of tokens in the windows' documents.
        """
        left = token - self.start[rows, None]
        smaller = np.minimum(left, self.length[rows, None] - 1 - left)
        return np.where(smaller >= 0, smaller + 0.01 * self.length[rows, None], -1.0)

    @property
    def summary(self) -> FeatureSummary:
        """Statistics of the windows."""
        tokenized, window_counts = self.tokenized, np.diff(self.splits)
        has_answer = self.answer_positions[:, 0] > 0
        is_answered = np.bincount(self.example[has_answer], minlength=len(window_counts)) > 0
        return FeatureSummary(
            questions=len(window_counts),
            windows=len(self),
            cut_questions=int(np.count_nonzero(np.diff(tokenized.questions.row_splits) > self.question_lengths)),
            without_windows=int(np.count_nonzero(window_counts == 0)),
            windows_with_answer=int(np.count_nonzero(has_answer)),
            without_answer=int(np.count_nonzero((tokenized.answers[:, 0] >= 0) & ~is_answered)),
        )


def make_windows(
    tokenized: TokenizedExamples, parameters: FeatureParameters, training: bool, *, is_logged: bool = True
) -> Windows:
    """Splits all questions into windows, in order; a context without tokens has none.

    Args:
      tokenized: the questions, read for training if `training` is set.
      parameters: the sizes of windows.
      training: whether windows have positions of answers.
      is_logged: whether to log the summary.
    """
    question_lengths = np.minimum(np.diff(tokenized.questions.row_splits), parameters.max_query_length)
    example, start, length = _spans(
        np.diff(tokenized.documents.row_splits)[tokenized.paragraph],
        parameters.max_seq_length - SPECIAL_IN_PAIR - question_lengths,
        parameters.doc_stride,
    )
    windows = Windows(tokenized, parameters, training, question_lengths, example, start, length)
    if is_logged:
        logger.info("Made %s.", "; ".join(windows.summary.lines(training)))
    return windows


def write_records(windows: Windows, path: str) -> None:
    """Writes all windows to a TFRecord file, in order, as the original's `train.tf_record` or `eval.tf_record`.

    Raises:
      OSError: the file cannot be written.
    """
    schema = records.squad(windows.parameters.max_seq_length, windows.training)
    with (
        BlockWriter([path], schema) as writer,
        Progress("Writing records", len(windows), unit="record") as progress,
    ):
        for first in range(0, len(windows), _WINDOWS_PER_BLOCK):
            last = min(first + _WINDOWS_PER_BLOCK, len(windows))
            writer.write(windows.columns(first, last))
            progress.update(last - first)


def _spans(lengths: Ints, max_lengths: Ints, doc_stride: int) -> tuple[Ints, Ints, Ints]:
    """The spans into which documents are split: the document, start and length of each, `[F]`.

    A stride is never longer than a span, so no token is left out.

    Args:
      lengths: `[E]`, the number of tokens of each document.
      max_lengths: `[E]`, the maximum number of tokens of a span.
      doc_stride: the number of tokens from the start of one span to the start of the next.
    """
    stride = np.minimum(max_lengths, doc_stride)
    counts = np.where(lengths > 0, 1 + np.maximum(0, -((max_lengths - lengths) // stride)), 0)  # rounded up
    document = np.repeat(np.arange(len(lengths)), counts)
    start = ranges(0, counts) * stride[document]
    return document, start, np.minimum(lengths[document] - start, max_lengths[document])
