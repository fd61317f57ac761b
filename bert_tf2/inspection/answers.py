"""The best answers of a question-answering model to a question about a context, as `run_squad.py` finds them.

Shapes: `F` windows of the context, `S` maximum sequence length.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints.model_source import Source
from bert_tf2.inspection.results import Answer
from bert_tf2.modeling.question_answering import END_LOGITS, START_LOGITS, SpanModel
from bert_tf2.tasks.squad import span_selection, words
from bert_tf2.tasks.squad.answers import AnswerParameters
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.task_description import TaskDescription
from bert_tf2.tasks.squad.tokenized_examples import tokenize
from bert_tf2.tasks.squad.windows import Windows, make_windows
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

_AUTO = "auto"


class AnswerFinder:
    """Finds a model's answers to questions.

    Args:
      model: the model, with its weights.
      tokenizer: the model's tokenizer.
      description: how contexts are split into windows, and whether a question may have no answer; see
        `task_description`.
    """

    def __init__(self, model: SpanModel, tokenizer: FastTokenizer, description: TaskDescription) -> None:
        self._model, self._tokenizer, self._description = model, tokenizer, description

    def best(self, question: str, context: str) -> tuple[Answer, ...]:
        """The best answers to a question, the most probable first; at least one.

        Raises:
          InputError: a logit is not finite.
        """
        language = self._description.language
        if language == _AUTO:
            language = words.detect_language([context])
        paragraph = words.split(context, language, self._tokenizer.options)
        tokenized = tokenize([Example("", question, paragraph)], self._tokenizer, is_shown=False)
        windows = make_windows(tokenized, self._description.windows, training=False, is_logged=False)
        parameters = AnswerParameters(version_2_with_negative=self._description.version_2_with_negative)
        (prediction,) = span_selection.predict(windows, *self._logits(windows), parameters, is_shown=False)
        return tuple(
            Answer("" if entry.start is None else entry.text, entry.probability, entry.start, entry.end)
            for entry in prediction.n_best
        )

    def _logits(self, windows: Windows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The start and end logits of all windows, each float32 `[F, S]`."""
        size = windows.parameters.max_seq_length
        if not len(windows):
            return np.empty((0, size), np.float32), np.empty((0, size), np.float32)
        longest, columns = int(windows.lengths.max()), windows.columns()
        batch = {name: tf.constant(columns[name][:, :longest]) for name in ("input_ids", "input_mask", "segment_ids")}
        outputs = self._model.outputs(batch, size)
        return outputs[START_LOGITS].numpy(), outputs[END_LOGITS].numpy()


def task_description(source: Source, do_lower_case: bool) -> TaskDescription:
    """The description in a model's `task.json`; without one, the original's defaults, limited to the model's positions.

    Args:
      source: the model.
      do_lower_case: whether its tokenizer lower-cases.

    Raises:
      InputError: `task.json` cannot be read, or the model has too few positions for a question and a context.
    """
    saved = TaskDescription.load_if_own(source.directory)
    if saved:
        return saved
    description = TaskDescription.of_positions(source.config.max_position_embeddings, do_lower_case)
    return dataclasses.replace(description, language=_AUTO)
