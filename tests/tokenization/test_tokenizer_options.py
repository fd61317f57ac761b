"""Accents, Chinese characters and tokens that are never split: the definition, and the fast tokenizer against it."""

import pickle
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bert_tf2.configs.tokenizer import PLAIN, TokenizerConfig, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.tokenization.auto import VocabularyFile
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer, WordpieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = ("[E1]", "[E1]x", "[DRUG]", "É", "Σ.", "中国", "a.b", "##")
# Each rule for characters both on and off, in two combinations that the original lacks.
MODES = {
    "lower-accents": (True, TokenizerOptions(strip_accents=False, tokenize_chinese_chars=False)),
    "cased-stripped": (False, TokenizerOptions(strip_accents=True)),
    "plain": (True, PLAIN),
}


# --- The definition --------------------------------------------------------------------------------------------------


def expected_words(word: str, lower: bool, strip: bool | None) -> str:
    """A word between spaces as in Hugging Face's `BasicTokenizer`, before punctuation is split."""
    if lower:
        word = word.lower()
        strips = strip is not False
    else:
        strips = bool(strip)
    if not strips:
        return word
    return "".join(char for char in unicodedata.normalize("NFD", word) if unicodedata.category(char) != "Mn")


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("strip", [None, True, False])
def test_accents(lower: bool, strip: bool | None) -> None:
    rules = BasicTokenizer(lower, strip_accents=strip)
    text = "Éa ΑΣ ÅNGSTRÖM e\u0301E\u0301 각 İ naïve \u0941a \u302e\u0301"
    assert rules.tokenize(text) == [expected_words(part, lower, strip) for part in text.split()]


def test_accents_of_a_few_words() -> None:
    assert BasicTokenizer(True, strip_accents=False).tokenize("Über-Straße ΌΣ") == ["über", "-", "straße", "ός"]
    assert BasicTokenizer(False, strip_accents=True).tokenize("Über-Straße ΌΣ") == ["Uber", "-", "Straße", "ΟΣ"]


def test_chinese_characters_that_are_joined() -> None:
    rules = BasicTokenizer(tokenize_chinese_chars=False)
    assert rules.tokenize("在中国，a中b 豈") == ["在中国", "，", "a中b", "豈"]
    assert BasicTokenizer().tokenize("在中国") == ["在", "中", "国"]


def test_never_split_tokens() -> None:
    rules = BasicTokenizer(never_split=["[E1]", "[E1]x", "C++", "É"])
    assert rules.tokenize("The [E1]Drug[E1]x, VC++ ÉÉ é [e1].") == [
        *("the", "[E1]", "drug", "[E1]x", ",", "v", "C++", "É", "É", "e", "[", "e1", "]", "."),
    ]
    assert rules.tokenize("ΑΣ[E1]Α") == ["ας", "[E1]", "α"]  # the sigma is the last character of its part
    assert rules.tokenize(b"[E1]") == ["[E1]"]
    assert rules.tokenize("") == []


def test_invalid_never_split_tokens() -> None:
    for token, reason in (
        ("", "is empty"),
        ("a b", "contains whitespace"),
        (" a", "contains whitespace"),
        ("x" * 201, "200"),
        ("\0", "NUL"),
    ):
        with pytest.raises(InputError, match=rf"^--never_split: the token .* {reason}"):
            BasicTokenizer(never_split=[token])


def write_vocab(directory: Path, *more: str) -> str:
    path = directory / "vocab.txt"
    path.write_text("".join(f"{piece}\n" for piece in [*SPECIAL, "a", "##b", "é", "中国", *more]), encoding="utf-8")
    return str(path)


def test_the_full_tokenizer(tmp_path: Path) -> None:
    path = write_vocab(tmp_path, "[E1]")
    tokenizer = FullTokenizer(path, never_split=["[E1]", "[MASK]"], strip_accents=False, tokenize_chinese_chars=False)
    text = "AB[E1]É 中国[MASK][CLS]"
    assert tokenizer.tokenize(text) == ["a", "##b", "[E1]", "é", "中国", "[MASK]", "[UNK]", "[UNK]", "[UNK]"]
    batch = tokenizer([text, "", "[E1]"])
    assert batch["input_ids"].tolist()[2][:3] == [2, 9, 3]
    assert batch["input_ids"].tolist()[0] == [2, *tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)), 3]
    added = FullTokenizer(path, never_split=["[E2]"], added_tokens=["[E2]"])
    assert added.convert_tokens_to_ids(added.tokenize("a[E2]")) == [5, 10]
    with pytest.raises(InputError, match=r"^--never_split: '\[E2\]' is not in the vocabulary .*vocab\.txt; put it"):
        FullTokenizer(path, never_split=["[E2]"])


# --- The fast tokenizer ----------------------------------------------------------------------------------------------

LETTERS = list("aAbBzéÉåÅßİıſŒǅΐΰΣσςΑα1٣½ﬁＡ，。中国㐀𠀀豈か각힣")
MARKS = list("\u0301\u0308\u0323\u0345\u302e\u302f\u093c\u094d\u0941\u1b44\u0f71\u0f72\U0001d165\U0001d15e\ufb2c")
OTHERS = list(" \t\n\x0b\x1c\x85\xa0\u2028\u3000\0\ufffd\xad\u200b.,'[]-#")
ALPHABET = LETTERS + MARKS + OTHERS
PIECES = [piece for char in ALPHABET for piece in (char, "##" + char) if char.strip()]
VOCAB = {
    piece: index
    for index, piece in enumerate(dict.fromkeys([*SPECIAL, *PIECES, *TOKENS, "##中国", "##\u0301a", "i̇", "##é"]))
}
WORDS = st.lists(st.one_of(st.sampled_from(ALPHABET), st.sampled_from(TOKENS)), max_size=14).map("".join)
TEXTS = st.one_of(WORDS, st.lists(WORDS, max_size=5).map(" ".join), st.text(max_size=20))


class Slow:
    """`FullTokenizer` for a vocabulary that is in no file."""

    def __init__(self, lower: bool, options: TokenizerOptions) -> None:
        self.words = BasicTokenizer.of(lower, options)
        self.pieces = WordpieceTokenizer(VOCAB)

    def encode(self, text: str) -> list[int]:
        return [VOCAB[piece] for word in self.words.tokenize(text) for piece in self.pieces.tokenize(word)]


def fast(lower: bool, options: TokenizerOptions, patience: float) -> FastTokenizer:
    tokenizer = FastTokenizer.of_vocab(VOCAB, lower, options)
    tokenizer._patience = patience
    return tokenizer


@pytest.fixture(scope="module", params=["lower-accents", "lower-accents-tokens", "cased-stripped", "plain-tokens"])
def tokenizers(request: pytest.FixtureRequest) -> tuple[Slow, FastTokenizer, FastTokenizer]:
    lower, options = MODES[request.param.removesuffix("-tokens")]
    if request.param.endswith("-tokens"):
        options = TokenizerOptions(options.strip_accents, options.tokenize_chinese_chars, TOKENS)
    compiled = fast(lower, options, 0)
    compiled.encode_batch(["a"])
    assert compiled._kernel is not None
    return Slow(lower, options), fast(lower, options, float("inf")), compiled


def check(texts: Sequence[str], slow: Slow, *others: FastTokenizer) -> None:
    expected = [slow.encode(text) for text in texts]
    for tokenizer in others:
        result = tokenizer.encode_batch(texts)
        assert [part.tolist() for part in np.split(result.values, result.row_splits[1:-1])] == (expected or [[]])
        assert (result.values.dtype, result.row_splits.dtype) == (np.int32, np.int64)
        assert [tokenizer.encode(text) for text in texts] == expected
        assert [tokenizer.encode(text + " " * 40) for text in texts] == expected


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, max_size=6))
@example(["ΑΣ[E1]Α", "", "[E1]", "[E1][E1]x", "É[E1] É", "中国中", "\u0941[E1]\u0301", "##a##", "a.b.b"])
@example(["ΑΣ", "ΑΣ.", "Σ", "ΑΣ ΑΣΑ", "Α\u0301Σ\u0301", "É", "İ", "a\u302e\U0001d165b", "\U0001d15e\u0323"])
def test_nasty_texts(tokenizers: tuple[Slow, FastTokenizer, FastTokenizer], texts: list[str]) -> None:
    check(texts, *tokenizers)


def test_every_code_point_of_written_text(tokenizers: tuple[Slow, FastTokenizer, FastTokenizer]) -> None:
    """Alone and inside a word; the pieces are all characters that come out."""
    slow, _, given_tokenizer = tokenizers
    codes = [code for first in (0, 0xA000, 0xF000, 0x10000, 0x1D000) for code in range(first, first + 0x1000)]
    texts = [f"{char} a{char}b" for char in map(chr, codes)]
    expected = [slow.words.tokenize(text) for text in texts]
    letters = sorted({letter for words in expected for word in words for letter in word})
    tokens = given_tokenizer.options.never_split
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *tokens]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = FastTokenizer.of_vocab(vocab, given_tokenizer.do_lower_case, given_tokenizer.options)
    tokenizer._patience = 0
    result = tokenizer.encode_batch(texts)
    wordpiece = WordpieceTokenizer(vocab)
    ids = [[vocab[piece] for word in words for piece in wordpiece.tokenize(word)] for words in expected]
    assert result.row_splits.tolist() == np.cumsum([0, *map(len, ids)]).tolist()
    assert result.values.tolist() == [index for row in ids for index in row]


def test_a_copy_in_another_process_gives_the_same() -> None:
    lower, options = True, TokenizerOptions(False, False, TOKENS)
    tokenizer = fast(lower, options, float("inf"))
    copy = pickle.loads(pickle.dumps(tokenizer))
    rng = random.Random(3)
    texts = ["".join(rng.choices([*ALPHABET, *TOKENS], k=12)) for _ in range(50)]
    assert copy.options == options
    check(texts, Slow(lower, options), tokenizer, copy)


# --- Flags and files -------------------------------------------------------------------------------------------------


def test_flags() -> None:
    assert TokenizerConfig().over(PLAIN) == PLAIN == TokenizerOptions()
    known = TokenizerOptions(False, False, ("[E1]",))
    assert TokenizerConfig().over(known) == known
    flags = TokenizerConfig(strip_accents=True, tokenize_chinese_chars=True, never_split=" [E2],[E1],,[E2]")
    assert flags.over(known) == TokenizerOptions(True, True, ("[E2]", "[E1]"))
    assert TokenizerConfig(never_split="").over(known).never_split == ()
    assert flags.contradicted(known) == "--strip_accents"
    assert flags.contradicted(flags.over(known)) is None
    assert TokenizerConfig(never_split="[E1],[E2]").contradicted(flags.over(known)) is None  # in any order
    assert TokenizerConfig(never_split="[E2]").contradicted(known) == "--never_split=[E2]"
    with pytest.raises(InputError, match="--never_split: the token 'a b' contains whitespace"):
        TokenizerConfig(never_split="[E1],a b")


def test_a_vocabulary_and_its_options_in_a_directory(tmp_path: Path) -> None:
    path = write_vocab(tmp_path)
    options = TokenizerOptions(False, True, ("[E1]",))
    file = VocabularyFile(path, options=options, added_tokens=("[E1]", "[E2]"))
    tokenizer = file.tokenizer(True)
    assert isinstance(tokenizer, FastTokenizer)
    assert tokenizer.encode("É[E1]") == [7, 9]
    (tmp_path / "out").mkdir()
    written = file.copy_into(str(tmp_path / "out"))
    assert [Path(path).name for path in written] == ["vocab.txt", "tokenizer_config.json"]
    assert Path(written[0]).read_text(encoding="utf-8").split()[-3:] == ["中国", "[E1]", "[E2]"]
    again = VocabularyFile(written[0]).tokenizer(True)
    assert again.vocab == tokenizer.vocab
    assert VocabularyFile(path).copy_into(str(tmp_path / "out")) == written[:1]
    with pytest.raises(InputError, match=r"'\[E1\]' is not in the vocabulary"):
        VocabularyFile(path, options=options).tokenizer(True)
    with pytest.raises(InputError, match=r"^--strip_accents, .* are for WordPiece vocabularies, but s\.model is a"):
        VocabularyFile("s.model", is_sentencepiece=True, options=options)
