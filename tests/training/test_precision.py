"""Precision: choices by device, Keras's policy, the loss scale."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf2.configs.training import PrecisionConfig
from bert_tf2.errors import InputError
from bert_tf2.training import precision
from bert_tf2.training.precision import LossScale

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(
    ("device", "details", "expected"),
    [
        ("GPU", (9, 0), ("bfloat16", "on")),
        ("GPU", (7, 5), ("float16", "on")),
        ("GPU", (6, 1), ("float32", "on")),
        ("TPU", None, ("bfloat16", "on")),
        ("CPU", {"avx512_bf16", "sse"}, ("bfloat16", "off")),
        ("CPU", {"sse"}, ("float32", "off")),
    ],
)
def test_auto_suits_the_device(monkeypatch, caplog, device, details, expected):
    monkeypatch.setattr(precision, "_device_type", lambda: device)
    monkeypatch.setattr(precision, "_cpu_features", lambda: details)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {"compute_capability": details})
    caplog.set_level("INFO")
    resolved = precision.resolved(PrecisionConfig("auto", "auto"))
    assert (resolved.precision, resolved.jit) == expected
    assert resolved.compiles == (expected[1] == "on")
    assert f"Precision {expected[0]}, XLA {expected[1]} ({device})." in caplog.messages
    caplog.clear()
    default = precision.resolved(PrecisionConfig())
    assert default.precision == "float32"
    hint = f"Computing in float32; --precision={expected[0]} would be faster on this {device}."
    assert (hint in caplog.messages) == (expected[0] != "float32")


def test_invalid_values(monkeypatch):
    with pytest.raises(InputError, match="Unknown --precision 'fp16'; choose one of float32, bfloat16, float16, auto"):
        PrecisionConfig("fp16")
    with pytest.raises(InputError, match="Unknown --jit 'yes'; choose one of auto, on, off"):
        PrecisionConfig(jit="yes")
    monkeypatch.setattr(precision, "_device_type", lambda: "TPU")
    with pytest.raises(InputError, match="a TPU computes in bfloat16; give --precision=bfloat16"):
        precision.resolved(PrecisionConfig("float16"))


def test_features_of_the_processor(monkeypatch, tmp_path):
    listed = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "Path", lambda _: listed)
    assert precision._cpu_features() == set()  # not on Linux
    core = "processor\t: {}\nflags\t\t: fpu avx512_bf16 sse2\nbugs\t\t: spectre_v1\n\n"
    listed.write_text("".join(map(core.format, range(2))))
    assert precision._cpu_features() == {"fpu", "avx512_bf16", "sse2"}


def test_the_policy_applies_only_inside_the_context():
    previous = keras.config.dtype_policy().name
    with precision.policy(PrecisionConfig("bfloat16", "off")):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == previous


def test_only_float16_scales_its_loss():
    for name in ("float32", "bfloat16"):
        scale = LossScale(name)
        assert scale.variables == {}
        scale.update(tf.constant(False))
        assert float(scale.value()) == 1


def test_the_scale_halves_and_doubles():
    scale = LossScale("float16", start=4.0, steps_to_double=2)
    assert set(scale.variables) == {"loss_scale", "good_steps"}
    values = []
    for finite in (True, True, True, False, True, False, False, False, False):
        scale.update(tf.constant(finite))
        values.append(float(scale.value()))
    assert values == [4, 8, 8, 4, 4, 2, 1, 1, 1]
    np.testing.assert_equal(scale.variables["good_steps"].numpy(), 0)
