"""Fine-tunes BERT to classify or score texts or pairs of texts: GLUE, XNLI, and your own data.

    python run_classifier.py --do_train --do_eval --train_file=reviews.csv \\
      --dev_file=dev.csv --init_checkpoint=bert-base-uncased \\
      --output_dir=model --max_seq_length=128 --train_batch_size=32 \\
      --learning_rate=2e-5 --num_train_epochs=3

    python run_classifier.py --do_predict --predict_file=new.csv \\
      --output_dir=model

    python run_classifier.py --do_train --do_eval --task_name=MRPC \\
      --data_dir=glue_data/MRPC --init_checkpoint=uncased_L-12_H-768_A-12 \\
      --output_dir=mrpc

The files have the columns text and label, unless --text_column and --label_column say otherwise. One label, several, or
numbers: the training data tells. Predictions need no flags but these: output_dir remembers the rest.
"""

from bert_tf2 import cli
from bert_tf2.tasks.classification.config import ClassificationConfig


def run(config: ClassificationConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.classification import runner
    from bert_tf2.training import concurrency

    if not config.do_train:
        concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(ClassificationConfig, run)
