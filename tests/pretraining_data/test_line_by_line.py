"""Each line an instance of its own: the rows, their masks, what is too long; from a text to records."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.golden_outputs import OWN, decoded
from helpers.instance_columns import instance_columns
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.instances import read_documents
from reference.single_texts import line_by_line as plain_line_by_line

from bert_tf2.errors import InputError
from bert_tf2.io import files
from bert_tf2.pretraining_data import line_by_line
from bert_tf2.pretraining_data.fast_instances import Corpus, Vocabulary
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data
from bert_tf2.tokenization.wordpiece import FullTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(20)), *(f"##{n}" for n in range(15))]
VOCABULARY = Vocabulary.of({piece: number for number, piece in enumerate(PIECES)})
TEXT = OWN / "pretraining_data" / "text.txt"
VOCAB = str(OWN / "vocab_uncased.txt")

lines_of_tokens = st.lists(st.lists(st.sampled_from(PIECES[5:]), min_size=1, max_size=30), max_size=12)


def corpus_of(lines: list[list[str]]) -> Corpus:
    ids = [PIECES.index(token) for line in lines for token in line]
    splits = np.cumsum([0, *map(len, lines)], dtype=np.int64)
    return Corpus(np.array(ids, np.int32), splits, np.arange(len(lines) + 1))


@given(
    lines=lines_of_tokens,
    parameters=st.builds(
        InstanceParameters,
        max_seq_length=st.integers(5, 24),
        max_predictions_per_seq=st.integers(1, 8),
        masked_lm_prob=st.floats(0, 1),
        dupe_factor=st.integers(1, 3),
        do_whole_word_mask=st.booleans(),
    ),
    seed=st.integers(0, 2**64),
    long_lines=st.sampled_from(["truncate", "split"]),
)
@settings(max_examples=60)
def test_the_same_instances_as_in_plain_code(
    lines: list[list[str]], parameters: InstanceParameters, seed: int, long_lines: str
) -> None:
    rng, plain_rng = random.Random(seed), random.Random(seed)
    made = line_by_line.pack(corpus_of(lines), VOCABULARY, parameters, rng, long_lines=long_lines)
    expected = plain_line_by_line(lines, PIECES, parameters, plain_rng, long_lines == "split")
    columns = instance_columns(made)
    assert len(made) == len(expected)
    for number, instance in enumerate(expected):
        length, predictions = len(instance.tokens), len(instance.masked_lm_positions)
        row = {name: column[number].tolist() for name, column in columns.items()}
        assert row["input_ids"][:length] == [PIECES.index(token) for token in instance.tokens]
        assert sum(row["input_mask"]) == length
        assert row["masked_lm_positions"][:predictions] == instance.masked_lm_positions
        assert row["masked_lm_ids"][:predictions] == [PIECES.index(token) for token in instance.masked_lm_labels]
        assert row["masked_lm_weights"] == [1] * predictions + [0] * (len(row["masked_lm_weights"]) - predictions)
    assert not columns["segment_ids"].any()
    assert rng.getstate() == plain_rng.getstate()


def test_lines_without_masks_are_written_once() -> None:
    lines = [["w1"], ["w2"] * 20, ["w3", "w4"]]
    parameters = InstanceParameters(8, 2, dupe_factor=5)
    for long_lines, count in (("truncate", 3), ("split", 6)):
        made = line_by_line.pack(corpus_of(lines), VOCABULARY, parameters, random.Random(1), False, long_lines)
        columns = instance_columns(made, masked=False)
        assert len(made) == count
        assert columns.keys() == {"input_ids", "input_mask", "segment_ids"}
        assert columns["input_mask"].sum() == sum(
            2 + min(6, part) for part in {3: (1, 20, 2), 6: (1, 6, 6, 6, 2, 2)}[count]
        )


def config(output: Path, **changes: Any) -> PretrainingDataConfig:
    values = {"max_seq_length": 24, "max_predictions_per_seq": 4, "dupe_factor": 2, "line_by_line": True, **changes}
    values = {"input_file": str(TEXT), **values}
    return PretrainingDataConfig(output_file=str(output), vocab_file=VOCAB, **values)


@pytest.mark.parametrize("long_lines", ["truncate", "split"])
@pytest.mark.parametrize("whole_words", [False, True])
def test_records_of_a_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, long_lines: str, whole_words: bool
) -> None:
    summary = create_pretraining_data(config(tmp_path / "a", long_lines=long_lines, do_whole_word_mask=whole_words))
    tokenizer = FullTokenizer(VOCAB)
    documents = read_documents(files.read_lines(TEXT), tokenizer.tokenize)
    lines = [line for document in documents for line in document]
    parameters = InstanceParameters(24, 4, dupe_factor=2, do_whole_word_mask=whole_words)
    expected = plain_line_by_line(lines, list(tokenizer.vocab), parameters, random.Random(12345), long_lines == "split")
    found = decoded(tmp_path / "a")
    assert [row["input_ids"][: sum(map(int, row["input_mask"]))] for row in found] == [
        [tokenizer.vocab[token] for token in instance.tokens] for instance in expected
    ]
    assert "next_sentence_labels" not in found[0]
    too_long = sum(len(line) > 22 for line in lines)
    assert 0 < summary.truncated_sentences == too_long
    assert (f"22 tokens that fit into --max_seq_length=24: {too_long} of {len(lines)};" in caplog.text) == (
        long_lines == "truncate"
    )
    assert json.loads((tmp_path / "a.summary.json").read_text())["truncated_sentences"] == too_long
    assert "Every document is a single line" not in caplog.text


def test_empty_lines_do_not_matter(tmp_path: Path) -> None:
    lines = [line for line in TEXT.read_text(encoding="utf-8").split("\n") if line.strip()]
    (tmp_path / "text").write_text("\n".join(lines), encoding="utf-8")
    create_pretraining_data(config(tmp_path / "a"))
    create_pretraining_data(config(tmp_path / "b", input_file=str(tmp_path / "text")))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_flags_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--line_by_line makes examples of single lines, --no_nsp of as many"):
        config(tmp_path / "a", no_nsp=True)
    with pytest.raises(InputError, match="--long_lines needs --line_by_line; give both or omit it"):
        config(tmp_path / "a", line_by_line=False, long_lines="split")
    with pytest.raises(InputError, match="Unknown --long_lines 'drop'; choose one of truncate, split"):
        config(tmp_path / "a", long_lines="drop")
