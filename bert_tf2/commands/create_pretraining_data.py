"""Converts plain text to TFRecord files of masked, paired instances for run_pretraining.py.

    python create_pretraining_data.py --input_file='text/*.txt' \\
      --output_file=train.tfrecord --vocab_file=vocab.txt --max_seq_length=128 \\
      --max_predictions_per_seq=20 --dupe_factor=5

The input has one sentence per line and an empty line between documents.
"""

import gc
import os
from collections.abc import Sequence

from bert_tf2 import cli
from bert_tf2.pretraining_data.config import PretrainingDataConfig


def run(config: PretrainingDataConfig, beam_options: Sequence[str] = ()) -> None:
    """Calls the local runner, or the Beam runner with the options that are not flags of this command."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no matrices are multiplied here; idle threads would spin
    if config.runner is None:
        # The data has no reference cycles, and scanning Numba's many objects for them takes 5 % of a short run.
        gc.disable()
    from bert_tf2.pretraining_data.runner import create_pretraining_data

    if config.runner is None:
        create_pretraining_data(config)
        gc.freeze()  # otherwise Python still scans them at exit
        return
    from bert_tf2.pretraining_data import beam_runner

    options = [f"--runner={config.runner}", *beam_options]
    create_pretraining_data(config, lambda jobs, finished: beam_runner.run(jobs, finished, options))


main = cli.command(PretrainingDataConfig, run, takes_arguments_with="runner")
