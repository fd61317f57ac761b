"""Writes the vectors that a BERT model has for lines of text: of each token, or of each line."""

from absl import flags

from bert_tf2 import cli

cli.define_vocab_flags(required=False)
cli.define_precision_flags(training=False)
cli.define_distribution_flags()
flags.adopt_module_key_flags(cli)

flags.DEFINE_string(
    "input_file",
    None,
    "Lines of text, `a ||| b` for a pair; a path, globs with commas between, perhaps gzip, or - for standard input.",
    required=True,
)
flags.DEFINE_string("output_file", None, "What to write; - for standard output.", required=True)
flags.DEFINE_string(
    "init_checkpoint", None, "The model: the original's, an output_dir, or a Hugging Face folder.", required=True
)
flags.DEFINE_string("bert_config_file", None, "The model's sizes; if not given, those beside init_checkpoint.")
flags.DEFINE_string("spm_model_file", None, "A SentencePiece model, instead of vocab_file.")
flags.DEFINE_string("layers", "-1,-2,-3,-4", "Which layers, with commas between: 0 is the lowest, -1 the last one.")
flags.DEFINE_integer("max_seq_length", 128, "Longest sequence in pieces; longer ones are cut.")
flags.DEFINE_integer(
    "batch_size", 32, "Sequences in a batch at most, over all devices; on a CPU, fewer where they are long."
)
flags.DEFINE_enum(
    "output_format",
    "json",
    ["json", "npy", "npz", "parquet"],
    "json: an object a line, as the original; npy, one vector a line; npz; parquet, which needs pyarrow.",
)
flags.DEFINE_enum(
    "pooling",
    "none",
    ["none", "mean", "max", "cls", "pooler"],
    "none: a vector for each token; else one for each line: mean or max over its tokens, its first token, or what the "
    "model's pooler makes of that.",
)
flags.DEFINE_bool("use_one_hot_embeddings", False, "Has no effect; commands for the original may have it.")


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks import feature_encoder, feature_extraction

    feature_encoder.use_a_core_a_batch()  # here, for it holds for the whole process
    feature_extraction.run(
        cli.from_flags(
            feature_extraction.FeatureConfig,
            do_lower_case=cli.given("do_lower_case"),  # Not given, it is what the checkpoint's folder says.
            precision=cli.precision_config(),
            distribution=cli.distribution_config(),
        )
    )


if __name__ == "__main__":
    cli.run(main)
