"""Writes the vectors that a BERT model has for lines of text: of each token, or of each line."""

from bert_tf2 import cli
from bert_tf2.tasks.feature_extraction.config import FeatureConfig

cli.define_flags(FeatureConfig)


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.feature_extraction import encoder, runner

    encoder.use_a_core_a_batch()  # here, for it holds for the whole process
    runner.run(cli.from_flags(FeatureConfig))


if __name__ == "__main__":
    cli.run(main)
