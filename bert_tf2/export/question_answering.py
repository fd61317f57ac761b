"""A model for question answering: questions and contexts -> answers, the same as those of `run_squad.py`.

Shapes: `B` questions, `W` words and `P` pieces of all contexts, `M` windows, `S` tokens of a window, `K` windows of the
longest context, `n` starts, and as many ends, to try in a window.
"""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf2.errors import InputError
from bert_tf2.export import answer_text, contexts
from bert_tf2.export.config import ExportConfig
from bert_tf2.export.program import Outputs, Program
from bert_tf2.export.sequences import (
    CHARACTERS_PER_PIECE,
    Batch,
    SpecialPieces,
    beginning,
    head,
    padded,
    ranges,
    repeated,
)
from bert_tf2.export.source import ModelSource
from bert_tf2.io import json_files
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.question_answering import END_LOGITS, START_LOGITS, SpanModel
from bert_tf2.tasks.finetuning.outputs import fingerprint
from bert_tf2.tasks.squad import prediction_files
from bert_tf2.tasks.squad.answers import NO_WINDOW_SCORE, AnswerParameters
from bert_tf2.tasks.squad.task_description import TaskDescription
from bert_tf2.tokenization import tf_tokenizer
from bert_tf2.tokenization.character_tables import Blocks
from bert_tf2.tokenization.sequences import SPECIAL_IN_PAIR
from bert_tf2.tokenization.tf_tokenizer import GraphTokenizer

_INFINITY = float("inf")


class Windows(NamedTuple):
    """Contexts split like in `squad.windows`; but each context has a window, even if it has no pieces.

    Attributes:
      row: int64 `[M]`, the question of each window, ascending.
      number: int64 `[M]`, the index of each window among those of its question.
      start: int64 `[M]`, the first piece of the context in each window.
      length: int64 `[M]`, the number of pieces of the context in each window.
      counts: int64 `[B]`, the number of windows of each question.
      stride: int64 `[B]`, the number of pieces from one window's start to the next.
      room: int64 `[B]`, the most pieces of the context that a window has room for.
      pieces: int64 `[B]`, the number of pieces of each context.
    """

    row: tf.Tensor
    number: tf.Tensor
    start: tf.Tensor
    length: tf.Tensor
    counts: tf.Tensor
    stride: tf.Tensor
    room: tf.Tensor
    pieces: tf.Tensor


class Spans(NamedTuple):
    """The best span of each question.

    Attributes:
      exists: bool `[B]`; if False, the other attributes are undefined.
      first: int64 `[B]`, the first piece of the span in the context.
      last: int64 `[B]`, the last piece of the span in the context.
      start_logit: float64 `[B]`.
      end_logit: float64 `[B]`.
    """

    exists: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor
    start_logit: tf.Tensor
    end_logit: tf.Tensor


def divide(pieces: tf.Tensor, room: tf.Tensor, doc_stride: int) -> Windows:
    """Splits contexts of `pieces` pieces into windows with room for `room`, both int64 `[B]`."""
    stride = tf.minimum(room, doc_stride)
    counts = 1 + tf.maximum(-((room - pieces) // stride), 0)
    row = tf.repeat(tf.range(tf.size(pieces, tf.int64)), counts)
    number = tf.ragged.range(counts).values
    start = number * tf.gather(stride, row)
    length = tf.minimum(tf.gather(pieces, row) - start, tf.gather(room, row))
    return Windows(row, number, start, length, counts, stride, room, pieces)


def has_max_context(windows: Windows, positions: tf.Tensor) -> tf.Tensor:
    """Whether no window of the question has more context around a piece; see `windows.Windows.is_max_context`.

    Args:
      windows: the windows of all questions.
      positions: int64 `[M, n]`, positions of pieces in the context.

    Returns:
      bool `[M, n]`.
    """
    numbers = tf.range(tf.reduce_max(windows.counts))  # [K]
    start = numbers * windows.stride[:, None]  # [B, K]
    length = tf.minimum(windows.pieces[:, None] - start, windows.room[:, None])

    def by_window(values: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, windows.row)[:, None]  # [M, 1, K]

    left = positions[..., None] - by_window(start)  # [M, n, K]
    right = by_window(length) - 1 - left
    least = tf.minimum(left, right)
    context = tf.cast(least, tf.float64) + 0.01 * tf.cast(by_window(length), tf.float64)
    contains = (least >= 0) & by_window(numbers < windows.counts[:, None])
    context = tf.where(contains, context, tf.constant(-_INFINITY, tf.float64))
    is_best = tf.equal(context, tf.reduce_max(context, -1, keepdims=True))
    first = tf.reduce_min(tf.where(is_best, numbers, numbers.dtype.max), -1)
    return tf.equal(first, windows.number[:, None])


def best_spans(
    start_logits: tf.Tensor, end_logits: tf.Tensor, windows: Windows, offsets: tf.Tensor, parameters: AnswerParameters
) -> Spans:
    """The best answer of each question, as `squad.span_selection.predict` ranks them.

    Args:
      start_logits: float32 `[M, S]`, minus infinity at padding.
      end_logits: likewise.
      windows: the windows of all questions.
      offsets: int64 `[M]`, the position in each window at which the context begins.
      parameters: how to choose answers.
    """
    count = tf.minimum(parameters.n_best_size, tf.shape(start_logits)[1])  # n
    start_scores, starts = tf.math.top_k(start_logits, count)  # [M, n]; of equal scores the first comes first
    end_scores, ends = tf.math.top_k(end_logits, count)
    starts, ends = (tf.cast(positions, tf.int64) - offsets[:, None] for positions in (starts, ends))
    length = windows.length[:, None]
    can_start = (starts >= 0) & (starts < length) & has_max_context(windows, windows.start[:, None] + starts)
    can_end = (ends >= 0) & (ends < length)
    size = ends[:, None, :] - starts[:, :, None]  # [M, n, n]
    is_span = can_start[:, :, None] & can_end[:, None, :] & (size >= 0) & (size < parameters.max_answer_length)
    start_scores, end_scores = (tf.cast(scores, tf.float64) for scores in (start_scores, end_scores))
    no_span = tf.constant(-_INFINITY, tf.float64)
    scores = tf.where(is_span, start_scores[:, :, None] + end_scores[:, None, :], no_span)
    best, choice = _first_best(tf.reshape(scores, [tf.shape(scores)[0], count * count]))  # [M]
    best, window = _first_best(tf.RaggedTensor.from_row_lengths(best, windows.counts).to_tensor(no_span))  # [B]
    window = tf.cumsum(windows.counts, exclusive=True) + tf.cast(window, tf.int64)
    choice = tf.gather(choice, window)

    def chosen(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.gather(values, window), index, batch_dims=1)

    begin = tf.gather(windows.start, window)
    return Spans(
        exists=best > no_span,
        first=begin + chosen(starts, choice // count),
        last=begin + chosen(ends, choice % count),
        start_logit=chosen(start_scores, choice // count),
        end_logit=chosen(end_scores, choice % count),
    )


def _first_best(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The highest value of each row, and the first index that has it."""
    best, indices = tf.math.top_k(values, 1)
    return best[:, 0], indices[:, 0]


def build(
    source: ModelSource,
    description: TaskDescription,
    tokenizer: tf_tokenizer.Tokenizer | None,
    config: ExportConfig,
) -> Program:
    """The functions of a model for question answering.

    Args:
      source: the model.
      description: the description of its task.
      tokenizer: the graph tokenizer; None if only token ids will be used.
      config: how to choose answers.

    Returns:
      A function of `question` and `context`, which returns `answer`, "" for no answer, its offsets in the context,
      `start` and `end` (-1 for no answer), in characters, and `score`, the sum of its logits; for SQuAD 2.0 also
      `null_odds`, the score of "no answer" minus that of the best answer; each `[B]`. And a function of token ids,
      which returns `start_logits` and `end_logits`, float32 `[B, S]`.

    Raises:
      InputError: weights are missing, or the tokenizer is not WordPiece.
    """
    if source.foundation.vocabulary.is_sentencepiece:
        raise InputError("Question answering needs a WordPiece tokenizer; give a model with a vocab.txt.")
    source.foundation.check_sequences(description.max_seq_length, segments=2)
    model = SpanModel(source.foundation.bert_config)
    variables = source.load(model.named_variables, config.use_averages, POOLER_VARIABLES)
    version_2 = description.version_2_with_negative
    parameters = AnswerParameters(
        n_best_size=config.n_best_size,
        max_answer_length=config.max_answer_length,
        version_2_with_negative=version_2,
        null_score_diff_threshold=_threshold(source, model, config) if version_2 else 0.0,
    )
    options = source.foundation.vocabulary.options
    classes = contexts.character_classes(description.language, options)
    pattern = options.pattern() if description.language == "zh" else None
    functions = _Answerer(model, description, tokenizer, parameters, classes, pattern)
    return Program(
        of_texts=functions.of_texts,
        texts=("question", "context"),
        of_token_ids=functions.of_token_ids,
        variables=variables,
        settings=_settings(description, parameters),
    )


def _settings(description: TaskDescription, parameters: AnswerParameters) -> dict[str, Any]:
    threshold = {"null_score_diff_threshold": parameters.null_score_diff_threshold}
    return {
        "problem_type": description.problem_type,
        "max_seq_length": description.max_seq_length,
        "doc_stride": description.doc_stride,
        "max_query_length": description.max_query_length,
        "max_question_characters": CHARACTERS_PER_PIECE * description.max_query_length,
        "do_lower_case": description.do_lower_case,
        "version_2_with_negative": description.version_2_with_negative,
        "language": description.language,
        "n_best_size": parameters.n_best_size,
        "max_answer_length": parameters.max_answer_length,
        **json_files.without_nan(threshold),
    }


class _Scored(NamedTuple):
    """The model's outputs for windows.

    Attributes:
      start_logits: float32 `[M, S]`, minus infinity at padding.
      end_logits: likewise.
      offsets: int64 `[M]`, the position in each window at which the context begins.
    """

    start_logits: tf.Tensor
    end_logits: tf.Tensor
    offsets: tf.Tensor


@dataclasses.dataclass(frozen=True)
class _Answerer:
    model: SpanModel
    description: TaskDescription
    tokenizer: tf_tokenizer.Tokenizer | None
    parameters: AnswerParameters
    classes: Blocks
    pattern: str | None  # see `contexts.split`

    def of_token_ids(self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Outputs:
        logits = self.model.logits({"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids})
        return dict(zip((START_LOGITS, END_LOGITS), logits, strict=True))

    def of_texts(self, question: tf.Tensor, context: tf.Tensor) -> Outputs:
        tokenizer, description = self.tokenizer, self.description
        if not isinstance(tokenizer, GraphTokenizer):
            raise ValueError("This program has no tokenizer for texts.")
        query = tokenizer.tokenize(beginning(question, description.max_query_length))
        query = head(query, tf.minimum(query.row_lengths(), description.max_query_length))
        split = contexts.split(context, self.classes, self.pattern)
        pieces = tokenizer.tokenize(split.words.values)  # [W, (pieces)]
        documents = split.words.with_values(pieces).merge_dims(1, 2)  # [B, (pieces)]
        room = description.max_seq_length - query.row_lengths() - SPECIAL_IN_PAIR
        windows = divide(documents.row_lengths(), room, description.doc_stride)
        scored = self._scored(*_batch(query, documents, windows, SpecialPieces.of(tokenizer.vocab)))
        spans = best_spans(*scored[:2], windows, scored.offsets, self.parameters)
        has_answer, odds = spans.exists, {}
        if description.version_2_with_negative:
            null_odds = _null_odds(scored, windows, spans)
            has_answer &= null_odds <= self.parameters.null_score_diff_threshold
            odds["null_odds"] = tf.cast(null_odds, tf.float32)
        first, last = (documents.row_starts() + position for position in (spans.first, spans.last))
        answers = answer_text.extract(tokenizer, split, pieces, first, last, has_answer, description.language)
        score = tf.where(spans.exists, spans.start_logit + spans.end_logit, 0.0)
        return {
            "answer": answers.text,
            "start": answers.start,
            "end": answers.end,
            "score": tf.cast(score, tf.float32),
            **odds,
        }

    def _scored(self, batch: Batch, offsets: tf.Tensor) -> _Scored:
        scores = self.of_token_ids(**batch)
        is_token = batch["input_mask"] > 0
        start, end = (tf.where(is_token, scores[name], -_INFINITY) for name in (START_LOGITS, END_LOGITS))
        return _Scored(start, end, offsets)


def _null_odds(scored: _Scored, windows: Windows, spans: Spans) -> tf.Tensor:
    """The score of "no answer" minus that of the best answer, float64 `[B]`."""
    null = tf.cast(scored.start_logits[:, 0], tf.float64) + tf.cast(scored.end_logits[:, 0], tf.float64)  # [M]
    null = tf.math.segment_min(null, windows.row)
    null = tf.where(windows.pieces > 0, tf.minimum(null, NO_WINDOW_SCORE), NO_WINDOW_SCORE)
    return tf.where(spans.exists, null - spans.start_logit - spans.end_logit, null)


def _batch(
    query: tf.RaggedTensor, documents: tf.RaggedTensor, windows: Windows, special: SpecialPieces
) -> tuple[Batch, tf.Tensor]:
    """`[CLS] question [SEP] part of the context [SEP]` for each window, and the context's position in it, `[M]`."""
    questions = tf.gather(query, windows.row)
    parts = ranges(documents.values, tf.gather(documents.row_starts(), windows.row) + windows.start, windows.length)
    one = tf.ones_like(windows.row)
    cls, sep = repeated(special.cls, one), repeated(special.sep, one)
    offsets = questions.row_lengths() + 2
    return padded(tf.concat([cls, questions, sep, parts, sep], 1), offsets), offsets


def _threshold(source: ModelSource, model: SpanModel, config: ExportConfig) -> float:
    """The threshold of the flag, else the one that an evaluation with the same weights found, else 0."""
    if config.null_score_diff_threshold is not None:
        return config.null_score_diff_threshold
    return prediction_files.find_threshold(source.directory, lambda: fingerprint(model))
