"""Fine-tunes BERT to choose among endings or answers: SWAG, HellaSwag, RACE, and your own questions."""

from bert_tf2 import cli
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig


def run(config: MultipleChoiceConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.tasks.multiple_choice import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, for it holds for the whole process
    runner.run(config)


main = cli.command(MultipleChoiceConfig, run)
