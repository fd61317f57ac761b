"""Windows: the original's features, the plain implementation, records, summaries."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import golden_outputs
from helpers.golden_outputs import SQUAD_SIZES
from helpers.repository import REPOSITORY
from helpers.squad_strategies import questions, tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import squad_windows
from reference.squad_windows import Span, document_spans, improved_answer, is_max_context

from bert_tf2 import records
from bert_tf2.errors import InputError
from bert_tf2.tasks.squad import examples, tokenized_examples
from bert_tf2.tasks.squad.examples import Answer, Example
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import FeatureSummary, make_windows, write_records
from bert_tf2.tasks.squad.words import split
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sequences import SPECIAL_IN_PAIR
from bert_tf2.tokenization.wordpiece import FullTokenizer


def golden_windows(version, mode):
    """The windows of our own questions, by both implementations, and the original's records of them."""
    path = golden_outputs.own_vocabulary("uncased")
    training = mode == "train"
    source = golden_outputs.OWN / "squad" / f"{version}.json"
    data = examples.read(source, training=training, version_2_with_negative=version == "v2")
    ordered = examples.training_order(data.examples) if training else data.examples
    plain = list(squad_windows.windows(ordered, FullTokenizer(path), SQUAD_SIZES, training))
    fast = make_windows(tokenized_examples.tokenize(ordered, FastTokenizer(path)), SQUAD_SIZES, training)
    return plain, fast, golden_outputs.own_squad_records(version)[mode]


@pytest.mark.parametrize("mode", ["predict", "train"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_golden_features(version, mode):
    plain, fast, expected = golden_windows(version, mode)
    assert [{name: as_list(value) for name, value in window.record().items()} for window in plain] == expected
    check(plain, fast)


def as_list(value):
    return value if isinstance(value, list) else [value]


def check(plain, fast):
    """Checks that the arrays equal the windows of the plain implementation in everything."""
    assert len(plain) == len(fast)
    columns, is_max = fast.columns(), fast.is_max_context()
    for name, column in columns.items():
        assert column.tolist() == [window.record()[name] for window in plain]
        assert column.dtype == np.int32
    offset = fast.offset.tolist()
    for row, window in enumerate(plain):
        begin = int(fast.document_start[row])
        words = fast.tokenized.words[begin : begin + fast.length[row]].tolist()
        assert dict(enumerate(words, offset[row])) == window.token_to_orig_map
        expected = {position for position, is_best in window.token_is_max_context.items() if is_best}
        assert set(np.flatnonzero(is_max[row]).tolist()) == expected
    assert fast.lengths.tolist() == [len(window.tokens) for window in plain]
    assert fast.example.tolist() == [window.example_index for window in plain]


@st.composite
def parameters(draw):
    query = draw(st.integers(1, 6))
    return FeatureParameters(query + 3 + draw(st.integers(1, 12)), draw(st.integers(1, 14)), query)


@given(st.data(), st.booleans(), parameters(), st.booleans())
@settings(max_examples=300)
def test_windows_equal_the_plain_implementation(data, training, sizes, lower):
    examples = data.draw(questions(training))
    full, fast = tokenizers(lower)
    windows = make_windows(tokenized_examples.tokenize(examples, fast), sizes, training)
    plain = list(squad_windows.windows(examples, full, sizes, training))
    check(plain, windows)
    # Blocks of windows give the same.
    middle = data.draw(st.integers(0, len(windows)))
    blocks = [windows.is_max_context(0, middle), windows.is_max_context(middle)]
    assert np.array_equal(np.concatenate(blocks), windows.is_max_context())
    for name, column in windows.columns().items():
        assert np.array_equal(np.concatenate([windows.columns(0, middle)[name], windows.columns(middle)[name]]), column)
    if training:
        answered = {window.example_index for window in plain if window.start_position}
        assert windows.summary.windows_with_answer == sum(bool(window.start_position) for window in plain)
        assert windows.summary.without_answer == sum(
            index not in answered for index, example in enumerate(examples) if example.answer
        )


def check_long(tokens, max_tokens, stride):
    full, fast = tokenizers()
    examples = [Example("", "", split(" ".join(["a"] * tokens), "en"))]
    sizes = FeatureParameters(max_tokens + SPECIAL_IN_PAIR, stride, 1)
    check(
        list(squad_windows.windows(examples, full, sizes, False)),
        make_windows(tokenized_examples.tokenize(examples, fast), sizes, False),
    )


@given(st.integers(1, 90), st.integers(2, 40), st.integers(1, 45))
@settings(max_examples=100)
def test_max_context_of_long_documents(tokens, max_tokens, stride):
    check_long(tokens, max_tokens, stride)


@pytest.mark.parametrize(("tokens", "max_tokens"), [(120, 119), (145, 144), (124, 122)])
def test_max_context_where_rounding_decides(tokens, max_tokens):
    # With a stride of 101 and a last window that is shorter by 100, 0.01 per token compensates for one token.
    check_long(tokens, max_tokens, 101)


def test_document_spans():
    assert document_spans(0, 5, 2) == []
    assert document_spans(5, 5, 2) == [Span(0, 5)]
    assert document_spans(6, 5, 2) == [Span(0, 5), Span(2, 4)]
    assert document_spans(12, 5, 4) == [Span(0, 5), Span(4, 5), Span(8, 4)]
    # A stride longer than a window leaves no token out.
    assert document_spans(12, 5, 9) == [Span(0, 5), Span(5, 5), Span(10, 2)]


def test_is_max_context():
    spans = [Span(0, 5), Span(3, 5), Span(6, 5)]
    assert [is_max_context(spans, index, 3) for index in range(3)] == [True, False, False]
    assert [is_max_context(spans, index, 4) for index in range(3)] == [False, True, False]
    assert [is_max_context(spans, index, 7) for index in range(3)] == [False, False, True]
    # With equal context in two windows, the first is best; the longer one if their lengths differ.
    assert [is_max_context([Span(0, 5), Span(2, 5)], index, 3) for index in range(2)] == [True, False]
    assert [is_max_context([Span(0, 4), Span(1, 5)], index, 2) for index in range(2)] == [False, True]


def test_improved_answer():
    document = ["(", "1895", "-", "1943", ")", ".", "1895"]
    assert improved_answer(document, 0, 5, ["1895"]) == (1, 1)
    assert improved_answer(document, 0, 5, ["1895", "-", "1943"]) == (1, 3)
    assert improved_answer(document, 0, 5, ["1896"]) == (0, 5)
    assert improved_answer(document, 2, 6, ["1895"]) == (6, 6)
    assert improved_answer(document, 3, 2, []) == (3, 2)


def test_answer_positions_and_impossible_questions():
    full, fast = tokenizers()
    paragraph = split("the Denver Broncos, (den)", "en")  # the den ##ver bron ##cos , ( den )
    examples = [
        Example("a", "a b", paragraph, answer=Answer("den", 3, 3)),
        Example("b", "a b", paragraph, is_impossible=True),
    ]
    sizes = FeatureParameters(max_seq_length=10, doc_stride=3, max_query_length=2)
    columns = make_windows(tokenized_examples.tokenize(examples, fast), sizes, True).columns()
    assert columns["start_positions"].ravel().tolist() == [0, 8, 5, 0, 0, 0]
    assert columns["end_positions"].ravel().tolist() == [0, 8, 5, 0, 0, 0]
    assert columns["is_impossible"].ravel().tolist() == [0, 0, 0, 1, 1, 1]
    assert columns["unique_ids"].ravel().tolist() == [10**9 + index for index in range(6)]
    tokens = [full.convert_ids_to_tokens(row) for row in columns["input_ids"].tolist()]
    assert tokens[1] == ["[CLS]", "a", "b", "[SEP]", "bron", "##cos", ",", "(", "den", "[SEP]"]
    assert columns["segment_ids"][2].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]
    assert columns["input_mask"][2].tolist() == [1] * 8 + [0] * 2


def test_summary(caplog):
    caplog.set_level(logging.INFO)
    _, fast = tokenizers()
    long, empty = split("the the the the the the", "en"), split("\u200b", "en")
    examples = [
        Example("long question", "a b a", long, answer=Answer("the", 0, 0)),
        Example("long answer", "a", long, answer=Answer("the the the the the the", 0, 5)),
        Example("empty", "a", empty, is_impossible=True),
    ]
    sizes = FeatureParameters(max_seq_length=9, doc_stride=2, max_query_length=2)
    windows = make_windows(tokenized_examples.tokenize(examples, fast), sizes, True)
    assert windows.summary == FeatureSummary(
        questions=3, windows=4, cut_questions=1, without_windows=1, windows_with_answer=1, without_answer=1
    )
    assert "4 windows of 3 questions, 1 with the answer" in caplog.text
    assert "answers that no window contains completely: 1" in caplog.text
    assert windows.splits.tolist() == [0, 2, 4, 4]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"doc_stride": 0}, "--doc_stride=0; it must be at least 1."),
        ({"max_query_length": 0}, "--max_query_length=0; it must be at least 1."),
        ({"max_seq_length": 67}, r"--max_seq_length=67 must be greater than --max_query_length=64 \+ 3"),
    ],
)
def test_invalid_sizes(values, message):
    with pytest.raises(InputError, match=message):
        FeatureParameters(**values)


@pytest.mark.parametrize("mode", ["predict", "train"])
def test_records(tmp_path, mode):
    plain, fast, expected = golden_windows("v2", mode)
    path = str(tmp_path / "windows.tf_record")
    write_records(fast, path)
    schema = records.squad(SQUAD_SIZES.max_seq_length, mode == "train")
    written = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    assert written == [schema.encode(window.record()) for window in plain]
    parsed = schema.parse(tf.constant(written))
    names = {"unique_ids", "input_ids", "input_mask", "segment_ids"}
    if mode == "train":
        names |= {"start_positions", "end_positions", "is_impossible"}
    assert parsed.keys() == names
    for name in names:
        assert parsed[name].numpy().tolist() == [record[name] for record in expected]


def test_texts_are_tokenized_in_blocks(monkeypatch):
    _, fast = tokenizers()
    paragraphs = [split(f"the Denver Broncos, {'ab ' * number}", "en") for number in range(6)]
    examples = [
        Example(str(number), "a b", paragraph, answer=Answer("den", 1, 1))
        for number, paragraph in enumerate(paragraphs)
    ]
    whole = tokenized_examples.tokenize(examples, fast)
    monkeypatch.setattr(tokenized_examples, "_TEXTS_AT_ONCE", 4)
    in_blocks = tokenized_examples.tokenize(examples, fast)
    for name in ("documents", "questions"):
        for expected, array in zip(getattr(whole, name), getattr(in_blocks, name), strict=True):
            assert np.array_equal(array, expected)
            assert array.dtype == expected.dtype
    assert np.array_equal(in_blocks.words, whole.words)
    assert np.array_equal(in_blocks.answers, whole.answers)
    assert len(whole.documents.row_splits) == 7


def test_no_tensorflow():
    modules = [f"tasks.squad.{name}" for name in ("examples", "prediction_files", "span_selection", "windows")]
    program = "".join(f"import bert_tf2.{name}\n" for name in (*modules, "metrics.squad"))
    program += "import sys; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
