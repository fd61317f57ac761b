"""Converts a model between Google's checkpoints (and this project's, which are the same) and Hugging Face folders.

    python convert_checkpoint.py --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=bert-base-hf

    python convert_checkpoint.py --init_checkpoint=all-MiniLM-L6-v2 --output_dir=minilm

    python convert_checkpoint.py --init_checkpoint=uncased_L-12_H-768_A-12 --grow_vocab=medicine_vocab.txt \\
      --output_dir=medicine_L-12_H-768_A-12

It prints where each variable went. The third makes room for the new pieces of a vocabulary of build_vocab.py --extend.
"""

from absl import flags

from bert_tf2 import cli

flags.DEFINE_string(
    "init_checkpoint",
    None,
    "The model: a checkpoint of the original or of this project, its folder, or a Hugging Face folder.",
    required=True,
)
flags.DEFINE_string("output_dir", None, "Folder to make; it has to be new or empty.", required=True)
flags.DEFINE_enum(
    "output_format",
    None,
    ["google", "huggingface"],
    "By default the other one than the model's; with --grow_vocab the model's own.",
)
flags.DEFINE_string("bert_config_file", None, "JSON file with the sizes of the model, if not the one in its folder.")
flags.DEFINE_string("vocab_file", None, "The vocabulary of the model, if not the one in its folder.")
flags.DEFINE_bool(
    "do_lower_case",
    None,
    "Whether its tokenizer lower-cases the text. By default what its folder says, else false if the vocabulary has "
    "many upper-case pieces.",
)
flags.DEFINE_enum(
    "head",
    None,
    ["classifier", "tagger"],
    "What output_weights is the head of. By default what the folder says, else of a classifier.",
)
flags.DEFINE_string(
    "allow_unused",
    "",
    "Names in the model that may be left out, separated by commas; * stands for anything. Other names that have no "
    "place in the output are an error.",
)
flags.DEFINE_string(
    "grow_vocab",
    None,
    "A vocabulary like the model's, but with new pieces in place of [unusedN] or at the end. The model gets rows for "
    "them, which start as the mean of the pieces that they were cut into.",
)


def main() -> None:
    """Flags -> config -> one call."""
    cli.import_tensorflow()
    from bert_tf2.tasks import conversion

    conversion.convert(cli.from_flags(conversion.ConversionConfig))


if __name__ == "__main__":
    cli.run(main)
