"""Lines as sequences of ids: the original's rules, one line at a time, against all lines at once."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.fast_tokenizer import FastTokenizer, Ragged
from bert_tf2.sequences import truncate_pair
from bert_tf2.tasks.feature_input import encode, join, split_line

CLS, SEP = 101, 102
IDS = st.lists(st.integers(1, 99), max_size=12)


def one_by_one(first, second, max_seq_length):
    """As the original does it."""
    if second:
        first, second = truncate_pair(first, second, max_seq_length - 3)
    else:
        first = first[: max_seq_length - 2]
    ids = [CLS, *first, SEP, *([*second, SEP] if second else [])]
    return ids, [0] * (len(first) + 2) + [1] * (len(ids) - len(first) - 2)


def ragged(rows):
    values = np.array([value for row in rows for value in row], np.int32)
    return Ragged(values, np.cumsum([0, *map(len, rows)]))


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=5), st.integers(5, 20))
def test_join(pairs, max_seq_length):
    found = join(ragged([row for pair in pairs for row in pair]), CLS, SEP, max_seq_length)
    assert len(found) == len(pairs)
    assert found.row_splits[0] == 0
    for row, (first, second) in enumerate(pairs):
        part = found.part(row, row + 1)
        ids, segments = one_by_one(first, second, max_seq_length)
        assert part.input_ids.tolist() == ids
        assert part.segment_ids.tolist() == segments
        assert part.row_splits.tolist() == [0, len(ids)]
        assert found.lengths[row] == len(ids)


@given(st.lists(st.sampled_from([" ", "|||", "||| ", " ||| ", "a", "b c", "\r", "\t", "\u2028", "\x1c"]), max_size=8))
def test_split_line(parts):
    line = "".join(parts)
    match = re.match(r"^(.*) \|\|\| (.*)$", line.strip())
    assert split_line(line) == ((match[1], match[2]) if match else (line.strip(), ""))


def test_lines(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b", "|"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    tokenizer = FastTokenizer(str(tmp_path / "vocab.txt"))
    found = encode(["A ||| b", "", "ab |||", "a ||| \x00\u200b", " ||| a", "a ||| b ||| bb"], tokenizer, 16)
    tokens = [[pieces[index] for index in found.part(row, row + 1).input_ids] for row in range(6)]
    assert tokens == [
        ["[CLS]", "a", "[SEP]", "b", "[SEP]"],
        ["[CLS]", "[SEP]"],
        ["[CLS]", "a", "##b", "|", "|", "|", "[SEP]"],
        ["[CLS]", "a", "[SEP]"],
        ["[CLS]", "|", "|", "|", "a", "[SEP]"],
        ["[CLS]", "a", "|", "|", "|", "b", "[SEP]", "b", "##b", "[SEP]"],
    ]
    assert found.segment_ids.sum() == 2 + 3
