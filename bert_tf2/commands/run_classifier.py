"""Fine-tunes BERT to label texts or pairs of texts, or to give them a value: GLUE, XNLI, and data of one's own."""

from bert_tf2 import cli
from bert_tf2.tasks.classification.config import ClassificationConfig


def run(config: ClassificationConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.tasks.classification import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, for it holds for the whole process
    runner.run(config)


main = cli.command(ClassificationConfig, run)
