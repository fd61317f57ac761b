"""Pre-trains BERT on records of create_pretraining_data.py: masked language model and next sentence."""

from absl import flags

from bert_tf2 import cli

cli.define_bert_flags(required=False)
cli.define_training_flags(train_batch_size=32, eval_batch_size=8, learning_rate=5e-5)
cli.define_precision_flags()
cli.define_distribution_flags()
flags.adopt_module_key_flags(cli)

flags.DEFINE_string("input_file", None, "Comma-separated TFRecord files of create_pretraining_data.py, or globs.")
flags.DEFINE_integer("max_seq_length", 128, "Longest sequence in pieces; has to be that of the records.")
flags.DEFINE_integer(
    "max_predictions_per_seq", 20, "Most masked predictions of a sequence; has to be that of the records."
)
flags.DEFINE_enum(
    "masking",
    "static",
    ["static", "dynamic"],
    "static: the records are masked; dynamic: they are not, and are masked anew in each epoch.",
)
flags.DEFINE_string("vocab_file", None, "The vocabulary that the records were made with; needed with masking=dynamic.")
flags.DEFINE_string("spm_model_file", None, "Or the SentencePiece model that they were made with.")
flags.DEFINE_float("masked_lm_prob", 0.15, "Share of the tokens that masking=dynamic masks.")
flags.DEFINE_bool("do_whole_word_mask", False, "Whether masking=dynamic masks all pieces of a word or none.")
flags.DEFINE_bool(
    "use_nsp", True, "Whether to train the next-sentence task; false for records made with --no_nsp, or without it."
)
flags.DEFINE_enum(
    "shard_input",
    "rows",
    ["rows", "files"],
    "With several machines: rows, each reads all records and takes its rows of each batch; files, each its own files.",
)
flags.DEFINE_bool(
    "pack_sequences",
    False,
    "Put several short sequences into one row, so that little is padding; a batch then is of so many rows.",
)
flags.DEFINE_integer("skip_bad_records", 0, "Leave out at most so many damaged records.")
flags.DEFINE_bool("do_train", False, "Whether to train.")
flags.DEFINE_bool("do_eval", False, "Whether to evaluate, after training if there is any, on the same input_file.")
flags.DEFINE_bool("do_predict", False, "Whether to fill the masks of predict_file, after training if there is any.")
flags.DEFINE_string("predict_file", "-", "Text with [MASK] in it, a line each; - for standard input.")
flags.DEFINE_integer("num_train_steps", 100_000, "Training steps in all, those of earlier runs included.")
flags.DEFINE_integer("num_warmup_steps", 10_000, "Steps over which the learning rate rises.")
flags.DEFINE_integer(
    "eval_every_steps", 0, "With do_train and do_eval: evaluate after each so many steps too; 0: at the end alone."
)
flags.DEFINE_integer(
    "max_eval_steps", 100, "Batches to evaluate, repeating records if they do not suffice; 0: each record once."
)


def _has_records(values: dict[str, object]) -> bool:
    needs_none = values["do_predict"] and not (values["do_train"] or values["do_eval"])
    return bool(needs_none or values["input_file"])


flags.register_multi_flags_validator(
    ["input_file", "do_train", "do_eval", "do_predict"],
    _has_records,
    "Flag --input_file must have a value, except with --do_predict alone.",
)


def main() -> None:
    """Flags -> config -> one call, or two."""
    cli.import_tensorflow()
    from bert_tf2.tasks import fill_mask, pretraining

    config = cli.from_flags(
        pretraining.PretrainingConfig,
        bert_config_file=flags.FLAGS.bert_config_file or "",
        input_file=flags.FLAGS.input_file or "",
        optimizer=cli.optimizer_config(),
        precision=cli.precision_config(),
        distribution=cli.distribution_config(),
    )
    if config.do_train or config.do_eval:
        pretraining.run(config)
    if config.do_predict:
        fill_mask.run(config)


if __name__ == "__main__":
    cli.run(main)
