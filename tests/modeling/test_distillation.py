"""The loss of a student against plain NumPy: for the teacher's logits, for labels, and for unlabeled rows."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import LOSS, assert_close
from scipy import special

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import classifier
from bert_tf2.modeling.distillation import IS_LABELED, TEACHER_LOGITS, Distillation
from bert_tf2.tasks.classification.scores import row_losses

pytestmark = pytest.mark.numeric

ROWS, LABELS = 6, 3
RNG = np.random.default_rng(8)
HARD = {
    "single_label": RNG.integers(0, LABELS, ROWS).astype(np.int32),
    "multi_label": RNG.integers(0, 2, [ROWS, LABELS]).astype(np.int32),
    "regression": RNG.normal(size=ROWS).astype(np.float32),
}
STUDENT, TEACHER = RNG.normal(scale=3, size=[2, ROWS, LABELS]).astype(np.float32)


def soft(kind: str, student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """The soft loss of each row, by definition."""
    student, teacher = student.astype(np.float64), teacher.astype(np.float64)
    if kind == "regression":
        return (student[:, 0] - teacher[:, 0]) ** 2
    if kind == "single_label":
        p, q = (special.softmax(values / temperature, axis=1) for values in (teacher, student))
        return temperature**2 * special.rel_entr(p, q).sum(axis=1)
    p, q = (special.expit(values / temperature) for values in (teacher, student))
    return temperature**2 * (special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)).mean(axis=1)


def batch(kind: str, **columns: np.ndarray) -> dict[str, tf.Tensor]:
    width = 1 if kind == "regression" else LABELS
    defaults = {"input_ids": np.zeros([ROWS, 1], np.int32), "label_ids": HARD[kind], TEACHER_LOGITS: TEACHER[:, :width]}
    return {name: tf.constant(value) for name, value in {**defaults, **columns}.items()}


@pytest.fixture(scope="module", params=HARD)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def loss_of(kind: str, rows, distillation: Distillation | None, monkeypatch, **options):
    """The loss of a model whose logits are `STUDENT`, and its metrics."""
    width = 1 if kind == "regression" else LABELS
    monkeypatch.setattr(classifier, "BertClassifier", lambda *_: SimpleNamespace(bert=None, classifier=None))
    model = classifier.ClassificationModel(BertConfig(**TINY_CONFIG), width, kind, **options, distillation=distillation)
    monkeypatch.setattr(model, "logits", lambda *_: tf.constant(STUDENT[:, :width]))
    loss, metrics = model.loss(rows, model.loss_weights(rows), None)
    assert set(metrics) == set(model.metric_names)
    return float(loss), {name: float(tf.math.divide_no_nan(*sums)) for name, sums in metrics.items()}


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_soft_loss_matches_the_definition(kind: str, temperature: float) -> None:
    distillation = Distillation(temperature, 0.5)
    losses = distillation.losses(kind, tf.constant(STUDENT), tf.constant(TEACHER))
    expected = soft(kind, STUDENT, TEACHER, temperature)
    assert_close(losses, expected, LOSS, scale=max(expected.max(), temperature**2 * np.abs(TEACHER).max()))
    assert_close(distillation.losses(kind, tf.constant(TEACHER), tf.constant(TEACHER)), np.zeros(ROWS), LOSS, scale=9)


def test_gradient_is_that_of_cross_entropy_with_soft_targets() -> None:
    student, teacher = tf.constant(STUDENT), tf.constant(TEACHER)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(student)
        losses = {
            kind: tf.reduce_sum(Distillation(2.0, 1.0).losses(kind, student, teacher))
            for kind in ("single_label", "multi_label")
        }
    p, q = (special.softmax(values / 2, axis=1) for values in (TEACHER, STUDENT))
    assert_close(tape.gradient(losses["single_label"], student), 2 * (q - p), LOSS, scale=2)
    p, q = (special.expit(values / 2) for values in (TEACHER, STUDENT))
    assert_close(tape.gradient(losses["multi_label"], student), 2 * (q - p) / LABELS, LOSS, scale=2)


def test_labels_and_teacher_are_weighted(kind: str, monkeypatch) -> None:
    hard = row_losses(STUDENT, HARD[kind], kind)
    taught = soft(kind, STUDENT, TEACHER, 2.0)
    has_label, counts = np.array([1, 1, 0, 1, 0, 1], np.float32), np.array([1, 1, 1, 1, 1, 0], np.float32)
    weights = np.where(has_label > 0, 0.7, 1.0)
    rows = batch(kind, example_weights=counts, **{IS_LABELED: has_label})
    loss, metrics = loss_of(kind, rows, Distillation(2.0, 0.7), monkeypatch)
    scale = max(hard.max(), taught.max(), 4 * np.abs(TEACHER).max())
    assert_close(loss, np.average((1 - weights) * hard + weights * taught, weights=counts), LOSS, scale)
    assert_close(metrics["teacher_loss"], np.average(taught, weights=counts * weights), LOSS, scale)
    if kind == "single_label":
        labels = np.where(has_label > 0, HARD[kind], TEACHER.argmax(axis=1))
        assert metrics["accuracy"] == pytest.approx(np.average(STUDENT.argmax(axis=1) == labels, weights=counts))
        alone, _ = loss_of(kind, batch(kind), Distillation(2.0, 0.0), monkeypatch)
        assert alone == loss_of(kind, batch(kind), None, monkeypatch)[0] == pytest.approx(hard.mean(), rel=1e-5)


def test_class_weights_apply_only_to_labels(monkeypatch) -> None:
    of_labels = np.array([0.5, 1.0, 4.0])
    hard, taught = row_losses(STUDENT, HARD["single_label"], "single_label"), soft("single_label", STUDENT, TEACHER, 2)
    weights = 0.4 * of_labels[HARD["single_label"]]
    expected = (weights @ hard + 0.6 * taught.sum()) / (weights.sum() + 0.6 * ROWS)
    options = {"class_weights": of_labels.tolist()}
    loss, _ = loss_of("single_label", batch("single_label"), Distillation(2.0, 0.6), monkeypatch, **options)
    assert_close(loss, expected, LOSS, scale=max(hard.max(), taught.max(), 4 * np.abs(TEACHER).max()))
