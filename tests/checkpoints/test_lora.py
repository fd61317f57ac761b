"""Checkpoints with LoRA, loaded into models with the same LoRA, a different one, or none."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import model_source, pretrained
from bert_tf2.configs.lora import Lora
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import lora
from bert_tf2.modeling.encoder import BertModel

CONFIG = BertConfig(**TINY_CONFIG)
KEPT = Lora(2, 3, ("query", "output"))
QUERY = "bert/encoder/layer_1/attention/self/query"


def variables_with(config: Lora | None) -> dict[str, tf.Variable]:
    model = BertModel(CONFIG)
    if config:
        model.add_lora(config.rank, config.alpha, config.layers)
    return checkpoints.tf_variables(model.named_variables())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """The directory of a training run, and the content of its checkpoint: weights, slots, moving averages."""
    rng, directory = np.random.default_rng(0), tmp_path_factory.mktemp("lora")
    state = {}
    for name, variable in variables_with(KEPT).items():
        value = np.asarray(variable)
        if lora.is_lora(name) and not name.endswith(lora.SCALE):
            value = rng.normal(0, 1, value.shape).astype(np.float32)
            state[f"{name}/adam_m"] = state[f"{name}/adam_v"] = np.zeros_like(value)
            state[f"{name}/{checkpoints.AVERAGE}"] = rng.normal(0, 1, value.shape).astype(np.float32)
        state[name] = value
    state[checkpoints.GLOBAL_STEP] = np.int64(7)
    checkpoints.save(str(directory), 7, {name: tf.Variable(value) for name, value in state.items()})
    (directory / "bert_config.json").write_text(CONFIG.to_json_string())
    return directory, state


def merged(state: dict[str, np.ndarray], ending: str = "") -> np.ndarray:
    a, b = (state[f"{QUERY}/{part}{ending}"].astype(np.float64) for part in (lora.A, lora.B))
    return (state[f"{QUERY}/kernel"] + 1.5 * (a @ b)).astype(np.float32)


def test_same_lora_is_loaded_unchanged(saved) -> None:
    directory, state = saved
    variables = variables_with(KEPT)
    report = pretrained.load(variables, str(directory))
    assert report.missing == report.mismatched == ()
    assert set(report.unused) == set(report.state)
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable.numpy(), state[name], err_msg=name)
    assert checkpoints.load_averages(variables, str(directory)) == 2 * 2 * 2
    np.testing.assert_array_equal(variables[f"{QUERY}/lora_b"], state[f"{QUERY}/lora_b/{checkpoints.AVERAGE}"])
    np.testing.assert_array_equal(variables[f"{QUERY}/kernel"], state[f"{QUERY}/kernel"])


@pytest.mark.parametrize("config", [None, Lora(4, 3, KEPT.layers), Lora(2, 4, KEPT.layers), Lora(2, 3)])
def test_different_lora_is_merged(saved, config: Lora | None, caplog) -> None:
    caplog.set_level("INFO")
    directory, state = saved
    variables = variables_with(config)
    before = {name: variable.numpy() for name, variable in variables.items()}
    report = pretrained.load(variables, str(directory))
    assert "has LoRA of rank 2 (alpha 3) on query, output, which is merged into the kernels" in caplog.text
    assert report.missing == report.mismatched == ()
    assert set(report.unused) == set(report.state)
    np.testing.assert_array_equal(variables[f"{QUERY}/kernel"], merged(state))
    for name, variable in variables.items():
        if lora.is_lora(name):
            np.testing.assert_array_equal(variable.numpy(), before[name], err_msg=name)
        elif f"{name.removesuffix('kernel')}{lora.A}" not in state:
            np.testing.assert_array_equal(variable.numpy(), state[name], err_msg=name)
    assert checkpoints.load_averages(variables, str(directory)) == 2 * 2
    np.testing.assert_array_equal(variables[f"{QUERY}/kernel"], merged(state, f"/{checkpoints.AVERAGE}"))


def test_conversion_and_export_see_a_plain_bert(saved) -> None:
    directory, state = saved
    source = model_source.open_source(str(directory))
    model_source.check_complete(source, source.own_names)
    assert source.unmapped == ()
    assert not any(map(lora.is_lora, (*source.own_names, *source.left_out)))
    np.testing.assert_array_equal(source.read(f"{QUERY}/kernel"), merged(state))


@pytest.mark.parametrize(
    ("config", "asks"),
    [
        (Lora(4), "with --lora_rank=4 --lora_alpha=4 --lora_layers=query,value"),
        (Lora(2, 2, KEPT.layers), "with --lora_rank=2 --lora_alpha=2 --lora_layers=query,output"),
        (None, r"without LoRA \(--lora_rank=0\)"),
    ],
)
def test_resuming_with_a_different_lora_is_an_error(saved, config: Lora | None, asks: str) -> None:
    has = "with --lora_rank=2 --lora_alpha=3 --lora_layers=query,output"
    with pytest.raises(InputError, match=f"ckpt-7 was trained {has}, but this command is {asks}; give the flags"):
        checkpoints.restore(variables_with(config), str(saved[0] / "model.ckpt-7"))


def test_corrupt_lora_is_an_error(saved, tmp_path: Path) -> None:
    _, state = saved
    for wrong, value, sentence in (
        (f"{QUERY}/lora_scale", None, f"{QUERY}/kernel in .* is corrupt .*lora_scale not found"),
        (f"{QUERY.replace('1', '0')}/lora_scale", None, "layer_0/attention/self/query/lora_scale in .* is corrupt"),
        (f"{QUERY}/lora_b", np.zeros((3, 16), np.float32), f"{QUERY}/kernel in .* is corrupt"),
        (
            "bert/encoder/layer_0/other/lora_a",
            np.zeros((3, 16), np.float32),
            "other/lora_a, which is not a LoRA weight of a",
        ),
    ):
        changed = {**state, wrong: value}
        prefix = str(tmp_path / wrong.replace("/", "_"))
        checkpoints.write(prefix, {name: one for name, one in changed.items() if one is not None})
        with pytest.raises(InputError, match=sentence):
            pretrained.load(variables_with(None), prefix)
