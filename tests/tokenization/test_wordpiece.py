"""The tokenizers against an independent, slow reading of the rules; the vocabulary's and the case check's errors."""

import csv
import gzip
import json
import logging
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from helpers.repository import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tokenization import vocab_case
from bert_tf2.tokenization.vocab_case import validate_case_matches_checkpoint
from bert_tf2.tokenization.wordpiece import (
    BasicTokenizer,
    FullTokenizer,
    WordpieceTokenizer,
    convert_ids_to_tokens,
    convert_to_unicode,
    convert_tokens_to_ids,
    load_vocab,
    printable_text,
    whitespace_tokenize,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNCASED = BasicTokenizer(do_lower_case=True)
CASED = BasicTokenizer(do_lower_case=False)


# --- A slow, obvious reading of the rules ----------------------------------------------------------------------------


def reference_words(text: str, lower: bool) -> list[str]:
    """Reads the text once, character by character, into raw words, then finishes each raw word."""
    words: list[str] = []
    raw = ""
    for char in text:
        number, category = ord(char), unicodedata.category(char)
        if category == "Zs" or number in (9, 10, 13):
            words += finish_word(raw, lower)
            raw = ""
        elif number in (0, 65533) or category == "Cc" or category == "Cf":
            pass
        elif category in ("Zl", "Zp"):  # Not cleaned, but whitespace to Python, which splits the words.
            words += finish_word(raw, lower)
            raw = ""
        elif is_chinese(number):
            words += finish_word(raw, lower) + finish_word(char, lower)
            raw = ""
        else:
            raw += char
    return words + finish_word(raw, lower)


def is_chinese(number: int) -> bool:
    if number < 0x20000:
        return 0x3400 <= number <= 0x4DBF or 0x4E00 <= number <= 0x9FFF or 0xF900 <= number <= 0xFAFF
    if 0x2A6E0 <= number <= 0x2A6FF:  # Between extensions B and C.
        return False
    return number <= 0x2CEAF or 0x2F800 <= number <= 0x2FA1F


def finish_word(raw: str, lower: bool) -> list[str]:
    """The word in lower case without accents, split before and after each punctuation mark."""
    letters = list(raw)
    if lower:
        letters = [char for char in decomposed(raw.lower()) if unicodedata.category(char) != "Mn"]
    words = [""]
    for char in letters:
        if is_mark(char):
            words += [char, ""]
        else:
            words[-1] += char
    return [word for word in words if word]


def is_mark(char: str) -> bool:
    printable_ascii = "!" <= char <= "~"
    return (printable_ascii and not char.isalnum()) or unicodedata.category(char)[0] == "P"


def decomposed(text: str) -> list[str]:
    """NFD from the tables: each character fully decomposed, then runs of marks sorted by their class."""
    output: list[str] = []
    for char in (part for composed in text for part in parts(composed)):
        output.append(char)
        position = len(output) - 1
        own = unicodedata.combining(char)
        while own and position and unicodedata.combining(output[position - 1]) > own:
            output[position - 1], output[position] = output[position], output[position - 1]
            position -= 1
    return output


def parts(char: str) -> list[str]:
    syllable = ord(char) - 0xAC00
    if 0 <= syllable < 11172:  # Hangul, by arithmetic.
        jamo = [0x1100 + syllable // 588, 0x1161 + syllable % 588 // 28, 0x11A7 + syllable % 28]
        return [chr(number) for number in jamo if number != 0x11A7]
    rule = unicodedata.decomposition(char)
    if not rule or rule.startswith("<"):
        return [char]
    return [part for number in rule.split() for part in parts(chr(int(number, 16)))]


def reference_pieces(word: str, vocab: Iterable[str]) -> list[str]:
    """The longest piece that matches at the beginning, then the same for the rest."""
    pieces: list[str] = []
    rest = word
    while rest:
        marker = "##" if pieces else ""
        fitting = [piece for piece in vocab if len(piece) > len(marker) and (marker + rest).startswith(piece)]
        if not fitting:
            return ["[UNK]"]
        pieces.append(max(fitting, key=len))
        rest = (marker + rest).removeprefix(pieces[-1])
    return pieces


# --- BasicTokenizer --------------------------------------------------------------------------------------------------


def every_code_point() -> Iterable[str]:
    return (chr(number) for number in range(0x110000) if not 0xD800 <= number <= 0xDFFF)


WAYS = pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
AROUND = pytest.mark.parametrize("around", [("", ""), ("a", "b")], ids=["alone", "inside"])
WRITTEN = [*range(0x40000), *range(0xE0000, 0xE1000)]  # all others are unassigned or private


@WAYS
@AROUND
def test_code_points_of_written_text(lower: bool, around: tuple[str, str]) -> None:
    check_code_points((chr(number) for number in WRITTEN if not 0xD800 <= number <= 0xDFFF), lower, around)


@pytest.mark.slow
@WAYS
@AROUND
def test_code_points_of_all_planes(lower: bool, around: tuple[str, str]) -> None:
    check_code_points(every_code_point(), lower, around)


def check_code_points(characters: Iterable[str], lower: bool, around: tuple[str, str]) -> None:
    before, after = around
    tokenize = (UNCASED if lower else CASED).tokenize
    wrong = [
        f"U+{ord(char):04X}"
        for char in characters
        if tokenize(before + char + after) != reference_words(before + char + after, lower)
    ]
    assert not wrong, f"{len(wrong)} differ, {wrong[:10]}"


# One or more characters for each rule and each known trap.
TRAPS = (
    "aBzß1 \t\n\r\0\x0b\x0c\x1c\x1f\x7f\x85\xa0\xad.,-$^~`'\"[]#éÉİıſÀÅΣσςΑάΆ中豈𠮷あア한각½ﬁ，。؟"
    "\u0300\u0301\u0308\u0323\u0345\u0f71\u0f74\u302e\u3099\u1100\u1161\u11a8\u037e\u1fef\u2126\u212a"
    "\u200b\u200d\u2028\u2029\u3000\u1680\u180e\ufeff\ufffd\ue000\u20dd\U0001d15e\U0002b820\U0002ebe0\U0001f600\ud800"
)
TEXT = st.one_of(
    st.text(),
    st.text(st.sampled_from(TRAPS)),
    st.text(st.characters(min_codepoint=0x300, max_codepoint=0x530)),
    st.text(st.sampled_from([char for char in every_code_point() if unicodedata.combining(char)] + list("ae "))),
)


@settings(max_examples=1500)
@given(text=TEXT, lower=st.booleans())
def test_any_text(text: str, lower: bool) -> None:
    assert (UNCASED if lower else CASED).tokenize(text) == reference_words(text, lower)


@pytest.mark.parametrize(
    ("text", "uncased", "cased"),
    [
        (" \r\nThe  OLD\tman:gone\n", "the old man : gone", "The OLD man : gone"),
        ("Crème brûlée", "creme brulee", "Crème brûlée"),
        ("in北京x", "in 北 京 x", "in 北 京 x"),
        ("東京のカフェ", "東 京 のカフェ", "東 京 のカフェ"),  # Kana are no Chinese characters.
        ("ガ", "カ", "ガ"),  # ... and their voice mark is an accent like any other.
        ("각", "\u1100\u1161\u11a8", "각"),  # Uncased Hangul stays decomposed.
        ("don't $5.99 [MASK] a##b", "don ' t $ 5 . 99 [ mask ] a # # b", "don ' t $ 5 . 99 [ MASK ] a # # b"),
        ("a\0b\ufffdc\u200bd\u00ade\x85f\x1cg\x0bh", "abcdefgh", "abcdefgh"),  # Deletions join their neighbours.
        ("a\u00a0b\u3000c\rd\u2028e\u2029f", "a b c d e f", "a b c d e f"),
        ("ΟΔΟΣ ΣΟΣ", "οδος σος", "ΟΔΟΣ ΣΟΣ"),
        ("ΑΣ'Α ΑΣ中Α ΑΣ\u200dΑ", "ασ ' α ας 中 α ασα", "ΑΣ ' Α ΑΣ 中 Α ΑΣΑ"),  # Lowercased before marks are removed.
        ("İß½，ﬁ", "iß½ ， ﬁ", "İß½ ， ﬁ"),  # No case folding, no compatibility forms.
        ("\u212b\u037e\u1fef", "a ; `", "\u212b \u037e \u1fef"),
        ("\uf900\ue000\U0002ebe0", "\u8c48 \ue000\U0002ebe0", "\uf900 \ue000\U0002ebe0"),  # Private use, extension F.
        ("", "", ""),
        ("\u200b \x00", "", ""),
    ],
)
def test_known_texts(text: str, uncased: str, cased: str) -> None:
    assert UNCASED.tokenize(text) == uncased.split()
    assert CASED.tokenize(text) == cased.split()
    assert BasicTokenizer().tokenize(text.encode()) == uncased.split()


# --- WordpieceTokenizer ----------------------------------------------------------------------------------------------


@settings(max_examples=1000)
@given(
    vocab=st.frozensets(st.builds("{}{}".format, st.sampled_from(["", "##"]), st.text("ab#é", max_size=4))),
    word=st.text("ab#é", max_size=12),
)
def test_any_word(vocab: frozenset[str], word: str) -> None:
    assert WordpieceTokenizer(vocab).tokenize(word) == reference_pieces(word, vocab)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("walked", ["walk", "##ed"]),
        (" walked\twalk ", ["walk", "##ed", "walk"]),
        (b"walk", ["walk"]),
        ("walkedx", ["[UNK]"]),  # Split completely or not at all.
        ("xwalk walk", ["[UNK]", "walk"]),
        ("edwalk", ["[UNK]"]),  # "##ed" cannot start a word.
        ("[MASK]", ["[MASK]"]),
        ("##ed", ["##ed"]),
        # Longest match first, without backtracking: after "walk", "s" is left, though "wal" + "##ks" matches.
        ("walks", ["[UNK]"]),
    ],
)
def test_known_pieces(text: str | bytes, pieces: list[str]) -> None:
    vocab = dict.fromkeys(["[MASK]", "wal", "walk", "##ks", "##ed", "##e", "##d", ""])
    assert WordpieceTokenizer(vocab).tokenize(text) == pieces


def test_longest_word() -> None:
    tokenizer = WordpieceTokenizer({"é", "##é"})
    assert tokenizer.tokenize("é" * 200) == ["é"] + ["##é"] * 199
    assert tokenizer.tokenize("é" * 201 + " é") == ["[UNK]", "é"]
    assert WordpieceTokenizer({"a"}, unk_token="?", max_input_chars_per_word=1).tokenize("a aa b") == ["a", "?", "?"]


# --- Vocabulary ------------------------------------------------------------------------------------------------------

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "vocab.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("{}\na\n##b\n", {"a": 5, "##b": 6}),
        ("{}\na\n##b", {"a": 5, "##b": 6}),
        ("{}\n a\u3000\n##b\t \n", {"a": 5, "##b": 6}),  # Whitespace around a piece.
        ("{}\na\n\n\r\n \t\n", {"a": 5}),  # Empty lines at the end are not pieces;
        ("{}\n\na\n", {"": 5, "a": 6}),  # an empty line before another piece is one,
        ("{}\n\u2028\n##\u2028\na\n", {"": 5, "##": 6, "a": 7}),  # as is a piece of whitespace,
        ("{}\na\n\u2028\n", {"a": 5, "": 6}),
        ("{}\n\n\u2028\n##\n##\u3000\na\n", {"": 6, "##": 8, "a": 9}),  # ... and of several the last counts.
        ("{}\na\rb\x0bc\n", {"a\rb\x0bc": 5}),  # Only \n ends a line.
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_load_vocab(write: Write, content: str, more: dict[str, int], line_end: str) -> None:
    expected = {**{token: index for index, token in enumerate(SPECIAL)}, **more}
    path = write(content.format("\n".join(SPECIAL)).replace("\r\n", "\n").replace("\n", line_end))
    assert list(load_vocab(path).items()) == list(expected.items())
    assert load_vocab(str(path)) == expected


SPECIAL_LINES = "\n".join(SPECIAL) + "\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["is empty", "one piece per line"]),
        ("\n \r\n", ["is empty"]),
        (SPECIAL_LINES + "a\nb\na\n", ["'a'", "line 6 and again on line 8", "must occur once", "rename"]),
        (SPECIAL_LINES + "a\na\u3000\n", ["'a'", "line 6 and again on line 7"]),
        (SPECIAL_LINES + "\na\n \nb\n", ["''", "line 6 and again on line 8"]),
        ("[PAD]\n[UNK]\nb\n[MASK]\n", ["lacks [CLS], [SEP];", "Found 4 lines", "the first is '[PAD]'", "vocab.txt"]),
        ("{\n", ["lacks [PAD], [UNK], [CLS], [SEP], [MASK];", "the first is '{'"]),
        ("\ufeff" + SPECIAL_LINES, ["lacks [PAD];", "'\\ufeff[PAD]'"]),
        (SPECIAL_LINES.encode() + b"caf\xe9\n", ["line 6", "not UTF-8"]),
    ],
)
def test_vocab_errors(write: Write, content: str | bytes, words: list[str]) -> None:
    path = write(content)
    with pytest.raises(InputError) as caught:
        FullTokenizer(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("token", SPECIAL)
def test_each_special_token_is_needed(write: Write, token: str) -> None:
    with pytest.raises(InputError, match=rf"lacks \{token};"):
        load_vocab(write(SPECIAL_LINES.replace(token + "\n", "other\n")))


def test_vocab_file_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*nothing\.txt"):
        load_vocab(tmp_path / "nothing.txt")


# --- FullTokenizer and ids -------------------------------------------------------------------------------------------


def test_full_tokenizer(write: Write) -> None:
    tokenizer = FullTokenizer(write(SPECIAL_LINES + "walk\n##ed\n,\nWalk\n"))
    tokens = ["walk", "##ed", ",", "walk", "[UNK]"]
    assert tokenizer.tokenize("WALKED, wálk walks") == tokenizer.tokenize("WALKED, wálk walks".encode()) == tokens
    assert tokenizer.convert_tokens_to_ids(tokens) == [5, 6, 7, 5, 1]
    assert tokenizer.convert_ids_to_tokens([5, 6, 7, 5, 1]) == tokens
    assert tokenizer.inv_vocab[8] == "Walk"
    assert tokenizer.basic_tokenizer.do_lower_case is True
    assert tokenizer.wordpiece_tokenizer.vocab is tokenizer.vocab
    cased = FullTokenizer(write(SPECIAL_LINES + "walk\nWalk\n"), do_lower_case=False)
    assert cased.tokenize("Walk walk") == ["Walk", "walk"]


def test_ids_and_back() -> None:
    vocab = {"a": 7, "b": 9}
    assert convert_tokens_to_ids(vocab, ["b", "a", "b"]) == [9, 7, 9]
    assert convert_ids_to_tokens({7: "a", 9: "b"}, [9, 7]) == ["b", "a"]
    assert convert_tokens_to_ids(vocab, []) == []
    with pytest.raises(InputError, match="token 'c' is not in the vocabulary of 2 pieces; use the vocabulary file"):
        convert_tokens_to_ids(vocab, ["a", "c"])
    with pytest.raises(InputError, match="id -1 is not in the vocabulary of 2 pieces"):
        convert_ids_to_tokens({7: "a", 9: "b"}, [-1])


def test_text() -> None:
    assert convert_to_unicode("é") == convert_to_unicode("é".encode()) == printable_text("é".encode()) == "é"
    assert printable_text(b"a\xe9b") == "ab"
    assert whitespace_tokenize(" a\u2028b\x85c  ") == ["a", "b", "c"]
    assert whitespace_tokenize(" ") == []
    with pytest.raises(InputError, match=r"Byte 4 of the text \(0xe9, in b'caf\\xe9'\) is not UTF-8; convert"):
        BasicTokenizer().tokenize(b"caf\xe9")
    for function in (convert_to_unicode, printable_text):
        with pytest.raises(ValueError, match="must be str or bytes, not int"):
            function(5)  # type: ignore[arg-type]


# --- The original's outputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_google_ids_of_cola(split: str) -> None:
    directory = GOLDEN / "own/classifier"
    tokenizer = FullTokenizer(GOLDEN / "own/vocab_uncased.txt")
    with (directory / "cola" / f"{split}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [row[1] for row in rows[1:]] if split == "test" else [row[3] for row in rows]
    with gzip.open(directory / f"cola.{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(records) == len(texts) >= 20
    for text, record in zip(texts, records, strict=True):
        ids = tokenizer.convert_tokens_to_ids(["[CLS]", *tokenizer.tokenize(text)[:14], "[SEP]"])
        assert ids + [0] * (16 - len(ids)) == record["input_ids"]


def test_google_tokens_of_features() -> None:
    tokenizer = FullTokenizer(GOLDEN / "tiny/vocab.txt")
    assert len(tokenizer.vocab) == 2006
    texts = (GOLDEN / "features/input.txt").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in (GOLDEN / "features/output.jsonl").read_text("utf-8").splitlines()]
    for text, record in zip(texts, records, strict=True):
        tokens = [token for part in text.split(" ||| ") for token in tokenizer.tokenize(part)]
        recorded = [feature["token"] for feature in record["features"]]
        if len(recorded) < 24:  # not truncated
            assert [token for token in recorded if token not in ("[CLS]", "[SEP]")] == tokens


# --- Case ------------------------------------------------------------------------------------------------------------

LOWER_CASE_RELEASES = [f"{kind}_L-12_H-768_A-12" for kind in ("uncased", "multilingual", "chinese")]
LOWER_CASE_RELEASES += ["uncased_L-24_H-1024_A-16", "wwm_uncased_L-24_H-1024_A-16", "uncased_L-10_H-512_A-8"]
CASED_RELEASES = [f"{kind}_L-12_H-768_A-12" for kind in ("cased", "multi_cased")]
CASED_RELEASES += ["cased_L-24_H-1024_A-16", "wwm_cased_L-24_H-1024_A-16"]


@pytest.mark.parametrize("path", ["{}/bert_model.ckpt", "gs://bucket/cased/{}/bert_model.ckpt-1000"])
@pytest.mark.parametrize(
    ("release", "lower"), [(f, True) for f in LOWER_CASE_RELEASES] + [(f, False) for f in CASED_RELEASES]
)
def test_released_checkpoints_of_another_case_are_refused(
    release: str, lower: bool, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = path.format(release)
    validate_case_matches_checkpoint(lower, checkpoint)
    with pytest.raises(InputError) as caught:
        validate_case_matches_checkpoint(not lower, Path(checkpoint) if checkpoint.startswith(release) else checkpoint)
    kind = "lower-cased" if lower else "cased"
    assert f"--do_lower_case={not lower} does not fit --init_checkpoint={checkpoint}:" in str(caught.value)
    assert f"{release} was trained on {kind} text. Pass --do_lower_case={lower};" in str(caught.value)
    assert not caplog.records


@pytest.mark.parametrize(
    ("checkpoint", "lower", "name"),
    [
        ("models/my_uncased_run/model.ckpt-100", True, "my_uncased_run"),
        ("uncased/runs/multi-cased-v2/bert_model.ckpt", False, "multi-cased-v2"),  # The last name counts.
        ("runs/BERT-Cased.ckpt", False, "BERT-Cased.ckpt"),
        ("C:\\models\\cased\\1\\model.ckpt", False, "cased"),
        ("chinese_L-12_H-768_A-12/model.ckpt-7", True, "chinese_L-12_H-768_A-12"),
        ("cased_L-12_H-768_A-12", False, "cased_L-12_H-768_A-12"),
        ("uncased_L-3_H-768_A-12/bert_model.ckpt", True, "uncased_L-3_H-768_A-12"),
    ],
)
def test_names_that_suggest_another_case_are_warned_about(
    checkpoint: str, lower: bool, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    validate_case_matches_checkpoint(lower, checkpoint)
    assert not caplog.records
    validate_case_matches_checkpoint(not lower, checkpoint)
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, vocab_case.__name__)
    kind = "lower-cased" if lower else "cased"
    message = record.getMessage()
    assert f"--do_lower_case={not lower}, but by the name {name} the checkpoint {checkpoint} was trained on" in message
    assert f"trained on {kind} text. If so, pass --do_lower_case={lower}:" in message


@pytest.mark.parametrize(
    "checkpoint",
    [None, "", "bert_model.ckpt", "my/bert_model.ckpt", "lowercased/showcased.ckpt", "cased_or_uncased/model.ckpt"],
)
@pytest.mark.parametrize("lower", [True, False])
def test_unknown_case(checkpoint: str | None, lower: bool, caplog: pytest.LogCaptureFixture) -> None:
    validate_case_matches_checkpoint(lower, checkpoint)
    assert not caplog.records
