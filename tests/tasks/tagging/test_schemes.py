"""Tagging schemes: detection, and conversion to and from BIO."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2 import metrics
from bert_tf2.tasks.tagging import schemes
from bert_tf2.tasks.tagging.schemes import NAMES, Scheme, detect, from_bio, is_tag, looks_like_tag, to_bio

BIO = ["B-a", "I-a", "I-a", "B-a", "O", "B-b", "B-b", "I-b"]
SAME = {
    "BIO": BIO,
    "IOBES": ["B-a", "I-a", "E-a", "S-a", "O", "S-b", "B-b", "E-b"],
    "BILOU": ["B-a", "I-a", "L-a", "U-a", "O", "U-b", "B-b", "L-b"],
    "IOB1": ["I-a", "I-a", "I-a", "B-a", "O", "I-b", "B-b", "I-b"],
}


@pytest.mark.parametrize("separator", "-_")
@pytest.mark.parametrize("name", SAME)
def test_the_same_spans_in_each_scheme(name: schemes.Name, separator: str) -> None:
    scheme = Scheme(name, separator)
    written = [tag.replace("-", separator) for tag in SAME[name]]
    assert detect([written], "a") == scheme
    assert to_bio(written, scheme) == BIO
    assert from_bio(BIO, scheme) == written
    assert Scheme.parse(str(scheme)) == scheme


def test_io_joins_adjacent_spans() -> None:
    tags = ["I-a", "I-a", "O", "I-b", "I-a"]
    assert detect([tags], "a") == Scheme("IO")
    assert to_bio(tags, Scheme("IO")) == ["B-a", "I-a", "O", "B-b", "B-a"]
    assert from_bio(["B-a", "B-a", "O", "B-b", "B-a"], Scheme("IO")) == tags


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ([["O", "O"]], "BIO"),
        ([["B-a", "O"], ["I-a"]], "BIO"),  # invalid in BIO and in IOB1; treated as BIO
        ([["I-a"], ["I-a", "B-a"]], "IOB1"),
        ([["I-a"], ["B-a"]], "BIO"),  # a new sentence
        ([["I-a", "B-b"]], "BIO"),  # another type
        ([["B", "E"]], "IOBES"),
    ],
)
def test_detect(tags: list[list[str]], scheme: schemes.Name) -> None:
    assert detect(tags, "a") == Scheme(scheme)


def test_tags_without_types() -> None:
    assert to_bio(["B", "E", "S"], Scheme("IOBES")) == ["B", "I", "B"]
    assert from_bio(["B", "I", "B"], Scheme("BILOU", "_")) == ["B", "L", "U"]


@given(st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y_z", "I-y_z", "B", "I"])), st.sampled_from(NAMES))
def test_conversion_keeps_spans(tags: list[str], name: schemes.Name) -> None:
    for separator in "-_":
        scheme = Scheme(name, separator)
        round_trip = to_bio(from_bio(tags, scheme), scheme)
        if name == "IO":
            assert [tag == "O" for tag in round_trip] == [tag == "O" for tag in tags]
        else:
            assert metrics.spans(round_trip) == metrics.spans(tags)


def test_is_tag_and_looks_like_tag() -> None:
    assert all(map(is_tag, ("O", "B", "S", "B-x", "U_x", "L-a-b")))
    assert not any(map(is_tag, ("", "PER", "B-", "B+x", "M-x", "o", "O-x")))
    assert looks_like_tag("E-x")
    assert not looks_like_tag("E")
    with pytest.raises(ValueError, match="Unknown scheme of tags 'BMES'"):
        Scheme.parse("BMES")
