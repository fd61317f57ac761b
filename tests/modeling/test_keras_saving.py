"""`BertModel` in other Keras models, saved and loaded: the same outputs."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling.encoder import BertModel

IDS = np.random.default_rng(0).integers(0, TINY_CONFIG["vocab_size"], (2, 8)).astype(np.int32)
PARTS = {"ids": IDS, "mask": (IDS % 5 > 0).astype(np.int32), "types": IDS % 2}


def bert() -> BertModel:
    return BertModel(BertConfig(**TINY_CONFIG))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.bert, self.dense = bert(), keras.layers.Dense(3)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return self.dense(self.bert(ids).pooled_output)


@keras.saving.register_keras_serializable("tests")
class OfParts(Subclassed):
    def call(self, parts: dict[str, tf.Tensor]) -> tf.Tensor:
        positions = parts["ids"] * 0 + tf.range(tf.shape(parts["ids"])[1], dtype=parts["ids"].dtype)
        outputs = self.bert(parts["ids"], parts["mask"], parts["types"], position_ids=positions)
        return self.dense(outputs.sequence_output)


@keras.saving.register_keras_serializable("tests")
class Nested(keras.Model):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.inner = Subclassed()

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return 2 * self.inner(ids)


def functional() -> keras.Model:
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, keras.layers.Dense(3)(bert()(ids).pooled_output))


@pytest.mark.filterwarnings("error:.*cannot be built automatically")
@pytest.mark.parametrize(
    ("make", "inputs"), [(functional, IDS), (Subclassed, IDS), (OfParts, PARTS), (Nested, IDS)], ids=lambda one: None
)
def test_same_outputs_after_loading(make, inputs, tmp_path: Path) -> None:
    model = make()
    expected = model(inputs).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(inputs), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make()
    assert np.abs(other(inputs).numpy() - expected).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(inputs), expected)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float32])
def test_ids_of_any_type(kind: type) -> None:
    model = bert()
    ids = IDS % 100
    np.testing.assert_array_equal(model(ids.astype(kind)).sequence_output, model(ids).sequence_output)
