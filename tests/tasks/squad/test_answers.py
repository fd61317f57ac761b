"""From logits to answers: the original's files byte for byte, the fast way against the definition, alignment, ties."""

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
from bert_tf2.tasks.squad.answers import AnswerParameters, NBestEntry, detokenized
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import make_windows
from bert_tf2.tasks.squad.words import split
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import BasicTokenizer


def predict(made, sizes, start_logits, end_logits, parameters, tokenizer=None):
    windows = make_windows(tokenized_examples.tokenize(made, tokenizer or tokenizers()[1]), sizes, False)
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
def choices(draw):
    return AnswerParameters(
        n_best_size=draw(st.integers(1, 8)),
        max_answer_length=draw(st.integers(1, 8)),
        version_2_with_negative=draw(st.booleans()),
        null_score_diff_threshold=draw(st.sampled_from([0.0, -2.5, 2.0])),
    )


@given(st.data(), choices(), st.booleans(), st.integers(0, 2**32), st.booleans())
@settings(max_examples=400)
def test_fast_is_plain(data, parameters, lower, seed, has_ties):
    made = data.draw(questions(training=False))
    full, fast = tokenizers(lower)
    sizes = FeatureParameters(data.draw(st.integers(8, 24)), data.draw(st.integers(1, 12)), 3)
    windows = make_windows(tokenized_examples.tokenize(made, fast), sizes, False)
    shape = (2, len(windows), sizes.max_seq_length)
    rng = np.random.default_rng(seed)
    logits = rng.integers(-2, 3, shape) / 2 if has_ties else rng.normal(0, 3, shape).astype(np.float32)
    plain = reference_predictions(made, full, sizes, *logits.astype(np.float64), parameters, lower)
    found = span_selection.predict(windows, *logits, parameters)
    assert found == plain
    for example, prediction in zip(made, found, strict=True):
        for entry in prediction.n_best:
            check_position(example, entry)
        assert prediction.answer in prediction.n_best
        assert math.isclose(math.fsum(entry.probability for entry in prediction.n_best), 1)


@given(st.data())
@settings(max_examples=300)
def test_every_span_is_aligned_as_the_definition_does(data):
    made = data.draw(questions(training=False, most=1))
    _, fast = tokenizers(data.draw(st.booleans()))
    tokens = tokenized_examples.tokenize(made, fast)
    pieces = fast.convert_ids_to_tokens(tokens.documents.values.tolist())
    paragraph, word = made[0].paragraph, tokens.words.tolist()
    texts = span_selection._Texts(tokens)
    pairs = [(first, last) for first in range(len(word)) for last in range(first, len(word))]
    columns = texts.columns(*np.array(pairs, np.int64).reshape(-1, 2).T)
    for first, last, start, end, is_sure in zip(*(column.tolist() for column in columns), strict=True):
        words = paragraph.words[word[first] : word[last] + 1]
        begin, stop = align(detokenized(pieces[first : last + 1]), words, fast.do_lower_case)
        starts = paragraph.starts[word[first] : word[last] + 1]
        places = [place + number for place, one in zip(starts, words, strict=True) for number in range(len(one))]
        expected = places[begin], places[stop - 1] + 1
        assert texts.aligned(paragraph, first, last) == expected
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

    def places(text):
        return [place for place, char in enumerate(text) if char != " "]

    tokenized_examples = " ".join(BasicTokenizer(lower).tokenize(original))
    begin = tokenized_examples.find(predicted)
    if begin == -1 or len(places(tokenized_examples)) != len(places(original)):
        return original
    number = {place: number for number, place in enumerate(places(tokenized_examples))}
    last = begin + len(predicted) - 1
    if begin not in number or last not in number:
        return original
    return original[places(original)[number[begin]] : places(original)[number[last]] + 1]


@pytest.mark.parametrize("lower", [True, False])
def test_every_span_with_unknown_pieces_is_the_originals(tmp_path, lower):
    """Letters that decompose make up for pieces that are `[UNK]`: the lengths are equal, the places are not."""
    basic = BasicTokenizer(lower)
    letters = sorted({char for text in LENGTHENING for word in basic.tokenize(text) for char in word} - {"😀", "멋"})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    fast = FastTokenizer(str(tmp_path / "vocab.txt"), lower)
    made = [Example(str(number), "q", split(text, "en")) for number, text in enumerate(LENGTHENING)]
    tokens = tokenized_examples.tokenize(made, fast)
    texts = span_selection._Texts(tokens)
    total = 0
    for example, first_token, end_token in zip(
        made, tokens.documents.row_splits[:-1].tolist(), tokens.documents.row_splits[1:].tolist(), strict=True
    ):
        spans = [(first, last) for first in range(first_token, end_token) for last in range(first, end_token)]
        columns = texts.columns(*np.array(spans, np.int64).T)
        for first, last, start, end, is_sure in zip(*(column.tolist() for column in columns), strict=True):
            if not is_sure:
                start, end = texts.aligned(example.paragraph, first, last)
            predicted = detokenized(fast.convert_ids_to_tokens(tokens.documents.values[first : last + 1].tolist()))
            words = example.paragraph.words[tokens.words[first] : tokens.words[last] + 1]
            assert example.paragraph.quote(start, end) == final_text(predicted, " ".join(words), lower), predicted
        total += len(spans)
    assert total == (448 if lower else 222)


def test_an_unknown_piece_beside_a_letter_that_decomposes(tmp_path):
    """The original answers with the whole word."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u110b\u116a", "!"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    asked = Example("q", "!", split("정말 와!😀 멋지다", "en"))
    # 0 [CLS]  1 !  2 [SEP]  3 [UNK]  4 와  5 !  6 [UNK]  7 [UNK]  8 [SEP]
    for place in (4, 5, 6):
        chosen = logits(**{f"_{place}": 3.0})
        tokenizer = FastTokenizer(str(tmp_path / "vocab.txt"))
        (prediction,) = predict([asked], SIZES, chosen, chosen, AnswerParameters(1), tokenizer)
        assert prediction.answer.text == "와!😀"


@pytest.mark.parametrize(
    ("tokens", "words", "part"),
    [
        (["steve", "smith"], ["Steve", "Smith's"], "SteveSmith"),
        (["(", "afc"], ["(AFC)"], "(AFC"),
        (["afc"], ["(AFC)"], "AFC"),
        (["nor", "##man"], ["Normandy", "man"], "Norman"),
        (["##man"], ["Normandy"], "man"),
        # The first of several places, although the tokens were at another.
        (["##an"], ["an'an"], "an"),
        # Accents are stripped one for one; where they are not, all is given.
        (["beyonce"], ["Beyoncé's"], "Beyoncé"),
        (["beyonce"], ["Beyonce\u0301's"], "Beyonce\u0301's"),
        (["[UNK]"], ["xyz,"], "xyz,"),
        (["6"], ["½6"], "6"),
    ],
)
def test_align(tokens, words, part):
    begin, end = align(detokenized(tokens), words, do_lower_case=True)
    assert "".join(words)[begin:end] == part


def test_detokenized():
    assert detokenized(["the", "den", "##ver", "bron", "##cos"]) == "the denver broncos"
    assert detokenized(["##ver", "a"]) == "ver a"
    assert detokenized([]) == ""


@given(st.lists(st.lists(st.integers(-2, 2), min_size=7, max_size=7), max_size=5), st.integers(1, 9))
def test_best_indexes(rows, count):
    logits = np.array(rows, np.float64).reshape(-1, 7)
    expected = [squad_answers.best_indexes(row, count) for row in logits.tolist()]
    assert span_selection.best_indexes(logits, count).tolist() == expected
    for row, indexes in zip(logits.tolist(), expected, strict=True):
        assert indexes == [place for place, _ in sorted(enumerate(row), key=lambda pair: pair[1], reverse=True)][:count]


# --- The rules, one by one -------------------------------------------------------------------------------------------

SIZES = FeatureParameters(max_seq_length=12, doc_stride=4, max_query_length=2)
ASKED = Example("q", "a", split("the Denver Broncos, a b", "en"))
# A window:  0 [CLS]  1 a  2 [SEP]  3 the  4 den  5 ##ver  6 bron  7 ##cos  8 ,  9 a  10 b  11 [SEP]


def logits(**values):
    row = np.full((1, 12), -10.0)
    for place, value in values.items():
        row[0, int(place[1:])] = value
    return row


def texts(prediction):
    return [entry.text for entry in prediction.n_best]


def test_order_and_probabilities():
    (prediction,) = predict([ASKED], SIZES, logits(_4=2.0, _9=1.0), logits(_7=3.0, _10=2.0), AnswerParameters(2))
    assert texts(prediction) == ["Denver Broncos", "Denver Broncos, a b"]
    total = 1 + math.exp(-1)
    assert [entry.probability for entry in prediction.n_best] == [1 / total, math.exp(-1) / total]
    assert prediction.answer == NBestEntry("Denver Broncos", 1 / total, 2.0, 3.0, 4, 18)
    assert prediction.best == prediction.answer
    assert prediction.null_odds is None


def test_longest_answer():
    for longest, expected in ((4, "Denver Broncos"), (3, "Broncos")):
        parameters = AnswerParameters(2, max_answer_length=longest)
        (prediction,) = predict([ASKED], SIZES, logits(_4=2.0, _6=1.0), logits(_7=3.0), parameters)
        assert prediction.answer.text == expected


def test_nothing_but_the_context_is_an_answer():
    start, end = logits(_0=9.0, _1=8.0, _2=7.0, _3=1.0), logits(_11=9.0, _3=1.0)
    (prediction,) = predict([ASKED], SIZES, start, end, AnswerParameters())
    assert prediction.answer.text == "the"


def test_without_a_candidate():
    parameters = AnswerParameters(1)
    (prediction,) = predict([ASKED], SIZES, logits(_1=1.0), logits(_1=1.0), parameters)
    assert prediction.n_best == [NBestEntry("empty", 1.0, 0.0, 0.0, None, None)]
    parameters = AnswerParameters(1, version_2_with_negative=True)
    (prediction,) = predict([ASKED], SIZES, logits(_0=1.5), logits(_0=1.0, _1=2.0), parameters)
    assert prediction.answer == NBestEntry("", 1.0, 1.5, 1.0, None, None)
    assert prediction.best is None
    assert prediction.null_odds == 2.5
    assert answers.with_threshold(prediction, 99.0) == prediction


def test_empty_context():
    asked = Example("q", "a", split(" \n", "en"))
    nothing = np.empty((0, 12))
    (prediction,) = predict([asked], SIZES, nothing, nothing, AnswerParameters())
    assert prediction.answer.text == "empty"
    parameters = AnswerParameters(version_2_with_negative=True)
    (prediction,) = predict([asked], SIZES, nothing, nothing, parameters)
    assert prediction.answer == NBestEntry("", 1.0, 0.0, 0.0, None, None)
    assert prediction.null_odds == 1e6


def test_null_score_and_threshold():
    start, end = logits(_0=2.0, _4=2.0), logits(_0=2.0, _7=1.5)
    for threshold, expected in ((0.0, ""), (0.5, "Denver Broncos")):
        parameters = AnswerParameters(version_2_with_negative=True, null_score_diff_threshold=threshold)
        (prediction,) = predict([ASKED], SIZES, start, end, parameters)
        assert prediction.null_odds == 0.5
        assert prediction.answer.text == expected
        assert prediction.best.text == "Denver Broncos"
        assert answers.with_threshold(prediction, 0.0).answer.text == ""
        assert answers.with_threshold(prediction, 0.5).answer.text == "Denver Broncos"
    assert texts(prediction)[:2] == ["", "Denver Broncos"]


def test_null_is_kept_behind_as_many_as_there_may_be():
    parameters = AnswerParameters(2, version_2_with_negative=True)
    (prediction,) = predict(
        [ASKED], SIZES, logits(_0=-5.0, _3=2.0, _4=2.0), logits(_0=-5.0, _7=3.0, _8=2.0), parameters
    )
    assert texts(prediction) == ["the Denver Broncos", "Denver Broncos", ""]


def test_the_window_with_the_least_null_score_counts():
    asked = Example("q", "a", split("the Denver Broncos, a b the a b", "en"))
    start, end = np.full((2, 2, 12), -10.0)
    start[:, 0], end[:, 0] = (3.0, 2.0), (1.0, 1.5)
    start[0, 4] = end[0, 7] = 1.0
    parameters = AnswerParameters(version_2_with_negative=True)
    (prediction,) = predict([asked], SIZES, start, end, parameters)
    assert prediction.null_odds == 3.5 - 2.0
    assert (prediction.answer.start_logit, prediction.answer.end_logit) == (2.0, 1.5)


def test_equal_texts_are_kept_once():
    asked = Example("q", "a", split("a b a", "en"))
    (prediction,) = predict([asked], SIZES, logits(_3=2.0, _5=1.0), logits(_3=2.0, _5=1.0), AnswerParameters(2))
    assert texts(prediction) == ["a", "a b a"]
    assert prediction.n_best[0].start == 0


def test_logits_beyond_the_window_may_be_left_out():
    asked = Example("q", "a", split("the a", "en"))  # six tokens
    start, end = logits(_3=1.0), logits(_4=1.0)
    start[0, 6:] = end[0, 6:] = -np.inf
    (prediction,) = predict([asked], SIZES, start, end, AnswerParameters())
    assert prediction.answer.text == "the a"


def test_half_precision():
    start, end = logits(_4=2.0, _3=1.0).astype(np.float16), logits(_7=3.0).astype(np.float16)
    found = predict([ASKED], SIZES, start, end, AnswerParameters())
    assert found == predict([ASKED], SIZES, start.astype(np.float64), end.astype(np.float64), AnswerParameters())


@pytest.mark.parametrize(("place", "value"), [(3, np.nan), (3, -np.inf), (3, np.inf), (8, np.nan), (8, np.inf)])
def test_logits_that_are_not_finite(place, value):
    asked = Example("q", "a", split("the a", "en"))
    start = logits()
    start[0, place] = value
    with pytest.raises(InputError, match="The model's logits are not all finite"):
        predict([asked], SIZES, start, logits(), AnswerParameters())


def test_logits_of_another_shape():
    with pytest.raises(ValueError, match=r"The logits have the shape \(2, 12\), expected \(1, 12\)"):
        predict([ASKED], SIZES, logits(), np.zeros((2, 12)), AnswerParameters())


@pytest.mark.parametrize("name", ["n_best_size", "max_answer_length"])
def test_impossible_parameters(name):
    with pytest.raises(InputError, match=f"--{name}=0; it must be at least 1"):
        AnswerParameters(**{name: 0})


@pytest.mark.parametrize("characters", [1, 40, 100])
def test_parts_of_the_windows_give_the_same_answers(monkeypatch, characters):
    paragraphs = [split("the Denver Broncos, a b " * (number % 4), "en") for number in range(5)]
    made = [Example(str(number), "a", paragraphs[number * 3 % 5]) for number in range(11)]
    windows = make_windows(tokenized_examples.tokenize(made, tokenizers()[1]), SIZES, False)
    values = np.random.default_rng(1).normal(size=(2, len(windows), 12))
    whole = span_selection.predict(windows, *values, AnswerParameters(3))
    monkeypatch.setattr(tokenized_examples, "_WORDS_AT_ONCE", 7)
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 0)
    again = make_windows(tokenized_examples.tokenize(made, tokenizers()[1]), SIZES, False)
    found, done = [], 0
    for part in again.parts(characters):
        found += span_selection.predict(part, *values[:, done : done + len(part)], AnswerParameters(3))
        done += len(part)
    assert done == len(windows)
    assert found == whole


def test_many_questions_are_taken_in_blocks(monkeypatch):
    made = [Example(str(number), "a", split("the Denver Broncos, a b " * (number % 3), "en")) for number in range(9)]
    windows = make_windows(tokenized_examples.tokenize(made, tokenizers()[1]), SIZES, False)
    values = np.random.default_rng(1).normal(size=(2, len(windows), 12))
    whole = span_selection.predict(windows, *values, AnswerParameters(3))
    for pairs in (1, 20, 50):
        monkeypatch.setattr(span_selection, "_PAIRS", pairs)
        blocks = list(span_selection._blocks(windows, pairs // 9))
        assert len(blocks) > 1
        assert [first for first, _ in blocks] == [0, *(last for _, last in blocks[:-1])]
        assert span_selection.predict(windows, *values, AnswerParameters(3)) == whole
