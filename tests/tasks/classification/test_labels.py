"""Labels: which kind of problem, in which order, as which numbers."""

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification import labels
from bert_tf2.tasks.classification.examples import Examples


def examples(*found: Any) -> Examples:
    rows = range(len(found))
    return Examples("a.csv", [row + 2 for row in rows], list(rows), ["text"] * len(found), None, list(found))


# --- The kind of problem ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (["good", "bad"], "single_label"),
        (["0", "1"], "single_label"),
        (["1.0", "2.0", "5"], "single_label"),
        ([str(number) for number in range(500)], "single_label"),
        (["0.5", "1", "1e-3"], "regression"),
        (["-0.5", "+1.", ".25"], "regression"),
        (["0.5", "1", "none"], "single_label"),
        (["0.5", "nan"], "single_label"),
        (["0.5", "1_0"], "single_label"),
        (["0.5", ""], "single_label"),
        (["a", "a|b"], "multi_label"),
        ([("a",), ()], "multi_label"),
        (["a", ("a",)], "multi_label"),
        (["a,b", "c"], "single_label"),
    ],
)
def test_the_kind_of_problem(found: list[Any], kind: str) -> None:
    assert labels.infer_problem_type(examples(*found)) == kind


def test_a_separator_means_several_labels() -> None:
    assert labels.infer_problem_type(examples("a,b", "c"), ",") == "multi_label"


# --- Their order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["b", "a", " b "], ("a", "b")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9.0", "2"], ("2", "9.0", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["é", "z", "e", "Z"], ("Z", "e", "z", "é")),
    ],
)
def test_labels_are_sorted(found: list[str], expected: tuple[str, ...]) -> None:
    assert labels.infer_labels(examples(*found), "single_label") == expected


def test_several_labels_are_collected() -> None:
    found = examples("b| a ", "", ("c", "a"), "|a|")
    assert labels.infer_labels(found, "multi_label") == ("a", "b", "c")
    assert labels.infer_labels(examples("b, a", "c|d"), "multi_label", ",") == ("a", "b", "c|d")


def test_regression_has_no_labels() -> None:
    assert labels.infer_labels(examples("0.5", "1"), "regression") == ()


def test_almost_as_many_labels_as_rows_get_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        labels.infer_labels(examples(*map(str, range(30))), "single_label")
    assert "30 rows have 30 different labels; is --label_column right?" in caplog.text
    caplog.clear()
    labels.infer_labels(examples(*map(str, range(15))), "single_label")
    labels.infer_labels(examples(*["a", "b"] * 100), "single_label")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("found", "kind", "sentence"),
    [
        (["a", " "], "single_label", "a.csv, line 3 has no label"),
        (["a", "a"], "single_label", "a.csv: all 2 rows have the label 'a'; expected at least two different ones"),
        (["a"], "single_label", "a.csv: the only row has the label 'a'; expected at least two different ones"),
        (["a", ("a",)], "single_label", r"a.csv, line 3 has a list of labels; give --problem_type=multi_label"),
        (["", ()], "multi_label", "a.csv: no row has a label"),
        (["a", "b\nc"], "single_label", r"a.csv: the label 'b\\nc' spans several lines"),
    ],
)
def test_what_is_no_list_of_labels(found: list[Any], kind: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        labels.infer_labels(examples(*found), kind)


# --- Numbers ---------------------------------------------------------------------------------------------------------


def test_numbers() -> None:
    found = labels.encode(examples("b", " a ", "b"), "single_label", ("a", "b"))
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0, 1]
    found = labels.encode(examples("b|a", "", ("b", "b"), "b|"), "multi_label", ("a", "b", "c"))
    assert found.dtype == np.int32
    assert found.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 1, 0]]
    found = labels.encode(examples("0.1", " 2 ", "-1e3"), "regression", ())
    assert found.dtype == np.float32
    assert found.tolist() == [np.float32(0.1), 2, -1000]


@pytest.mark.parametrize(("kind", "shape"), [("single_label", (2,)), ("multi_label", (2, 3)), ("regression", (2,))])
def test_rows_without_labels_are_zeros(kind: Any, shape: tuple[int, ...]) -> None:
    unlabelled = Examples("a.csv", [1, 2], [0, 1], ["a", "b"], None, None)
    found = labels.encode(unlabelled, kind, () if kind == "regression" else ("a", "b", "c"))
    assert found.shape == shape
    assert not np.any(np.asarray(found))


@pytest.mark.parametrize(
    ("found", "kind", "sentence"),
    [
        (["a", "c"], "single_label", "a.csv, line 3 has the unknown label 'c'; expected 'a', 'b'. Correct the row"),
        (["a|c"], "multi_label", "a.csv, line 2 has the unknown label 'c'"),
        (["a", ""], "single_label", "a.csv, line 3 has no label"),
        (["1", "one"], "regression", "a.csv, line 3: 'one' is not a number; regression needs one in every row"),
        (["1", ""], "regression", "a.csv, line 3: '' is not a number"),
        (["1", "nan"], "regression", "line 3: 'nan' is not a number"),
        (["1", "1e39"], "regression", "line 3: '1e39' is not a number"),
        (["1", ("1",)], "regression", r"line 3: \('1',\) is not a number"),
    ],
)
def test_labels_that_do_not_fit(found: list[Any], kind: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        labels.encode(examples(*found), kind, ("a", "b"))


def test_many_known_labels_are_cut() -> None:
    with pytest.raises(InputError, match=r"expected '0', .*, '19' and 80 more"):
        labels.encode(examples("x" * 1000), "single_label", tuple(map(str, range(100))))


@given(st.lists(st.sampled_from(["a", "b", "10", "9", "é"]), min_size=2).filter(lambda found: len(set(found)) > 1))
def test_inferred_labels_know_every_row(found: list[str]) -> None:
    names = labels.infer_labels(examples(*found), "single_label")
    assert sorted(names) == sorted(set(found))
    encoded = labels.encode(examples(*found), "single_label", names)
    assert [names[index] for index in encoded] == found


# --- Weights ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_balanced_weights_are_those_of_scikit_learn(rows: list[int]) -> None:
    from sklearn.utils.class_weight import compute_class_weight

    encoded = np.array([0, 1, 2, 3, *rows], np.int32)
    found = labels.balanced_weights(encoded, "abcd")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=np.arange(4), y=encoded), rtol=1e-6)
    assert found[encoded].sum() == pytest.approx(len(encoded), rel=1e-5)


def test_a_label_without_rows_has_no_weight() -> None:
    with pytest.raises(InputError, match="no row of the training data has the label 'b'"):
        labels.balanced_weights(np.array([0, 2], np.int32), ("a", "b", "c"))
