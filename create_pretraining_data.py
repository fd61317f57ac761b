"""Turns plain text into TFRecord files of masked, paired instances for run_pretraining.py.

    python create_pretraining_data.py \\
      --input_file=text.txt --output_file=train.tfrecord --vocab_file=vocab.txt

The input has one sentence a line and a blank line between documents.
"""

from absl import flags

from bert_tf2 import cli
from bert_tf2.instances import InstanceParameters

flags.DEFINE_string(
    "input_file",
    None,
    "Text to read, one sentence a line, a blank line between documents: a comma-separated list of paths and globs.",
    required=True,
)
flags.DEFINE_string(
    "output_file",
    None,
    "TFRecord files to write: a comma-separated list, over which the instances are dealt in turn.",
    required=True,
)
cli.define_vocab_flags()
flags.DEFINE_bool(
    "do_whole_word_mask", False, "Whether all pieces of a word are masked together, instead of each piece by itself."
)
flags.DEFINE_integer("max_seq_length", InstanceParameters.max_seq_length, "Tokens of an instance at most.")
flags.DEFINE_integer(
    "max_predictions_per_seq", InstanceParameters.max_predictions_per_seq, "Masked tokens of an instance at most."
)
flags.DEFINE_integer("random_seed", 12345, "The same seed, input and flags give the same records.")
flags.DEFINE_integer(
    "dupe_factor",
    InstanceParameters.dupe_factor,
    "How often to go over the input, each time with other masks and pairs.",
)
flags.DEFINE_float("masked_lm_prob", InstanceParameters.masked_lm_prob, "Share of the tokens that is masked.")
flags.DEFINE_float(
    "short_seq_prob",
    InstanceParameters.short_seq_prob,
    "Share of the documents that are cut into instances shorter than max_seq_length.",
)


def main() -> None:
    """Flags to config, config to work."""
    from bert_tf2.tasks.pretraining_data import PretrainingDataConfig, create_pretraining_data

    config = cli.from_flags(PretrainingDataConfig)
    cli.import_tensorflow()
    create_pretraining_data(config)


if __name__ == "__main__":
    cli.run(main)
