"""Extracts BERT's vectors for lines of text: one for each token, or one for each line."""

from bert_tf2 import cli
from bert_tf2.tasks.feature_extraction.config import FeatureConfig


def run(config: FeatureConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.feature_extraction import runner
    from bert_tf2.training import concurrency

    concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(FeatureConfig, run)
