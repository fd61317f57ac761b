"""Fine-tunes BERT to answer questions about a text: SQuAD 1.1 and 2.0, and your own questions."""

from bert_tf2 import cli
from bert_tf2.tasks.squad.config import SquadConfig


def run(config: SquadConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.squad import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(SquadConfig, run)
