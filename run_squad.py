"""Fine-tunes BERT to answer questions from a text: SQuAD 1.1 and 2.0, and questions of one's own."""

from absl import flags

from bert_tf2 import cli

cli.define_bert_flags(required=False)
cli.define_vocab_flags(required=False)
cli.define_training_flags(train_batch_size=32, eval_batch_size=8, learning_rate=5e-5)
cli.define_finetuning_flags(max_seq_length=384, num_train_epochs=3.0)
cli.define_precision_flags()
cli.define_distribution_flags()
flags.adopt_module_key_flags(cli)

flags.DEFINE_string("train_file", None, "Questions to learn, SQuAD's JSON.")
flags.DEFINE_string("dev_file", None, "Questions with answers to evaluate; predict_file if not given.")
flags.DEFINE_string(
    "predict_file", None, 'Questions to answer: SQuAD\'s JSON, or .jsonl with {"question": ..., "context": ...} a line.'
)
flags.DEFINE_integer("doc_stride", 128, "Pieces from the beginning of one window of a long context to the next one's.")
flags.DEFINE_integer("max_query_length", 64, "Longest question in pieces; longer ones are cut.")
flags.DEFINE_bool("version_2_with_negative", False, "Whether questions may have no answer, as in SQuAD 2.0.")
flags.DEFINE_float(
    "null_score_diff_threshold",
    0.0,
    "There is no answer where that scores higher than the best answer by more than this; if not given, what do_eval "
    "has found to be best.",
)
flags.DEFINE_enum(
    "language", "en", ["en", "zh", "auto"], "zh: Chinese, without white space between words; auto: told by the texts."
)
flags.DEFINE_integer("n_best_size", 20, "Answers to keep in nbest_predictions.json.")
flags.DEFINE_integer("max_answer_length", 30, "Longest answer in pieces.")
flags.DEFINE_bool(
    "pad_to_max_length",
    True,
    "True: all batches are as long as max_seq_length, and padding takes part in the loss and among the candidates for "
    "answers, exactly as in the original. False is faster, above all with small batches: batches are as long as their "
    "longest window, and padding takes no part. If omitted, training is as with true and prediction as with false.",
)
flags.DEFINE_bool("verbose_logging", False, "Whether to name every question that is left out of the training.")


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.squad import runner

    # Not given, these are what the model of output_dir or init_checkpoint was trained with.
    names = ("max_seq_length", "doc_stride", "max_query_length", "do_lower_case", "version_2_with_negative", "language")
    runner.run(
        cli.from_flags(
            runner.SquadConfig,
            **{name: cli.given(name) for name in names},
            null_score_diff_threshold=cli.given("null_score_diff_threshold"),
            pad_to_max_length=cli.given("pad_to_max_length"),
            optimizer=cli.optimizer_config(),
            precision=cli.precision_config(),
            distribution=cli.distribution_config(),
        )
    )


if __name__ == "__main__":
    cli.run(main)
