"""The fast tokenizer against its definition: every code point, nasty texts, odd vocabularies."""

import itertools
import math
import multiprocessing
import pickle
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.repository import GOLDEN, REPOSITORY
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tokenization import _wordpiece_numba, fast_wordpiece
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer, Ragged
from bert_tf2.tokenization.unicode_tables import CODE_POINTS, CONTEXT, load_replacements, replacement
from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer, WordpieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MODES = pytest.mark.parametrize("lower", [True, False], ids=["lower", "cased"])
SLOWLY_CASED = pytest.mark.parametrize(
    "lower", [pytest.param(True, id="lower"), pytest.param(False, id="cased", marks=pytest.mark.slow)]
)
VOCABULARIES = {"uncased": True, "cased": False}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tables are computed once for this file, not taken from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


# --- Both ways of the fast tokenizer, and the definition -------------------------------------------------------------


class Slow:
    """`FullTokenizer` for a vocabulary that is not in a file."""

    def __init__(self, vocab: dict[str, int], lower: bool) -> None:
        self.vocab = vocab
        self.words = BasicTokenizer(lower)
        self.pieces = WordpieceTokenizer(vocab)

    def tokenize(self, text: str) -> list[str]:
        return [piece for word in self.words.tokenize(text) for piece in self.pieces.tokenize(word)]

    def encode(self, text: str) -> list[int]:
        return [self.vocab[piece] for piece in self.tokenize(text)]


def with_patience(vocab: dict[str, int], lower: bool, patience: float) -> FastTokenizer:
    tokenizer = FastTokenizer.__new__(FastTokenizer)
    tokenizer.__setstate__({"vocab": vocab, "do_lower_case": lower})
    tokenizer._patience = patience
    return tokenizer


def in_python(vocab: dict[str, int], lower: bool) -> FastTokenizer:
    """Returns a tokenizer that never loads the kernel."""
    return with_patience(vocab, lower, math.inf)


def compiled(vocab: dict[str, int], lower: bool) -> FastTokenizer:
    """Returns a tokenizer that has loaded the kernel."""
    tokenizer = with_patience(vocab, lower, 0)
    tokenizer.encode_batch(["a"])
    assert tokenizer._kernel is _wordpiece_numba
    return tokenizer


def numbered(pieces: Iterable[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys([*SPECIAL, *pieces]))}


def rows(ragged: Ragged) -> list[list[int]]:
    return [part.tolist() for part in np.split(ragged.values, ragged.row_splits[1:-1])]


def check(texts: Sequence[str], slow: Slow, *fast: FastTokenizer) -> None:
    tokens = [slow.tokenize(text) for text in texts]
    ids = [[slow.vocab[piece] for piece in row] for row in tokens]
    for tokenizer in fast:
        assert rows(tokenizer.encode_batch(texts)) == (ids or [[]])
        assert [tokenizer.encode(text) for text in texts] == ids
        # The spaces change nothing, but make the text long enough for the kernel.
        assert [tokenizer.encode(text + " " * 40) for text in texts] == ids
        assert [tokenizer.tokenize(text) for text in texts] == tokens


# --- Every code point ------------------------------------------------------------------------------------------------


def words_of(tokenizer: FastTokenizer, texts: Sequence[str]) -> str:
    """The words that the pieces make up, joined by spaces; no word may be unknown."""
    pieces = map(tokenizer.inv_vocab.__getitem__, tokenizer.encode_batch(texts).values.tolist())
    return "".join(piece[2:] if piece.startswith("##") and piece != "##" else " " + piece for piece in pieces)[1:]


@SLOWLY_CASED
def test_code_points_of_written_text_alone_and_inside_a_word(lower: bool) -> None:
    check_code_points(lower, [*range(0, 0x40000, 1 << 15), 0xE0000])  # all others are unassigned or private


@pytest.mark.slow
@MODES
def test_code_points_of_all_planes(lower: bool) -> None:
    check_code_points(lower, range(0, CODE_POINTS, 1 << 15))


def check_code_points(lower: bool, blocks: Sequence[int]) -> None:
    rules = BasicTokenizer(lower)
    for first in blocks:
        texts = [f"{char} a{char}b" for char in map(chr, range(first, first + (1 << 15)))]
        expected = rules.tokenize(" ".join(texts))
        letters = sorted(set("".join(expected)))
        tokenizer = compiled(numbered([*letters, *("##" + letter for letter in letters)]), lower)
        if words_of(tokenizer, texts) != " ".join(expected):
            pairs = [(words_of(tokenizer, [text]), " ".join(rules.tokenize(text))) for text in texts]
            wrong = [f"U+{first + offset:04X}" for offset, (actual, expected) in enumerate(pairs) if actual != expected]
            pytest.fail(f"{len(wrong)} code points differ, {wrong[:10]}")


@SLOWLY_CASED
def test_replacements_one_by_one_are_those_of_the_table(lower: bool) -> None:
    rules = BasicTokenizer(lower)
    changed, ends, characters = load_replacements(lower)
    text = "".join(map(chr, characters.tolist()))
    table = {
        code: text[start:end]
        for code, start, end in zip(changed.tolist(), [0, *ends.tolist()], ends.tolist(), strict=False)
    }
    codes = {*table, *range(0x3000), *range(0, CODE_POINTS, 31)}
    assert [code for code in codes if replacement(chr(code), rules) != table.get(code, chr(code))] == []
    needs_rules = [chr(code) for code in table if table[code] == CONTEXT]
    if lower:
        # Sigma, and the marks that are not nonspacing but have a combining class, with what decomposes to them.
        assert "Σ" in needs_rules
        assert all(
            any(map(unicodedata.combining, unicodedata.normalize("NFD", char))) for char in needs_rules if char != "Σ"
        )
        assert len(needs_rules) > 20
    else:
        assert not needs_rules


# --- Nasty texts -----------------------------------------------------------------------------------------------------

LETTERS = list("aAbBzéÉåÅßİıſŒǅΐΰΣσςΑα1٣½²ªµﬁＡａ，。「」中国㐀𠀀𫠠豈か가각힣")
MARKS = list(
    "\u0301\u0308\u0323\u0327\u0345\u0338\u1dce\u302a\u302e\u302f\u093c\u094d\u1b44\u1baa\ua953\ua9c0\u0f71\u0f72"
)
MARKS += list("\U0001d165\U0001d16d\U0001d15e\U0001d160\U00016ff0\U000111c0\U00011235\u0344\u0f73\u0f81\u0958\ufb2c")
BLANKS = list(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2028\u2029\u202f\u205f\u3000")
GONE = list("\0\ufffd\x01\x11\x7f\xad\u200b\u200d\u2060\ufeff\U000e0001\ufe0f")
STOPS = list(".,'!#@$^`|~[]()-_؟·¿«»–—…‹§†‰")
ODD = list("\ud800\udfff\ue000\uf8ff\U000f0000\U0010ffff\ufdd0\uffff\U0001f600\U0002b820\U0002b73a\U000e0100\u0378")
ALPHABET = LETTERS + MARKS + BLANKS + GONE + STOPS + ODD
PIECES = [piece for char in ALPHABET for piece in (char, "##" + char) if char.strip()]
PIECES += ["ab", "##ab", "abab", "[MASK]", "##σα", "##ας", "中国", "##\u0301a", "aa", "##aaa", "ᄀ", "##ᄀ", "##ᅡ"]
NASTY = numbered([*PIECES, "e", "##e", "i", "##i"])
SCARCE = numbered(["a", "##a", "##b", "b", "##ab", ".", "中", "σ", "##ς", "e", "", "##", "#", "a b", "\x11", "##\x11"])
WORDS = st.text(st.sampled_from(ALPHABET), max_size=12)
LONG = st.builds(
    str.__mul__,
    st.text(st.sampled_from(ALPHABET), min_size=1, max_size=3),
    st.sampled_from([66, 67, 99, 100, 199, 200, 201]),
)
TEXTS = st.one_of(
    st.lists(st.one_of(WORDS, LONG, st.text(max_size=8)), max_size=6).map("".join),
    st.lists(WORDS, max_size=8).map(" ".join),
    st.text(st.characters(), max_size=40),
    st.text(st.characters(categories=["Mn", "Mc", "Me", "Lu", "Ll", "Lt"]), max_size=20),
)


@pytest.fixture(scope="module", params=["nasty-lower", "nasty-cased", "scarce-lower", "scarce-cased"])
def tokenizers(request: pytest.FixtureRequest) -> tuple[Slow, FastTokenizer, FastTokenizer]:
    name, mode = request.param.split("-")
    vocab = {"nasty": NASTY, "scarce": SCARCE}[name]
    lower = mode == "lower"
    return Slow(vocab, lower), in_python(vocab, lower), compiled(vocab, lower)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(TEXTS, max_size=6))
@example(["ΑΣ", "ΑΣ.", "Σ", "ΑΣ ΑΣΑ", "Α\u0301Σ\u0301", "ab", ""])
@example(["a\u302e\u0323b", "a\u302e\u1b44b", "\U0001d160\u1b44", "a\u0323\u0301 a\u0301\u0323"])
@example(["a\x1cb", "a\u2028b", "a\x85b\x0bab", "\ud800a", "中a国\u200b中"])
def test_nasty_texts(tokenizers: tuple[Slow, FastTokenizer, FastTokenizer], texts: list[str]) -> None:
    check(texts, *tokenizers)


@MODES
def test_long_words(lower: bool) -> None:
    letters = ["a", "e", "ᄀ", "ᅡ", "ᆨ", "가", "i", "é"]
    vocab = numbered([*letters, *("##" + letter for letter in letters), "##aaaaaaa"])
    # What counts are the characters after lowering and stripping: these words grow, or shrink.
    units = ("a", "é", "e\u0301", "가", "각", "İ", "a\u200b", "\u0301")
    texts = [unit * count for unit in units for count in range(60, 205)]
    lengths = (0, 199, 200, 201)
    texts += ["a" * before + middle + "a" * after for before in lengths for after in lengths for middle in " .中é"]
    texts += ["a" * 199 + tail for tail in ("é", "각", "e\u0301\u0301", "aa", "Σ")]
    check(texts, Slow(vocab, lower), in_python(vocab, lower), compiled(vocab, lower))


def test_batches_are_split_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    texts = ["".join(rng.choices("aabb  .中Σé", k=rng.choice([0, 0, 1, 3, 9, 40]))) for _ in range(300)]
    slow = Slow(NASTY, True)
    for chunk in (1, 2, 7, 64, 1000, 1 << 16):
        monkeypatch.setattr(fast_wordpiece, "_CHUNK", chunk)
        for tokenizer in (in_python(NASTY, True), compiled(NASTY, True)):
            assert rows(tokenizer.encode_batch(texts)) == [slow.encode(text) for text in texts]
            for few in ([], [""], ["", ""], ["Σ"], ["a", "", "Σ", ""]):
                ids, splits = tokenizer.encode_batch(few)
                assert (ids.dtype, splits.dtype, splits[0]) == (np.int32, np.int64, 0)
                assert len(splits) == len(few) + 1
                assert ids.tolist() == [index for text in few for index in slow.encode(text)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = in_python(NASTY, True)
    tokenizer._ids_of_part._limit = tokenizer._ids_of_word._limit = 10
    texts = [f"ab{number} b{number}" for number in range(100)]
    check(texts, Slow(NASTY, True), tokenizer)
    assert len(tokenizer._ids_of_part) <= 10
    assert len(tokenizer._ids_of_word) <= 10


# --- Vocabularies ----------------------------------------------------------------------------------------------------

SMALL = "abéΣσ中.#\x11"


@settings(max_examples=120)
@given(
    st.lists(st.text(SMALL, max_size=5) | st.text(SMALL, max_size=9).map("##".__add__), max_size=25),
    st.lists(st.text(SMALL + "B ́", max_size=60), max_size=5),
    st.integers(0, 9),
    st.booleans(),
)
def test_any_vocabulary(pieces: list[str], texts: list[str], gap: int, lower: bool) -> None:
    vocab = {piece: index * (gap + 1) + gap for piece, index in numbered(pieces).items()}  # Ids with holes.
    check(texts, Slow(vocab, lower), in_python(vocab, lower), compiled(vocab, lower))


def test_longest_pieces() -> None:
    vocab = numbered(["a" * 200, "a" * 201, "##" + "a" * 199, "##" + "a" * 200, "a", "b", "##b", "ba"])
    texts = ["a" * count for count in range(195, 204)] + ["b" + "a" * count for count in range(195, 204)]
    check(texts, Slow(vocab, True), in_python(vocab, True), compiled(vocab, True))


ARMENIAN = [chr(code) for code in range(0x561, 0x587)]
SYMBOLS = sorted({*"".join(SPECIAL), *ARMENIAN})  # The kernel's, from 2 on, for vocabularies of these letters.
BASE = (2 + len(SYMBOLS)) | 1


def number_of(word: str) -> int:
    return sum((2 + SYMBOLS.index(letter)) * BASE**offset for offset, letter in enumerate(reversed(word)))


def word_of(number: int) -> str:
    word = ""
    while number > 0:
        number, digit = divmod(number, BASE)
        word = (SYMBOLS[digit - 2] if 2 <= digit < 2 + len(SYMBOLS) else " ") + word
    return word


def test_enough_expected_text_loads_the_kernel_at_once(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, "a"]) + "\n", encoding="utf-8")
    tokenizer = FastTokenizer(str(tmp_path / "vocab.txt"))
    tokenizer.expect(1000)
    assert tokenizer._kernel is None
    tokenizer.expect(10**7)
    assert tokenizer._kernel is _wordpiece_numba


def test_words_with_the_same_number_are_distinguished() -> None:
    """Words and pieces that are one number to the kernel: 2**64 or its multiples are carried through the digits."""
    rng = random.Random(5)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 100:
        one = "".join(rng.choices(ARMENIAN, k=rng.choice([8, 12, 13])))
        other = word_of(number_of(one) + rng.randint(1, 1000) * 2**64)
        if set(other) <= set(ARMENIAN):
            pairs.append((one, other))
    assert {len(other) - len(one) for one, other in pairs} >= {0, 4}
    texts = [text for pair in pairs for word in pair for text in (word, ARMENIAN[0] + word)]
    for pieces in zip(*pairs, strict=True):
        vocab = numbered([*ARMENIAN, *pieces[::2], *("##" + piece for piece in pieces[1::2])])
        tokenizer = compiled(vocab, False)
        tables = _wordpiece_numba.arrays_of(*tokenizer._tables)
        assert int(tables.powers[1]) == BASE
        assert tables.exact_length == 11
        check(texts, Slow(vocab, False), tokenizer)


def test_pieces_at_the_end_of_the_hash_table() -> None:
    words = ["".join(letters) for letters in itertools.product(ARMENIAN[:20], repeat=3)]
    last = [word for word in words if _wordpiece_numba._slot(np.uint64(number_of(word)), 128) == 127][:40]
    vocab = numbered([*ARMENIAN[:10], *last[:20], *("##" + word for word in [*last[:20], *ARMENIAN])])
    tokenizer = compiled(vocab, False)
    assert len(_wordpiece_numba.arrays_of(*tokenizer._tables).slots) == 2 * 128
    check([*last, *(ARMENIAN[0] + word for word in last)], Slow(vocab, False), tokenizer)


def test_interface(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, "walk", "##ed", ",", "Walk", "##"]) + "\n", encoding="utf-8")
    fast, full = FastTokenizer(str(path)), FullTokenizer(path)
    assert (fast.vocab, fast.inv_vocab, fast.do_lower_case) == (full.vocab, full.inv_vocab, True)
    assert fast.tokenize("WALKED, wálk walks") == ["walk", "##ed", ",", "walk", "[UNK]"]
    assert fast.tokenize(b"WALKED") == fast.tokenize(b"walked") == ["walk", "##ed"]
    assert fast.encode("walked Walk") == fast.convert_tokens_to_ids(["walk", "##ed", "walk"]) == [5, 6, 5]
    assert fast.convert_ids_to_tokens([5, 6]) == ["walk", "##ed"]
    assert fast.is_continuation.tolist() == [piece.startswith("##") for piece in full.vocab]
    assert fast.is_continuation.dtype == bool
    cased = FastTokenizer(str(path), do_lower_case=False)
    assert cased.encode("Walk walk wálk") == [8, 5, 1]
    with pytest.raises(InputError, match="token 'c' is not in the vocabulary"):
        fast.convert_tokens_to_ids(["c"])
    with pytest.raises(InputError, match="id 99 is not in the vocabulary"):
        fast.convert_ids_to_tokens([99])
    with pytest.raises(InputError, match="is not UTF-8"):
        fast.encode(b"\xff")
    with pytest.raises(InputError, match="Cannot read"):
        FastTokenizer(str(tmp_path / "nothing.txt"))


@pytest.mark.parametrize("make", [in_python, compiled])
def test_batches_must_contain_texts(make: "type[FastTokenizer]") -> None:
    tokenizer = make(SCARCE, True)
    with pytest.raises(TypeError, match="a sequence of texts; for a single one, use encode"):
        tokenizer.encode_batch("ab")
    for wrong in ([b"ab"], ["ab", None], [3]):
        with pytest.raises(TypeError):
            tokenizer.encode_batch(wrong)
    with pytest.raises(ValueError, match="must be str or bytes, not int"):
        tokenizer.encode(3)


def test_unused_ids_are_not_continuations() -> None:
    vocab = {"[UNK]": 1, "a": 4, "##a": 7}
    assert in_python(vocab, True).is_continuation.tolist() == [False] * 7 + [True]


# --- Loading the kernel ----------------------------------------------------------------------------------------------


def test_the_kernel_is_loaded_after_enough_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_wordpiece, "_PATIENCE", 100)
    tokenizer = with_patience(SCARCE, True, fast_wordpiece._PATIENCE)
    text = "ab a.b" * 10
    expected = Slow(SCARCE, True).encode(text)
    assert tokenizer.encode(text) == expected
    assert tokenizer._kernel is None
    assert tokenizer.encode(text) == expected
    assert tokenizer._kernel is _wordpiece_numba
    assert tokenizer.encode(text) == expected


def test_importing_imports_neither_numba_nor_tensorflow() -> None:
    program = (
        "import sys, bert_tf2.tokenization.fast_wordpiece; "
        "sys.exit(any(n in sys.modules for n in ('numba', 'tensorflow')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


# --- Other processes -------------------------------------------------------------------------------------------------


def test_pickling() -> None:
    tokenizer = compiled(NASTY, False)
    again = pickle.loads(pickle.dumps(tokenizer))
    assert (again.vocab, again.do_lower_case, again._kernel) == (NASTY, False, None)
    assert len(pickle.dumps(tokenizer)) < 20_000  # The vocabulary, no tables.
    check(["Ab ab Σ é"], Slow(NASTY, False), again)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers(method: str) -> None:
    tokenizer = compiled(NASTY, True)
    texts = ["ab Σa é", "中 ab" * 20]
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        ids, splits = pool.submit(tokenizer.encode_batch, texts).result()
    expected = tokenizer.encode_batch(texts)
    np.testing.assert_array_equal(ids, expected.values)
    np.testing.assert_array_equal(splits, expected.row_splits)


# --- Texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VOCABULARIES)
def test_texts(name: str) -> None:
    full = FullTokenizer(GOLDEN / "own" / f"vocab_{name}.txt", VOCABULARIES[name])
    fast = compiled(full.vocab, VOCABULARIES[name])
    paths = [path for path in (GOLDEN / "own").rglob("*") if path.suffix in (".txt", ".tsv", ".json")]
    assert len(paths) >= 15
    for path in paths:
        texts = path.read_text(encoding="utf-8").split("\n")
        tokens = [full.tokenize(text) for text in texts]
        assert rows(fast.encode_batch(texts)) == [full.convert_tokens_to_ids(row) for row in tokens], path
        assert [fast.tokenize(text) for text in texts] == tokens, path
        check(texts[::20], Slow(full.vocab, VOCABULARIES[name]), in_python(full.vocab, VOCABULARIES[name]))
