"""An encoder without a head: texts -> vectors.

Shapes: `B` texts, `S` tokens, `H` hidden.
"""

import tensorflow as tf

from bert_tf2 import modeling
from bert_tf2.export.program import Outputs, Program, needed
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, beginning, join
from bert_tf2.export.source import Description, ModelSource
from bert_tf2.tokenization import tf_tokenizer

POOLER = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")


def build(
    source: ModelSource, description: Description, tokenizer: tf_tokenizer.Tokenizer | None, use_averages: bool
) -> tuple[Program, modeling.BertModel]:
    """The functions of an encoder, and the encoder.

    Args:
      source: the model; a head that it may have is left out.
      description: for the length of sequences.
      tokenizer: for a graph; None where only token ids will be used.
      use_averages: see `ModelSource.load`.

    Returns:
      Of `text`: `mean`, the mean of the last layer over all tokens, `[B, H]`, and `pooled`, the output of the model's
      pooler, if it has one. Of token ids: additionally `sequence`, the last layer, `[B, S, H]`.

    Raises:
      InputError: weights are missing.
    """
    model = modeling.BertModel(source.foundation.bert_config)
    variables = source.load(model.named_variables(), use_averages, POOLER)

    def of_token_ids(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Outputs:
        found = model(input_ids, input_mask, segment_ids)
        weights = tf.cast(input_mask, tf.float32)[..., None]  # [B, S, 1]
        total = tf.maximum(tf.reduce_sum(weights, 1), 1.0)
        outputs = {
            "sequence": found.sequence_output,
            "mean": tf.reduce_sum(found.sequence_output * weights, 1) / total,
        }
        return {**outputs, "pooled": found.pooled_output} if source.has_pooler else outputs

    def of_texts(text: tf.Tensor) -> Outputs:
        given, most = needed(tokenizer), description.max_seq_length
        first, special = given.tokenize(beginning(text, most)), SpecialPieces.of(given.vocab)
        outputs = of_token_ids(**join(first, None, most, special))
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
