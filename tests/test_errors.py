"""Lists and numbers in messages."""

from bert_tf2.errors import counted, proportion, some


def test_some() -> None:
    assert some(iter("abc"), 3) == "a, b, c"
    assert some("abcd", 3) == "a, b, c and 1 more"
    assert some([]) == ""


def test_counted() -> None:
    assert [counted(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_share() -> None:
    proportions = [proportion(count, 4000, "rows") for count in (1, 1111, 4000)]
    assert proportions == ["1 of 4,000 rows (0.025 %)", "1,111 of 4,000 rows (28 %)", "4,000 of 4,000 rows (100 %)"]
