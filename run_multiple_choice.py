"""Fine-tunes BERT to choose among endings or answers: SWAG, HellaSwag, RACE, and your own questions."""

from bert_tf2 import cli
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig

cli.define_flags(MultipleChoiceConfig)


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.multiple_choice import runner

    runner.run(cli.from_flags(MultipleChoiceConfig))


if __name__ == "__main__":
    cli.run(main)
