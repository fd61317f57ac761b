"""Fine-tunes BERT to tag words: named entities, or any other spans that CoNLL-style files mark with BIO tags.

    python run_ner.py --do_train --do_eval --train_file=train.conll \\
      --dev_file=dev.conll --init_checkpoint=bert-base-cased \\
      --output_dir=model --max_seq_length=128 --train_batch_size=32 \\
      --learning_rate=5e-5 --num_train_epochs=3

    python run_ner.py --do_predict --predict_file=new.txt --output_dir=model

The files have a word on each line, its tag in the last column, and an empty line after each sentence; or they are JSON
Lines of texts with labelled spans. Plain sentences are tagged, too.
"""

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
