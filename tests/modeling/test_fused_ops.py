"""Fused functions against unfused ones, custom gradients against TensorFlow's, and the dropout mask."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.rounding import SUM, assert_close, largest

from bert_tf2.modeling import fused_ops
from bert_tf2.modeling.layers import ACTIVATIONS

pytestmark = pytest.mark.numeric

SEED = tf.constant([123456789, 987654321], tf.uint32)
RATE = 0.25


def normal(*shape, seed=0, dtype=tf.float32):
    return tf.cast(tf.random.stateless_normal(shape, seed=[seed, len(shape)]), dtype)


def results_and_gradients(function, tensors, *arguments, **options):
    """The results of a function, and the gradients of their weighted sum with respect to its float tensors."""
    floats = [tensor for tensor in tensors if tensor.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        results = tf.nest.flatten(function(*tensors, *arguments, **options))
        weighted = [tf.cast(result, tf.float32) * normal(*result.shape, seed=9) for result in results]
        total = tf.add_n([tf.reduce_sum(values) for values in weighted])
    return [*results, *tape.gradient(total, floats)]


def assert_all_close(actual, expected, depth=4 * SUM):
    """Fails unless results and gradients are equal up to the rounding of their dtype."""
    values = [tf.cast(value, tf.float32).numpy() for value in expected]
    for one, other, value in zip(actual, expected, values, strict=True):
        assert one.dtype == other.dtype
        coarser = tf.bfloat16 in (one.dtype, *(tensor.dtype for tensor in expected))
        assert_close(tf.cast(one, tf.float32), value, SUM * 2**16 if coarser else depth, max(largest(value), 1))


# By name: the function, its tensors of a type, its other arguments.
CASES = {
    "dropout": (fused_ops.dropout, lambda dtype: [normal(6, 8, dtype=dtype), SEED], [RATE]),
    "bias_activation": (
        fused_ops.bias_activation,
        lambda dtype: [normal(6, 8, dtype=dtype), normal(8, seed=1)],
        [ACTIVATIONS["gelu"]],
    ),
    "layer_norm": (
        fused_ops.layer_norm,
        lambda dtype: [normal(2, 3, 8, dtype=dtype), normal(8, seed=1), normal(8, seed=2), SEED],
        [RATE],
    ),
    "add_and_norm": (
        fused_ops.add_and_norm,
        lambda dtype: [
            normal(6, 8, dtype=dtype),
            normal(8, seed=1),
            normal(6, 8, seed=2, dtype=dtype),
            normal(8, seed=3),
            normal(8, seed=4),
            SEED,
        ],
        [RATE],
    ),
    "split_heads": (
        fused_ops.split_heads,
        lambda dtype: [normal(6, 8, dtype=dtype), normal(8, seed=1)],
        [2, 4],
    ),
    "attention": (
        fused_ops.attention,
        lambda dtype: [
            normal(2, 2, 3, 4, seed=1, dtype=dtype),
            normal(2, 2, 5, 4, seed=2, dtype=dtype),
            normal(2, 2, 5, 4, seed=3, dtype=dtype),
            tf.constant([[0, 0, 0, -10000, 0], [0, 0, 0, 0, -10000]], tf.float32)[:, None, None],
            SEED,
        ],
        [RATE],
    ),
    "cross_entropy": (
        fused_ops.cross_entropy,
        lambda dtype: [normal(6, 8, dtype=dtype), normal(8, seed=1), tf.constant([0, 7, 3, 3, 2, 1])],
        [],
    ),
}


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_fused_equals_unfused(name, dtype):
    function, make, arguments = CASES[name]
    tensors = make(dtype)
    if name == "attention":  # its score bias gets no gradient
        query_key_value, rest = tensors[:3], tensors[3:]
        tensors, arguments = query_key_value, [*rest, *arguments]
    actual, expected = (results_and_gradients(function, tensors, *arguments, fuse=fuse) for fuse in (True, False))
    assert_all_close(actual, expected)


@pytest.mark.parametrize("jit", [False, True])
def test_fused_in_a_graph_with_unknown_shapes(jit):
    function, make, arguments = CASES["add_and_norm"]
    x, bias, residual, *rest = make(tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 8]), tf.TensorSpec([None, 8])], jit_compile=jit)
    def compiled(x, residual):
        with tf.GradientTape() as tape:
            tape.watch([x, residual])
            total = tf.reduce_sum(tf.square(function(x, bias, residual, *rest, *arguments, fuse=True)))
        return [total, *tape.gradient(total, [x, residual])]

    for rows in (6, 4):
        tensors = [x[:rows], residual[:rows]]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = tf.reduce_sum(tf.square(function(tensors[0], bias, tensors[1], *rest, *arguments)))
        assert_all_close(compiled(*tensors), [total, *tape.gradient(total, tensors)])


def test_matmul_gradients_equal_those_of_tensorflow():
    tensors = [normal(6, 4), normal(4, 8, seed=1)]
    assert_all_close(results_and_gradients(fused_ops.matmul, tensors), results_and_gradients(tf.matmul, tensors))


def test_attention_gradients_equal_those_of_tensorflow():
    query, key, value, score_bias, seed = CASES["attention"][1](tf.float32)

    def plain(query, key, value):
        probabilities = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 2.0 + score_bias)  # √4
        return tf.matmul(fused_ops.dropout(probabilities, seed, RATE), value)

    actual = results_and_gradients(fused_ops.attention, [query, key, value], score_bias, seed, RATE)
    assert_all_close(actual, results_and_gradients(plain, [query, key, value]))


class TestCrossEntropy:
    def test_equals_tensorflow(self):
        scores, bias, labels = CASES["cross_entropy"][1](tf.float32)
        labels = tf.where(labels < 3, tf.argmax(scores + bias, axis=1, output_type=tf.int32), labels)

        def plain(scores, bias):
            logits = scores + bias
            right = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), right

        actual = results_and_gradients(fused_ops.cross_entropy, [scores, bias], labels)
        assert 0 < tf.reduce_sum(actual[1]) < len(labels)
        assert_all_close(actual, results_and_gradients(plain, [scores, bias]))

    def test_first_of_equal_scores_is_predicted(self):
        scores = tf.constant([[1.0, 3.0, 3.0, 2.0]] * 4)
        _, right = fused_ops.cross_entropy(scores, tf.zeros([4]), tf.range(4))
        np.testing.assert_array_equal(right, [0, 1, 0, 0])

    def test_large_scores(self):
        losses, _ = fused_ops.cross_entropy(tf.constant([[1e4, 0.0], [0.0, 1e4]]), tf.zeros([2]), tf.constant([0, 0]))
        np.testing.assert_array_equal(losses, [0, 1e4])


class TestMask:
    def mask(self, seed, *shape, rate=0.5):
        return fused_ops.dropout(tf.ones(shape), tf.constant(seed, tf.uint32), rate).numpy() > 0

    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
    def test_rate_and_scale(self, rate):
        out = fused_ops.dropout(tf.ones([1001, 1999]), SEED, rate).numpy()
        deviation = (rate * (1 - rate) / out.size) ** 0.5
        assert abs((out == 0).mean() - rate) < 4 * deviation
        assert_close(out[out != 0], np.full((out != 0).sum(), 1 / (1 - rate)), SUM)

    def test_elements_are_uncorrelated(self):
        first = self.mask([1, 2], 1024, 2048)
        size = first.size
        others = [self.mask(seed, 1024, 2048) for seed in ([1, 3], [2, 2], [3, 1], [0, 0], [2**32 - 1, 1])]
        shifted = [np.roll(first, by, axis) for axis in (0, 1) for by in (1, 2, 3, 64, 512)]
        shifted += [np.roll(others[0], by, axis=1) for by in range(1, 9)]
        for other in [*others, *shifted]:
            correlation = 4 * ((first & other).mean() - first.mean() * other.mean())
            assert abs(correlation) < 5 / size**0.5

    def test_rows_and_columns_vary_as_expected_by_chance(self):
        kept = self.mask([5, 6], 2048, 2048)
        for axis in (0, 1):
            z = (kept.sum(axis) - 1024) / 512**0.5
            assert 0.9 < z.std() < 1.1
            assert np.abs(z).max() < 5

    def test_seeds_of_sites_and_steps_are_distinct(self):
        seeds = [
            tuple(fused_ops.mask_seed(tf.constant([12345, step * 1024], tf.int64), site).numpy().tolist())
            for step in range(5)
            for site in range(20)
        ]
        assert len({first for first, _ in seeds}) == len({second for _, second in seeds}) == 100
