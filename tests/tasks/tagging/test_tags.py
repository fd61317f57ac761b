"""Tags: their list, their numbers, their weights, and what is said of a file."""

import numpy as np
import pytest

from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging import tags
from bert_tf2.tasks.tagging.conll import Sentences


def sentences(*rows: str) -> Sentences:
    split = [row.split() for row in rows]
    words = [tag for row in split for tag in row]
    splits = np.cumsum([0, *map(len, split)])
    return Sentences("a.conll", words, words, words, np.arange(len(words)), splits, [])


def test_labels_are_of_both_kinds_for_every_type() -> None:
    found = tags.infer_labels(sentences("O B-loc I-loc O", "I-creative-work B-per"))
    assert found == ("O", "B-creative-work", "I-creative-work", "B-loc", "I-loc", "B-per", "I-per")
    assert tags.infer_labels(sentences("B O I")) == ("O", "B", "I")


def test_nothing_to_learn() -> None:
    with pytest.raises(InputError, match=r"a\.conll: all 3 words have the tag O, so there is nothing to learn"):
        tags.infer_labels(sentences("O O", "O"))
    with pytest.raises(InputError, match=r"a\.conll: the only word has the tag O"):
        tags.infer_labels(sentences("O"))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (("O", "PER"), "x has the label 'PER'; expected O, and B-type and I-type for each type of span"),
        (("LABEL_0", "LABEL_1"), "x has the label 'LABEL_0'"),
        (("B-a", "I-a"), "x has the labels B-a, I-a; expected O"),
        (("O",), "x has the labels O; expected O, and"),
    ],
)
def test_labels_that_are_no_tags(labels: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        tags.checked(labels, "x")


def test_numbers_and_unknown_tags() -> None:
    file = sentences("O B-a", "I-a O B-c")
    found = tags.encode(file, ("O", "I-a", "B-a", "B-c"))
    assert (found.tolist(), found.dtype) == ([0, 2, 1, 0, 3], np.int32)
    with pytest.raises(InputError, match=r"a.conll, line 5 has the tag 'B-c', which the model does not know; it knows"):
        tags.encode(file, ("O", "I-a", "B-a"))


def test_balanced_weights() -> None:
    weights = tags.balanced_weights(np.array([0] * 6 + [1, 3]), 5)
    assert weights.tolist() == pytest.approx([8 / 18, 8 / 3, 0, 8 / 3, 0])


def test_spans_that_no_b_begins_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tags.describe(sentences("I-per I-per O I-loc", "B-per"))
    assert "a.conll: 2 sentences, 5 words, 3 spans (per 2, loc 1)." in caplog.text
    assert "a.conll: 2 of 3 spans begin with I- instead of B- (as in the older scheme IOB1)" in caplog.text
    tags.describe(sentences("I-per"))
    assert "a.conll: 1 of 1 span begins with I- instead of B-" in caplog.text
    caplog.clear()
    tags.describe(sentences("O B-per I-per"))
    assert "IOB1" not in caplog.text
