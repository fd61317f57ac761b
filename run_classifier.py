"""Fine-tunes BERT to label texts or pairs of texts, or to give them a value: GLUE, XNLI, and data of one's own."""

from bert_tf2 import cli
from bert_tf2.tasks.classification.config import ClassificationConfig

cli.define_flags(ClassificationConfig)


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.classification import runner

    runner.run(cli.from_flags(ClassificationConfig))


if __name__ == "__main__":
    cli.run(main)
