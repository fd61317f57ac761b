"""Nearest pieces: against a plain loop; errors."""

import numpy as np
import pytest

from bert_tf2.errors import InputError
from bert_tf2.inspection import nearest
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "the", "a", "b"]
TABLE = np.random.default_rng(3).normal(size=(len(NAMES) + 2, 6)).astype(np.float32)  # with rows beyond the vocabulary
TABLE[0] = 0.0


def find(query, count=4):
    tokenizer = FastTokenizer.of_vocab({name: index for index, name in enumerate(NAMES)}, do_lower_case=True)
    return nearest.find(TABLE, tokenizer, query, count)


def plain(vector, without):
    """The name and cosine of every other piece, the nearest first."""
    cosines = {}
    for name, row in zip(NAMES, TABLE.astype(np.float64), strict=False):
        if name not in without:
            length = np.linalg.norm(row) * np.linalg.norm(vector)
            cosines[name] = row @ vector / length if length else 0.0
    return sorted(cosines.items(), key=lambda item: -item[1])


@pytest.mark.parametrize(
    ("query", "tokens"), [("the", ["the"]), ("The", ["the"]), ("##ing", ["##ing"]), ("Playing", ["play", "##ing"])]
)
def test_against_a_plain_loop(query, tokens):
    result = find(query)
    vector = TABLE[[NAMES.index(token) for token in tokens]].astype(np.float64).mean(0)
    expected = plain(vector, tokens)[:4]
    assert result.tokens == tuple(tokens)
    assert [neighbor.token for neighbor in result.neighbors] == [name for name, _ in expected]
    assert [neighbor.similarity for neighbor in result.neighbors] == pytest.approx([c for _, c in expected], abs=1e-6)
    assert [NAMES[neighbor.id] for neighbor in result.neighbors] == [neighbor.token for neighbor in result.neighbors]


def test_only_rows_of_the_vocabulary_are_neighbors():
    assert {neighbor.token for neighbor in find("a", 100).neighbors} == {*NAMES} - {"a"}
    assert find("[PAD]").neighbors[0].similarity == 0.0  # its embedding is 0


def test_table_and_dictionary():
    lines = find("Playing", 2).to_table().splitlines()
    assert lines[0] == "Nearest to Playing (mean of the embeddings of play ##ing)"
    assert len(lines) == 3
    assert find("The").to_table().startswith("Nearest to The (the)\n")
    values = find("the", 1).to_dict()
    assert values["query"] == "the"
    assert list(values["nearest"][0]) == ["token", "id", "similarity"]


@pytest.mark.parametrize("query", ["zebra", "\x00"])
def test_query_without_a_piece_is_an_error(query):
    with pytest.raises(InputError, match=r"^--nearest=.*: the vocabulary has no piece for it"):
        find(query)
