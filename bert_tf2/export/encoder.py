"""An encoder without a head: texts -> vectors.

Shapes: `B` texts, `S` tokens, `H` hidden.
"""

import tensorflow as tf

from bert_tf2 import modeling
from bert_tf2.export.program import Outputs, Program, require_tokenizer
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, beginning, join
from bert_tf2.export.source import Description, ModelSource
from bert_tf2.tokenization import tf_tokenizer

POOLER = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")


def build(
    source: ModelSource, description: Description, tokenizer: tf_tokenizer.Tokenizer | None, use_averages: bool
) -> tuple[Program, modeling.BertModel]:
    """The functions of an encoder, and the encoder.

    Args:
      source: the model; any heads are ignored.
      description: its maximum sequence length and case.
      tokenizer: the graph tokenizer; None if only token ids will be used.
      use_averages: see `ModelSource.load`.

    Returns:
      A function of `text`, which returns `mean`, the mean of the last layer over all tokens, float32 `[B, H]`, and
      `pooled`, the output of the pooler, if the model has one, float32 `[B, H]`; a function of token ids, which also
      returns `sequence`, the last layer, float32 `[B, S, H]`; and the encoder.

    Raises:
      InputError: weights are missing.
    """
    model = modeling.BertModel(source.foundation.bert_config)
    variables = source.load(model.named_variables(), use_averages, POOLER)

    def of_token_ids(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Outputs:
        encoded = model(input_ids, input_mask, segment_ids)
        weights = tf.cast(input_mask, tf.float32)[..., None]  # [B, S, 1]
        total = tf.maximum(tf.reduce_sum(weights, 1), 1.0)
        outputs = {
            "sequence": encoded.sequence_output,
            "mean": tf.reduce_sum(encoded.sequence_output * weights, 1) / total,
        }
        return {**outputs, "pooled": encoded.pooled_output} if source.has_pooler else outputs

    def of_texts(text: tf.Tensor) -> Outputs:
        graph_tokenizer, max_length = require_tokenizer(tokenizer), description.max_seq_length
        pieces = graph_tokenizer.tokenize(beginning(text, max_length))
        outputs = of_token_ids(**join(pieces, None, max_length, SpecialPieces.of(graph_tokenizer.vocab)))
        del outputs["sequence"]
        return outputs

    program = Program(
        of_texts=of_texts,
        texts=("text",),
        of_token_ids=of_token_ids,
        variables=variables,
        settings={
            "problem_type": "features",
            "max_seq_length": description.max_seq_length,
            "max_characters": CHARACTERS_PER_PIECE * description.max_seq_length,
            "do_lower_case": description.do_lower_case,
        },
    )
    return program, model
