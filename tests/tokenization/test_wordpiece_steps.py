"""The steps of `BasicTokenizer` by the original's names: what each does, and that subclasses may override it."""

import pytest

from bert_tf2.tokenization.wordpiece import BasicTokenizer

UNCASED = BasicTokenizer(do_lower_case=True)


class _NoAccentsStripped(BasicTokenizer):
    def _run_strip_accents(self, text: str) -> str:
        return text


class _HyphensJoin(BasicTokenizer):
    def _run_split_on_punc(self, text: str) -> list[str]:
        return [text.replace("-", "_")]


class _OnlyAIsChinese(BasicTokenizer):
    def _is_chinese_char(self, cp: int) -> bool:
        return cp == ord("a")


class _NothingIsChinese(BasicTokenizer):
    def _tokenize_chinese_chars(self, text: str) -> str:
        return text


class _DigitsDeleted(BasicTokenizer):
    def _clean_text(self, text: str) -> str:
        return super()._clean_text("".join(char for char in text if not char.isdigit()))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (BasicTokenizer, "ba - 1 c 中 e"),
        (_NoAccentsStripped, "ba - 1 c 中 é"),
        (_HyphensJoin, "ba_1 c 中 e"),
        (_OnlyAIsChinese, "b a - 1 c中e"),
        (_NothingIsChinese, "ba - 1 c中e"),
        (_DigitsDeleted, "ba - c 中 e"),
    ],
)
def test_subclasses_override_single_steps(kind: type[BasicTokenizer], words: str) -> None:
    assert kind().tokenize("Ba-1\tC中É\0") == words.split()


def test_each_step_alone() -> None:
    assert UNCASED._clean_text("a\0\ufffd\u200bb\tc\u00a0d\u2028") == "ab c d\u2028"
    assert UNCASED._clean_text("é\ufffd中") == "é中"
    assert UNCASED._tokenize_chinese_chars("a中b国") == "a 中 b 国 "
    assert [UNCASED._is_chinese_char(ord(char)) for char in "中\u33ff\u3400\u4dbf\u4dc0が한a"] == [
        *(True, False, True, True, False, False, False, False)
    ]
    assert UNCASED._run_strip_accents("Éa\u0301") == "Ea"
    assert UNCASED._run_split_on_punc("(a b)..c") == ["(", "a b", ")", ".", ".", "c"]
    assert UNCASED._run_split_on_punc("") == []
