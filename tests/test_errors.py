"""Lists and numbers in messages."""

from bert_tf2.errors import counted, inflected, plural_of, share, some


def test_some() -> None:
    assert some(iter("abc"), 3) == "a, b, c"
    assert some("abcd", 3) == "a, b, c and 1 more"
    assert some([]) == ""


def test_counted() -> None:
    assert [counted(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [counted(count, "epoch") for count in (0.5, 1.0, 3.0)] == ["0.5 epochs", "1 epoch", "3 epochs"]
    assert [plural_of(noun) for noun in ("batch", "class", "prefix")] == ["batches", "classes", "prefixes"]
    assert [inflected(count, "was", "were") for count in (0, 1, 2)] == ["were", "was", "were"]


def test_share() -> None:
    shares = [share(count, 4000, "row") for count in (1, 1111, 4000)]
    assert shares == ["1 of 4,000 rows (0.025 %)", "1,111 of 4,000 rows (28 %)", "4,000 of 4,000 rows (100 %)"]
    assert share(1, 1, "row") == "1 of 1 row (100 %)"
