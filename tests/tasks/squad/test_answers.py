"""From logits to answers: the original's files byte for byte, the plain implementation, alignment, ties."""

import math

import numpy as np
import pytest
from helpers import golden_outputs
from helpers.golden_outputs import check_position, reference_predictions
from helpers.squad_strategies import questions, tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import squad_answers
from reference.squad_answers import align

from bert_tf2.errors import InputError
from bert_tf2.io import spilled
from bert_tf2.tasks.squad import answers, span_selection, tokenized_examples
from bert_tf2.tasks.squad.answers import AnswerParameters, NBestEntry, detokenize
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import make_windows
from bert_tf2.tasks.squad.words import split
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import BasicTokenizer


def predict(examples, sizes, start_logits, end_logits, parameters, tokenizer=None):
    windows = make_windows(tokenized_examples.tokenize(examples, tokenizer or tokenizers()[1]), sizes, False)
    return span_selection.predict(windows, np.asarray(start_logits), np.asarray(end_logits), parameters)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_golden_files(tmp_path, version):
    golden_outputs.check_squad_answers(
        golden_outputs.OWN / "squad",
        golden_outputs.own_vocabulary("uncased"),
        version,
        golden_outputs.SQUAD_SIZES,
        tmp_path,
    )


@st.composite
def answer_parameters(draw):
    return AnswerParameters(
        n_best_size=draw(st.integers(1, 8)),
        max_answer_length=draw(st.integers(1, 8)),
        version_2_with_negative=draw(st.booleans()),
        null_score_diff_threshold=draw(st.sampled_from([0.0, -2.5, 2.0])),
    )


@given(st.data(), answer_parameters(), st.booleans(), st.integers(0, 2**32), st.booleans())
@settings(max_examples=400)
def test_answers_equal_the_plain_implementation(data, parameters, lower, seed, has_ties):
    examples = data.draw(questions(training=False))
    full, fast = tokenizers(lower)
    sizes = FeatureParameters(data.draw(st.integers(8, 24)), data.draw(st.integers(1, 12)), 3)
    windows = make_windows(tokenized_examples.tokenize(examples, fast), sizes, False)
    shape = (2, len(windows), sizes.max_seq_length)
    rng = np.random.default_rng(seed)
    logits = rng.integers(-2, 3, shape) / 2 if has_ties else rng.normal(0, 3, shape).astype(np.float32)
    plain = reference_predictions(examples, full, sizes, *logits.astype(np.float64), parameters, lower)
    predictions = span_selection.predict(windows, *logits, parameters)
    assert predictions == plain
    for example, prediction in zip(examples, predictions, strict=True):
        for entry in prediction.n_best:
            check_position(example, entry)
        assert prediction.answer in prediction.n_best
        assert math.isclose(math.fsum(entry.probability for entry in prediction.n_best), 1)


@given(st.data())
@settings(max_examples=300)
def test_every_span_is_aligned_as_in_the_plain_implementation(data):
    examples = data.draw(questions(training=False, most=1))
    _, fast = tokenizers(data.draw(st.booleans()))
    tokens = tokenized_examples.tokenize(examples, fast)
    pieces = fast.convert_ids_to_tokens(tokens.documents.values.tolist())
    paragraph, word = examples[0].paragraph, tokens.words.tolist()
    aligner = span_selection._SpanAligner(tokens)
    pairs = [(first, last) for first in range(len(word)) for last in range(first, len(word))]
    columns = aligner.locate(*np.array(pairs, np.int64).reshape(-1, 2).T)
    for first, last, start, end, is_sure in zip(*(column.tolist() for column in columns), strict=True):
        words = paragraph.words[word[first] : word[last] + 1]
        begin, stop = align(detokenize(pieces[first : last + 1]), words, fast.do_lower_case)
        starts = paragraph.starts[word[first] : word[last] + 1]
        offsets = [start + index for start, text in zip(starts, words, strict=True) for index in range(len(text))]
        expected = offsets[begin], offsets[stop - 1] + 1
        assert aligner.align(paragraph, first, last) == expected
        if is_sure:
            assert (start, end) == expected


LENGTHENING = [
    "정말 와!😀 멋지다",
    "와😀!와 서울😀특별시, 한국!",
    "각😀각 (값:😀) 읽다😀😀.",
    "আমি কো😀! ভালো, সৌ😀রভ।",
    "கொ😀டு! தமிழ்😀 போ.",
    "ಕೊ😀ಡು, हिंदी😀ड़! क\u094d😀",
    "😀 😀와 é😀e\u0301! ｶﾞ😀",
]


def final_text(predicted: str, original: str, lower: bool) -> str:
    """`get_final_text` of the original, by its own steps: maps between texts with and without their spaces."""

    def offsets(text):
        return [offset for offset, char in enumerate(text) if char != " "]

    tokenized = " ".join(BasicTokenizer(lower).tokenize(original))
    begin = tokenized.find(predicted)
    if begin == -1 or len(offsets(tokenized)) != len(offsets(original)):
        return original
    index = {offset: index for index, offset in enumerate(offsets(tokenized))}
    last = begin + len(predicted) - 1
    if begin not in index or last not in index:
        return original
    return original[offsets(original)[index[begin]] : offsets(original)[index[last]] + 1]


@pytest.mark.parametrize("lower", [True, False])
def test_spans_with_unknown_pieces_equal_the_original(tmp_path, lower):
    """Letters that decompose compensate for `[UNK]` pieces: the lengths are equal, but the offsets are not."""
    basic = BasicTokenizer(lower)
    letters = sorted({char for text in LENGTHENING for word in basic.tokenize(text) for char in word} - {"😀", "멋"})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    fast = FastTokenizer(str(tmp_path / "vocab.txt"), lower)
    examples = [Example(str(number), "q", split(text, "en")) for number, text in enumerate(LENGTHENING)]
    tokens = tokenized_examples.tokenize(examples, fast)
    aligner = span_selection._SpanAligner(tokens)
    total = 0
    for example, first_token, end_token in zip(
        examples, tokens.documents.row_splits[:-1].tolist(), tokens.documents.row_splits[1:].tolist(), strict=True
    ):
        spans = [(first, last) for first in range(first_token, end_token) for last in range(first, end_token)]
        columns = aligner.locate(*np.array(spans, np.int64).T)
        for first, last, start, end, is_sure in zip(*(column.tolist() for column in columns), strict=True):
            if not is_sure:
                start, end = aligner.align(example.paragraph, first, last)
            predicted = detokenize(fast.convert_ids_to_tokens(tokens.documents.values[first : last + 1].tolist()))
            words = example.paragraph.words[tokens.words[first] : tokens.words[last] + 1]
            assert example.paragraph.quote(start, end) == final_text(predicted, " ".join(words), lower), predicted
        total += len(spans)
    assert total == (448 if lower else 222)


def test_unknown_piece_next_to_a_letter_that_decomposes(tmp_path):
    """The original predicts the whole word."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u110b\u116a", "!"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    example = Example("q", "!", split("정말 와!😀 멋지다", "en"))
    # 0 [CLS]  1 !  2 [SEP]  3 [UNK]  4 와  5 !  6 [UNK]  7 [UNK]  8 [SEP]
    for position in (4, 5, 6):
        high_logit = logits(**{f"_{position}": 3.0})
        tokenizer = FastTokenizer(str(tmp_path / "vocab.txt"))
        (prediction,) = predict([example], SIZES, high_logit, high_logit, AnswerParameters(1), tokenizer)
        assert prediction.answer.text == "와!😀"


@pytest.mark.parametrize(
    ("tokens", "words", "part"),
    [
        (["steve", "smith"], ["Steve", "Smith's"], "SteveSmith"),
        (["(", "afc"], ["(AFC)"], "(AFC"),
        (["afc"], ["(AFC)"], "AFC"),
        (["nor", "##man"], ["Normandy", "man"], "Norman"),
        (["##man"], ["Normandy"], "man"),
        # The first of several occurrences, although the tokens are from another one.
        (["##an"], ["an'an"], "an"),
        # Accents are stripped character by character; if that changes the length, the whole word is returned.
        (["beyonce"], ["Beyoncé's"], "Beyoncé"),
        (["beyonce"], ["Beyonce\u0301's"], "Beyonce\u0301's"),
        (["[UNK]"], ["xyz,"], "xyz,"),
        (["6"], ["½6"], "6"),
    ],
)
def test_align(tokens, words, part):
    begin, end = align(detokenize(tokens), words, do_lower_case=True)
    assert "".join(words)[begin:end] == part


def test_detokenize():
    assert detokenize(["the", "den", "##ver", "bron", "##cos"]) == "the denver broncos"
    assert detokenize(["##ver", "a"]) == "ver a"
    assert detokenize([]) == ""


@given(st.lists(st.lists(st.integers(-2, 2), min_size=7, max_size=7), max_size=5), st.integers(1, 9))
def test_best_indexes(rows, count):
    logits = np.array(rows, np.float64).reshape(-1, 7)
    expected = [squad_answers.best_indexes(row, count) for row in logits.tolist()]
    assert span_selection.best_indexes(logits, count).tolist() == expected
    for row, indexes in zip(logits.tolist(), expected, strict=True):
        assert indexes == [index for index, _ in sorted(enumerate(row), key=lambda pair: pair[1], reverse=True)][:count]


# --- The rules, one by one -------------------------------------------------------------------------------------------

SIZES = FeatureParameters(max_seq_length=12, doc_stride=4, max_query_length=2)
EXAMPLE = Example("q", "a", split("the Denver Broncos, a b", "en"))
# A window:  0 [CLS]  1 a  2 [SEP]  3 the  4 den  5 ##ver  6 bron  7 ##cos  8 ,  9 a  10 b  11 [SEP]


def logits(**values):
    row = np.full((1, 12), -10.0)
    for position, value in values.items():
        row[0, int(position[1:])] = value
    return row


def texts(prediction):
    return [entry.text for entry in prediction.n_best]


def test_order_and_probabilities():
    (prediction,) = predict([EXAMPLE], SIZES, logits(_4=2.0, _9=1.0), logits(_7=3.0, _10=2.0), AnswerParameters(2))
    assert texts(prediction) == ["Denver Broncos", "Denver Broncos, a b"]
    total = 1 + math.exp(-1)
    assert [entry.probability for entry in prediction.n_best] == [1 / total, math.exp(-1) / total]
    assert prediction.answer == NBestEntry("Denver Broncos", 1 / total, 2.0, 3.0, 4, 18)
    assert prediction.best == prediction.answer
    assert prediction.null_odds is None


def test_max_answer_length():
    for max_length, expected in ((4, "Denver Broncos"), (3, "Broncos")):
        parameters = AnswerParameters(2, max_answer_length=max_length)
        (prediction,) = predict([EXAMPLE], SIZES, logits(_4=2.0, _6=1.0), logits(_7=3.0), parameters)
        assert prediction.answer.text == expected


def test_answers_are_in_the_context():
    start, end = logits(_0=9.0, _1=8.0, _2=7.0, _3=1.0), logits(_11=9.0, _3=1.0)
    (prediction,) = predict([EXAMPLE], SIZES, start, end, AnswerParameters())
    assert prediction.answer.text == "the"


def test_no_candidates():
    parameters = AnswerParameters(1)
    (prediction,) = predict([EXAMPLE], SIZES, logits(_1=1.0), logits(_1=1.0), parameters)
    assert prediction.n_best == [NBestEntry("empty", 1.0, 0.0, 0.0, None, None)]
    parameters = AnswerParameters(1, version_2_with_negative=True)
    (prediction,) = predict([EXAMPLE], SIZES, logits(_0=1.5), logits(_0=1.0, _1=2.0), parameters)
    assert prediction.answer == NBestEntry("", 1.0, 1.5, 1.0, None, None)
    assert prediction.best is None
    assert prediction.null_odds == 2.5
    assert answers.with_threshold(prediction, 99.0) == prediction


def test_empty_context():
    example = Example("q", "a", split(" \n", "en"))
    no_logits = np.empty((0, 12))
    (prediction,) = predict([example], SIZES, no_logits, no_logits, AnswerParameters())
    assert prediction.answer.text == "empty"
    parameters = AnswerParameters(version_2_with_negative=True)
    (prediction,) = predict([example], SIZES, no_logits, no_logits, parameters)
    assert prediction.answer == NBestEntry("", 1.0, 0.0, 0.0, None, None)
    assert prediction.null_odds == 1e6


def test_null_score_and_threshold():
    start, end = logits(_0=2.0, _4=2.0), logits(_0=2.0, _7=1.5)
    for threshold, expected in ((0.0, ""), (0.5, "Denver Broncos")):
        parameters = AnswerParameters(version_2_with_negative=True, null_score_diff_threshold=threshold)
        (prediction,) = predict([EXAMPLE], SIZES, start, end, parameters)
        assert prediction.null_odds == 0.5
        assert prediction.answer.text == expected
        assert prediction.best.text == "Denver Broncos"
        assert answers.with_threshold(prediction, 0.0).answer.text == ""
        assert answers.with_threshold(prediction, 0.5).answer.text == "Denver Broncos"
    assert texts(prediction)[:2] == ["", "Denver Broncos"]


def test_null_is_kept_in_addition_to_n_best_size_answers():
    parameters = AnswerParameters(2, version_2_with_negative=True)
    (prediction,) = predict(
        [EXAMPLE], SIZES, logits(_0=-5.0, _3=2.0, _4=2.0), logits(_0=-5.0, _7=3.0, _8=2.0), parameters
    )
    assert texts(prediction) == ["the Denver Broncos", "Denver Broncos", ""]


def test_the_lowest_null_score_of_all_windows_counts():
    example = Example("q", "a", split("the Denver Broncos, a b the a b", "en"))
    start, end = np.full((2, 2, 12), -10.0)
    start[:, 0], end[:, 0] = (3.0, 2.0), (1.0, 1.5)
    start[0, 4] = end[0, 7] = 1.0
    parameters = AnswerParameters(version_2_with_negative=True)
    (prediction,) = predict([example], SIZES, start, end, parameters)
    assert prediction.null_odds == 3.5 - 2.0
    assert (prediction.answer.start_logit, prediction.answer.end_logit) == (2.0, 1.5)


def test_equal_texts_are_kept_once():
    example = Example("q", "a", split("a b a", "en"))
    (prediction,) = predict([example], SIZES, logits(_3=2.0, _5=1.0), logits(_3=2.0, _5=1.0), AnswerParameters(2))
    assert texts(prediction) == ["a", "a b a"]
    assert prediction.n_best[0].start == 0


def test_logits_of_padding_may_be_minus_infinity():
    example = Example("q", "a", split("the a", "en"))  # six tokens
    start, end = logits(_3=1.0), logits(_4=1.0)
    start[0, 6:] = end[0, 6:] = -np.inf
    (prediction,) = predict([example], SIZES, start, end, AnswerParameters())
    assert prediction.answer.text == "the a"


def test_half_precision():
    start, end = logits(_4=2.0, _3=1.0).astype(np.float16), logits(_7=3.0).astype(np.float16)
    predictions = predict([EXAMPLE], SIZES, start, end, AnswerParameters())
    assert predictions == predict(
        [EXAMPLE], SIZES, start.astype(np.float64), end.astype(np.float64), AnswerParameters()
    )


@pytest.mark.parametrize(("position", "value"), [(3, np.nan), (3, -np.inf), (3, np.inf), (8, np.nan), (8, np.inf)])
def test_logits_must_be_finite(position, value):
    example = Example("q", "a", split("the a", "en"))
    start = logits()
    start[0, position] = value
    with pytest.raises(InputError, match="The model's logits are not all finite"):
        predict([example], SIZES, start, logits(), AnswerParameters())


def test_wrong_shape_of_logits():
    with pytest.raises(ValueError, match=r"The logits have the shape \(2, 12\), expected \(1, 12\)"):
        predict([EXAMPLE], SIZES, logits(), np.zeros((2, 12)), AnswerParameters())


@pytest.mark.parametrize("name", ["n_best_size", "max_answer_length"])
def test_invalid_parameters(name):
    with pytest.raises(InputError, match=f"--{name}=0; it must be at least 1"):
        AnswerParameters(**{name: 0})


@pytest.mark.parametrize("characters", [1, 40, 100])
def test_blocks_of_windows_give_the_same_answers(monkeypatch, characters):
    paragraphs = [split("the Denver Broncos, a b " * (number % 4), "en") for number in range(5)]
    examples = [Example(str(number), "a", paragraphs[number * 3 % 5]) for number in range(11)]
    windows = make_windows(tokenized_examples.tokenize(examples, tokenizers()[1]), SIZES, False)
    values = np.random.default_rng(1).normal(size=(2, len(windows), 12))
    expected = span_selection.predict(windows, *values, AnswerParameters(3))
    monkeypatch.setattr(tokenized_examples, "_WORDS_AT_ONCE", 7)
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    in_blocks = make_windows(tokenized_examples.tokenize(examples, tokenizers()[1]), SIZES, False)
    predictions, first = [], 0
    for block in in_blocks.blocks(characters):
        predictions += span_selection.predict(block, *values[:, first : first + len(block)], AnswerParameters(3))
        first += len(block)
    assert first == len(windows)
    assert predictions == expected


def test_questions_are_processed_in_blocks(monkeypatch):
    examples = [
        Example(str(number), "a", split("the Denver Broncos, a b " * (number % 3), "en")) for number in range(9)
    ]
    windows = make_windows(tokenized_examples.tokenize(examples, tokenizers()[1]), SIZES, False)
    values = np.random.default_rng(1).normal(size=(2, len(windows), 12))
    expected = span_selection.predict(windows, *values, AnswerParameters(3))
    for pairs in (1, 20, 50):
        monkeypatch.setattr(span_selection, "_PAIRS", pairs)
        blocks = list(span_selection._blocks(windows, pairs // 9))
        assert len(blocks) > 1
        assert [first for first, _ in blocks] == [0, *(last for _, last in blocks[:-1])]
        assert span_selection.predict(windows, *values, AnswerParameters(3)) == expected
