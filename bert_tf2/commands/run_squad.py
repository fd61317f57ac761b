"""Fine-tunes BERT to answer questions from a text: SQuAD 1.1 and 2.0, and questions of one's own."""

from bert_tf2 import cli
from bert_tf2.tasks.squad.config import SquadConfig


def run(config: SquadConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.tasks.squad import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, for it holds for the whole process
    runner.run(config)


main = cli.command(SquadConfig, run)
