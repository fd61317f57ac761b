"""A model for multiple choice: contexts, questions and choices -> a score and a probability for each choice.

Shapes: `B` choices, `S` tokens.
"""

import dataclasses

import tensorflow as tf

from bert_tf2.export.program import Outputs, Program, require_tokenizer
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, beginning, join
from bert_tf2.export.source import ModelSource
from bert_tf2.modeling.multiple_choice import MultipleChoiceModel
from bert_tf2.tasks.multiple_choice.examples import BLANK
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription
from bert_tf2.tokenization import tf_tokenizer


def build(
    source: ModelSource,
    description: MultipleChoiceDescription,
    tokenizer: tf_tokenizer.Tokenizer | None,
    use_averages: bool,
) -> Program:
    """The functions of a model for multiple choice, with a row for each choice.

    Args:
      source: the model.
      description: the description of its task.
      tokenizer: the graph tokenizer; None if only token ids will be used.
      use_averages: see `ModelSource.load`.

    Returns:
      A function of `context`, `question` (may be "") and `choice`, which returns `score`, float32 `[B]`, and
      `probability`, float32 `[B]`, the softmax over the choices with the same context and question; and a function of
      token ids, which returns `score`.

    Raises:
      InputError: weights are missing, or the model has fewer positions or segment types than its task needs.
    """
    model = MultipleChoiceModel(source.foundation.bert_config)
    variables = source.load(model.named_variables, use_averages)
    source.foundation.check_sequences(description.max_seq_length, segments=2)
    functions = _Choices(model, description, tokenizer)
    return Program(
        of_texts=functions.of_texts,
        texts=("context", "question", "choice"),
        of_token_ids=functions.of_token_ids,
        variables=variables,
        settings={
            "problem_type": description.problem_type,
            "max_seq_length": description.max_seq_length,
            "max_characters": CHARACTERS_PER_PIECE * description.max_seq_length,
            "do_lower_case": description.do_lower_case,
        },
    )


@dataclasses.dataclass(frozen=True)
class _Choices:
    model: MultipleChoiceModel
    description: MultipleChoiceDescription
    tokenizer: tf_tokenizer.Tokenizer | None

    def of_token_ids(self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Outputs:
        pairs = {"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids}
        return {"score": self.model.scores(pairs)}

    def of_texts(self, context: tf.Tensor, question: tf.Tensor, choice: tf.Tensor) -> Outputs:
        tokenizer, max_length = require_tokenizer(self.tokenizer), self.description.max_seq_length
        first = tokenizer.tokenize(beginning(context, max_length))
        second = tokenizer.tokenize(beginning(pair(question, choice), max_length))
        score = self.of_token_ids(**join(first, second, max_length, SpecialPieces.of(tokenizer.vocab)))["score"]
        # With the length, different pairs of context and question never give the same string.
        lengths = tf.strings.as_string(tf.strings.length(context))
        _, question_ids = tf.unique(tf.strings.join([lengths, context, question], " "))  # [B]
        count = tf.shape(score)[0]
        largest = tf.gather(tf.math.unsorted_segment_max(score, question_ids, count), question_ids)
        exponentials = tf.exp(score - largest)
        total = tf.gather(tf.math.unsorted_segment_sum(exponentials, question_ids, count), question_ids)
        return {"score": score, "probability": exponentials / total}


def pair(question: tf.Tensor, choice: tf.Tensor) -> tf.Tensor:
    """The second texts of pairs, string `[B]`, as `tasks.multiple_choice.examples` builds them."""
    parts = tf.strings.split(question, BLANK)  # [B, (parts)]
    numbers = tf.ragged.range(parts.row_lengths()).flat_values
    is_last = numbers == tf.gather(parts.row_lengths(), parts.value_rowids()) - 1
    filled = tf.strings.join([parts.flat_values, tf.where(is_last, "", tf.gather(choice, parts.value_rowids()))])
    with_blank = tf.strings.reduce_join(parts.with_flat_values(filled), axis=1)
    appended = tf.where(question == "", choice, tf.strings.join([question, choice], " "))
    return tf.where(parts.row_lengths() > 1, with_blank, appended)
