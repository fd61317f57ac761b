"""LoRA in the models: outputs and gradients, trainable weights, merging, saving and loading."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, backward, forward

from bert_tf2.configs.lora import KERNELS, Lora
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import lora, summary
from bert_tf2.modeling.classifier import LABELS, BertClassifier, ClassificationModel
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.pretraining import BertForPreTraining, BertMaskedLM
from bert_tf2.modeling.question_answering import BertForQuestionAnswering
from bert_tf2.modeling.tagger import BertTagger
from bert_tf2.training.optimizers import make_optimizer

pytestmark = pytest.mark.numeric

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2}
CONFIG = BertConfig(**TINY_CONFIG, **NO_DROPOUT)
ONE_LAYER = BertConfig(**{**TINY_CONFIG, **NO_DROPOUT, "num_hidden_layers": 1})
WIDE = BertConfig(**{**TINY_CONFIG, **NO_DROPOUT, "hidden_size": 128, "intermediate_size": 64})  # where XLA fuses
ROWS, LENGTH = 6, 8
RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(5, TINY_CONFIG["vocab_size"], (ROWS, LENGTH)).astype(np.int32)
MASK = (np.arange(LENGTH) < RANDOM.integers(3, LENGTH + 1, (ROWS, 1))).astype(np.int32)
INPUTS = {"input_ids": IDS, "input_mask": MASK, "segment_ids": (MASK * (np.arange(LENGTH) > 3)).astype(np.int32)}
LABEL_IDS = (IDS[:, 0] % 2).astype(np.int32)
EVERYWHERE = tuple(KERNELS)


def weights(model: BertClassifier) -> dict[str, np.ndarray]:
    return {name: variable.value.numpy() for name, variable in model.named_variables().items()}


def draw(model: BertModel) -> None:
    """Sets B, which is initialized to 0, to random numbers."""
    rng = np.random.default_rng(1)
    for name, variable in model.named_variables().items():
        if name.endswith(lora.B):
            variable.assign(rng.normal(0, 0.3, variable.shape))


def set_weights(model: BertModel, values: dict[str, np.ndarray]) -> None:
    variables = model.named_variables()
    assert variables.keys() == values.keys()
    for name, value in values.items():
        variables[name].assign(value)


def compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


# --- Outputs and gradients -------------------------------------------------------------------------------------------


def test_new_lora_does_not_change_outputs_and_a_is_initialized_as_in_the_paper() -> None:
    model = BertClassifier(CONFIG, 2)
    before = model(INPUTS)
    model.add_lora(8, layers=EVERYWHERE)
    np.testing.assert_array_equal(model(INPUTS), before)
    for name, value in weights(model).items():
        if name.endswith(lora.B):
            assert not value.any()
        if name.endswith(lora.A):
            bound = 1 / np.sqrt(value.shape[0])
            assert 0.8 * bound < np.abs(value).max() <= bound
            assert value.std() == pytest.approx(bound / np.sqrt(3), rel=0.25)


def test_merged_equals_hand_computed_values() -> None:
    kernel, a, b = np.float32([[1, 2], [3, 4]]), np.float32([[1], [2]]), np.float32([[10, 20]])
    expected = np.float32([[6, 12], [13, 24]])
    np.testing.assert_array_equal(lora.merged(kernel, a, b, 0.5), expected)
    variables = {"x/kernel": kernel, "x/lora_a": a, "x/lora_b": b, "x/lora_scale": np.float32(0.5), "y": a}
    plain = lora.merged_variables(variables)
    assert plain.keys() == {"x/kernel", "y"}
    np.testing.assert_array_equal(plain["x/kernel"], expected)


def losses_and_gradients(task: ClassificationModel, names: list[str]) -> tuple[float, dict[str, np.ndarray]]:
    batch = {**{name: tf.constant(value) for name, value in INPUTS.items()}, LABELS: tf.constant(LABEL_IDS)}
    variables = [task.named_variables[name].value for name in names]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        loss, _ = task.loss(batch, task.loss_weights(batch), tf.constant([1, 2], tf.int64))
    gradients = tape.gradient(loss, variables)
    return float(loss), {name: np.array(tf.convert_to_tensor(one)) for name, one in zip(names, gradients, strict=True)}


@pytest.mark.parametrize(
    ("config", "recompute", "skip_padding"),
    [
        (CONFIG, False, False),
        (CONFIG, True, False),
        (CONFIG, False, True),
        pytest.param(WIDE, True, True, marks=pytest.mark.slow),
    ],
    ids=["plain", "recompute", "unpadded", "fused"],
)
def test_losses_and_gradients_equal_those_of_merged_kernels(config, recompute: bool, skip_padding: bool) -> None:
    options = (config, 2, "single_label", None, recompute, skip_padding)
    with lora.lora_scope(Lora(2, 3, EVERYWHERE)):
        task = ClassificationModel(*options)
    draw(task.bert)
    values = weights(task.network)
    plain = ClassificationModel(*options)
    set_weights(plain.network, lora.merged_variables(values))
    prefixes = [name.removesuffix(f"/{lora.A}") for name in values if name.endswith(lora.A)]
    assert len(prefixes) == 2 * len(KERNELS)
    loss, gradients = losses_and_gradients(
        task, [f"{prefix}/{part}" for prefix in prefixes for part in (lora.A, lora.B)]
    )
    expected_loss, kernels = losses_and_gradients(plain, [f"{prefix}/kernel" for prefix in prefixes])
    assert_close(loss, expected_loss, forward(2), scale=1)
    for prefix in prefixes:
        a, b, gradient = values[f"{prefix}/{lora.A}"], values[f"{prefix}/{lora.B}"], kernels[f"{prefix}/kernel"]
        largest = 16 * np.abs(gradient).max()
        assert_close(gradients[f"{prefix}/{lora.A}"], 1.5 * gradient @ b.T, backward(2), largest, prefix)
        assert_close(gradients[f"{prefix}/{lora.B}"], 1.5 * a.T @ gradient, backward(2), largest, prefix)


# --- Training --------------------------------------------------------------------------------------------------------


def test_trained_parameters() -> None:
    model = BertClassifier(CONFIG, 2)
    before = model.count_params()
    model.add_lora(2)
    assert model.lora == model.bert.lora == Lora(2, 2, ("query", "value"))
    changes, pooler, head = 2 * 2 * (16 * 2 + 2 * 16), 16 * 16 + 16, 2 * 16 + 2
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == changes + pooler + head
    assert model.count_params() == before + changes + 2 * 2  # and a scale for each kernel
    names = model.named_variables()
    trained = [name for name in names if names[name].trainable]
    assert summary.trained_parameters(names, trained) == (
        f"Training {changes + pooler + head:,} of {before + changes:,} parameters (9.22%): "
        f"LoRA {changes}, pooler {pooler}, head {head}."
    )
    table = summary.summary(CONFIG, names)
    assert re.search(r"  LoRA, in all layers +256 ", table)
    assert "0.0 MiB more in training" in table
    optimizer = make_optimizer(names, OptimizerConfig())
    assert set(optimizer.variables) == set(trained)
    assert len(optimizer.named_slots()) == 2 * len(trained) == 2 * (8 + 4)


@pytest.mark.parametrize(
    ("make", "trains_pooler"),
    [
        (lambda: BertModel(CONFIG), True),
        (lambda: BertForPreTraining(CONFIG), True),
        (lambda: BertMaskedLM(CONFIG), False),
        (lambda: BertTagger(CONFIG, 3), False),
        (lambda: BertForQuestionAnswering(CONFIG), False),
    ],
    ids=["encoder", "pretraining", "masked_lm", "tagger", "answers"],
)
def test_every_model_trains_lora_its_heads_and_a_pooler_with_gradients(make, trains_pooler: bool) -> None:
    model = make()
    model.trainable = False
    model.add_lora(1, layers=["key"])
    names = {name for name, variable in model.named_variables().items() if variable.trainable}
    heads = {name for name in model.named_variables() if not name.startswith("bert/")}
    pooler = {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"} if trains_pooler else set()
    changes = {f"bert/encoder/layer_{n}/attention/self/key/{part}" for n in (0, 1) for part in (lora.A, lora.B)}
    assert names == changes | heads | pooler
    assert len(model.trainable_variables) == len(names)
    other = type(model).from_config(model.get_config())
    assert {name for name, variable in other.named_variables().items() if variable.trainable} == names


def trained(dtype: str) -> BertClassifier:
    keras.utils.set_random_seed(1)
    model = BertClassifier(ONE_LAYER, ["no", "yes"], dtype=dtype)
    model.add_lora(4, 8, ["query", "value"])
    before, names = weights(model), model.named_variables()
    losses = compiled(model).fit(INPUTS, LABEL_IDS, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert {variable.dtype for variable in names.values()} == {"float32"}
    for name, value in weights(model).items():
        assert np.array_equal(value, before[name]) != names[name].trainable, name
    return model


def test_fit_trains_only_trainable_weights_and_saving_and_merging_keep_outputs(tmp_path: Path) -> None:
    model = trained("float32")
    expected = model(INPUTS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert loaded.lora == Lora(4, 8)
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    np.testing.assert_array_equal(loaded(INPUTS), expected)
    loaded.merge_lora()
    assert loaded.lora is None
    assert_close(loaded(INPUTS), expected, forward(1), scale=np.abs(expected).max() + 1)
    assert loaded.named_variables().keys() == BertClassifier(ONE_LAYER, 2).named_variables().keys()
    assert loaded.count_params() == BertClassifier(ONE_LAYER, 2).count_params()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_functions_traced_before_merging_stay_correct(dtype: str) -> None:
    model = trained(dtype)
    # bfloat16 has 16 fewer bits in its mantissa, and both sides round
    expected, depth = model.predict(INPUTS, verbose=0), forward(1) * (1 if dtype == "float32" else 2**11)
    traced = tf.function(model)
    before = traced(INPUTS)
    model.merge_lora()
    assert_close(model.predict(INPUTS, verbose=0), expected, depth, scale=np.abs(expected).max() + 1)
    assert_close(traced(INPUTS), before, depth, scale=np.abs(expected).max() + 1)
    head = weights(model)["output_weights"]
    query = weights(model)["bert/encoder/layer_0/attention/self/query/kernel"]
    compiled(model).fit(INPUTS, LABEL_IDS, verbose=0)  # trains the head and the pooler
    assert not np.array_equal(weights(model)["output_weights"], head)
    np.testing.assert_array_equal(weights(model)["bert/encoder/layer_0/attention/self/query/kernel"], query)


# --- Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_functional_model_and_weights_file(tmp_path: Path) -> None:
    def make() -> keras.Model:
        bert = BertModel(CONFIG, name="bert")
        bert.add_lora(2, layers=["intermediate", "output"])
        draw(bert)
        ids = keras.Input((None,), dtype="int32")
        return keras.Model(ids, keras.layers.Dense(1)(bert(ids).pooled_output))

    model = make()
    expected = model(IDS).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IDS), expected)
    assert loaded.get_layer("bert").lora == Lora(2, 2, ("intermediate", "output"))
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == 2 * 2 * 2 + 2 + 2
    model.save_weights(tmp_path / "model.weights.h5")
    other = make()
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(IDS), expected)


@pytest.mark.parametrize("kind", ["google", "huggingface"])
def test_save_pretrained_writes_a_plain_bert(kind: str, tmp_path: Path) -> None:
    model = BertClassifier(CONFIG, ["no", "yes"])
    model.add_lora(2, 1, EVERYWHERE)
    draw(model.bert)
    model.save_pretrained(tmp_path / "model", format=kind)
    assert model.lora == Lora(2, 1, EVERYWHERE)
    loaded = BertClassifier.from_pretrained(tmp_path / "model")
    assert loaded.lora is None
    assert loaded.labels == ("no", "yes")
    merged = lora.merged_variables(weights(model))
    assert loaded.named_variables().keys() == merged.keys()
    for name, value in weights(loaded).items():
        np.testing.assert_array_equal(value, merged[name], err_msg=name)


def test_lora_can_be_added_to_a_loaded_model(tmp_path: Path) -> None:
    model = BertClassifier(CONFIG, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.add_lora()
    assert loaded.lora == Lora(8)
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))


# --- Errors ----------------------------------------------------------------------------------------------------------


def test_invalid_uses_are_errors() -> None:
    model = BertClassifier(CONFIG, 2)
    with pytest.raises(InputError, match="has no LoRA to merge"):
        model.merge_lora()
    with pytest.raises(InputError, match="A rank of 17 for LoRA, but the kernels of this model have a rank of 16"):
        model.add_lora(17)
    assert len(model.trainable_variables) == len(model.variables)
    with pytest.raises(InputError, match="Unknown layer for LoRA, 'foo'"):
        model.add_lora(2, layers="query,foo")
    model.add_lora(16, layers="value, query")
    with pytest.raises(InputError, match=r"has LoRA of rank 16 \(alpha 16\) on query, value already; call merge_lora"):
        model.add_lora(2)
