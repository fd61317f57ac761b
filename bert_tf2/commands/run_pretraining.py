"""Pre-trains BERT on records of create_pretraining_data.py: masked LM and next-sentence prediction."""

from bert_tf2 import cli
from bert_tf2.tasks.pretraining.config import PretrainingConfig


def run(config: PretrainingConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.pretraining import whole_run
    from bert_tf2.training import concurrency

    if not config.do_train and not config.do_predict:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    whole_run.run(config)


main = cli.command(PretrainingConfig, run)
