"""Fine-tunes BERT to classify or score texts or pairs of texts: GLUE, XNLI, and your own data."""

from bert_tf2 import cli
from bert_tf2.tasks.classification.config import ClassificationConfig


def run(config: ClassificationConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.classification import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(ClassificationConfig, run)
