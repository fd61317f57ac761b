"""Makes a vocabulary from text: WordPiece (vocab.txt) or a SentencePiece model, or adds words to an existing one.

    python build_vocab.py --input_file='text/*.txt' --output_file=vocab.txt --vocab_size=30522

    python build_vocab.py --input_file='medicine/*.txt' --extend=uncased_L-12_H-768_A-12/vocab.txt \\
      --output_file=medicine_vocab.txt

The second puts the domain's most useful words into the [unusedN] slots, for continued pre-training from the checkpoint;
all other ids stay. The same text and flags give the same file.
"""

from absl import flags

from bert_tf2 import cli
from bert_tf2.tasks.vocabulary import SPM_MODEL_TYPES, TYPES, VocabularyConfig

flags.DEFINE_string(
    "input_file", None, "Plain text, UTF-8, may be gzip: a comma-separated list of paths and globs.", required=True
)
flags.DEFINE_string(
    "output_file", None, "vocab.txt to write; for SentencePiece x.model, beside which x.vocab appears.", required=True
)
flags.DEFINE_enum("type", VocabularyConfig.type, TYPES, "Kind of vocabulary.")
flags.DEFINE_integer(
    "vocab_size", VocabularyConfig.vocab_size, "Pieces; special tokens, unused slots and characters are counted."
)
flags.DEFINE_bool(
    "do_lower_case",
    VocabularyConfig.do_lower_case,
    "Whether to lower-case the text; the flag of this name of the other scripts is to be the same.",
)
flags.DEFINE_integer(
    "limit_alphabet",
    VocabularyConfig.limit_alphabet,
    "Different characters to keep, the most frequent ones; by default all but the rarest, together one in 100,000 of "
    "the text. Words with others become [UNK].",
    lower_bound=1,
)
flags.DEFINE_integer(
    "num_unused",
    VocabularyConfig.num_unused,
    "[unusedN] slots, for words to be added one day. With 99 or more, [UNK], [CLS], [SEP] and [MASK] have the ids 100 "
    "to 103, as in Google's vocabularies.",
)
flags.DEFINE_integer(
    "min_count",
    VocabularyConfig.min_count,
    "Words that occur less often are not considered; by default 1, with --extend 5.",
)
flags.DEFINE_enum("spm_model_type", VocabularyConfig.spm_model_type, SPM_MODEL_TYPES, "Kind of SentencePiece model.")
flags.DEFINE_string(
    "extend",
    VocabularyConfig.extend,
    "vocab.txt whose [unusedN] slots are filled with the words of the text that it cuts most, in place of learning.",
)
flags.DEFINE_integer("max_new", VocabularyConfig.max_new, "With --extend: most words to add; by default all slots.")


def main() -> None:
    """Flags to config, config to work."""
    from bert_tf2.tasks.vocabulary import build_vocabulary

    build_vocabulary(cli.from_flags(VocabularyConfig))


if __name__ == "__main__":
    cli.run(main)
