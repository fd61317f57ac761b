"""Fine-tunes BERT to tag words: names of persons and places, or whatever CoNLL-style files mark in BIO tags."""

from bert_tf2 import cli
from bert_tf2.tasks.tagging.config import TaggingConfig

cli.define_flags(TaggingConfig)


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.tagging import runner

    runner.run(cli.from_flags(TaggingConfig))


if __name__ == "__main__":
    cli.run(main)
