"""Tags as numbers: a sequence of texts like any other."""

import numpy as np
import pytest

from bert_tf2.tasks.tagging.tag_sequence import TagSequence

TAGS = ["O", "B-x", "O", "I-x", "O"]


def test_it_is_the_sequence_that_it_was_made_of() -> None:
    found = TagSequence.of(iter(TAGS))
    assert list(found) == TAGS
    assert found == TAGS == found == TagSequence.of(TAGS)
    assert found != TAGS[:4]
    assert len(found) == 5
    assert (found[1], found[-1], found[1:3], found[4:9]) == ("B-x", "O", ["B-x", "O"], ["O"])
    assert found.different == {"O", "B-x", "I-x"}
    assert list(TagSequence.of([])) == []
    with pytest.raises(IndexError):
        found[5]


def test_of_labels() -> None:
    labels = np.array([2, 0, 1], np.int32)
    assert list(TagSequence(("O", "B-x", "I-x"), labels)) == ["I-x", "O", "B-x"]
