"""Learns a vocabulary from text: WordPiece (vocab.txt) or a SentencePiece model, or adds words to an existing one.

    python build_vocab.py --input_file='text/*.txt' --output_file=vocab.txt \\
      --vocab_size=30522

    python build_vocab.py --input_file='medicine/*.txt' \\
      --extend=uncased_L-12_H-768_A-12/vocab.txt \\
      --output_file=medicine_vocab.txt

The second command puts the domain's most useful words into the [unusedN] slots, for continued pre-training from the
checkpoint; all other ids are unchanged. The same text and flags give the same file.
"""

from bert_tf2 import cli
from bert_tf2.tokenization.vocab_runner import VocabularyConfig


def run(config: VocabularyConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    from bert_tf2.tokenization.vocab_runner import build_vocabulary

    build_vocabulary(config)


main = cli.command(VocabularyConfig, run)
