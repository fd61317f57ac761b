"""Fine-tunes BERT to label texts or pairs of texts, or to give them a value: GLUE, XNLI, and data of one's own."""

from absl import flags

from bert_tf2 import cli

cli.define_bert_flags(required=False)
cli.define_vocab_flags(required=False)
cli.define_training_flags(train_batch_size=32, eval_batch_size=8, learning_rate=5e-5)
cli.define_finetuning_flags(max_seq_length=128, num_train_epochs=3.0)
cli.define_precision_flags()
cli.define_distribution_flags()
flags.adopt_module_key_flags(cli)

flags.DEFINE_string(
    "task_name",
    None,
    "cola, mnli, mnli-mm, mrpc, xnli, sst-2, sts-b, qqp, qnli, rte, wnli or ax, read from data_dir; or any name for "
    "data of your own.",
)
flags.DEFINE_string("data_dir", None, "Folder of the task's .tsv files, as GLUE has them.")
flags.DEFINE_string("train_file", None, "Data of your own to learn: .csv, .tsv or .jsonl, perhaps with .gz.")
flags.DEFINE_string("dev_file", None, "Data of your own to evaluate.")
flags.DEFINE_string("predict_file", None, "Data of your own to predict; needs no labels.")
flags.DEFINE_string("text_column", None, "Name or number (from 0) of the column of the text; text if not given.")
flags.DEFINE_string("text_pair_column", None, "Column of a second text.")
flags.DEFINE_string("label_column", None, "Column of the label; label if not given.")
flags.DEFINE_string("id_column", None, "Column of what rows are called in predictions.jsonl; id, or their number.")
flags.DEFINE_bool("header", None, "Whether the first row names the columns; yes, unless columns are given by number.")
flags.DEFINE_string("labels_file", None, "The labels, one a line; if not given, those of train_file.")
flags.DEFINE_string("label_separator", None, "What stands between several labels of a row; | if not given.")
flags.DEFINE_enum(
    "problem_type", None, ["single_label", "multi_label", "regression"], "If not given, told by the labels."
)
flags.DEFINE_float("threshold", None, "With several labels a row: from which probability a label is given; 0.5.")
flags.DEFINE_enum("class_weights", "none", ["none", "balanced"], "balanced: rare labels count as much as others.")


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.classification import runner

    runner.run(
        cli.from_flags(
            runner.ClassificationConfig,
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
