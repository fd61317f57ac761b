"""Plain sentences are not taken for columns, and columns not for sentences."""

from pathlib import Path

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging import conll, plain_text

CASES = REPOSITORY / "tests" / "cases"


def check(folder: Path, content: str, token_column: int = 0) -> None:
    path = folder / "new.txt"
    path.write_text(content)
    plain_text.check(conll.read(str(path), token_column, None), token_column)


@pytest.mark.parametrize(
    ("content", "found"),
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
def test_sentences(tmp_path: Path, content: str, found: str) -> None:
    with pytest.raises(InputError, match=rf"new\.txt, {found if found[:4] == 'line' else 'line 1 ' + found}") as error:
        check(tmp_path, content)
    assert "expected one word a line, and an empty line after each sentence" in str(error.value)


def test_sentences_of_several_lengths(tmp_path: Path) -> None:
    sentence = r"line 2 has 7 columns, but line 1 has 4; .* If these are plain sentences: expected one word a line"
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
def test_columns(tmp_path: Path, content: str, token_column: int) -> None:
    check(tmp_path, content, token_column)
