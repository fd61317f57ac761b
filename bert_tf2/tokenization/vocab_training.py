"""Learns vocabularies from the words of a text: counting, learning, extending, measuring; no TensorFlow.

Words are counted first, by the tokenizer that will use the vocabulary, and everything else follows from the counts in a
fixed order. So the same text always gives the same vocabulary, on any machine and with any hash seed.

WordPiece is learned in two steps: merges of byte-pair encoding (by the `sentencepiece` package) give somewhat more
candidates than needed, and those that longest-match-first tokenization uses least are removed.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError, counted
from bert_tf2.tokenization.wordpiece import BasicTokenizer, WordpieceTokenizer

LONGEST_WORD = 200  # longer words are [UNK] to WordPiece
LEFT_OUT = 100_000
"""One character of the text in so many may be missing from the default alphabet."""

# --- Words -----------------------------------------------------------------------------------------------------------

_FLUSH_CHARACTERS = 1 << 22
_MOST_WORDS = 1 << 22  # some 500 MB


def count_words(
    lines: Iterable[str], split: Callable[[str], Iterable[str]], most_words: int = _MOST_WORDS
) -> Counter[str]:
    """How often each word occurs.

    Memory is bounded: the text is not held, and where there are more than `most_words` different words, the rarest
    half of them is forgotten, and begins at 0 if it comes again.

    Args:
      lines: the text.
      split: a text without spaces to its words, such as `BasicTokenizer.tokenize`. It is asked once for each of the
        different texts between spaces in some megabytes.
      most_words: how many different words are kept.
    """
    counts: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    size = 0

    def flush() -> None:
        nonlocal counts, size
        for part, count in parts.items():
            for word in split(part):
                counts[word] += count
        parts.clear()
        size = 0
        if len(counts) > most_words:  # of equally rare words the later ones go
            kept = sorted(counts.items(), key=lambda item: -item[1])[: most_words // 2]
            counts = Counter(dict(kept))

    for line in lines:
        parts.update(line.split(" "))  # U+0020 alone; what other whitespace does is for `split` to say
        size += len(line)
        if size >= _FLUSH_CHARACTERS:
            flush()
    flush()
    return counts


def ranked(counts: Mapping[str, int]) -> list[str]:
    """Words or characters, the most frequent first, equally frequent ones by code points."""
    return sorted(counts, key=lambda word: (-counts[word], word))


def count_characters(words: Mapping[str, int]) -> Counter[str]:
    """How often each character occurs in the counted words."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for char in word:
            counts[char] += count
    return counts


def choose_alphabet(counts: Mapping[str, int], limit: int | None = None) -> list[str]:
    """The characters that a vocabulary should have, in the order of their code points.

    Args:
      counts: how often each character occurs.
      limit: how many to take, the most frequent ones. None: all but the rarest, together one in `LEFT_OUT` of the text,
        though never one of ASCII. What is so rare has no chance to be learned, and its words become `[UNK]`.
    """
    by_frequency = ranked(counts)
    if limit is not None:
        return sorted(by_frequency[:limit])
    alphabet = set(by_frequency)
    spare = sum(counts.values()) // LEFT_OUT
    for char in reversed(by_frequency):
        if not char.isascii():
            spare -= counts[char]
            if spare < 0:
                break
            alphabet.remove(char)
    return sorted(alphabet)


# --- WordPiece -------------------------------------------------------------------------------------------------------

_UNUSED_BEFORE_UNK = 99  # so that, given as many, [UNK] [CLS] [SEP] [MASK] are 100 to 103 as in Google's vocabularies
UNUSED = re.compile(r"\s*(\[unused\d+\])\s*")
_SURPLUS = 1.3  # candidates for a slot; with more, words get whole at the cost of pieces that many words share
_KEPT_A_ROUND = 0.9
_PRUNING_WORDS = 200_000
_RESERVED = frozenset("▁\u2585")  # stand for the space and the unknown character in sentencepiece


def head(num_unused: int, never_split: Iterable[str] = ()) -> list[str]:
    """What a vocabulary begins with: special tokens and unused slots, in Google's order, and tokens never split."""
    unused = [f"[unused{number}]" for number in range(num_unused)]
    first, rest = unused[:_UNUSED_BEFORE_UNK], unused[_UNUSED_BEFORE_UNK:]
    pieces = ["[PAD]", *first, "[UNK]", "[CLS]", "[SEP]", "[MASK]", *rest]
    return list(dict.fromkeys([*pieces, *never_split]))


def character_pieces(alphabet: Iterable[str], options: TokenizerOptions = PLAIN) -> list[str]:
    """Each character as a word, then each as the continuation of one, `##c`.

    Punctuation and Chinese characters are words of their own wherever they stand, so that their `##c` would be of no
    use and is left out. Any word of the alphabet's characters can be cut into these pieces.
    """
    rules = BasicTokenizer(do_lower_case=False, tokenize_chinese_chars=options.tokenize_chinese_chars)
    alphabet = list(alphabet)
    return [*alphabet, *(f"##{char}" for char in alphabet if len(rules.tokenize(f"a{char}")) == 1)]


def learn_wordpiece(
    words: Mapping[str, int],
    vocab_size: int,
    *,
    num_unused: int = 100,
    limit_alphabet: int | None = None,
    min_count: int = 1,
    options: TokenizerOptions = PLAIN,
) -> list[str]:
    """Learns a WordPiece vocabulary.

    Args:
      words: how often each occurs, as `BasicTokenizer` cuts them.
      vocab_size: total number of pieces.
      num_unused: how many of them are `[unusedN]`, for words to be added later.
      limit_alphabet: how many characters, see `choose_alphabet`.
      min_count: words that occur less often are ignored.
      options: of the tokenizer that split the words; tokens that are never split are ignored.

    Returns:
      Special tokens, unused slots and tokens that are never split, characters, `##` characters, longer pieces in the
      order of their merges. Fewer than `vocab_size` where each word is one piece already.

    Raises:
      InputError: the alphabet does not fit.
    """
    if options.never_split:
        words = {word: count for word, count in words.items() if word not in options.never_split}
    alphabet = choose_alphabet(count_characters(words), limit_alphabet)
    beginning = head(num_unused, options.never_split)
    characters = [piece for piece in character_pieces(alphabet, options) if piece not in options.never_split]
    slots = vocab_size - len(beginning) - len(characters)
    if slots < 0:
        raise InputError(
            f"--vocab_size={vocab_size:,} is too small: {len(beginning):,} special tokens and unused slots "
            f"(--num_unused={num_unused}) and {counted(len(characters), 'piece')} for the "
            f"{counted(len(alphabet), 'character')} of the text need {vocab_size - slots:,} and leave nothing for "
            "words. Raise --vocab_size, or keep fewer characters with --limit_alphabet."
        )
    known = frozenset(alphabet)
    teaching = [
        word
        for word in ranked(words)
        if words[word] >= min_count
        and 1 < len(word) <= LONGEST_WORD
        and known.issuperset(word)
        and _RESERVED.isdisjoint(word)
    ]
    if not slots or not teaching:
        return [*beginning, *characters]
    fixed = frozenset(characters)
    candidates = [
        piece for piece in _merges(teaching, words, 2 * len(known) + int(slots * _SURPLUS)) if piece not in fixed
    ]
    return [*beginning, *characters, *_most_used(candidates, slots, characters, teaching[:_PRUNING_WORDS], words)]


def _merges(teaching: Sequence[str], words: Mapping[str, int], size: int) -> list[str]:
    """The first merges of byte-pair encoding, as WordPiece writes them; each once, characters among them."""
    model = _train(
        (f"{word}\t{words[word]}" for word in teaching),
        model_type="bpe",
        vocab_size=size + 2,  # <unk> and ▁
        bos_id=-1,
        eos_id=-1,
        character_coverage=1.0,
        normalization_rule_name="identity",
        max_sentencepiece_length=50,
        # The words have been cut, what is left together may become one piece.
        split_by_unicode_script=False,
        split_by_number=False,
    )
    names = (model.id_to_piece(index) for index in range(1, model.get_piece_size()))
    pieces = (name[1:] if name.startswith("▁") else f"##{name}" for name in names)
    return list(dict.fromkeys(piece for piece in pieces if piece))


def _most_used(
    candidates: list[str], slots: int, characters: Sequence[str], teaching: Sequence[str], words: Mapping[str, int]
) -> list[str]:
    """Removes the pieces that longest-match-first tokenization uses least, until the rest fits.

    Byte-pair encoding leaves pieces that were steps to longer ones and stand in no word by themselves. On novels this
    brings the pieces a word from 1.074 to 1.062 with 8,000 pieces, on unseen text of the kind from 1.115 to 1.106.
    """
    while len(candidates) > slots:
        cut = WordpieceTokenizer(frozenset([*characters, *candidates])).tokenize
        uses: Counter[str] = Counter()
        for word in teaching:
            for piece in cut(word):
                uses[piece] += words[word]
        keep = max(slots, int(len(candidates) * _KEPT_A_ROUND))
        # One occurrence says nothing; there the earlier merge is of more use to other text.
        value = {piece: count for piece, count in uses.items() if count > 1}
        best = sorted(range(len(candidates)), key=lambda index: (-value.get(candidates[index], 0), index))[:keep]
        candidates = [candidates[index] for index in sorted(best)]
    return candidates


# --- Extending -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Addition:
    """A word that was added to a vocabulary.

    Attributes:
      word: the new piece.
      index: its id.
      replaced: the slot that it took, for example `"[unused7]"`.
      pieces: what the word was cut into before.
      count: how often it occurs.
    """

    word: str
    index: int
    replaced: str
    pieces: list[str]
    count: int


def extend(
    lines: Sequence[str], vocab: Mapping[str, int], words: Mapping[str, int], *, min_count: int, max_new: int | None
) -> tuple[list[str], list[Addition]]:
    """Puts the words that save the most pieces into a vocabulary's `[unusedN]` slots, in the order of their ids.

    A word's worth is what it saves: its count times one less than the pieces it was cut into. A word that was `[UNK]`
    counts as if cut into characters and saves all of them.

    Args:
      lines: of the vocabulary file, as they are.
      vocab: the same, read by `tokenization.load_vocab`.
      words: how often each occurs in the text of the new domain.
      min_count: words that occur less often are not added.
      max_new: how many are added at most; None for as many as there are slots.

    Returns:
      The lines with slots replaced, all others untouched; and what was added, the best first.

    Raises:
      InputError: there is no slot, or no word to add.
    """
    slots = [(index, match[1]) for index, line in enumerate(lines) if (match := UNUSED.fullmatch(line))]
    if not slots:
        raise InputError(
            f"--extend: none of the {len(vocab):,} pieces is an [unusedN] slot, so nothing can be added without "
            "changing the ids of a trained model; learn a new vocabulary (without --extend), or use one that has slots."
        )
    cut = WordpieceTokenizer(vocab).tokenize
    worth: dict[str, int] = {}
    pieces: dict[str, list[str]] = {}
    for word, count in words.items():
        if count >= min_count and len(word) <= LONGEST_WORD and word not in vocab:
            pieces[word] = cut(word)
            worth[word] = count * (len(word) if pieces[word] == ["[UNK]"] else len(pieces[word]) - 1)
    if not worth:
        raise InputError(
            f"--extend: each word that occurs at least {counted(min_count, 'time')} (--min_count) is already a single "
            "piece; there is nothing to add. Lower --min_count, or give more text of the new domain."
        )
    additions = []
    extended = list(lines)
    for word, (index, slot) in zip(ranked(worth)[:max_new], slots, strict=False):
        extended[index] = lines[index].replace(slot, word)
        additions.append(Addition(word, index, slot, pieces[word], words[word]))
    return extended, additions


# --- Measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """Statistics of a vocabulary on the counted words; each counts as often as it occurs.

    Attributes:
      words: all.
      whole: those that are one piece.
      unknown: those that are `[UNK]`, or have it in them.
      pieces: of all words together.
      characters: of all words together.
    """

    words: int
    whole: int
    unknown: int
    pieces: int
    characters: int

    def __str__(self) -> str:
        """The statistics as a sentence without a period."""
        return (
            f"{self.pieces / self.words:.3f} pieces a word, {self.characters / self.pieces:.2f} characters a piece; "
            f"{self.whole / self.words:.2%} of the words are one piece, {self.unknown / self.words:.3%} are unknown"
        )


def measure(words: Mapping[str, int], cut: Callable[[str], Sequence[str]]) -> Coverage:
    """The statistics of `cut`, a tokenizer's function from words to pieces, on the counted words."""
    whole = unknown = total = characters = 0
    for word, count in words.items():
        pieces = cut(word)
        total += len(pieces) * count
        characters += len(word) * count
        if "[UNK]" in pieces:
            unknown += count
        elif len(pieces) == 1:
            whole += count
    return Coverage(sum(words.values()), whole, unknown, total, characters)


# --- SentencePiece ---------------------------------------------------------------------------------------------------

_LONGEST_PART = 1000  # the trainer leaves out what has more than 4192 bytes


def split_parts(text: str) -> Iterator[str]:
    """The words between any whitespace; longer ones in parts. What SentencePiece's trainer is given."""
    for word in text.split():
        for start in range(0, len(word), _LONGEST_PART):
            yield word[start : start + _LONGEST_PART]


def learn_sentencepiece(
    words: Mapping[str, int],
    vocab_size: int,
    *,
    model_type: str = "unigram",
    do_lower_case: bool = True,
    num_unused: int = 100,
    limit_alphabet: int | None = None,
    min_count: int = 1,
) -> bytes:
    """Learns a SentencePiece model with BERT's special tokens at the ids of `head`.

    The model includes its normalization: NFKC, and with `do_lower_case` case folding. So it gives the same ids
    everywhere. From the counts of words it learns what it would from the text for BPE; for unigram, whose seed pieces
    also come from neighbouring words, close to it (0.6 % more pieces on novels).

    Args:
      words: how often each occurs, as `split_parts` cuts them.
      vocab_size: total number of pieces.
      model_type: `"unigram"` or `"bpe"`.
      do_lower_case: whether the model folds case. Accents stay.
      num_unused: how many pieces are `[unusedN]`.
      limit_alphabet: how many characters, see `choose_alphabet`.
      min_count: words that occur less often are ignored.

    Returns:
      The bytes of the `.model` file. Fewer pieces than `vocab_size` where the text has no more.

    Raises:
      InputError: the alphabet does not fit, or there is nothing to learn from.
    """
    rule = "nmt_nfkc_cf" if do_lower_case else "nmt_nfkc"
    normalized = _normalized(words, rule, min_count)
    counts = count_characters(normalized)
    for char in _RESERVED:
        counts.pop(char, None)
    if not counts:
        times = counted(min_count, "time")
        raise InputError(f"No word of the input occurs at least {times} (--min_count); lower it, or give more text.")
    alphabet = choose_alphabet(counts, limit_alphabet)
    teaching = _of_alphabet(normalized, alphabet)
    beginning = head(num_unused)
    needed = len(beginning) + len(alphabet) + 1
    if needed > vocab_size:
        raise InputError(
            f"--vocab_size={vocab_size:,} is too small: {len(beginning):,} special tokens and unused slots "
            f"(--num_unused={num_unused}), ▁ and the {counted(len(alphabet), 'character')} of the text need "
            f"{needed:,}. Raise --vocab_size, or keep fewer characters with --limit_alphabet."
        )
    model = _train(
        (f"{word}\t{teaching[word]}" for word in ranked(teaching)),
        model_type=model_type,
        vocab_size=vocab_size,
        pad_id=0,
        pad_piece="[PAD]",
        unk_id=beginning.index("[UNK]"),
        unk_piece="[UNK]",
        bos_id=-1,
        eos_id=-1,
        control_symbols=[token for token in beginning if token not in ("[PAD]", "[UNK]")],
        normalization_rule_name=rule,
        character_coverage=1.0,
    )
    return bytes(model.serialized_model_proto())


def _normalized(words: Mapping[str, int], rule: str, min_count: int) -> Counter[str]:
    """How often each word occurs once it is normalised, the rare ones left out."""
    import sentencepiece

    normalize = sentencepiece.SentencePieceNormalizer(rule_name=rule).normalize
    normalized: Counter[str] = Counter()
    for word, count in words.items():
        if count >= min_count:
            normalized[normalize(word)] += count
    return normalized


def _of_alphabet(words: Mapping[str, int], alphabet: Iterable[str]) -> Counter[str]:
    """How often each part of a word occurs, split at characters that are not of the alphabet."""
    known = frozenset(alphabet)
    parts: Counter[str] = Counter()
    for word, count in words.items():
        for part in "".join(char if char in known else " " for char in word).split():
            parts[part] += count
    return parts


def _train(sentences: Iterator[str], **options: Any) -> Any:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences,
        model_writer=model,
        input_format="tsv",
        hard_vocab_limit=False,
        num_threads=16,  # sums of floats depend on it, so it is the same everywhere
        minloglevel=2,
        **options,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
