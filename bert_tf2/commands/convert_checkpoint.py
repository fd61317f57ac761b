"""Converts a model between Google's checkpoints (and this project's, which are the same) and Hugging Face directories.

    python convert_checkpoint.py --init_checkpoint=uncased_L-12_H-768_A-12 \\
      --output_dir=bert-base-hf

    python convert_checkpoint.py \\
      --init_checkpoint=sentence-transformers/all-MiniLM-L6-v2 \\
      --output_dir=minilm

    python convert_checkpoint.py --init_checkpoint=uncased_L-12_H-768_A-12 \\
      --grow_vocab=medicine_vocab.txt --output_dir=medicine_L-12_H-768_A-12

    python convert_checkpoint.py --init_checkpoint=uncased_L-12_H-768_A-12 \\
      --max_position_embeddings=1024 --output_dir=long_L-12_H-768_A-12

It prints where each variable went. The third command makes room for the new pieces of a vocabulary made with
build_vocab.py --extend, the fourth for longer sequences.
"""

from bert_tf2 import cli
from bert_tf2.conversion.config import ConversionConfig


def run(config: ConversionConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.conversion import convert

    convert.convert(config)


main = cli.command(ConversionConfig, run)
