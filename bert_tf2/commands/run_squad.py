"""Fine-tunes BERT to answer questions about a text: SQuAD 1.1 and 2.0, and your own questions.

    python run_squad.py --do_train --do_eval --train_file=train-v2.0.json \\
      --dev_file=dev-v2.0.json --version_2_with_negative \\
      --init_checkpoint=bert-base-uncased --output_dir=model \\
      --max_seq_length=384 --doc_stride=128 --train_batch_size=12 \\
      --learning_rate=3e-5 --num_train_epochs=2

    python run_squad.py --do_predict --predict_file=questions.csv \\
      --output_dir=model

Tables have the columns question and context, and for training answer and answer_start.
"""

from bert_tf2 import cli
from bert_tf2.tasks.squad.config import SquadConfig


def run(config: SquadConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.squad import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(SquadConfig, run)
