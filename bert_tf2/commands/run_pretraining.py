"""Pre-trains BERT on records of create_pretraining_data.py: masked LM and next-sentence prediction.

    python run_pretraining.py --do_train --do_eval \\
      --input_file='records/part-*' --bert_config_file=bert_config.json \\
      --output_dir=model --train_batch_size=32 \\
      --max_seq_length=128 --max_predictions_per_seq=20 \\
      --learning_rate=1e-4 --num_train_steps=100000 --num_warmup_steps=10000

    python run_pretraining.py --do_predict --predict_file=masked.txt \\
      --output_dir=model --vocab_file=vocab.txt

With --init_checkpoint=uncased_L-12_H-768_A-12, training starts from one of Google's models. The same command resumes an
interrupted training. The second shows the top predictions for each [MASK] in lines of text.
"""

from bert_tf2 import cli
from bert_tf2.tasks.pretraining.config import PretrainingConfig


def run(config: PretrainingConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.pretraining import whole_run
    from bert_tf2.training import concurrency

    if not config.do_train and not config.do_predict:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    whole_run.run(config)


main = cli.command(PretrainingConfig, run)
