"""Writes the vectors that a BERT model has for lines of text: of each token, or of each line."""

from bert_tf2 import cli
from bert_tf2.tasks.feature_extraction.config import FeatureConfig


def run(config: FeatureConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.tasks.feature_extraction import runner
    from bert_tf2.training import concurrency

    concurrency.use_a_core_a_batch(config.distribution)  # here, for it holds for the whole process
    runner.run(config)


main = cli.command(FeatureConfig, run)
