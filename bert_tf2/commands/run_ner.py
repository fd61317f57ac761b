"""Fine-tunes BERT to tag words: named entities, or any other spans that CoNLL-style files mark with BIO tags."""

from bert_tf2 import cli
from bert_tf2.tasks.tagging.config import TaggingConfig


def run(config: TaggingConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.tagging import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(TaggingConfig, run)
