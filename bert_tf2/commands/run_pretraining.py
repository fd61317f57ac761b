"""Pre-trains BERT on records of create_pretraining_data.py: masked language model and next sentence."""

from bert_tf2 import cli
from bert_tf2.tasks.pretraining.config import PretrainingConfig


def run(config: PretrainingConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.tasks.pretraining import whole_run

    whole_run.run(config)


main = cli.command(PretrainingConfig, run)
