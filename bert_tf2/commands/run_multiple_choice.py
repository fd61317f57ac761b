"""Fine-tunes BERT on multiple-choice questions: SWAG, HellaSwag, RACE, and your own."""

from bert_tf2 import cli
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig


def run(config: MultipleChoiceConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.multiple_choice import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(MultipleChoiceConfig, run)
