"""Plain sentences are distinguished from columns."""

from pathlib import Path

import pytest
from helpers.repository import CASES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging import conll, plain_text
from bert_tf2.tokenization.wordpiece import BasicTokenizer


def check(directory: Path, content: str, token_column: int = 0) -> None:
    path = directory / "new.txt"
    path.write_text(content)
    plain_text.check(conll.read(str(path), token_column, None), token_column)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "Peter Blackburn ran .\n",
            r"has 4 words between spaces, 'Peter Blackburn ran \.', which looks like a sentence",
        ),
        ("\nPeter ran .\nShe saw him\n", "line 2 has 3 words between spaces"),
        ("Tell me about NASA\n", "has 4 words between spaces"),
        ("我在北京。\n他走了。\n", "line 1 is a sentence, '我在北京。'"),
        ("".join(f"First{index} Last{index}\n" for index in range(40)), "has 2 words between spaces"),
        ('{"text": "a b"}\n', "has 3 words between spaces"),
    ],
)
def test_sentences_are_rejected(tmp_path: Path, content: str, message: str) -> None:
    location = "" if message.startswith("line") else "line 1 "
    with pytest.raises(InputError, match=rf"new\.txt, {location}{message}") as error:
        check(tmp_path, content)
    assert "expected one word per line, and an empty line after each sentence" in str(error.value)


def test_sentences_of_different_lengths_are_rejected(tmp_path: Path) -> None:
    sentence = r"line 2 has 7 columns, but line 1 has 4; .* If these are plain sentences: expected one word per line"
    with pytest.raises(InputError, match=sentence):
        plain_text.check(conll.read(str(CASES / "raw_sentences.txt"), 0, None), 0)


@pytest.mark.parametrize(
    ("content", "token_column"),
    [
        ("Peter\nran\n.\n\nSo\n", 0),
        ("Peter\n", 0),
        ("我\n在\n北京\n。\n", 0),
        ("Peter Blackburn\tx\n", 0),
        ("Peter O\n", 0),
        ("Peter NNP B-NP\nran VBD B-VP\n. . O\n", 0),
        ("0 Peter NNP\n1 ran VBD\n2 . .\n", 1),
        ("Peter PROPN _\nran VERB _\n", 0),
        ("".join(f"词{index} {'nv'[index % 2]}\n" for index in range(12)), 0),
        ("sonny _ _ B-PER\n", 0),
    ],
)
def test_columns_are_accepted(tmp_path: Path, content: str, token_column: int) -> None:
    check(tmp_path, content, token_column)


# --- Sentences as words ----------------------------------------------------------------------------------------------


def test_words_of_sentences(tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    path.write_text("\ufeffDr. O'Neil flew.\r\n\n \n我在 Ro\u200bme\n", newline="", encoding="utf-8")
    sentences = plain_text.read(str(path))
    words = [["Dr", ".", "O", "'", "Neil", "flew", "."], ["我", "在", "Rome"]]
    assert list(sentences.split(sentences.words)) == words
    assert sentences.lines == ["Dr", ".", "O", "'", "Neil", "flew", ".", "", "我", "在", "Rome", ""]
    assert [sentences.lines[line] for line in sentences.word_lines] == sentences.words
    assert (list(sentences.texts or ()), list(sentences.text_lines)) == (
        ["Dr. O'Neil flew.", "我在 Ro\u200bme"],
        [1, 4],
    )
    assert sentences.offsets is not None
    assert [tuple(offset) for offset in sentences.offsets[-3:].tolist()] == [(0, 1), (1, 2), (3, 8)]
    path.write_text(" \n")
    with pytest.raises(InputError, match=r"new\.txt has no words; expected a sentence on each line"):
        plain_text.read(str(path))


def test_tokenizer_options(tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    path.write_text("Take [DRUG]在中国.\n", encoding="utf-8")
    options = TokenizerOptions(strip_accents=True, tokenize_chinese_chars=False, never_split=("[DRUG]",))
    sentences = plain_text.read(str(path), options)
    assert sentences.words == ["Take", "[DRUG]", "在中国", "."]
    assert sentences.offsets is not None
    assert sentences.offsets.tolist() == [[0, 4], [5, 11], [11, 14], [14, 15]]


@given(st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=("Cs",)), min_size=1))
@settings(max_examples=200)
@example("a\u200bb ab")
@example("a\x00b.b")
def test_words_and_offsets_are_those_of_the_basic_tokenizer(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    tokenizer = BasicTokenizer(do_lower_case=False)
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(f"{text}\n.\n".encode())
    sentences = plain_text.read(str(path))
    assert list(sentences.words) == [*tokenizer.tokenize(text), "."]
    assert sentences.offsets is not None
    end = 0
    for word, (begin, last) in zip(sentences.words[:-1], sentences.offsets.tolist(), strict=False):
        assert tokenizer.tokenize(text[begin:last]) == [word]
        assert (text[begin], text[last - 1]) == (word[0], word[-1])
        assert end <= begin
        end = last


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        ("John Smith flew to Berlin on Monday.\n", True),
        ("Peter Blackburn ran .\nEU rejects German call and more .\n", True),
        ("我在北京。\n", True),
        ("Peter\nran\n\nEU\n", False),
        ("Peter NNP B-PER\nran VBD O\n", False),
        ("a b\tO\nc\tO\n", False),
        ("a NN\n" * 9 + "b\n", False),  # columns, one of them damaged
        ("# id 1 domain=en\nJim _\nHenson _\n\n# id 2 domain=en\nw1 _\n", False),
        ("-DOCSTART- -X- O\n\na NN O\nb VB O\n\n-DOCSTART- -X- O\n", False),
        ("", False),
        ("\ufeff# id 1\nJim\nHenson\n\nw1\n", False),
    ],
)
def test_looks_like_text(tmp_path: Path, content: str, is_text: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    assert plain_text.looks_like_text(str(path), 0) == is_text
