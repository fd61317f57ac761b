"""Vocabularies learned from books and from Wikipedia, measured."""

import logging
from collections import Counter
from pathlib import Path

import pytest

from bert_tf2.tokenization import vocab_training
from bert_tf2.tokenization.vocab_runner import VocabularyConfig, build_vocabulary
from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer, WordpieceTokenizer, load_vocab


def lines_of(real_data: Path, name: str) -> list[str]:
    return (real_data / "data/text" / name).read_text(encoding="utf-8").split("\n")


def build(text: Path, output: Path, **changes: object) -> list[str]:
    build_vocabulary(VocabularyConfig(str(text), str(output), **changes))  # type: ignore[arg-type]
    return output.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.mark.parametrize("name", ["google_bert_sample_text.txt", "wikitext2.test.raw", "zh_novels.txt"])
def test_words(real_data: Path, name: str) -> None:
    basic, lines = BasicTokenizer(), lines_of(real_data, name)[:2000]
    expected = Counter(word for line in lines for word in basic.tokenize(line))
    assert vocab_training.count_words(lines, basic.tokenize) == expected


def test_head_has_the_ids_of_googles_vocabularies(real_data: Path) -> None:
    google = list(load_vocab(real_data / "data/vocab/bert_uncased.txt"))
    assert vocab_training.head(994) == google[:999]
    assert vocab_training.head(100)[:104] == google[:104]


def test_used_pieces_are_better_than_the_first_merges(real_data: Path) -> None:
    words = vocab_training.count_words(lines_of(real_data, "en_novels.txt"), BasicTokenizer().tokenize)
    pieces = vocab_training.learn_wordpiece(words, 8000)
    characters = vocab_training.character_pieces(vocab_training.choose_alphabet(vocab_training.count_characters(words)))
    start = 105 + len(characters)
    merges = vocab_training._merges([word for word in vocab_training.ranked(words) if len(word) > 1], words, 9000)
    plain = [*characters, *[piece for piece in merges if piece not in characters][: 8000 - start]]
    chosen, first = (vocab_training.measure(words, WordpieceTokenizer(frozenset(v)).tokenize) for v in (pieces, plain))
    assert len(pieces) == 8000
    assert chosen.words == 2317158
    assert chosen.pieces / chosen.words == pytest.approx(1.0652, abs=1e-3)
    assert first.pieces / first.words == pytest.approx(1.0777, abs=1e-3)
    assert chosen.whole / chosen.words == pytest.approx(0.9554, abs=1e-3)


def test_chinese(real_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pieces = build(real_data / "data/text/zh_novels.txt", tmp_path / "vocab.txt", vocab_size=6000)
    assert {"中", "，", "##a"} < set(pieces)
    assert not {"##中", "##，"} & set(pieces)
    assert "Dropped the " in caplog.text
    assert "0.001% are unknown" in caplog.text
    tokenizer = FullTokenizer(tmp_path / "vocab.txt")
    line = lines_of(real_data, "zh_novels.txt")[0]
    assert tokenizer.tokenize(line) == tokenizer.basic_tokenizer.tokenize(line)


def test_extend_googles_vocabulary(real_data: Path, tmp_path: Path) -> None:
    google = real_data / "data/vocab/bert_uncased.txt"
    new = build(real_data / "data/text/wikitext2.test.raw", tmp_path / "new.txt", extend=str(google), max_new=50)
    before = google.read_text(encoding="utf-8").split("\n")[:-1]
    assert new[1:4] == ["temnospondyls", "bintulu", "lesnar"]
    assert [index for index, (a, b) in enumerate(zip(before, new, strict=True)) if a != b] == [*range(1, 51)]
    assert FullTokenizer(tmp_path / "new.txt").tokenize("Brock Lesnar") == ["brock", "lesnar"]
