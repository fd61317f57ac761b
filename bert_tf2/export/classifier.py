"""A classification or regression model: texts -> probabilities or values.

Shapes: `B` texts, `S` tokens, `L` labels.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from bert_tf2.configs.long_texts import HEAD_TAIL, TRUNCATE_TAIL, WINDOWS
from bert_tf2.errors import InputError
from bert_tf2.export.program import Outputs, Program, require_tokenizer
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, join, part_to_read, windows
from bert_tf2.export.source import ModelSource
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tokenization import tf_tokenizer

_MIN_PAIR_LENGTH = 5


def build(
    source: ModelSource,
    description: TaskDescription,
    tokenizer: tf_tokenizer.Tokenizer | None,
    use_averages: bool,
    text_pairs: bool | None,
) -> Program:
    """The functions of a classifier.

    Args:
      source: the model.
      description: the description of its task.
      tokenizer: the graph tokenizer; None if only token ids will be used.
      use_averages: see `ModelSource.load`.
      text_pairs: whether the model takes two texts; None: as in training.

    Returns:
      Functions of `text` and, for pairs, `text_pair`, and of token ids. Both return `probabilities`, float32, and
      `labels`, their names, both `[B, L]`, and `label`, the most probable one, `[B]`; for several labels per text,
      instead of `label`, `predicted`, whether each probability reaches the threshold, bool `[B, L]`. For regression
      they return `value`, float32 `[B]`.

    Raises:
      InputError: weights are missing, or `max_seq_length` has no room for pairs.
    """
    bert_config, kind = source.foundation.bert_config, description.problem_type
    model = ClassificationModel(bert_config, description.outputs, kind)
    variables = source.load(model.named_variables, use_averages)
    pairs = description.has_pairs if text_pairs is None else text_pairs
    source.foundation.check_sequences(description.max_seq_length, segments=1 + pairs)
    if pairs and description.max_seq_length < _MIN_PAIR_LENGTH:
        raise InputError(
            f"--max_seq_length={description.max_seq_length} has no room for a token of each text and the special "
            f"tokens; it must be at least {_MIN_PAIR_LENGTH}."
        )
    functions = _Classifier(model, description, tokenizer)
    return Program(
        of_texts=functions.of_texts,
        texts=("text", "text_pair") if pairs else ("text",),
        of_token_ids=functions.of_token_ids,
        variables=variables,
        settings={
            "task": description.name,
            "problem_type": kind,
            "max_seq_length": description.max_seq_length,
            **_length_settings(description),
            "do_lower_case": description.do_lower_case,
            "text_pairs": pairs,
            "threshold": description.threshold,
        },
        labels=description.labels,
    )


def _length_settings(description: TaskDescription) -> dict[str, Any]:
    """The settings that say how much of a text is read, and how longer texts are handled."""
    if description.long_text == WINDOWS:
        stride, pooling = description.window_stride, description.window_pooling
        return {"long_text": WINDOWS, "window_stride": stride, "window_pooling": pooling}
    parts = 2 if description.long_text == HEAD_TAIL else 1
    return {
        "long_text": description.long_text,
        "max_characters": parts * CHARACTERS_PER_PIECE * description.max_seq_length,
    }


@dataclasses.dataclass(frozen=True)
class _Classifier:
    model: ClassificationModel
    description: TaskDescription
    tokenizer: tf_tokenizer.Tokenizer | None

    def of_token_ids(self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Outputs:
        return self._outputs(
            self.model.logits({"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids})
        )

    def _outputs(self, logits: tf.Tensor) -> Outputs:
        """The outputs for logits `[B, L]`."""
        kind = self.description.problem_type
        if kind == "regression":
            return {"value": logits[:, 0]}
        names = tf.constant(self.description.labels)
        probabilities = tf.nn.softmax(logits) if kind == "single_label" else tf.sigmoid(logits)  # [B, L]
        outputs = {
            "probabilities": probabilities,
            "labels": tf.repeat(names[None], tf.shape(logits)[0], axis=0),
        }
        if kind == "single_label":
            outputs["label"] = tf.gather(names, tf.argmax(logits, 1))
        else:
            outputs["predicted"] = probabilities >= self.description.threshold
        return outputs

    def of_texts(self, text: tf.Tensor, text_pair: tf.Tensor | None = None) -> Outputs:
        tokenizer, task = require_tokenizer(self.tokenizer), self.description
        max_length, special = task.max_seq_length, SpecialPieces.of(tokenizer.vocab)
        has_windows = task.long_text == WINDOWS
        first = tokenizer.tokenize(part_to_read(text, max_length, task.long_text))
        second = None
        if text_pair is not None:  # with windows, which split only the first text, its end is truncated
            long_text = TRUNCATE_TAIL if has_windows else task.long_text
            second = tokenizer.tokenize(part_to_read(text_pair, max_length, long_text))
        if not has_windows:
            return self.of_token_ids(**join(first, second, max_length, special, task.long_text))
        batch, rows = windows(first, second, max_length, special, task.window_stride)
        pool = tf.math.segment_max if task.window_pooling == "max" else tf.math.segment_mean
        return self._outputs(pool(self.model.logits(batch), rows))
