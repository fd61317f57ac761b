"""Splitting contexts into words: as in the original, for Chinese, and detecting the language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.tasks.squad import words
from bert_tf2.tasks.squad.words import Paragraph, detect_language, split

TEXTS = st.text(
    st.sampled_from("ab,.中国，《 \t\n\r\u202f\u00a0\u3000\u2028\x0b\u200b\ufeff'éΣ\ud800") | st.characters(),
    max_size=30,
)


def original_words(text: str) -> tuple[list[str], list[int]]:
    """The original's loop over characters: words, and for each character the index of its word."""
    expected: list[str] = []
    word_of = []
    after_space = True
    for char in text:
        if char in (" ", "\t", "\r", "\n") or ord(char) == 0x202F:
            after_space = True
        else:
            if after_space:
                expected.append(char)
            else:
                expected[-1] += char
            after_space = False
        word_of.append(len(expected) - 1)
    return expected, word_of


@given(TEXTS)
def test_english_words_equal_the_original(text):
    expected, word_of = original_words(text)
    paragraph = split(text, "en")
    assert paragraph.words == expected
    assert [paragraph.word_at(offset) for offset in range(len(text))] == word_of
    assert all(text.startswith(word, start) for word, start in zip(expected, paragraph.starts, strict=True))
    if expected:
        assert paragraph.quote(*paragraph.span(0, len(expected) - 1)) == " ".join(expected)


@given(TEXTS)
def test_verbatim_means_that_quotes_occur_in_the_text(text):
    paragraph = split(text, "en")
    quoted = " ".join(paragraph.words)
    assert paragraph.verbatim == (quoted == text)


@given(TEXTS)
def test_chinese_words_are_substrings_and_tokenize_as_the_original_words(text):
    paragraph = split(text, "zh")
    ends = [start + len(word) for start, word in zip(paragraph.starts, paragraph.words, strict=True)]
    assert all(
        word and text.startswith(word, start) for word, start in zip(paragraph.words, paragraph.starts, strict=True)
    )
    assert all(end <= start for end, start in zip(ends, paragraph.starts[1:], strict=False))
    tokenizer = words._basic_tokenizer(True)
    tokens = [token for word in split(text, "en").words for token in tokenizer.tokenize(word)]
    assert [token for word in paragraph.words for token in tokenizer.tokenize(word)] == tokens
    # A word is one token, except for characters inside it that the tokenizer removes.
    assert all(len(tokenizer.tokenize(word)) == 1 for word in paragraph.words)


def test_chinese_words():
    text = "\ufeff贝基2015年《NFL》\u3000说：“U.S.A.\u200b b\u200bc”"
    paragraph = split(text, "zh")
    assert paragraph.words == [*"贝基", "2015", *"年《", "NFL", *"》说：“", *"U.S.A.", "b\u200bc", "”"]
    assert paragraph.quote(*paragraph.span(2, 5)) == "2015年《NFL"
    assert paragraph.word_at(0) == -1
    assert paragraph.word_at(text.index("\u3000")) == paragraph.words.index("》")


def test_tokenizer_options():
    text = "在[E1]\u200b中国，[E1]x a.b"
    tokens = TokenizerOptions(never_split=("[E1]", "a.b"))
    assert split(text, "zh", tokens).words == ["在", "[E1]", "中", "国", "，", "[E1]", "x", "a.b"]
    joined = split(text, "zh", TokenizerOptions(tokenize_chinese_chars=False, never_split=("[E1]",)))
    assert joined.words == ["在", "[E1]", "中国", "，", "[E1]", "x", "a", ".", "b"]
    assert all(text.startswith(word, start) for word, start in zip(joined.words, joined.starts, strict=True))
    assert split(text, "en", tokens).words == text.split()


def test_quotes_have_single_spaces_between_words():
    paragraph = split("Super  Bowl\n50 was", "en")
    assert paragraph.quote(2, 14) == "per Bowl 50"
    assert paragraph.verbatim is False
    assert split("Super Bowl", "en").verbatim is True
    assert split(" Super Bowl", "en").verbatim is False


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["Super Bowl 50 was an American football game."], "en"),
        (["A city (Chinese: 北京; pinyin: Běijīng) in the north."], "en"),
        (["卡罗来纳黑豹队 (Carolina Panthers) 在 2015 年以 12–4 的战绩进入季后赛。"], "zh"),
        (["", "   "], "en"),
        ([], "en"),
        (["aaa中"], "zh"),
        (["aaaa中"], "en"),
        (["北京 北京", "a" * 8], "zh"),
        (["カタカナ ひらがな 한국어"], "en"),
    ],
)
def test_detect_language(texts, language):
    assert detect_language(texts) == language


def test_paragraphs_are_compared_by_identity():
    assert split("a", "en") != split("a", "en")
    assert isinstance(split("a", "en"), Paragraph)
