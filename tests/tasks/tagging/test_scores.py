"""Scores of spans compared with seqeval in its default mode, and the report of scores."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import metrics as seqeval

from bert_tf2 import metrics
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.scores import RESULT_NAMES, Scores

TAG = st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b", "B-c-d", "I-c-d"])


def sentences(tags: list[list[str]]) -> Sentences:
    flat = [tag for row in tags for tag in row]
    return Sentences("a", flat, flat, flat, np.arange(len(flat)), np.cumsum([0, *map(len, tags)]), [])


@given(st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=12), min_size=1, max_size=5))
@settings(max_examples=300)
def test_scores_are_those_of_seqeval(rows: list[list[tuple[str, str]]]) -> None:
    true, predicted = ([[pair[side] for pair in row] for row in rows] for side in (0, 1))
    scores = Scores.of(sentences(true), [tag for row in predicted for tag in row], 0.5)
    results = scores.results()
    assert tuple(results) == RESULT_NAMES
    options = {"zero_division": 0}
    assert results["eval_precision"] == pytest.approx(seqeval.precision_score(true, predicted, **options))
    assert results["eval_recall"] == pytest.approx(seqeval.recall_score(true, predicted, **options))
    assert results["eval_f1"] == pytest.approx(seqeval.f1_score(true, predicted, **options))
    assert results["eval_accuracy"] == pytest.approx(seqeval.accuracy_score(true, predicted))
    assert results["eval_loss"] == 0.5
    if scores.spans.per_type:
        report = seqeval.classification_report(true, predicted, output_dict=True, **options)
        assert results["eval_macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
        for kind, score in scores.spans.per_type.items():
            expected = [report[kind][name] for name in ("precision", "recall", "f1-score", "support")]
            assert list(score) == pytest.approx(expected)
    else:
        assert results["eval_macro_f1"] == 0


def test_table_and_file_of_scores(tmp_path: Path) -> None:
    true = [["B-per", "I-per", "O"], ["B-loc", "B-per"]]
    scores = Scores.of(sentences(true), ["B-per", "I-per", "O", "B-per", "B-per"], math.nan)
    assert scores.text().splitlines() == [
        "type           precision  recall      F1  spans",
        "loc               0.0000  0.0000  0.0000      1",
        "per               0.6667  1.0000  0.8000      2",
        "all spans         0.6667  0.6667  0.6667      3",
        "mean of types     0.3333  0.5000  0.4000      3",
    ]
    content = json.loads(Path(scores.save(str(tmp_path))).read_text())
    assert content["per_type"]["per"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": 0.8, "support": 2}
    assert content["micro"]["support"] == 3
    assert content["accuracy"] == 0.8


def test_the_table_has_a_row_for_each_type_whatever_their_names() -> None:
    true = [[f"B-{'long' * 9}-1", f"B-{'long' * 9}-2", "B-all spans"]]
    lines = Scores.of(sentences(true), [*true[0][:2], "O"], math.nan).text().splitlines()
    assert [line.split()[-1] for line in lines] == ["spans", "1", "1", "1", "3", "3"]


def test_spans_of_different_tags_can_be_equal() -> None:
    """I- at the start of a sentence begins a span, as B- does."""
    assert metrics.span_scores([["B-a", "I-a"]], [["I-a", "I-a"]]).micro.f1 == 1
