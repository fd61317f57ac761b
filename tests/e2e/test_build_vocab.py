"""build_vocab.py: learned and extended vocabularies of both kinds, the same bytes again, its errors."""

import gzip
import logging
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.repository import GOLDEN, REPOSITORY, own_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tokenization import vocab_training
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.vocab_runner import VocabularyConfig, build_vocabulary
from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer, WordpieceTokenizer

SCRIPT = str(REPOSITORY / "build_vocab.py")
HEAD = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LOW = {"low": 5, "lower": 2, "newest": 6, "widest": 3}  # the example of the paper on byte-pair encoding
TEXT = "\n".join(" ".join([word] * count) for word, count in LOW.items()) + "\n"

words_of_letters = st.dictionaries(
    st.text(st.sampled_from("abcxyzäß中文。9"), min_size=1, max_size=8), st.integers(1, 50), min_size=1, max_size=30
)


def run_script(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *flags], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def old_vocab(tmp_path: Path) -> Path:
    path = tmp_path / "old.txt"
    pieces = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "a", "##b", "low", "##er", "##e"]
    path.write_text("\n".join([*pieces, "[unused7]"]) + "\n")
    return path


def build(text: Path, output: Path, **changes: Any) -> list[str]:
    build_vocabulary(VocabularyConfig(str(text), str(output), **changes))
    return output.read_text(encoding="utf-8").split("\n")[:-1] if output.suffix == ".txt" else []


# --- Words -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=30), max_size=8), st.booleans())
def test_words_are_those_of_the_tokenizer(lines, do_lower_case):
    basic = BasicTokenizer(do_lower_case)
    expected = Counter(word for line in lines for word in basic.tokenize(line))
    assert vocab_training.count_words(lines, basic.tokenize) == expected


def test_words_of_text():
    basic = BasicTokenizer()
    expected = Counter(word for line in own_lines() for word in basic.tokenize(line))
    assert vocab_training.count_words(own_lines(), basic.tokenize) == expected


def test_counting_continues_over_many_flushes(monkeypatch):
    monkeypatch.setattr(vocab_training, "_FLUSH_CHARACTERS", 7)
    assert vocab_training.count_words(["a b a", "a c", "", "b a"] * 5, str.split) == {"a": 20, "b": 10, "c": 5}


def test_the_rarest_words_are_dropped_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(vocab_training, "_FLUSH_CHARACTERS", 1)
    lines = ["a a b b b", "c d", "e", "f f f f", "e"]
    # After "e" there are 5 words, more than 4: the best 2 stay. Then f and e are counted from 0 again.
    assert vocab_training.count_words(lines, str.split, most_words=4) == {"b": 3, "a": 2, "f": 4, "e": 1}


def test_alphabet_is_the_most_frequent_characters():
    counts = {"e": 9, "中": 5, "a": 5, "q": 1}
    assert vocab_training.choose_alphabet(counts, 3) == ["a", "e", "中"]
    assert vocab_training.choose_alphabet(counts, 2) == ["a", "e"]  # of equally frequent ones the lower code point
    assert vocab_training.choose_alphabet(counts, 9) == ["a", "e", "q", "中"]


def test_alphabet_covers_the_text_and_keeps_ascii():
    counts = {"a": 999_967, "7": 3, "é": 11, "中": 9, "文": 7, "Ω": 3}  # 10 of 1,000,000 may be missing
    assert vocab_training.choose_alphabet(counts) == ["7", "a", "é", "中"]
    assert vocab_training.choose_alphabet({"a": 1, "é": 1}) == ["a", "é"]
    assert vocab_training.choose_alphabet({}) == []


# --- WordPiece -------------------------------------------------------------------------------------------------------


def test_head_has_the_ids_of_googles_vocabularies():
    unused = [f"[unused{number}]" for number in range(994)]
    assert vocab_training.head(994) == ["[PAD]", *unused[:99], *HEAD[1:], *unused[99:]]
    assert vocab_training.head(100) == ["[PAD]", *unused[:99], *HEAD[1:], "[unused99]"]


def test_head_with_few_slots():
    assert vocab_training.head(0) == HEAD
    assert vocab_training.head(2) == ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_continuation_pieces_only_of_characters_that_continue_words():
    assert vocab_training.character_pieces("!a1中é") == ["!", "a", "1", "中", "é", "##a", "##1", "##é"]


def test_vocabulary_of_the_classic_example():
    pieces = vocab_training.learn_wordpiece(LOW, 100, num_unused=1)
    letters = sorted(set("".join(LOW)))
    assert pieces[:6] == ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert pieces[6 : 6 + 2 * len(letters)] == [*letters, *(f"##{letter}" for letter in letters)]
    assert pieces[26:28] == ["##es", "##est"]  # the most frequent merges: es 9, est 9
    assert {"low", "newest", "widest", "lower"} < set(pieces)
    # Four slots: the intermediate steps, ##es, ##est, ##lo, new and so on, are pieces of no word and are dropped.
    assert vocab_training.learn_wordpiece(LOW, 30, num_unused=1)[26:] == ["low", "newest", "widest", "lower"]
    assert vocab_training.learn_wordpiece(LOW, 28, num_unused=1)[26:] == ["low", "newest"]


def test_a_word_seen_once_does_not_take_the_place_of_an_earlier_merge():
    words = {"abcd": 9, "abce": 9, "xyxyzz": 1}
    merges = [merge for merge in vocab_training._merges(list(words), words, 60) if len(merge.removeprefix("##")) > 1]
    assert merges[:6] == ["##ab", "##abc", "abc", "abcd", "abce", "##xy"]
    characters = 5 + len(vocab_training.character_pieces("abcdexyz"))
    assert vocab_training.learn_wordpiece(words, characters + 6, num_unused=0)[characters:] == merges[:6]
    words["xyxyzz"] = 2
    assert "xyxyzz" in vocab_training.learn_wordpiece(words, characters + 6, num_unused=0)[characters:]


@settings(max_examples=60)
@given(words_of_letters, st.integers(40, 90), st.integers(0, 5), st.integers(1, 3))
def test_text_of_the_alphabet_is_never_unknown(words, vocab_size, num_unused, min_count):
    lines = [f"{word} " * count for word, count in words.items()]
    words = vocab_training.count_words(lines, BasicTokenizer().tokenize)
    pieces = vocab_training.learn_wordpiece(words, vocab_size, num_unused=num_unused, min_count=min_count)
    assert len(pieces) == len(set(pieces)) <= vocab_size
    assert all(
        words[piece] >= min_count for piece in pieces[5:] if piece[0] not in "[#" and len(piece) > 1 and piece in words
    )
    cut = WordpieceTokenizer(frozenset(pieces)).tokenize
    for word in words:
        assert "".join(piece.removeprefix("##") for piece in cut(word)) == word


def test_min_count_decides_which_words_are_learned_from():
    pieces = vocab_training.learn_wordpiece({"frequent": 9, "rarely": 2}, 90, num_unused=0, min_count=3)
    assert "frequent" in pieces
    longer = {piece.removeprefix("##") for piece in pieces[5:]} - set("frequentrarely")
    assert all(piece in "frequent" for piece in longer)
    assert {"y", "##y"} <= set(pieces)


def test_words_too_long_or_with_reserved_characters_are_not_learned_from():
    words = {"ab" * 101: 50, "x▁ab": 50, "x\u2585y": 50}
    pieces = vocab_training.learn_wordpiece(words, 60, num_unused=0)
    assert pieces[5:] == [*sorted("abxy▁\u2585"), *(f"##{char}" for char in sorted("abxy▁\u2585"))]


def test_words_with_omitted_characters_are_not_learned_from():
    pieces = vocab_training.learn_wordpiece(
        {"abz": 50, "abc": 5, "ccc": 90, "ba": 80}, 60, num_unused=0, limit_alphabet=3
    )
    assert {"abc", "ccc", "ba"} < set(pieces)
    assert not any("z" in piece for piece in pieces)


def test_a_size_too_small_for_the_alphabet_is_refused_with_numbers():
    with pytest.raises(
        InputError, match=r"--vocab_size=25 .* 6 special tokens .*20 pieces for the 10 characters.*need 26 "
    ):
        vocab_training.learn_wordpiece(LOW, 25, num_unused=1)
    assert len(vocab_training.learn_wordpiece(LOW, 26, num_unused=1)) == 26
    assert len(vocab_training.learn_wordpiece(LOW, 25, num_unused=1, limit_alphabet=9)) <= 25


def test_used_pieces_are_better_than_the_first_merges():
    words = vocab_training.count_words(own_lines(), BasicTokenizer().tokenize)
    pieces = vocab_training.learn_wordpiece(words, 1000)
    characters = vocab_training.character_pieces(vocab_training.choose_alphabet(vocab_training.count_characters(words)))
    start = 105 + len(characters)
    merges = vocab_training._merges([word for word in vocab_training.ranked(words) if len(word) > 1], words, 1500)
    plain = [*characters, *[piece for piece in merges if piece not in characters][: 1000 - start]]
    chosen, first = (vocab_training.measure(words, WordpieceTokenizer(frozenset(v)).tokenize) for v in (pieces, plain))
    assert len(pieces) == 1000
    assert chosen.words == first.words == 9809
    assert (chosen.pieces, first.pieces) == (10872, 11940)


def test_chinese(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    path = tmp_path / "text.txt"
    path.write_text("今天的天气很好，我们去公园走走。\n他说：明天见！a5 ba\n" * 500 + "龘\n", encoding="utf-8")
    pieces = build(path, tmp_path / "vocab.txt", vocab_size=160, limit_alphabet=23)
    assert {"天", "，", "##a"} < set(pieces)
    assert not {"##天", "##，", "龘"} & set(pieces)
    assert "Dropped the " in caplog.text
    tokenizer = FullTokenizer(tmp_path / "vocab.txt")
    line = path.read_text(encoding="utf-8").split("\n")[0]
    assert tokenizer.tokenize(line) == tokenizer.basic_tokenizer.tokenize(line)


# --- Extending -------------------------------------------------------------------------------------------------------


def test_extend_adds_the_words_that_save_most_pieces(
    text: Path, old_vocab: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    text.write_text("low lower lower lower lowee lowee lowee ab ab ab ab Zürich\n" * 2, encoding="utf-8")
    new = build(text, tmp_path / "new.txt", extend=str(old_vocab), min_count=2)
    # lowee: 6 times, was 3 pieces, saves 12; zurich: 2 times, was unknown, counts 6 each, also 12 (and comes after).
    # ab: 8 times, saves 8; lower: 6 times, saves 6, and finds no slot.
    assert new == ["[PAD]", "lowee", *new[2:6], "zurich", *new[7:12], "ab"]
    before = old_vocab.read_text().split("\n")
    assert [piece for piece in new if piece in before] == [piece for piece in before if piece and "unused" not in piece]
    assert "lowee (6 times), before: low ##e ##e, now: id 1" in caplog.text
    assert "3 words in slots of" in caplog.text
    assert "0 slots left" in caplog.text
    # 24 words: 2 low, 2 [UNK], 6 lower and 8 ab of two pieces, 6 lowee of three; then only lower has two.
    assert "before: 2.083 pieces a word" in caplog.text
    assert "after: 1.250 pieces a word" in caplog.text


def test_extend_within_limits(text: Path, old_vocab: Path, tmp_path: Path):
    text.write_text("lower lower lowee\n")
    before = old_vocab.read_text().split("\n")[:-1]
    new = build(text, tmp_path / "new.txt", extend=str(old_vocab), min_count=2)
    assert new == [before[0], "lower", *before[2:]]
    assert build(text, tmp_path / "one.txt", extend=str(old_vocab), min_count=1, max_new=1) == [
        before[0],
        "lowee",
        *before[2:],
    ]


def test_extend_omits_words_too_long_for_wordpiece(text: Path, old_vocab: Path, tmp_path: Path):
    text.write_text(f"{'x' * 201} {'y' * 200} lower\n" * 5)
    assert build(text, tmp_path / "new.txt", extend=str(old_vocab))[:7:6] == ["[PAD]", "lower"]
    assert build(text, tmp_path / "new.txt", extend=str(old_vocab))[1] == "y" * 200


def test_extend_keeps_line_ends(text: Path, old_vocab: Path, tmp_path: Path):
    text.write_text("lower\n" * 9)
    old_vocab.write_bytes(old_vocab.read_bytes().replace(b"\n", b"\r\n"))
    build(text, tmp_path / "new.txt", extend=str(old_vocab))
    assert (tmp_path / "new.txt").read_bytes() == old_vocab.read_bytes().replace(b"[unused0]", b"lower")


def test_extend_without_slot_or_word(text: Path, old_vocab: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"occurs at least 5 times .* is already a single piece"):
        build(Path(write(text, "lower\n" * 4)), tmp_path / "new.txt", extend=str(old_vocab))
    assert not (tmp_path / "new.txt").exists()
    old_vocab.write_text(old_vocab.read_text().replace("unused", "used"))
    with pytest.raises(InputError, match=r"none of the 13 pieces is an \[unusedN\] slot"):
        build(text, tmp_path / "new.txt", extend=str(old_vocab))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_extend_warns_of_a_cased_vocabulary(
    text: Path, old_vocab: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    old_vocab.write_text(old_vocab.read_text() + "Paris\nLondon\n")
    text.write_text("lower " * 9)
    build(text, tmp_path / "new.txt", extend=str(old_vocab), do_lower_case=False)
    assert not caplog.records
    build(text, tmp_path / "new.txt", extend=str(old_vocab))
    assert f"of the pieces of {old_vocab} have capital letters, which lower-cased text never has" in caplog.text


def test_extend_a_learned_vocabulary(text: Path, tmp_path: Path):
    learned = GOLDEN / "own/vocab_uncased.txt"
    text.write_text("Die Brücke führt über den Fluss.\n" * 9, encoding="utf-8")
    new = build(text, tmp_path / "new.txt", extend=str(learned), max_new=3)
    before = learned.read_text(encoding="utf-8").split("\n")[:-1]
    assert new[1:4] == ["brucke", "fuhrt", "fluss"]
    assert [index for index, (a, b) in enumerate(zip(before, new, strict=True)) if a != b] == [1, 2, 3]
    assert FullTokenizer(tmp_path / "new.txt").tokenize("Brücke") == ["brucke"]


# --- SentencePiece ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_sentencepiece(model_type: str, tmp_path: Path):
    text = GOLDEN / "own/pretraining_data/text.txt"
    kind = {"type": "sentencepiece", "spm_model_type": model_type, "vocab_size": 1000}
    build(text, tmp_path / "a.model", **kind)
    tokenizer = SentencePieceTokenizer(tmp_path / "a.model")
    names = list(tokenizer.vocab)
    assert len(names) == 1000
    assert names[:105] == vocab_training.head(100)
    assert tokenizer.tokenize("The FILE") == tokenizer.tokenize("the file") == ["▁the", "▁file"]
    listed = (tmp_path / "a.vocab").read_text(encoding="utf-8").split("\n")[:-1]
    assert [line.split("\t")[0] for line in listed] == names
    build(text, tmp_path / "cased.model", do_lower_case=False, **kind)
    cased = SentencePieceTokenizer(tmp_path / "cased.model")
    assert cased.tokenize("The") != cased.tokenize("the")


def test_sentencepiece_alphabet():
    words = {"abcab": 9, "bca": 9, "xab": 1, "ÀB": 1}
    model = vocab_training.learn_sentencepiece(words, 14, model_type="bpe", num_unused=0, limit_alphabet=3)
    assert {piece for piece in pieces_of(model) if len(piece) == 1} == {"a", "b", "c", "▁"}
    model = vocab_training.learn_sentencepiece(words, 14, model_type="bpe", num_unused=0)
    assert {piece for piece in pieces_of(model) if len(piece) == 1} == {"a", "b", "c", "x", "à", "▁"}
    with pytest.raises(InputError, match=r"--vocab_size=10 .* ▁ and the 5 characters of the text need 11"):
        vocab_training.learn_sentencepiece(words, 10, num_unused=0)
    assert len(pieces_of(vocab_training.learn_sentencepiece(words, 11, num_unused=0))) == 11
    with pytest.raises(InputError, match="No word of the input occurs at least 10 times"):
        vocab_training.learn_sentencepiece(words, 100, min_count=10)


def pieces_of(model: bytes) -> list[str]:
    from bert_tf2.tokenization.sentencepiece import piece_scores

    return [piece for piece, _ in piece_scores(model)]


def test_parts_for_sentencepiece():
    assert list(vocab_training.split_parts(" a\tb " + "x" * 2500)) == ["a", "b", "x" * 1000, "x" * 1000, "x" * 500]


# --- The command -----------------------------------------------------------------------------------------------------


def test_measure():
    cut = {"a": ["a"], "bc": ["b", "##c"], "?": ["[UNK]"]}.__getitem__
    coverage = vocab_training.measure({"a": 6, "bc": 3, "?": 1}, cut)
    assert coverage == vocab_training.Coverage(words=10, whole=6, unknown=1, pieces=13, characters=13)
    assert str(coverage) == (
        "1.300 pieces a word, 1.00 characters a piece; 60.00% of the words are one piece, 10.000% are unknown"
    )


@pytest.mark.parametrize("flags", [[], ["--type=sentencepiece"], ["--type=sentencepiece", "--spm_model_type=bpe"]])
def test_same_text_same_bytes(flags: list[str], tmp_path: Path):
    lines = own_lines()
    written = []
    for run, seed in enumerate(("0", "1")):
        text, output = tmp_path / f"{run}.txt", tmp_path / f"out{run}.model"
        random.Random(run).shuffle(lines)  # nor does the order of the lines matter
        text.write_text("\n".join(lines), encoding="utf-8")
        done = run_script(
            f"--input_file={text}", f"--output_file={output}", "--vocab_size=1200", *flags, PYTHONHASHSEED=seed
        )
        assert done.returncode == 0, done.stderr
        written.append([path.read_bytes() for path in sorted(tmp_path.glob(f"out{run}.*"))])
    assert written[0] == written[1]
    assert len(written[0]) == (2 if flags else 1)


def test_the_script_logs_what_it_did(text: Path, tmp_path: Path):
    output = tmp_path / "new" / "vocab.txt"
    done = run_script(f"--input_file={text}", f"--output_file={output}", "--vocab_size=40", "--num_unused=3")
    assert done.returncode == 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == f"Reading {text}"
    assert lines[1].startswith("Counted 16 words, 4 of them distinct, in ")
    assert lines[3:] == [
        f"Wrote {output}: 40 pieces, of which 8 special tokens and unused slots, 20 characters, 12 longer pieces",
        'For a model with this vocabulary, set "vocab_size": 40 in its bert_config.json',
        "On this text: 1.000 pieces a word, 4.94 characters a piece; 100.00% of the words are one piece, "
        "0.000% are unknown",
    ]
    assert list(output.parent.iterdir()) == [output]


def test_fewer_pieces_than_requested_are_a_warning(text: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    size = len(build(text, tmp_path / "vocab.txt"))
    assert f"Only {size} pieces could be learned from the text, fewer than --vocab_size=30,522" in caplog.text


def test_several_files_packed_and_cased(text: Path, tmp_path: Path):
    (tmp_path / "more.txt.gz").write_bytes(gzip.compress("Äpfel Äpfel\n".encode()))
    pieces = build(Path(f"{text},{tmp_path}/more*"), tmp_path / "vocab.txt", do_lower_case=False)
    assert {"Äpfel", "newest"} < set(pieces)
    assert "apfel" in build(Path(f"{text},{tmp_path}/more*"), tmp_path / "vocab.txt")


def test_texts_of_tables(text: Path, tmp_path: Path):
    rows = [f"{number};{line}" for number, line in enumerate(TEXT.splitlines())]
    (tmp_path / "a.csv").write_text("\n".join(["id;texts", *rows]))
    plain = build(text, tmp_path / "plain.txt", vocab_size=40, num_unused=0)
    assert build(tmp_path / "a.csv", tmp_path / "b.txt", vocab_size=40, num_unused=0, text_column="texts") == plain
    with pytest.raises(InputError, match=r"a\.csv has no column 'text' \(--text_column\); it has 'id;texts'"):
        build(tmp_path / "a.csv", tmp_path / "b.txt")


@pytest.mark.parametrize("kind", [{}, {"type": "sentencepiece"}])
def test_no_words(kind: dict[str, str], tmp_path: Path):
    with pytest.raises(InputError, match=r"no words in .*empty.txt; give plain UTF-8 text"):
        build(write(tmp_path / "empty.txt", "\n \n\u200b\n" if not kind else "\n \n"), tmp_path / "x.model", **kind)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"type": "words"}, "Unknown --type 'words'; choose one of wordpiece, sentencepiece."),
        ({"spm_model_type": "char"}, "Unknown --spm_model_type 'char'; choose one of unigram, bpe."),
        ({"vocab_size": 0}, "--vocab_size=0; it must be at least 1."),
        ({"num_unused": -1}, "--num_unused=-1; it must be at least 0."),
        ({"limit_alphabet": 0}, "--limit_alphabet=0; it must be at least 1."),
        ({"min_count": 0}, "--min_count=0; it must be at least 1."),
        ({"max_new": 5}, "--max_new limits what --extend adds"),
        ({"extend": "v.txt", "type": "sentencepiece"}, "--extend fills the"),
        ({"type": "sentencepiece"}, r"a SentencePiece model must be named \*.model"),
        ({"output_file": ""}, "--output_file names no file"),
        ({"output_file": "."}, "--output_file: '.' is a directory"),
        ({"input_file": "no*.txt"}, "--input_file: no file matches 'no"),
    ],
)
def test_mistakes(changes: dict[str, Any], sentence: str, text: Path):
    with pytest.raises(InputError, match=sentence):
        VocabularyConfig(**{"input_file": str(text), "output_file": "vocab.txt", **changes})


def test_output_may_not_overwrite_an_input(text: Path, old_vocab: Path):
    with pytest.raises(InputError, match=r"text.txt' is read by --input_file; write to another file"):
        VocabularyConfig(str(text), str(text))
    with pytest.raises(InputError, match=r"old.txt' is read by --extend; write to another file"):
        VocabularyConfig(str(text), str(old_vocab), extend=str(old_vocab))
    listed = text.rename(text.with_suffix(".vocab"))
    with pytest.raises(InputError, match=r"text.vocab' is read by --input_file"):
        VocabularyConfig(str(listed), str(text.with_suffix(".model")), type="sentencepiece")


def test_leftovers_of_a_killed_process_are_removed(text: Path, tmp_path: Path):
    """A killed process leaves an unfinished file; the next one with the same output removes it."""
    program = (
        "import os; from bert_tf2.tokenization import vocab_training; "
        "from bert_tf2.tokenization.vocab_runner import *; "
        "vocab_training.learn_wordpiece = lambda *_, **__: os.kill(os.getpid(), 9); "
        f"build_vocabulary(VocabularyConfig({str(text)!r}, {str(tmp_path / 'v.txt')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(SCRIPT).parent, timeout=120, check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.glob(".v.txt.unfinished-*"))) == 1
    build(text, tmp_path / "v.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.txt", "v.txt"]
