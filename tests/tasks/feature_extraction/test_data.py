"""Lines as sequences of ids: the rules of the original for separators, pairs and truncation."""

import re

from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.tasks.feature_extraction.data import encode, split_line
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer


@given(st.lists(st.sampled_from([" ", "|||", "||| ", " ||| ", "a", "b c", "\r", "\t", "\u2028", "\x1c"]), max_size=8))
def test_split_line(parts):
    line = "".join(parts)
    match = re.match(r"^(.*) \|\|\| (.*)$", line.strip())
    assert split_line(line) == ((match[1], match[2]) if match else (line.strip(), ""))


def test_lines(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b", "|"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    tokenizer = FastTokenizer(str(tmp_path / "vocab.txt"))
    sequences = encode(["A ||| b", "", "ab |||", "a ||| \x00\u200b", " ||| a", "a ||| b ||| bb"], tokenizer, 16)
    tokens = [[pieces[index] for index in sequences.part(row, row + 1).input_ids] for row in range(6)]
    assert tokens == [
        ["[CLS]", "a", "[SEP]", "b", "[SEP]"],
        ["[CLS]", "[SEP]"],
        ["[CLS]", "a", "##b", "|", "|", "|", "[SEP]"],
        ["[CLS]", "a", "[SEP]"],
        ["[CLS]", "|", "|", "|", "a", "[SEP]"],
        ["[CLS]", "a", "|", "|", "|", "b", "[SEP]", "b", "##b", "[SEP]"],
    ]
    assert sequences.segment_ids.tolist() == [*[0] * 3, 1, 1, *[0] * 25, 1, 1, 1]
    assert sequences.row_splits.tolist() == [0, 5, 7, 14, 17, 23, 33]
    assert sequences.row_splits.tolist() == [0, *sequences.lengths.cumsum()]
    assert sequences.first_lengths.tolist() == [3, 2, 7, 3, 6, 7]
    assert sequences.whole_lengths.tolist() == sequences.lengths.tolist()
    shortest = encode(["A b ||| b a", "ab"], tokenizer, 4)
    assert shortest.whole_lengths.tolist() == [7, 4]
    assert shortest.input_ids.tolist() == [2, 5, 3, 3, 2, 5, 7, 3]
    assert shortest.segment_ids.tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert len(encode([], tokenizer, 4)) == 0
