"""Fine-tunes BERT to answer questions from a text: SQuAD 1.1 and 2.0, and questions of one's own."""

from bert_tf2 import cli
from bert_tf2.tasks.squad.config import SquadConfig

cli.define_flags(SquadConfig)


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.squad import runner

    runner.run(cli.from_flags(SquadConfig))


if __name__ == "__main__":
    cli.run(main)
