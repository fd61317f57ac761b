"""Lists and numbers in messages."""

from bert_tf2.errors import counted, some


def test_some() -> None:
    assert some(iter("abc"), 3) == "a, b, c"
    assert some("abcd", 3) == "a, b, c and 1 more"
    assert some([]) == ""


def test_counted() -> None:
    assert [counted(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
