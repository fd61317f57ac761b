"""Extracts BERT's vectors for lines of text: one for each token or word, or one for each line.

    python extract_features.py --input_file=lines.txt \\
      --output_file=features.jsonl --init_checkpoint=bert-base-uncased \\
      --layers=-1,-2,-3,-4

    python extract_features.py --input_file=lines.txt \\
      --output_file=vectors.npy --output_format=npy \\
      --init_checkpoint=sentence-transformers/all-MiniLM-L6-v2 \\
      --pooling=mean --normalize

    python extract_features.py --input_file=lines.txt \\
      --output_file=words.npz --output_format=npz \\
      --init_checkpoint=bert-base-uncased \\
      --unit=word --layers=-1,-2,-3,-4 --combine=sum

The first is the original's: an object on each line, with a vector of each layer for each token. The second gives a
vector for each line, the third one for each word between whitespace.
"""

from bert_tf2 import cli
from bert_tf2.tasks.feature_extraction.config import FeatureConfig


def run(config: FeatureConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.tasks.feature_extraction import runner
    from bert_tf2.training import concurrency

    concurrency.use_a_core_a_batch(config.distribution)  # here, as it affects the whole process
    runner.run(config)


main = cli.command(FeatureConfig, run)
