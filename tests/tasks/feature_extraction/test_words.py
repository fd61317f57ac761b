"""Words of lines: their tokens and their vectors."""

import sys
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.tasks.feature_extraction import data, words
from bert_tf2.tasks.feature_extraction.outputs import Units
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b", "##a", "|", ".", "σ", "ς", "##σ"]
TOKENIZER = FastTokenizer.of_vocab({piece: index for index, piece in enumerate(PIECES)}, do_lower_case=True)
# Everything that a Python function or a rule of BERT treats as whitespace, and characters that are deleted.
SEPARATORS = [
    char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace() or unicodedata.category(char).startswith("Z")
]
DELETED = ["\0", "\ufffd", "\u200b", "\u00ad", "\x7f"]


def line_words(sequences):
    units = Units.of(sequences)
    rows = zip(units.row_splits, units.row_splits[1:], strict=False)
    return [list(units.words[begin:end]) for begin, end in rows]


def test_words_between_whitespace():
    lines = ["  ab. b ||| aab \u3000a ", "", "b\u200b \u200b b", "bb ba bb baa bb", "a |||"]
    encoded = words.encode(lines, TOKENIZER, 10)
    assert encoded.input_ids.tolist() == data.encode(lines, TOKENIZER, 10).input_ids.tolist()
    # A word may be truncated to some of its pieces; without pieces it is omitted.
    assert line_words(encoded) == [
        ["ab.", "b", "aab"],
        [],
        ["b\u200b", "b"],
        ["bb", "ba", "bb", "baa"],
        ["a", "|||"],
    ]
    assert encoded.words.without_pieces == 1
    units = Units.of(encoded)
    assert units.offsets.tolist()[:3] == [[2, 5], [6, 7], [12, 15]]
    for row, line in enumerate(lines):
        for unit in range(*units.row_splits[row : row + 2]):
            assert line[slice(*units.offsets[unit])] == units.words[unit]
    # Tokens 1 to 3 belong to the first word, special tokens to none.
    vectors = np.arange(2.0 * len(encoded.input_ids), dtype=np.float32).reshape(-1, 2)
    means = words.means(vectors.copy(), encoded.words)
    assert means.shape == (11, 2)
    np.testing.assert_array_equal(means[0], vectors[1:4].mean(0))
    np.testing.assert_array_equal(means[1], vectors[4])
    part = encoded.part(2, 4)
    assert line_words(part) == [["b\u200b", "b"], ["bb", "ba", "bb", "baa"]]
    tokens = slice(*encoded.row_splits[[2, 4]])
    np.testing.assert_array_equal(words.means(vectors[tokens].copy(), part.words), means[3:9])


@given(
    st.lists(st.text(st.sampled_from([*"abΣσ.|\u0301", " ", "\t", *SEPARATORS, *DELETED]), max_size=12), max_size=4),
    st.sampled_from(["truncate_tail", "truncate_head", "head_tail", "windows"]),
)
def test_the_same_tokens_as_for_whole_lines(lines, long_text):
    """Although each word is tokenized separately, the model reads the same tokens as without words."""
    lines = [line.replace("\n", " ") for line in lines]
    encoded, expected = (module.encode(lines, TOKENIZER, 6, long_text) for module in (words, data))
    for name in ("row_splits", "input_ids", "segment_ids", "whole_lengths"):
        np.testing.assert_array_equal(getattr(encoded, name), getattr(expected, name))
    starts = words.starts(encoded.words)
    assert len(set(encoded.words.of_tokens[starts].tolist())) == len(starts)  # the tokens of a word are contiguous


def test_no_words():
    encoded = words.encode([], TOKENIZER, 6)
    assert len(encoded) == 0
    encoded = words.encode(["", " "], TOKENIZER, 6)
    assert encoded.input_ids.tolist() == [2, 3, 2, 3]
    assert words.means(np.ones((4, 3), np.float32), encoded.words).shape == (0, 3)
    assert Units.of(encoded).row_splits.tolist() == [0, 0, 0]
