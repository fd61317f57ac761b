"""Fine-tunes BERT to tag words: names of persons and places, or whatever CoNLL-style files mark in BIO tags."""

from absl import flags

from bert_tf2 import cli

cli.define_bert_flags(required=False)
cli.define_vocab_flags(required=False)
cli.define_training_flags(train_batch_size=32, eval_batch_size=8, learning_rate=5e-5)
cli.define_finetuning_flags(max_seq_length=128, num_train_epochs=3.0)
cli.define_precision_flags()
cli.define_distribution_flags()
flags.adopt_module_key_flags(cli)

flags.DEFINE_string("train_file", None, "Words and tags to learn: a word a line, a blank line behind each sentence.")
flags.DEFINE_string("dev_file", None, "Words and tags to evaluate.")
flags.DEFINE_string("predict_file", None, "Words to predict; they need no tags.")
flags.DEFINE_integer("token_column", None, "Number of the column of the words, from 0; 0 if not given.")
flags.DEFINE_integer("tag_column", None, "Of the tags, from the end if negative; the last one if not given.")
flags.DEFINE_string("labels_file", None, "The tags, one a line; if not given, those of train_file.")
flags.DEFINE_integer(
    "context_pieces",
    None,
    "Sentences beyond max_seq_length are divided; pieces of context around the words that a part decides. A quarter of "
    "max_seq_length if not given.",
)
flags.DEFINE_enum("class_weights", "none", ["none", "balanced"], "balanced: rare tags count as much as others.")


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.tagging import runner

    runner.run(
        cli.from_flags(
            runner.TaggingConfig,
            # Not given, they are what the model of output_dir or init_checkpoint was trained with.
            max_seq_length=cli.given("max_seq_length"),
            do_lower_case=cli.given("do_lower_case"),
            optimizer=cli.optimizer_config(),
            precision=cli.precision_config(),
            distribution=cli.distribution_config(),
        )
    )


if __name__ == "__main__":
    cli.run(main)
