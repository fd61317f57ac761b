"""Makes a vocabulary from text: WordPiece (vocab.txt) or a SentencePiece model, or adds words to an existing one.

    python build_vocab.py --input_file='text/*.txt' --output_file=vocab.txt --vocab_size=30522

    python build_vocab.py --input_file='medicine/*.txt' --extend=uncased_L-12_H-768_A-12/vocab.txt \\
      --output_file=medicine_vocab.txt

The second puts the domain's most useful words into the [unusedN] slots, for continued pre-training from the checkpoint;
all other ids stay. The same text and flags give the same file.
"""

from bert_tf2 import cli
from bert_tf2.tokenization.vocab_runner import VocabularyConfig


def run(config: VocabularyConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    from bert_tf2.tokenization.vocab_runner import build_vocabulary

    build_vocabulary(config)


main = cli.command(VocabularyConfig, run)
