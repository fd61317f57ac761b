"""Turns plain text into TFRecord files of masked, paired instances for run_pretraining.py.

    python create_pretraining_data.py \\
      --input_file=text.txt --output_file=train.tfrecord --vocab_file=vocab.txt

The input has one sentence a line and a blank line between documents.
"""

import gc
import os
import sys
from collections.abc import Sequence

from absl import flags

from bert_tf2 import cli
from bert_tf2.instances import InstanceParameters
from bert_tf2.text_groups import GROUP_BYTES

flags.DEFINE_string(
    "input_file",
    None,
    "Text to read, one sentence a line, a blank line between documents: a comma-separated list of paths and globs. "
    "gzip and Zstandard are unpacked.",
    required=True,
)
flags.DEFINE_string(
    "output_file",
    None,
    "TFRecord files to write: a comma-separated list, over which the instances are dealt in turn; or a folder/, for a "
    "file part-00000-of-00016 of each group.",
    required=True,
)
cli.define_vocab_flags(required=False)
cli.define_sentencepiece_flags()
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
flags.DEFINE_integer(
    "group_bytes",
    GROUP_BYTES,
    "Text is taken in groups of files of about this size, each made by itself; what fits into one is made as a whole.",
)
flags.DEFINE_integer("num_workers", 1, "Processes that make groups. The records do not depend on it.")
flags.DEFINE_enum(
    "masking",
    "static",
    ["static", "dynamic"],
    "dynamic: records without masks, which run_pretraining.py --masking=dynamic draws anew in each epoch.",
)
flags.DEFINE_bool(
    "no_nsp", False, "Rows of full sentences instead of pairs of texts, for run_pretraining.py --use_nsp=false."
)
flags.DEFINE_enum("compression", "none", ["none", "gzip"], "How to compress the output.")
flags.DEFINE_bool("resume", False, "Whether to keep the groups that an interrupted run of the same command finished.")
flags.DEFINE_string(
    "runner",
    None,
    "Make the groups on Apache Beam with this runner (DirectRunner, FlinkRunner, SparkRunner, DataflowRunner); flags "
    "that this script does not know are passed on to Beam.",
)


def main(beam_options: Sequence[str] = ()) -> None:
    """Flags to config, config to work."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nobody multiplies matrices here; idle threads would spin
    if flags.FLAGS.runner is None:
        # The data has no cycles, and to look for some among Numba's many objects takes a twentieth of a short run.
        gc.disable()
    from bert_tf2.tasks.pretraining_data import PretrainingDataConfig, create_pretraining_data

    config = cli.from_flags(PretrainingDataConfig)
    if flags.FLAGS.runner is None:
        create_pretraining_data(config)
        gc.freeze()  # or Python looks through them all the same when it exits
        return
    from bert_tf2.tasks import beam

    options = [f"--runner={flags.FLAGS.runner}", *beam_options]
    create_pretraining_data(config, lambda jobs, finished: beam.run(jobs, finished, options))


if __name__ == "__main__":
    cli.run(main, takes_arguments=any(argument.lstrip("-").startswith("runner") for argument in sys.argv[1:]))
