"""Program for test_trainer.py: trains a tiny model for some steps and saves its weights.

One process per strategy, as TensorFlow does not support several in one. Arguments: "off" or "mirrored" (on two logical
CPU devices), and the file to write.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import DistributionConfig
from bert_tf2.tasks.pretraining.runner import PretrainingModel
from bert_tf2.training.distribution import make_strategy
from bert_tf2.training.evaluation import evaluate
from bert_tf2.training.schedules import make_schedule
from bert_tf2.training.trainer import Trainer, TrainingConfig
from helpers.repository import TINY_CONFIG

STEPS, BATCH, LENGTH, PREDICTIONS = 20, 6, 16, 4
RATE = 1e-3


def examples(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Random records whose numbers of masked positions differ a lot."""
    weights = (np.arange(PREDICTIONS) < rng.integers(0, PREDICTIONS + 1, [count, 1])).astype(np.float32)
    return {
        "input_ids": rng.integers(0, 40, [count, LENGTH], dtype=np.int32),
        "input_mask": (np.arange(LENGTH) < rng.integers(4, LENGTH + 1, [count, 1])).astype(np.int32),
        "segment_ids": rng.integers(0, 2, [count, LENGTH], dtype=np.int32),
        "masked_lm_positions": rng.integers(0, LENGTH, [count, PREDICTIONS], dtype=np.int32),
        "masked_lm_ids": rng.integers(0, 40, [count, PREDICTIONS], dtype=np.int32),
        "masked_lm_weights": weights,
        "next_sentence_labels": rng.integers(0, 2, [count, 1], dtype=np.int32),
    }


def main(strategy_name: str, output: str) -> None:
    """Trains, evaluates with an incomplete batch, and saves the weights."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = make_strategy(DistributionConfig(distribution_strategy=strategy_name))
    assert strategy.num_replicas_in_sync == {"off": 1, "mirrored": 2}[strategy_name]
    keras.utils.set_random_seed(1)
    config = BertConfig(**TINY_CONFIG, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2)
    with strategy.scope():
        model = PretrainingModel(config)
    data = examples(np.random.default_rng(2), STEPS * BATCH)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(BATCH, drop_remainder=True)
    training = TrainingConfig(output_dir=f"{output}.dir", num_train_steps=STEPS, batch_size=BATCH)
    Trainer.create(model, make_schedule("linear", RATE, STEPS, 4), strategy, training).train(
        lambda done, shard: shard.of(dataset, BATCH)
    )

    held_out = examples(np.random.default_rng(3), BATCH)
    held_out["example_weights"] = np.array([1, 1, 0, 1, 0, 0], np.float32)
    held_out["masked_lm_weights"] *= held_out["example_weights"][:, None]
    scores = evaluate(
        model, strategy, lambda shard: shard.of(tf.data.Dataset.from_tensor_slices(held_out).batch(BATCH), BATCH), 1
    )
    weights = {name.replace("/", "|"): variable.value.numpy() for name, variable in model.named_variables.items()}
    np.savez(output, **weights, **{f"score {name}": value for name, value in scores.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
