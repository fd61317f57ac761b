"""Tags stored as numbers are a sequence of strings like any other."""

import numpy as np
import pytest

from bert_tf2.tasks.tagging.tag_sequence import TagSequence

TAGS = ["O", "B-x", "O", "I-x", "O"]


def test_it_equals_the_tags_that_it_is_created_from() -> None:
    sequence = TagSequence.of(iter(TAGS))
    assert list(sequence) == TAGS
    assert sequence == TAGS == sequence == TagSequence.of(TAGS)
    assert sequence != TAGS[:4]
    assert len(sequence) == 5
    assert (sequence[1], sequence[-1], sequence[1:3], sequence[4:9]) == ("B-x", "O", ["B-x", "O"], ["O"])
    assert sequence.distinct == {"O", "B-x", "I-x"}
    assert list(TagSequence.of([])) == []
    with pytest.raises(IndexError):
        sequence[5]


def test_of_labels() -> None:
    labels = np.array([2, 0, 1], np.int32)
    assert list(TagSequence(("O", "B-x", "I-x"), labels)) == ["I-x", "O", "B-x"]
