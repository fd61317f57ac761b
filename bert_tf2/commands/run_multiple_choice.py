"""Fine-tunes BERT on multiple-choice questions: SWAG, HellaSwag, RACE, and your own.

    python run_multiple_choice.py --do_train --do_eval \\
      --train_file=swag/train.csv --dev_file=swag/val.csv \\
      --init_checkpoint=bert-base-uncased --output_dir=model \\
      --max_seq_length=128 --train_batch_size=16 --learning_rate=2e-5 \\
      --num_train_epochs=3

    python run_multiple_choice.py --do_predict --predict_file=new.jsonl \\
      --output_dir=model

Tables have the columns context, question (if there is one), ending0, ending1, ... (or a list, endings), and label: the
number of the right one, from 0, or its letter.
"""

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
