"""Reading questions: what the original reads, what it would fail on, and sentences for what is wrong with a file."""

import gzip
import json
import logging
import random
import re

import pytest
from helpers.repository import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.squad import examples
from bert_tf2.tasks.squad.examples import Answer, read
from bert_tf2.tasks.squad.words import split

CONTEXT = "Super Bowl 50 was won by the Denver  Broncos (AFC)."


def question(identity="q1", text="Who won?", **more):
    return {"id": identity, "question": text, **more}


def answered(identity="q1", text="Denver Broncos", start=29, **more):
    return question(identity, answers=[{"text": text, "answer_start": start}], **more)


def squad(*questions, context=CONTEXT):
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


@pytest.fixture
def write(tmp_path):
    def write(content, name="squad.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def test_prediction_needs_no_answers(write):
    data = read(write(squad(question("a"), question("b", answers=None), question(7))), training=False)
    assert [example.id for example in data.examples] == ["a", "b", "7"]
    assert all(example.gold is None and example.answer is None for example in data.examples)
    with pytest.raises(InputError, match="Question a has no answers to compare with"):
        _ = data.gold


def test_prediction_reads_right_answers_and_ignores_what_training_checks(write):
    content = squad(
        answered("a", start=10**6, is_impossible="yes"),
        question("b", answers=[]),
        question("c", answers=[{"text": "x"}, {"text": "y"}]),
    )
    data = read(write(content), training=False, version_2_with_negative=True)
    assert data.gold == {"a": ("Denver Broncos",), "b": (), "c": ("x", "y")}
    assert not any(example.is_impossible for example in data.examples)
    assert data.examples[0].paragraph is data.examples[1].paragraph


def test_places_of_right_answers_and_titles(write):
    """Where the file says if the text is there, else the first place."""
    content = squad(
        answered("a", text="er", start=8),
        answered("b", text="er", start=33),
        answered("c", text="nowhere", start=0),
        question("d", answers=[{"text": "Super"}, {"text": "AFC", "answer_start": None}]),
        question("e", answers=[]),
    )
    data = read(write(content), training=False)
    assert [one.gold_starts for one in data.examples] == [(3,), (33,), (-1,), (0, 46), ()]
    assert data.examples[0].paragraph.title == "T"
    content["data"][0]["title"] = 7
    assert read(write(content), training=False).examples[0].paragraph.title == ""


def test_training(write, caplog):
    caplog.set_level(logging.INFO)
    several = answered("b", text="AFC", start=46)
    several["answers"].append({"text": "nowhere", "answer_start": -5})
    data = read(
        write(squad(answered("a"), several, answered("lost", text="Panthers", start=29), answered("gone", text="  "))),
        training=True,
    )
    assert [(example.id, example.answer) for example in data.examples] == [
        ("a", Answer("Denver Broncos", 7, 8)),
        ("b", Answer("AFC", 9, 9)),
    ]
    assert data.summary == examples.ReadSummary(
        paragraphs=1, questions=4, several_answers=1, not_found=["lost", "gone"]
    )
    assert "2 questions left out, as the answer is not in the context: lost, gone" in caplog.text
    assert "1 question with several answers, trained with the first" in caplog.text


def test_training_with_questions_without_an_answer(write):
    content = squad(answered("a", is_impossible=False), answered("b", is_impossible=True, start=10**6))
    data = read(write(content), training=True, version_2_with_negative=True)
    assert [(one.id, one.is_impossible, one.answer is None) for one in data.examples] == [
        ("a", False, False),
        ("b", True, True),
    ]
    assert data.summary.impossible == 1


def test_golden_order_of_training():
    data = read(GOLDEN / "own/squad/v1.json", training=True)
    shuffled = list(data.examples)
    random.Random(12345).shuffle(shuffled)
    assert examples.training_order(data.examples) == shuffled
    assert [one.id for one in shuffled[:3]] != [one.id for one in data.examples[:3]]


@st.composite
def contexts_and_answers(draw):
    context = draw(st.text(st.sampled_from("ab. \n\t\u202f\u00a0中"), min_size=1, max_size=20))
    start = draw(st.integers(0, len(context) - 1))
    end = draw(st.integers(start + 1, len(context)))
    text = draw(st.one_of(st.just(context[start:end]), st.text(st.sampled_from("ab. \u00a0"), min_size=1)))
    return context, start, text[: len(context) - start]


@given(contexts_and_answers())
def test_answers_are_found_where_the_original_finds_them(drawn):
    context, start, text = drawn
    doc_tokens, word_of = [], []
    after_space = True
    for char in context:
        is_space = char in " \t\r\n\u202f"
        if not is_space:
            doc_tokens[len(doc_tokens) if after_space else -1 :] = [char if after_space else doc_tokens[-1] + char]
        after_space = is_space
        word_of.append(len(doc_tokens) - 1)
    first, last = word_of[start], word_of[start + len(text) - 1]
    cleaned = " ".join(text.split())
    expected = None
    if cleaned and " ".join(doc_tokens[first : last + 1]).find(cleaned) != -1:
        expected = doc_tokens[first], doc_tokens[last]
    paragraph = split(context, "en")
    found = examples._answer({"text": text, "answer_start": start}, paragraph, "")
    assert (found and (paragraph.words[found.first_word], paragraph.words[found.last_word])) == expected
    if found:
        assert (found.first_word, found.last_word) == (first % len(doc_tokens), last)


def test_chinese_answers_are_found(write):
    context = "\ufeff2015 赛季，卡罗来纳黑豹队 (NFC) 夺冠。"
    start = context.index("黑豹")
    content = squad(
        answered("a", text="黑豹队", start=start),
        answered("b", text="夺 冠", start=context.index("夺")),
        context=context,
    )
    data = read(write(content), training=True, language="zh")
    paragraph = data.examples[0].paragraph
    answer = data.examples[0].answer
    assert paragraph.words[answer.first_word : answer.last_word + 1] == ["黑", "豹", "队"]
    assert data.summary.not_found == ["b"]
    assert read(write(content), training=True, language="auto").language == "zh"
    english = read(write(content), training=True)
    assert english.examples[0].paragraph.words[1] == "赛季，卡罗来纳黑豹队"


def test_json_lines(write):
    lines = [
        {"question": "Who?", "context": CONTEXT, "title": "ignored"},
        {"id": "own", "question": "When?", "context": "Today."},
        {"id": 12, "question": "What?", "context": CONTEXT},
    ]
    content = "\n".join([json.dumps(lines[0]), "", *map(json.dumps, lines[1:])]) + "\n"
    data = read(write(content, "own.jsonl"), training=False)
    assert [(one.id, one.question, one.paragraph.text) for one in data.examples] == [
        ("1", "Who?", CONTEXT),
        ("own", "When?", "Today."),
        ("12", "What?", CONTEXT),
    ]
    assert data.examples[0].paragraph is data.examples[2].paragraph
    assert (data.summary.questions, data.summary.paragraphs) == (3, 2)


def test_compressed(tmp_path):
    path = tmp_path / "squad.json.gz"
    path.write_bytes(gzip.compress(json.dumps(squad(question())).encode()))
    assert len(read(path, training=False).examples) == 1
    path = tmp_path / "own.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"question": "?", "context": ""}'))
    assert read(path, training=False).summary.empty_contexts == 1


def test_empty_contexts_and_repeated_ids(write, caplog):
    content = squad(question("a"), question("b"), question("a"), context=" \n")
    data = read(write(content), training=False)
    assert data.summary.empty_contexts == 1
    assert data.summary.repeated_ids == ["a"]
    assert "only the last prediction of each will be kept" in caplog.text


V1, V2 = {"training": True}, {"training": True, "version_2_with_negative": True}
PREDICT = {"training": False}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", PREDICT, "squad.json is not JSON (it is empty); expected SQuAD JSON"),
        (
            '{"data": [',
            PREDICT,
            "squad.json is not JSON (Expecting value at column 11); expected SQuAD JSON",
        ),
        ('{"a": 1}\n{"a": 1}', PREDICT, "at line 2, column 1); expected SQuAD JSON; JSON Lines must be named"),
        ([], PREDICT, "squad.json has no questions."),
        ([{"data": []}], PREDICT, "squad.json: [0] has no 'context', only 'data'"),
        (3, PREDICT, "squad.json is a whole number, expected an object with 'data'."),
        ({"dat": []}, PREDICT, "squad.json has no 'data', only 'dat'; see the SQuAD format."),
        ({"data": {}}, PREDICT, "squad.json: 'data' is an object, expected a list."),
        ({"data": []}, PREDICT, "squad.json has no questions."),
        ({"data": [{}]}, PREDICT, "data[0] has no 'paragraphs', only nothing"),
        (squad(context=None), PREDICT, "data[0].paragraphs[0]: 'context' is null, expected a string."),
        (squad({"id": "a"}), PREDICT, "data[0].paragraphs[0].qas[0] has no 'question', only 'id'"),
        (squad({"question": "?"}), PREDICT, "qas[0] has no 'id'"),
        (squad(question(1.5)), PREDICT, "qas[0]: 'id' is a number, expected a string."),
        (squad(question(True)), PREDICT, "qas[0]: 'id' is true or false, expected a string."),
        (squad(question(answers="x")), PREDICT, "qas[0]: answers is a string, expected a list."),
        (squad(question(answers=[{}])), PREDICT, "qas[0].answers[0] has no 'text'"),
        (squad(question(answers=[{"text": "x"}])), V1, "answers[0] has no 'answer_start', only 'text'"),
        (squad(answered(start=1.0)), V1, "'answer_start' is a number, expected a whole number."),
        (squad(answered(start=True)), V1, "'answer_start' is true or false, expected a whole number."),
        (
            squad(answered(start=45)),
            V1,
            "the answer 'Denver Broncos' goes from character 45 to 59, beyond the context's 51",
        ),
        (squad(answered(start=38)), V1, "goes from character 38 to 52, beyond the context's 51"),
        (squad(answered(start=-1)), V1, "goes from character -1 to 13, beyond the context's 51"),
        (squad(answered(), context=""), V1, "beyond the context's 0"),
        (squad(question()), V1, "(id q1) has no answer: training needs one for each question."),
        (squad(question(answers=[], is_impossible=True)), V1, "the file is SQuAD 2.0; give --version_2_with_negative."),
        (squad(answered()), V2, "has no is_impossible: the file is SQuAD 1.1; omit --version_2_with_negative"),
        (squad(answered(is_impossible=1)), V2, "'is_impossible' is a whole number, expected true or false."),
        (squad(question(answers=[], is_impossible=False)), V2, "one for each question that is not is_impossible."),
        (squad(answered(text="Panthers")), V1, "the only question does not have its answer where answer_start says"),
        (squad(question()), {**PREDICT, "language": "de"}, "Unknown --language 'de'; choose one of en, zh, auto."),
    ],
)
def test_mistakes(write, content, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(write(content), **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "?", "context": ""}\n\n{"question"\n', "own.jsonl, line 3 is not JSON ("),
        ('["?", ""]', "own.jsonl, line 1 is a list, expected an object with 'context'."),
        ('{"context": ""}', "own.jsonl, line 1 has no 'question', only 'context'"),
        ('{"context": "", "question": "?", "id": null}', "own.jsonl, line 1: 'id' is null, expected a string."),
        ("\n\n", "own.jsonl has no questions."),
    ],
)
def test_mistakes_in_json_lines(write, content, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read(write(content, "own.jsonl"), training=False)


def test_other_mistakes(tmp_path, write):
    with pytest.raises(InputError, match=r"Cannot read .*none\.json"):
        read(tmp_path / "none.json", training=False)
    path = tmp_path / "latin.json"
    path.write_bytes('{"data": "é"}'.encode("latin1"))
    with pytest.raises(InputError, match=r"latin\.json is not JSON \(byte 11 is not UTF-8; convert"):
        read(path, training=False)
