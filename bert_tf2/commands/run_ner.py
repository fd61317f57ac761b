"""Fine-tunes BERT to tag words: names of persons and places, or whatever CoNLL-style files mark in BIO tags."""

from bert_tf2 import cli
from bert_tf2.tasks.tagging.config import TaggingConfig


def run(config: TaggingConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.tasks.tagging import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, for it holds for the whole process
    runner.run(config)


main = cli.command(TaggingConfig, run)
