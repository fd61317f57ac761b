"""Answers to questions about a context: by definition, the same as those of `run_squad.py`, and no answer."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_squad
from helpers.rounding import assert_close, forward
from helpers.tiny_huggingface import write_directory

from bert_tf2.inspection import Inspector
from bert_tf2.modeling.question_answering import BertForQuestionAnswering
from bert_tf2.tasks.squad.task_description import TaskDescription
from bert_tf2.tokenization.wordpiece import FullTokenizer

pytestmark = pytest.mark.numeric

CONTEXT = "a covid +"
PIECES = [(0, 1), (2, 4), (4, 7), (8, 9)]  # the characters of a, co, ##vid and + in the context
FIRST = 3  # the position of a in the sequence, after [CLS] co [SEP]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_directory(tmp_path_factory.mktemp("model"), "BertForQuestionAnswering")


def scores_of_spans(directory: Path, ids: np.ndarray, segments: np.ndarray) -> dict[tuple[int, int], float]:
    """The sum of start and end logit of each span of the context, given by its characters."""
    logits = BertForQuestionAnswering.from_pretrained(directory)(
        {"input_ids": ids[None], "segment_ids": segments[None]}
    )
    starts, ends = (logits[name].numpy()[0].astype(np.float64) for name in ("start_logits", "end_logits"))
    spans = itertools.combinations_with_replacement(range(len(PIECES)), 2)
    return {(PIECES[first][0], PIECES[last][1]): starts[FIRST + first] + ends[FIRST + last] for first, last in spans}


def test_all_spans_of_a_context(directory: Path) -> None:
    result = Inspector.open(str(directory)).inspect("co", CONTEXT)
    scores = scores_of_spans(directory, result.pieces.ids, result.pieces.segments)
    expected = sorted(scores, key=lambda span: -scores[span])
    assert [(answer.start, answer.end) for answer in result.answers] == expected
    assert [answer.text for answer in result.answers] == [CONTEXT[start:end] for start, end in expected]
    powers = np.exp([scores[span] for span in expected])
    assert_close([answer.probability for answer in result.answers], powers / powers.sum(), forward(2))
    best = result.answers[0]
    assert f"answers:\n{best.probability:>7.1%}  {best.text}\n" in result.to_table()
    assert result.to_dict()["answers"][0] == {
        "text": best.text,
        "probability": round(best.probability, 6),
        "start": best.start,
        "end": best.end,
    }


def test_number_of_answers_and_single_text_without_answers(directory: Path) -> None:
    inspector = Inspector.open(str(directory), top_k=3)
    assert len(inspector.inspect("co", CONTEXT).answers) == 3
    assert inspector.inspect(CONTEXT).answers == ()
    assert "answers" not in inspector.inspect(CONTEXT).to_dict()


def test_no_answer_is_listed_if_training_had_unanswerable_questions(directory: Path, tmp_path: Path) -> None:
    model = BertForQuestionAnswering.from_pretrained(directory)
    model.save_pretrained(tmp_path / "model", "google", FullTokenizer(directory / "vocab.txt"))
    TaskDescription(8, 2, 1, version_2_with_negative=True).save(str(tmp_path / "model"))
    result = Inspector.open(str(tmp_path / "model"), top_k=20).inspect("co", CONTEXT)
    (none,) = (answer for answer in result.answers if not answer.text)
    assert (none.start, none.end) == (None, None)
    assert f"{none.probability:>7.1%}  (no answer)" in result.to_table().splitlines()
    assert len(result.answers) == 11


def test_context_without_tokens(directory: Path) -> None:
    (answer,) = Inspector.open(str(directory)).inspect("co", "\x00").answers
    assert (answer.text, answer.probability, answer.start) == ("", 1.0, None)


def test_equals_the_n_best_predictions(tmp_path: Path) -> None:
    """For contexts that have several windows, but fit into the model as a whole."""
    tiny_squad.write_model_files(tmp_path)
    data = tiny_squad.squad(2, seed=1, longest=14)
    questions = tiny_squad.write_json(tmp_path / "questions.json", data)
    output = tmp_path / "model"
    tiny_squad.run(
        tmp_path,
        output_dir=str(output),
        train_file=questions,
        predict_file=questions,
        do_train=True,
        do_predict=True,
        max_seq_length=12,
        doc_stride=3,
        num_train_epochs=0.0,
    )
    n_best = json.loads((output / "nbest_predictions.json").read_text())
    inspector = Inspector.open(str(output), top_k=20)
    for paragraph in (each for article in data["data"] for each in article["paragraphs"]):
        (question,) = paragraph["qas"]
        answers = inspector.inspect(question["question"], paragraph["context"]).answers
        probabilities = {answer.text: answer.probability for answer in answers}
        expected = {entry["text"]: entry["probability"] for entry in n_best[question["id"]]}
        assert probabilities.keys() == expected.keys()
        assert_close([probabilities[text] for text in expected], list(expected.values()), forward(1), scale=1)
