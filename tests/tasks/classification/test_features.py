"""Features: the original's records, a plain definition row by row, windows, messages."""

import itertools
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow as tf
from helpers import golden_outputs
from helpers.repository import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.sequences import truncate_pair

from bert_tf2.errors import InputError
from bert_tf2.io import spilled
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.tasks.classification import features
from bert_tf2.tasks.classification.examples import Collected, Examples
from bert_tf2.tasks.classification.features import Features, featurize
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.sequences import join_pair, pad


class Letters:
    """A tokenizer with a piece for each letter."""

    vocab: ClassVar = {"[CLS]": 1, "[SEP]": 2, **{letter: 10 + index for index, letter in enumerate("abcdefgh")}}

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        ids = [[self.vocab[letter] for letter in text.replace(" ", "")] for text in texts]
        return Ragged(np.array(list(itertools.chain(*ids)), np.int32), np.cumsum([0, *map(len, ids)]))


def examples(texts: Sequence[str], pairs: Sequence[str] | None = None) -> Examples:
    return Examples("a.csv", range(1, len(texts) + 1), range(len(texts)), texts, pairs, None)


def reference_row(text: str, pair: str | None, length: int) -> dict[str, Any]:
    """The features of a row, as in the original's `convert_single_example`."""
    a, b = list(text.replace(" ", "")), list((pair or "").replace(" ", ""))
    a, b = truncate_pair(a, b, length - 3) if b else (a[: length - 2], [])
    tokens, segments = join_pair(a, b or None)
    return {
        "input_ids": pad([Letters.vocab[token] for token in tokens], length, 0),
        "input_mask": pad([1] * len(tokens), length, 0),
        "segment_ids": pad(segments, length, 0),
        "is_real_example": [1],
    }


def read(path: str | Path, features: Features) -> dict[str, np.ndarray]:
    (batch,) = tf.data.TFRecordDataset(str(path)).batch(1 << 20).map(features.schema.parse)
    return {name: value.numpy() for name, value in batch.items()}


TEXTS = st.text("abcdefgh ", max_size=14)


# --- The definition --------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), st.booleans(), st.integers(5, 20), st.integers(1, 5))
@settings(max_examples=300)
def test_rows_match_the_reference(rows: list[tuple[str, str]], with_pairs: bool, length: int, at_once: int) -> None:
    texts, pairs = [row[0] for row in rows], [row[1] for row in rows] if with_pairs else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_ROWS_AT_ONCE", at_once)
        patch.setattr(features, "_CHARACTERS_AT_ONCE", 10 * at_once)
        patch.setattr(features, "_VALUES_AT_ONCE", 100 * at_once)
        actual = featurize(examples(texts, pairs), np.arange(len(rows)), Letters(), length)
    expected = [reference_row(text, pairs and pairs[index], length) for index, text in enumerate(texts)]
    columns = actual.columns()
    for name in expected[0]:
        assert columns[name].tolist() == [row[name] for row in expected]
    assert columns["label_ids"].tolist() == [[row] for row in range(len(rows))]
    assert actual.lengths.tolist() == [sum(row["input_mask"]) for row in expected]
    untruncated = [reference_row(text, pairs and pairs[index], 100) for index, text in enumerate(texts)]
    assert actual.longest == max(sum(row["input_mask"]) for row in untruncated)
    assert actual.truncated_count == sum(sum(row["input_mask"]) > length for row in untruncated)
    block = actual.columns(1, 3)
    assert all(block[name].tolist() == columns[name][1:3].tolist() for name in columns)


@pytest.mark.parametrize("with_pairs", [False, True])
def test_spilled_features_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_pairs: bool) -> None:
    texts = ["abc" * (row % 4) for row in range(50)]
    pairs = [*texts[7:], *texts[:7]] if with_pairs else None
    expected = featurize(examples(texts, pairs), np.arange(50), Letters(), 9)
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    monkeypatch.setattr(features, "_VALUES_AT_ONCE", 100)
    collected = Collected("a.csv", str(tmp_path), pairs=with_pairs, labels=False)
    for begin in range(0, 50, 20):
        collected.add(range(begin, 50)[:20], texts[begin:][:20], pairs and pairs[begin:][:20])
    actual = featurize(collected.finish(range(50)), np.arange(50), Letters(), 9, str(tmp_path))
    assert isinstance(actual.input_ids.values, np.memmap)
    assert isinstance(actual.segment_ids(str(tmp_path)), np.memmap)
    for name, values in expected.columns().items():
        np.testing.assert_array_equal(actual.columns()[name], values)
    columns = expected.columns()
    np.testing.assert_array_equal(actual.segment_ids(), columns["segment_ids"][columns["input_mask"] > 0])
    assert not list(tmp_path.iterdir()), "the files are unlinked"


@pytest.mark.parametrize(
    "key", [f"{task}.{split}" for task in ("cola", "mrpc", "mnli") for split in ("train", "dev", "test")]
)
def test_records_of_the_original(tmp_path: Path, key: str) -> None:
    golden_outputs.check_classifier_features(
        golden_outputs.OWN / "classifier", golden_outputs.own_vocabulary("uncased"), key, tmp_path
    )


# --- Records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "label_ids"),
    [
        (np.array([1, 0, 2], np.int32), [[1], [0], [2]]),
        (np.array([0.5, -1, 2], np.float32), [[0.5], [-1], [2]]),
        (SparseRows(np.array([0, 2, 2, 3]), np.array([0, 9_000, 1], np.int32), 10_000), [[0, 9_000], [0, 0], [1, 0]]),
        (SparseRows(np.array([0, 0, 0, 0]), np.array([], np.int32), 3), [[0], [0], [0]]),
    ],
)
@pytest.mark.parametrize(("multiple_of", "rows"), [(1, 3), (3, 3), (2, 4), (8, 8)])
def test_written_rows_and_padding_rows(
    tmp_path: Path, encoded: np.ndarray | SparseRows, label_ids: list[Any], multiple_of: int, rows: int
) -> None:
    actual = featurize(examples(["ab", "c", ""], ["d", "", "efgh"]), encoded, Letters(), 8)
    actual.write(str(tmp_path / "a"), multiple_of)
    records = read(tmp_path / "a", actual)
    columns = actual.columns()
    for name, values in records.items():
        assert len(values) == rows
        np.testing.assert_array_equal(values[:3], columns[name])
        assert not values[3:].any(), "all features of padding rows are 0, also is_real_example"
    assert records["label_ids"][:3].tolist() == label_ids
    assert ("label_count" in records) == isinstance(encoded, SparseRows)
    if isinstance(encoded, SparseRows):
        assert records["label_count"][:3, 0].tolist() == np.diff(encoded.row_splits).tolist()
    assert records["is_real_example"][:3].all()


# --- Tokenizers ------------------------------------------------------------------------------------------------------


def test_sentencepiece(spm_model: Path) -> None:
    tokenizer = SentencePieceTokenizer(spm_model, do_lower_case=True)
    actual = featurize(examples(["Hello there.", "One"], ["Two three", ""]), np.zeros(2, np.int32), tokenizer, 20)
    first = ["[CLS]", *tokenizer.tokenize("Hello there."), "[SEP]", *tokenizer.tokenize("Two three"), "[SEP]"]
    columns = actual.columns()
    assert columns["input_ids"][0].tolist() == pad(tokenizer.convert_tokens_to_ids(first), 20, 0)
    assert columns["input_ids"][1].tolist() == pad(
        tokenizer.convert_tokens_to_ids(["[CLS]", *tokenizer.tokenize("One"), "[SEP]"]), 20, 0
    )
    assert columns["segment_ids"].sum(axis=1).tolist() == [len(tokenizer.tokenize("Two three")) + 1, 0]


# --- Truncation and windows ------------------------------------------------------------------------------------------


def test_truncation_is_reported() -> None:
    actual = featurize(examples(["a" * 6, "a" * 7, "a"]), np.zeros(3, np.int32), Letters(), 8)
    assert actual.truncation() == "1 of 3 rows (33 %) was truncated to max_seq_length=8; the longest had 9 tokens."
    actual = featurize(examples(["a" * 6, "a"]), np.zeros(2, np.int32), Letters(), 8)
    assert actual.truncation() == "All 2 rows fit into max_seq_length=8; the longest has 8 tokens."
    actual = featurize(examples(["a"]), np.zeros(1, np.int32), Letters(), 8)
    assert actual.truncation() == "The text fits into max_seq_length=8; it has 3 tokens."


def test_windows() -> None:
    """Each window has the labels of its row, a weight, and the second text."""
    labels = SparseRows(np.array([0, 2, 3]), np.array([0, 2, 1], np.int32), 3)
    actual = featurize(examples(["abcdefgh", "a"], ["ab", ""]), labels, Letters(), 9, long_text="windows")
    columns = actual.columns()
    pieces = [
        "".join("?[]abcdefgh"[piece if piece < 3 else piece - 7] for piece in row) for row in columns["input_ids"]
    ]
    assert pieces == ["[abcd]ab]", "[cdef]ab]", "[efgh]ab]", "[a]??????"]
    assert columns["segment_ids"].sum(axis=1).tolist() == [3, 3, 3, 0]
    assert np.asarray(actual.labels).tolist() == [[1, 0, 1]] * 3 + [[0, 1, 0]]
    assert actual.window_splits is not None
    assert actual.window_splits.tolist() == [0, 3, 4]
    assert actual.weights is not None
    assert actual.weights.tolist() == np.array([1 / 3] * 3 + [1], np.float32).tolist()
    assert actual.truncation() == (
        "1 of 2 rows (50 %) did not fit into max_seq_length=9 and was split into 4 windows in total. The longest "
        "row has 13 tokens."
    )
    actual = featurize(examples(["abcd"], ["abcdefgh"]), np.ones(1), Letters(), 9, long_text="windows", window_stride=1)
    assert actual.lengths.tolist() == [9, 9]
    assert actual.truncation().endswith(
        "Of 1 row the second text was truncated, to leave half of each window to the first."
    )


@pytest.mark.parametrize(("long_text", "pieces"), [("truncate_head", "efgh"), ("head_tail", "afgh")])
def test_other_ways_to_truncate(long_text: str, pieces: str) -> None:
    actual = featurize(examples(["abcdefgh"]), np.zeros(1), Letters(), 6, long_text=long_text)
    assert actual.input_ids.values.tolist() == [1, *(Letters.vocab[piece] for piece in pieces), 2]
    assert (actual.truncated_count, actual.weights) == (1, None)


def test_empty_texts_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        featurize(examples(["", "a", " "]), np.zeros(3, np.int32), Letters(), 8)
    assert caplog.messages == ["a.csv: 2 rows without any token."]


@pytest.mark.parametrize(("pairs", "length", "minimum"), [(None, 2, 3), (["b"], 4, 5)])
def test_too_small_max_seq_length(pairs: Any, length: int, minimum: int) -> None:
    with pytest.raises(InputError, match=f"--max_seq_length={length} has no room .* at least {minimum}"):
        featurize(examples(["a"], pairs), np.zeros(1, np.int32), Letters(), length)
    featurize(examples(["a"], pairs), np.zeros(1, np.int32), Letters(), minimum)


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys; from bert_tf2.tasks.classification import data, features, label_report, outputs\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
