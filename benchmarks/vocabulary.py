"""Vocabularies of the same text by different trainers: time, and how well they cover the text.

    python benchmarks/vocabulary.py --text=en_novels.txt --vocab_size=8000

Each trainer learns from the first 80 % of the lines and is evaluated on these and on the rest, by longest-match-first
tokenization. The words are split and counted before, which is not part of the times. Hugging Face's trainer, which runs
if `tokenizers` is installed, takes no counts: it gets each word as often as it occurs, and its time includes counting
them again. The one of `tensorflow_text` takes a minute and runs with `--slow`.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bert_tf2.io.files import read_lines
from bert_tf2.tokenization import vocab_training
from bert_tf2.tokenization.wordpiece import SPECIAL_TOKENS, BasicTokenizer, WordpieceTokenizer

Trainer = Callable[[Mapping[str, int], int], list[str]]


def ours(words: Mapping[str, int], size: int) -> list[str]:
    return vocab_training.learn_wordpiece(words, size, num_unused=0)


def merges_only(words: Mapping[str, int], size: int) -> list[str]:
    characters = vocab_training.character_pieces(vocab_training.choose_alphabet(vocab_training.count_characters(words)))
    merges = vocab_training._merges([word for word in vocab_training.ranked(words) if len(word) > 1], words, size)
    return list(dict.fromkeys([*SPECIAL_TOKENS, *characters, *merges]))[:size]


def hugging_face(words: Mapping[str, int], size: int) -> list[str]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    tokenizer.train_from_iterator((" ".join([word] * words[word]) for word in vocab_training.ranked(words)), trainer)
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)


def tensorflow_text(words: Mapping[str, int], size: int) -> list[str]:
    import tensorflow_text  # noqa: F401 (the tool needs its operations)
    from tensorflow_text.tools.wordpiece_vocab import wordpiece_tokenizer_learner_lib as learner

    return list(learner.learn(list(words.items()), vocab_size=size, reserved_tokens=list(SPECIAL_TOKENS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="text to learn from")
    parser.add_argument("--vocab_size", type=int, default=8000)
    parser.add_argument("--slow", action="store_true", help="also run the trainer of tensorflow_text")
    arguments = parser.parse_args()

    lines = list(read_lines(arguments.text))
    split = len(lines) * 4 // 5
    started = time.perf_counter()
    seen = vocab_training.count_words(lines[:split], BasicTokenizer().tokenize)
    print(f"counted {seen.total():,} words, {len(seen):,} different, in {time.perf_counter() - started:.1f} s")
    unseen = vocab_training.count_words(lines[split:], BasicTokenizer().tokenize)
    trainers: list[Trainer] = [ours, merges_only, hugging_face, *([tensorflow_text] if arguments.slow else [])]
    for trainer in trainers:
        started = time.perf_counter()
        try:
            pieces = trainer(seen, arguments.vocab_size)
        except ImportError as error:
            print(f"{trainer.__name__:<16} skipped: {error}")
            continue
        print(f"{trainer.__name__:<16} {time.perf_counter() - started:6.1f} s, {len(pieces):,} pieces")
        for what, words in (("seen", seen), ("unseen", unseen)):
            print(f"  {what:<8} {vocab_training.measure(words, WordpieceTokenizer(frozenset(pieces)).tokenize)}")


if __name__ == "__main__":
    main()
