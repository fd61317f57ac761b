"""Pre-trains BERT on records of create_pretraining_data.py: masked language model and next sentence."""

from bert_tf2 import cli
from bert_tf2.tasks.pretraining.config import PretrainingConfig

cli.define_flags(PretrainingConfig)


def main() -> None:
    """Flags -> config -> one call, or two."""
    cli.import_tensorflow()
    from bert_tf2.tasks.pretraining import fill_mask, runner

    config = cli.from_flags(PretrainingConfig)
    if config.do_train or config.do_eval:
        runner.run(config)
    if config.do_predict:
        fill_mask.run(config)


if __name__ == "__main__":
    cli.run(main)
