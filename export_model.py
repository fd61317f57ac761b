"""Exports a model for others to run: a SavedModel that takes raw text, an encoder to fine-tune, or ONNX.

    python export_model.py --output_dir=model --export_dir=serving/sentiment

    python export_model.py --init_checkpoint=uncased_L-12_H-768_A-12 --format=encoder --export_dir=encoder

    python export_model.py --output_dir=model --format=onnx --quantize=int8 --dev_file=dev.csv --export_dir=onnx

What the model is for is read from its folder. docs/serving.md has requests to paste.
"""

from absl import flags

from bert_tf2 import cli

flags.DEFINE_string("output_dir", None, "The model: the folder of a training, or its best/.")
flags.DEFINE_string(
    "init_checkpoint", None, "Or any other model: a checkpoint of the original, its folder, or a Hugging Face folder."
)
flags.DEFINE_string(
    "export_dir", None, "Folder to write to; SavedModels become its numbered subfolders.", required=True
)
flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "encoder", "onnx"],
    "saved_model: of the task, with its tokenizer; encoder: of the encoder alone, beside a checkpoint that "
    "--init_checkpoint of every script takes; onnx: of the task, for token ids.",
)
flags.DEFINE_integer("version", None, "Number of the SavedModel; by default the next one that is free.")
flags.DEFINE_string("bert_config_file", None, "JSON file with the sizes of the model, if not the one in its folder.")
flags.DEFINE_string("vocab_file", None, "The vocabulary of the model, if not the one in its folder.")
flags.DEFINE_string("spm_model_file", None, "A SentencePiece model, instead of vocab_file.")
flags.DEFINE_bool("do_lower_case", None, "Whether to lower-case the text; by default as the model was trained.")
flags.DEFINE_integer("max_seq_length", None, "Longest sequence in pieces; by default as the model was trained.")
flags.DEFINE_bool("text_pairs", None, "Whether a classifier takes two texts; by default as it was trained.")
flags.DEFINE_bool("use_averages", False, "Export the moving averages of a training with --ema_decay.")
flags.DEFINE_bool(
    "version_2_with_negative", None, "Question answering: whether there may be no answer; by default as trained."
)
flags.DEFINE_enum(
    "language", None, ["en", "zh"], "Question answering: how contexts are cut into words; by default as trained."
)
flags.DEFINE_integer("n_best_size", 20, "Question answering: starts, and ends, to try in each window.")
flags.DEFINE_integer("max_answer_length", 30, "Question answering: longest answer in pieces.")
flags.DEFINE_float(
    "null_score_diff_threshold",
    None,
    "Question answering 2.0: there is no answer where its score is higher than the best answer's by more; by default "
    "what the evaluation has found, else 0.",
)
flags.DEFINE_enum("quantize", "none", ["none", "int8"], "With onnx: int8 for weights of 8 bits.")
flags.DEFINE_string("dev_file", None, "With int8, of a classifier: rows with labels to measure the loss of accuracy.")
flags.DEFINE_integer("batch_size", 32, "With dev_file: rows of a batch.")


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks.export import runner

    runner.run(cli.from_flags(runner.ExportConfig))


if __name__ == "__main__":
    cli.run(main)
