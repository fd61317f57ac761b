"""Question words."""

import pytest

from bert_tf2.tasks.squad.question_words import names, number_of


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who wrote it?", "who"),
        ("To whom was it sold?", "who"),
        ("WHAT is it?", "what"),
        ("What's the name?", "what"),
        ("In which year did the man who lost die?", "which"),
        ("When and where was it?", "when"),
        ("Where is it?", "where"),
        ("Why?", "why"),
        ("How did he win?", "how"),
        ("How  many people live in the town where it is?", "how many"),
        ("how much does it cost", "how many"),
        ("Name the whole show.", "other"),
        ("", "other"),
    ],
)
def test_english(question: str, expected: str) -> None:
    assert names("en")[number_of(question, "en")] == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("范廷颂是什么时候被任为主教的？", "何时 (when)"),
        ("他在哪一年去世？", "何时 (when)"),
        ("他是哪里人？", "哪里 (where)"),
        ("為什麼會這樣？", "为什么 (why)"),
        ("如何保护自己？", "怎么 (how)"),
        ("有多少人？", "多少 (how many)"),
        ("誰寫的？", "谁 (who)"),
        ("哪个国家最大？", "哪 (which)"),
        ("他叫什么？", "什么 (what)"),
        ("请说出名字。", "other"),
    ],
)
def test_chinese(question: str, expected: str) -> None:
    assert names("zh")[number_of(question, "zh")] == expected
