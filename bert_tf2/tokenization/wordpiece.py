"""Text to WordPiece tokens and ids, by the rules of google-research/bert `tokenization.py`; no TensorFlow.

Text passes through two tokenizers. `BasicTokenizer` cleans it and splits it into words and punctuation;
`WordpieceTokenizer` splits each word into the longest pieces of the vocabulary. `FullTokenizer` combines them with a

vocabulary file. This is the readable definition of the rules. As in the original, character properties come from the
Unicode tables of the running Python (`unicodedata.unidata_version`).
"""

import functools
import importlib
import logging
import os
import re
import string
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from bert_tf2.configs.tokenizer import TokenizerOptions, unique
from bert_tf2.errors import InputError, counted
from bert_tf2.tokenization.vocab_file import SPECIAL_TOKENS as SPECIAL_TOKENS
from bert_tf2.tokenization.vocab_file import UNKNOWN as UNKNOWN
from bert_tf2.tokenization.vocab_file import check_in_vocab, with_added
from bert_tf2.tokenization.vocab_file import load_vocab as load_vocab
from bert_tf2.tokenization.vocab_file import vocab_of_lines as vocab_of_lines

SPECIAL_IN_TEXT = 2
"""Special tokens of `[CLS] a [SEP]`."""
SPECIAL_IN_PAIR = 3
"""Special tokens of `[CLS] a [SEP] b [SEP]`."""

_logger = logging.getLogger(__name__)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


# --- Characters ------------------------------------------------------------------------------------------------------

# The blocks of Chinese characters, compatibility forms included, that the original sets off. Kana and Hangul are not
# among them (they are written in words), nor are the extensions that Unicode has added since (F and later).
CHINESE_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_FIRST_CHINESE = min(first for first, _ in CHINESE_BLOCKS)
_ASCII_PUNCTUATION = frozenset(string.punctuation)


def _is_whitespace(char: str) -> bool:
    return char in " \t\n\r" or unicodedata.category(char) == "Zs"


def _is_control(char: str) -> bool:
    return char not in "\t\n\r" and unicodedata.category(char) in ("Cc", "Cf")


@functools.lru_cache(maxsize=1 << 16)
def _is_punctuation(char: str) -> bool:
    # `$ + < = > ^ ` | ~` are symbols to Unicode, but stand between words all the same.
    return char in _ASCII_PUNCTUATION or unicodedata.category(char).startswith("P")


@functools.lru_cache(maxsize=1 << 16)
def _cleaned(char: str) -> str:
    """The result of cleaning a character of the raw text: nothing, a space, or itself."""
    if char in "\0\ufffd" or _is_control(char):
        return ""
    return " " if _is_whitespace(char) else char


# --- Text ------------------------------------------------------------------------------------------------------------


def convert_to_unicode(text: str | bytes) -> str:
    """The text as `str`; bytes are read as UTF-8.

    Raises:
      InputError: the bytes are not UTF-8. (The original dropped the bytes that it could not read.)
      ValueError: `text` is neither `str` nor `bytes`.
    """
    if isinstance(text, str):
        return text
    if not isinstance(text, bytes):
        raise ValueError(f"Text must be str or bytes, not {type(text).__name__}.")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        around = text[max(0, error.start - 20) : error.start + 20]
        raise InputError(
            f"Byte {error.start + 1} of the text (0x{text[error.start]:02x}, in {around!r}) is not UTF-8; convert the "
            "text to UTF-8 first, or decode it with its actual encoding."
        ) from None


def printable_text(text: str | bytes) -> str:
    """The text as `str` for messages: like `convert_to_unicode`, but bytes that are not UTF-8 are left out.

    Raises:
      ValueError: `text` is neither `str` nor `bytes`.
    """
    return text.decode("utf-8", "ignore") if isinstance(text, bytes) else convert_to_unicode(text)


def whitespace_tokenize(text: str) -> list[str]:
    """The words between whitespace, as `str.split` sees it: line and paragraph separators count too."""
    return text.split()


# --- Vocabulary ------------------------------------------------------------------------------------------------------


def convert_by_vocab(vocab: Mapping[_Key, _Value], items: Iterable[_Key]) -> list[_Value]:
    """Looks up each item: ids for tokens, or tokens for ids, depending on the vocabulary.

    Raises:
      InputError: an item is not in the vocabulary. (The original let the bare `KeyError` through.)
    """
    output = []
    for item in items:
        if item not in vocab:
            what = "token" if isinstance(item, str) else "id"
            raise InputError(
                f"The {what} {item!r} is not in the vocabulary of {counted(len(vocab), 'piece')}; use the vocabulary "
                f"file that the {what}s were created with."
            )
        output.append(vocab[item])
    return output


def convert_tokens_to_ids(vocab: Mapping[str, int], tokens: Iterable[str]) -> list[int]:
    """The ids of tokens in `vocab`; an unknown token raises as in `convert_by_vocab`, it does not become `[UNK]`."""
    return convert_by_vocab(vocab, tokens)


def convert_ids_to_tokens(inv_vocab: Mapping[int, str], ids: Iterable[int]) -> list[str]:
    """The tokens of ids in `inv_vocab`; an unknown id raises as in `convert_by_vocab`."""
    return convert_by_vocab(inv_vocab, ids)


# --- Tokenizers ------------------------------------------------------------------------------------------------------


class FullTokenizer:
    """Text to WordPiece tokens, and tokens to ids and back, with a vocabulary file.

    Attributes:
      vocab_file: where the vocabulary was read.
      vocab: the id of each piece.
      inv_vocab: the piece of each id.
      added_tokens: those of its pieces that the file does not have.
      basic_tokenizer: the `BasicTokenizer` that text goes through first.
      wordpiece_tokenizer: the `WordpieceTokenizer` that its words go through.

    Examples:
      >>> from pathlib import Path
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\nwalk\\n##ed\\nhome\\n")
      >>> from bert_tf2 import FullTokenizer
      >>> tokenizer = FullTokenizer("vocab.txt")
      >>> tokenizer.tokenize("Walked home")
      ['walk', '##ed', 'home']
      >>> tokenizer.convert_tokens_to_ids(['walk', '##ed', 'home'])
      [5, 6, 7]
      >>> tokenizer(["Walked home", "home"])["input_ids"]
      array([[2, 5, 6, 7, 3],
             [2, 7, 3, 0, 0]], dtype=int32)
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        do_lower_case: bool = True,
        *,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        never_split: Iterable[str] = (),
        added_tokens: Iterable[str] = (),
    ):
        """Reads the vocabulary.

        Args:
          vocab_file: as in `load_vocab`, with its errors.
          do_lower_case: whether to lower-case and strip accents, as in the checkpoint's training.
          strip_accents: see `BasicTokenizer`; the original has neither this nor what follows.
          tokenize_chinese_chars: see `BasicTokenizer`.
          never_split: see `BasicTokenizer`; the tokens must be in the vocabulary.
          added_tokens: pieces whose ids follow the last one of the file.

        Raises:
          InputError: a token of `never_split` is not in the vocabulary.
        """
        self.vocab_file = os.fspath(vocab_file)
        self.added_tokens = tuple(added_tokens)
        self.vocab = with_added(load_vocab(vocab_file), self.added_tokens)
        self.inv_vocab = {index: piece for piece, index in self.vocab.items()}
        self.basic_tokenizer = BasicTokenizer(
            do_lower_case=do_lower_case,
            strip_accents=strip_accents,
            tokenize_chinese_chars=tokenize_chinese_chars,
            never_split=never_split,
        )
        check_in_vocab(self.basic_tokenizer.options, self.vocab, self.vocab_file)
        self.wordpiece_tokenizer = WordpieceTokenizer(vocab=self.vocab)
        self._fast: Any = None  # the same tokens for batches, made when the first one comes

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], do_lower_case: bool | None = None, **options: Any) -> Self:
        """The tokenizer of a model.

        Args:
          path: anything that `--init_checkpoint` accepts: a checkpoint, a directory of Google's, of a training run, or
            of Hugging Face's, or the name of a public model, which is downloaded completely.
          do_lower_case: as in the constructor; None: as in the directory, else True, as in the scripts.
          **options: `strip_accents`, `tokenize_chinese_chars`, `never_split` as in the constructor; if omitted, as in
            the directory.

        Raises:
          InputError: there is no vocabulary, it cannot be read, it is a SentencePiece model, or the case is certainly
            wrong.
        """
        found = importlib.import_module("bert_tf2.pretrained_models")
        return found.load_tokenizer(cls, os.fspath(path), do_lower_case, options)

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        max_length: int | None = None,
        pad_to_max_length: bool = False,
    ) -> dict[str, Any]:
        """A model's inputs; see `sequences.make_batch`. Of a subclass, too, the pieces are those of `tokenize`."""
        from bert_tf2.tokenization import sequences

        return sequences.make_batch(self._encode_batch, self.vocab, texts, pairs, max_length, pad_to_max_length)

    def _encode_batch(self, texts: Sequence[str]) -> Any:
        from bert_tf2.tokenization import fast_wordpiece

        parts = (type(self).tokenize, type(self.basic_tokenizer), type(self.wordpiece_tokenizer))
        if parts != (FullTokenizer.tokenize, BasicTokenizer, WordpieceTokenizer):
            return fast_wordpiece.ragged([self.convert_tokens_to_ids(self.tokenize(text)) for text in texts])
        if self._fast is None:
            basic = self.basic_tokenizer
            self._fast = fast_wordpiece.FastTokenizer.of_vocab(self.vocab, basic.do_lower_case, basic.options)
        return self._fast.encode_batch(texts)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The pieces of the text, each in the vocabulary. Bytes are UTF-8, checked as in `convert_to_unicode`."""
        words = self.basic_tokenizer.tokenize(text)
        return [piece for word in words for piece in self.wordpiece_tokenizer.tokenize(word)]

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; see the function of this name."""
        return convert_tokens_to_ids(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; see the function of this name."""
        return convert_ids_to_tokens(self.inv_vocab, ids)


class BasicTokenizer:
    """Splits text into words, punctuation marks and Chinese characters.

    1. NUL, U+FFFD, control and format characters (Unicode's Cc and Cf) are deleted, joining their neighbours. Tab, line
       feed, carriage return and spaces (Zs) become spaces. Each Chinese character becomes a word.
    2. The text is split at whitespace.
    3. With `do_lower_case`, each word is lowered (Greek capital sigma by its place in the word), decomposed (NFD), and
       loses its nonspacing marks (Mn). Without it, words keep case and accents.
    4. Each punctuation mark (Unicode's P, or an ASCII character that is not a letter, digit or control) becomes a word.

    Each step is a method with the original's name, which subclasses can override. The keyword arguments are not the
    original's, but those of Hugging Face's `BasicTokenizer`.

    Args:
      do_lower_case: whether words are lowered.
      strip_accents: whether they are decomposed and lose their nonspacing marks; None: if they are lowered.
      tokenize_chinese_chars: whether a Chinese character becomes a word of its own.
      never_split: tokens that are words of their own wherever the text has them, and pass none of the steps. What is
        before and after such a token is treated as a text of its own.

    Raises:
      InputError: a token of `never_split` cannot be one; see `TokenizerOptions`.

    Examples:
      >>> from bert_tf2 import BasicTokenizer
      >>> BasicTokenizer().tokenize("Café, 北京!")
      ['cafe', ',', '北', '京', '!']
    """

    def __init__(
        self,
        do_lower_case: bool = True,
        *,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        never_split: Iterable[str] = (),
    ):
        self.do_lower_case = do_lower_case
        self.options = TokenizerOptions(strip_accents, tokenize_chinese_chars, unique(never_split))
        pattern = self.options.pattern()
        self._whole = re.compile(pattern) if pattern else None

    @classmethod
    def of(cls, do_lower_case: bool, options: TokenizerOptions) -> Self:
        """A tokenizer with all options in one object."""
        return cls(
            do_lower_case,
            strip_accents=options.strip_accents,
            tokenize_chinese_chars=options.tokenize_chinese_chars,
            never_split=options.never_split,
        )

    @property
    def strips_accents(self) -> bool:
        """Whether words lose their accents."""
        return self.options.strips_accents(self.do_lower_case)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The words of the text, none of them empty. Bytes are UTF-8, checked as in `convert_to_unicode`."""
        text = convert_to_unicode(text)
        if self._whole is None:
            return self._words(text)
        output: list[str] = []
        for number, part in enumerate(self._whole.split(text)):  # every second one is a token
            output += [part] if number % 2 else self._words(part)
        return output

    def _words(self, text: str) -> list[str]:
        text = self._clean_text(text)
        if self.options.tokenize_chinese_chars:
            text = self._tokenize_chinese_chars(text)
        strips_accents = self.strips_accents
        output: list[str] = []
        for word in whitespace_tokenize(text):
            if self.do_lower_case:
                word = word.lower()
            if strips_accents:
                word = self._run_strip_accents(word)
            output += self._run_split_on_punc(word)
        return whitespace_tokenize(" ".join(output))

    def _clean_text(self, text: str) -> str:
        """The text without the characters that are deleted, and with plain spaces for whitespace."""
        if text.isprintable() and "\ufffd" not in text:  # so that its only whitespace is the plain space
            return text
        return "".join(map(_cleaned, text))

    def _tokenize_chinese_chars(self, text: str) -> str:
        """The text with spaces around each Chinese character."""
        chinese = {char for char in set(text) if self._is_chinese_char(ord(char))}  # asked once for each character
        return "".join(f" {char} " if char in chinese else char for char in text) if chinese else text

    def _is_chinese_char(self, cp: int) -> bool:
        """Whether a code point is that of a Chinese character."""
        return cp >= _FIRST_CHINESE and any(first <= cp <= last for first, last in CHINESE_BLOCKS)

    def _run_strip_accents(self, text: str) -> str:
        """The word decomposed (NFD) and without its nonspacing marks. What is left stays decomposed."""
        if text.isascii():
            return text
        return "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")

    def _run_split_on_punc(self, text: str) -> list[str]:
        """The word split at punctuation marks, each of which is a word."""
        if text.isalnum():
            return [text]
        words: list[str] = []
        begins = True
        for char in text:
            is_mark = _is_punctuation(char)
            if begins or is_mark:
                words.append(char)
            else:
                words[-1] += char
            begins = is_mark
        return words


class WordpieceTokenizer:
    """Splits words into pieces of a vocabulary, at each position the longest that fits.

    A piece that does not begin its word is in the vocabulary as `##piece`. A word that cannot be split completely, or
    is longer than `max_input_chars_per_word`, becomes the single token `unk_token`.

    Attributes:
      vocab: the pieces.
      unk_token: the token for words that cannot be split.
      max_input_chars_per_word: maximum length of words to split, in characters (code points, not bytes).

    Examples:
      >>> from bert_tf2 import WordpieceTokenizer
      >>> WordpieceTokenizer({"walk", "##ed"}).tokenize("walked talked")
      ['walk', '##ed', '[UNK]']
    """

    def __init__(self, vocab: Container[str], unk_token: str = "[UNK]", max_input_chars_per_word: int = 200):
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word

    def tokenize(self, text: str | bytes) -> list[str]:
        """The pieces of the words of the text, which `BasicTokenizer` has cleaned.

        With the pieces `walk`, `##ed`, `##e` and `##d`, `"walked"` gives `["walk", "##ed"]` and `"talked"` `["[UNK]"]`.
        """
        words = whitespace_tokenize(convert_to_unicode(text))
        return [piece for word in words for piece in self._pieces(word)]

    def _pieces(self, word: str) -> list[str]:
        if len(word) > self.max_input_chars_per_word:
            return [self.unk_token]
        pieces = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = prefix + word[start:end]
                if piece in self.vocab:
                    break
            else:
                return [self.unk_token]
            pieces.append(piece)
            start = end
        return pieces
