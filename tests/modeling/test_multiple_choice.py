"""Scores of choices: the same as those of single pairs, independent of the other rows and of padding."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, forward

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.modeling.multiple_choice import CHOICE_LENGTHS, LABELS, MultipleChoiceModel

pytestmark = pytest.mark.numeric

CONFIG = BertConfig(**{**TINY_CONFIG, "initializer_range": 0.5})
DEPTH = forward(CONFIG.num_hidden_layers)
LENGTHS = np.array([[3, 8, 5], [4, 2, 0], [8, 8, 8], [2, 3, 0]], np.int32)
LONGEST = 8


def make_model(**options: bool) -> MultipleChoiceModel:
    keras.utils.set_random_seed(3)
    model = MultipleChoiceModel(CONFIG, **options)
    model.choice.output_weights.assign(np.random.default_rng(1).normal(size=[1, CONFIG.hidden_size]))
    return model


def examples() -> ExampleArrays:
    totals = LENGTHS.sum(axis=1)
    ids = np.random.default_rng(4).integers(5, 40, totals.sum()).astype(np.int32)
    columns = {CHOICE_LENGTHS: LENGTHS, LABELS: np.array([2, 0, 1, 1], np.int32)}
    splits = np.concatenate([[0], np.cumsum(totals)])
    return ExampleArrays(splits, {"input_ids": ids, "segment_ids": ids % 2}, columns, LONGEST * LENGTHS.shape[1])


def one_by_one(model: MultipleChoiceModel) -> np.ndarray:
    """The score of each pair, computed separately: float32 [4, 3], NaN for padding choices."""
    ids, scores, begin = examples().tokens["input_ids"], np.full(LENGTHS.shape, np.nan, np.float32), 0
    for index, length in np.ndenumerate(LENGTHS):
        if length:
            row = tf.constant(ids[None, begin : begin + length])
            pooled = model.bert(row, tf.ones_like(row), row % 2).pooled_output
            scores[index] = model.choice(pooled).numpy()[0, 0]
        begin += length
    return scores


@pytest.mark.parametrize(("skip_padding", "fixed_shapes"), [(False, False), (False, True), (True, False)])
def test_scores_and_loss(skip_padding: bool, fixed_shapes: bool) -> None:
    model = make_model(skip_padding=skip_padding)
    expected = one_by_one(model)
    scale = float(np.nanmax(np.abs(expected)))
    batch = next(iter(example_batches.evaluation(examples(), 5, fixed_shapes=fixed_shapes)))  # with one padding row
    logits = model.logits(batch).numpy()
    rows = batch["row"].numpy()
    assert sorted(rows) == [-1, 0, 1, 2, 3]
    for row_logits, row in zip(logits, rows, strict=True):
        if row >= 0:
            is_choice = LENGTHS[row] > 0
            assert_close(row_logits[is_choice], expected[row][is_choice], DEPTH, scale)
            assert (row_logits[~is_choice] == -1e9).all()

    loss, metrics = model.loss(batch, model.loss_weights(batch), None)
    exponentials = np.exp(expected.astype(np.float64))
    probabilities = exponentials / np.nansum(exponentials, axis=1, keepdims=True)
    labels = examples().columns[LABELS]
    assert_close(float(loss), -np.log(probabilities[np.arange(4), labels]).mean(), DEPTH, scale)
    right, count = map(float, metrics["accuracy"])
    assert (right, count) == ((np.nanargmax(expected, axis=1) == labels).sum(), 4)


def test_padding_choices_give_finite_gradients() -> None:
    model = make_model()
    batch = next(iter(example_batches.evaluation(examples(), 4)))
    variables = [variable.value for variable in model.named_variables.values()]
    with tf.GradientTape() as tape:
        loss, _ = model.loss(batch, model.loss_weights(batch), None)
    for gradient in tape.gradient(loss, variables):
        assert np.isfinite(tf.convert_to_tensor(gradient).numpy()).all()


def test_variables_are_those_of_a_classifier_with_one_output() -> None:
    named = make_model().named_variables
    assert tuple(named["output_weights"].shape) == (1, CONFIG.hidden_size)
    assert tuple(named["output_bias"].shape) == (1,)


def test_keras_model_has_an_axis_for_choices() -> None:
    model = make_model()
    expected = one_by_one(model)
    arrays = examples()
    shape = (*LENGTHS.shape, LONGEST)
    inputs = {name: np.zeros(shape, np.int32) for name in ("input_ids", "input_mask", "segment_ids")}
    begin = 0
    for (question, choice), length in np.ndenumerate(LENGTHS):
        inputs["input_ids"][question, choice, :length] = arrays.tokens["input_ids"][begin : begin + length]
        inputs["input_mask"][question, choice, :length] = 1
        begin += length
    inputs["segment_ids"] = inputs["input_ids"] % 2
    is_choice = LENGTHS > 0
    for logits in (model.network(inputs).numpy(), model.network.predict(inputs, batch_size=3, verbose=0)):
        assert_close(logits[is_choice], expected[is_choice], DEPTH, float(np.nanmax(np.abs(expected))))
        assert (logits[~is_choice] == -1e9).all()
    with pytest.raises(InputError, match=r"of shape \(3, 8\); expected \[B, C, S\], one row for each choice"):
        model.network(inputs["input_ids"][0])


def test_padding_rows_in_a_batch_of_short_questions() -> None:
    """They have the lengths of the first question, which is longer than the last batch."""
    model = make_model()
    batches = example_batches.evaluation(examples(), 3)
    *_, batch = batches
    assert batch["row"].numpy().tolist() == [3, -1, -1]
    assert batch["input_ids"].shape[1] < LENGTHS[0].sum()
    logits = tf.function(model.logits, input_signature=[batches.element_spec], autograph=False)  # as in prediction
    expected = one_by_one(model)
    assert_close(logits(batch).numpy()[0, :2], expected[3, :2], DEPTH, float(np.nanmax(np.abs(expected))))
