"""The public models as Keras models: fit, functional models, saving and loading, freezing, bfloat16."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG

from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import heads, layers
from bert_tf2.modeling.classifier import BertClassifier, ClassificationModel
from bert_tf2.modeling.encoder import BertModel, EncoderLayer
from bert_tf2.modeling.keras_model import BertBase
from bert_tf2.modeling.multiple_choice import BertForMultipleChoice
from bert_tf2.modeling.pretraining import BertForPreTraining, BertMaskedLM
from bert_tf2.modeling.question_answering import BertForQuestionAnswering, SpanHead
from bert_tf2.modeling.tagger import BertTagger, TaggingModel
from bert_tf2.training.optimizers import make_optimizer

CONFIG = BertConfig(**TINY_CONFIG)
ROWS, LENGTH, MASKED = 6, 8, 3
RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(5, TINY_CONFIG["vocab_size"], (ROWS, LENGTH)).astype(np.int32)
MASK = (np.arange(LENGTH) < RANDOM.integers(3, LENGTH + 1, (ROWS, 1))).astype(np.int32)
SEGMENTS = (MASK * (np.arange(LENGTH) > 3)).astype(np.int32)
INPUTS = {"input_ids": IDS, "input_mask": MASK, "segment_ids": SEGMENTS}
POSITIONS = np.sort(RANDOM.permuted(np.tile(np.arange(LENGTH), (ROWS, 1)), axis=1)[:, :MASKED]).astype(np.int32)
MASKED_INPUTS = {**INPUTS, "masked_lm_positions": POSITIONS}
# Two choices for each question: its own row, and that of the question at the mirrored position.
CHOICES = {name: np.stack([array, array[::-1]], axis=1) for name, array in INPUTS.items()}


def cross_entropy() -> keras.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# Function that creates the model, inputs, labels.
CASES = {
    "classifier": (lambda **options: BertClassifier(CONFIG, ["no", "yes"], **options), INPUTS, IDS[:, 0] % 2),
    "tagger": (lambda **options: BertTagger(CONFIG, 3, **options), INPUTS, IDS % 3),
    "choices": (lambda **options: BertForMultipleChoice(CONFIG, **options), CHOICES, IDS[:, 0] % 2),
    "answers": (
        lambda **options: BertForQuestionAnswering(CONFIG, **options),
        INPUTS,
        {"start_logits": IDS[:, 0] % LENGTH, "end_logits": IDS[:, 1] % LENGTH},
    ),
    "masked_lm": (lambda **options: BertMaskedLM(CONFIG, **options), MASKED_INPUTS, IDS[:, :MASKED]),
    "pretraining": (
        lambda **options: BertForPreTraining(CONFIG, **options),
        MASKED_INPUTS,
        {"masked_lm": IDS[:, :MASKED], "next_sentence": IDS[:, 0] % 2},
    ),
}
every_case = pytest.mark.parametrize(("make", "inputs", "labels"), CASES.values(), ids=CASES.keys())
# For tests that trace a training step, which takes long: one model by default, the others in the slow tests.
every_case_in_time = pytest.mark.parametrize(
    ("make", "inputs", "labels"),
    [pytest.param(*case, marks=() if name == "tagger" else pytest.mark.slow, id=name) for name, case in CASES.items()],
)


def compiled(model: keras.Model, labels: object, learning_rate: float = 0.01) -> keras.Model:
    loss = {name: cross_entropy() for name in labels} if isinstance(labels, dict) else cross_entropy()
    model.compile(keras.optimizers.Adam(learning_rate), loss)
    return model


def as_arrays(outputs: object) -> list[np.ndarray]:
    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


def assert_same(actual: object, expected: object) -> None:
    for one, other in zip(as_arrays(actual), as_arrays(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@every_case_in_time
def test_fit_evaluate_predict(make, inputs, labels) -> None:
    keras.utils.set_random_seed(1)
    model = compiled(make(), labels)
    before = model.evaluate(inputs, labels, verbose=0)
    history = model.fit(inputs, labels, batch_size=3, epochs=30, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    after = model.evaluate(inputs, labels, verbose=0)
    assert np.ravel(after)[0] < np.ravel(before)[0] / 2
    for predicted, expected in zip(as_arrays(model.predict(inputs, verbose=0)), as_arrays(model(inputs)), strict=True):
        np.testing.assert_allclose(predicted, expected, atol=1e-5)
        assert predicted.shape[0] == ROWS


@every_case
def test_tuples_and_datasets_are_equivalent_to_dictionaries(make, inputs, labels) -> None:
    model = compiled(make(), labels)
    arrays = tuple(inputs.values())
    assert_same(model(arrays), model(inputs))
    others = dict(zip(("input_ids", "attention_mask", "token_type_ids"), inputs.values(), strict=False))
    assert_same(model({**others, **dict(list(inputs.items())[3:])}), model(inputs))
    expected = model.evaluate(inputs, labels, batch_size=2, verbose=0)
    for structure in (inputs, arrays):
        dataset = tf.data.Dataset.from_tensor_slices((structure, labels)).batch(2)
        np.testing.assert_allclose(model.evaluate(dataset, verbose=0), expected, rtol=1e-5)


@every_case_in_time
def test_saved_and_loaded(make, inputs, labels, tmp_path: Path) -> None:
    model = compiled(make(), labels)
    model.fit(inputs, labels, verbose=0)
    expected = model(inputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.get_config() == model.get_config()
    assert_same(loaded(inputs), expected)
    loaded.fit(inputs, labels, verbose=0)  # its optimizer and loss were saved
    model.save_weights(tmp_path / "model.weights.h5")
    other = make()
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same(other(inputs), model(inputs))


@pytest.mark.slow
@every_case
def test_functional(make, inputs, labels, tmp_path: Path) -> None:
    placeholders = {name: keras.Input(array.shape[1:], dtype="int32", name=name) for name, array in inputs.items()}
    inner = make()
    model = compiled(keras.Model(placeholders, inner(placeholders)), labels)
    assert_same(model(inputs), inner(inputs))
    model.fit(inputs, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    assert_same(keras.models.load_model(tmp_path / "model.keras")(inputs), inner(inputs))


@every_case
def test_summary(make, inputs, labels, capsys) -> None:
    model = make()
    model.summary()
    count = sum(int(np.prod(variable.shape)) for variable in model.named_variables().values())
    assert model.count_params() == count
    assert f"Total params: {count:,}" in capsys.readouterr().out


def policies(layer: keras.Layer) -> set[str]:
    return {layer.dtype_policy.name, *(policy for inner in layer._layers for policy in policies(inner))}


@every_case
def test_bfloat16_reaches_every_layer_and_is_saved(make, inputs, labels, tmp_path: Path) -> None:
    model = make(dtype="mixed_bfloat16")
    assert policies(model) == {"mixed_bfloat16"}
    assert {variable.dtype for variable in model.variables} == {"float32"}
    expected = as_arrays(model(inputs))
    plain = make()
    plain.set_weights(model.get_weights())
    assert any(np.abs(one - other).max() > 1e-6 for one, other in zip(expected, as_arrays(plain(inputs)), strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert policies(loaded) == {"mixed_bfloat16"}
    assert_same(loaded(inputs), expected)


def test_global_dtype_policy_is_the_default() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert policies(BertModel(CONFIG)) == {"mixed_bfloat16"}
        assert policies(BertModel(CONFIG, dtype="float32")) == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")


def test_model_created_frozen() -> None:
    model = BertClassifier(CONFIG, 2, trainable=False)
    assert model.trainable_variables == []
    assert not any(variable.trainable for variable in model.variables)


def test_frozen_encoder_is_not_trained(tmp_path: Path) -> None:
    model = BertClassifier(CONFIG, 2)
    model.bert.trainable = False
    assert [variable.name for variable in model.trainable_variables] == ["output_weights", "output_bias"]
    before = [np.array(weights) for weights in model.bert.get_weights()]
    compiled(model, 0).fit(INPUTS, IDS[:, 0] % 2, epochs=2, verbose=0)
    assert_same(model.bert.get_weights(), before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.bert.trainable
    assert not loaded.bert.encoder[0].query.trainable
    assert loaded.classifier.trainable
    assert len(loaded.trainable_variables) == 2
    loaded.bert.trainable = True
    assert len(loaded.trainable_variables) == len(loaded.variables)


def test_frozen_layers_stay_frozen_after_loading() -> None:
    model = BertModel(CONFIG)
    model.embeddings.trainable = model.encoder[0].trainable = False
    loaded = BertModel.from_config(model.get_config())
    assert (loaded.embeddings.trainable, loaded.encoder[0].trainable, loaded.encoder[1].trainable) == (
        False,
        False,
        True,
    )
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


def test_optimizer_respects_trainable() -> None:
    task = ClassificationModel(CONFIG, 2, "single_label")
    task.bert.embeddings.trainable = False
    names = set(make_optimizer(task.named_variables, OptimizerConfig()).variables)
    assert names == {name for name in task.named_variables if not name.startswith("bert/embeddings/")}
    task.network.trainable = False
    with pytest.raises(InputError, match="All weights are frozen"):
        make_optimizer(task.named_variables, OptimizerConfig())


def test_dropout_is_reproducible_and_differs_between_calls() -> None:
    model = BertClassifier(CONFIG, 2)
    keras.utils.set_random_seed(1)
    first, second = model(INPUTS, training=True), model(INPUTS, training=True)
    assert np.abs(first - second).max() > 1e-6
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(model(INPUTS, training=True), first)
    np.testing.assert_array_equal(model(INPUTS), model(INPUTS, training=False))


def test_encoder_accepts_dictionaries_and_tuples() -> None:
    model = BertModel(CONFIG)
    expected = model(IDS, MASK, SEGMENTS)
    assert_same(model(INPUTS), expected)
    assert_same(model((IDS, MASK, SEGMENTS)), expected)
    assert_same(model({"input_ids": IDS, "attention_mask": MASK, "token_type_ids": SEGMENTS}), expected)
    predicted = model.predict(INPUTS, verbose=0)
    np.testing.assert_allclose(predicted.pooled_output, expected.pooled_output, atol=1e-6)
    assert_same(model(IDS), model(IDS, np.ones_like(IDS), np.zeros_like(IDS)))


def test_masked_lm_without_positions_scores_all_positions() -> None:
    model = BertMaskedLM(CONFIG)
    everywhere, masked = model(INPUTS), model(MASKED_INPUTS)
    assert everywhere.shape == (ROWS, LENGTH, CONFIG.vocab_size)
    np.testing.assert_allclose(np.take_along_axis(everywhere.numpy(), POSITIONS[..., None], 1), masked, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_mask": MASK}, "lack 'input_ids'"),
        ({**INPUTS, "labels": IDS}, "have 'labels', which the model does not take; expected 'input_ids' and any of"),
        ((IDS,) * 4, "are 4 arrays; expected 1 to 3: input_ids, input_mask, segment_ids"),
        ((IDS.repeat(20, axis=1),), "have 160 positions"),
    ],
)
def test_invalid_inputs_are_errors(inputs, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        BertClassifier(CONFIG, 2)(inputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "labels=0"), (([],), "labels=[]"), ((2, "ranking"), "problem_type='ranking'; choose one of")],
)
def test_invalid_classifiers_are_errors(arguments, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        BertClassifier(CONFIG, *arguments)


@every_case
def test_quantization_is_an_error(make, inputs, labels) -> None:
    with pytest.raises(InputError, match="no quantized form"):
        make().quantize("int8")


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have")
def test_quantization_of_a_model_containing_the_encoder_is_an_error() -> None:
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Dense(3)(BertModel(CONFIG)(ids).pooled_output))
    with pytest.raises(InputError, match="no quantized form"):
        model.quantize("int8")


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(3, 4, 0.02, "relu", dtype="mixed_bfloat16"),
        layers.LayerNorm(4),
        layers.Embeddings(CONFIG),
        EncoderLayer(CONFIG, 4),
        heads.MaskedLMHead(CONFIG),
        heads.NextSentenceHead(CONFIG),
        heads.ClassifierHead(CONFIG, 3),
        SpanHead(CONFIG),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_layer_can_be_created_from_its_config(layer: keras.Layer) -> None:
    other = keras.layers.deserialize(keras.layers.serialize(layer))
    assert other.get_config() == layer.get_config()
    assert [variable.shape for variable in other.variables] == [variable.shape for variable in layer.variables]


def test_labels_with_and_without_names() -> None:
    assert BertTagger(CONFIG, ["O", "B"]).labels == ("O", "B")
    assert BertTagger(CONFIG, 2).labels == ()
    assert issubclass(BertTagger, BertBase)


def test_tagging_model_uses_one_segment() -> None:
    task = TaggingModel(CONFIG, 3)
    batch = {name: tf.constant(array) for name, array in INPUTS.items()}
    np.testing.assert_array_equal(task.logits(batch), task.logits({**batch, "segment_ids": tf.zeros_like(IDS)}))
    assert np.abs(task.network(INPUTS) - tf.reshape(task.logits(batch), (ROWS, LENGTH, 3))).max() > 1e-6
