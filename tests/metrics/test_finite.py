"""Outputs of a model with corrupt weights are refused everywhere."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_squad
from helpers.tiny_huggingface import write_directory

from bert_tf2.checkpoints import pretrained
from bert_tf2.errors import Diverged, InputError
from bert_tf2.export import runner as export_runner
from bert_tf2.export.config import ExportConfig
from bert_tf2.metrics.finite import check_finite
from bert_tf2.tasks.feature_extraction import encoder as feature_encoder
from bert_tf2.tasks.feature_extraction.data import Sequences
from bert_tf2.tasks.pretraining import fill_mask
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.training import evaluation

STRATEGY = tf.distribute.get_strategy()
SENTENCE = "are not all finite: its training diverged, or the checkpoint is damaged"

LINES = "co[MASK] a\n\n[MASK] ||| [MASK] as\nA [MASK]\n"


@pytest.fixture
def corrupt(monkeypatch):
    """Puts a NaN into weights when they are loaded."""
    plain = pretrained.load

    def load(variables, *args, **options):
        report = plain(variables, *args, **options)
        variables["bert/embeddings/LayerNorm/beta"].assign(np.nan + variables["bert/embeddings/LayerNorm/beta"])
        return report

    monkeypatch.setattr(pretrained, "load", load)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check(value):
    check_finite({"row": np.arange(3), "name": np.array([b"a"], object), "logits": np.ones([2, 0], np.float16)})
    with pytest.raises(Diverged, match=f"The model's start logits {SENTENCE}"):
        check_finite({"start_logits": np.array([[0, value]], np.float32)})


def test_outputs_of_batches():
    def batches(weight):
        data = tf.data.Dataset.from_tensors({"x": [1.0, np.nan], "example_weights": [1.0, weight]})
        return evaluation.predict_batches(lambda batch: {"logits": batch["x"]}, STRATEGY, lambda _: data, None)

    assert [part["logits"].tolist() for part in batches(0.0)] == [[1]]  # a row that fills up the batch may be anything
    with pytest.raises(InputError, match=f"logits {SENTENCE}"):
        next(batches(1.0))


def test_losses():
    class Model:
        def loss_weights(self, batch):
            return {"rows": tf.constant(1.0)}

        def loss(self, batch, weights, seed):
            return tf.reduce_sum(batch["x"]), {"accuracy": (tf.constant(1.0), tf.constant(1.0))}

    data = tf.data.Dataset.from_tensors({"x": [np.nan], "example_weights": [1.0]})
    with pytest.raises(InputError, match=f"loss and metrics {SENTENCE}"):
        evaluation.evaluate(Model(), STRATEGY, lambda _: data, None)


@pytest.mark.parametrize("of_tokens", [True, False])
def test_features(of_tokens):
    encoder = feature_encoder.Encoder(
        lambda ids, mask, segments: tf.math.log(tf.cast(ids if of_tokens else ids[:, 0], tf.float32))[..., None],
        1,
        of_tokens=of_tokens,
        batch_size=2,
        max_seq_length=8,
        strategy=STRATEGY,
        compiles=False,
    )
    ids = np.array([1, 2, 3], np.int32)  # padding is 0, whose logarithm is not computed
    assert np.isfinite(encoder.vectors(Sequences(np.array([0, 2, 3]), ids, np.zeros_like(ids)), lambda _: None)).all()
    with pytest.raises(InputError, match=f"features {SENTENCE}"):
        encoder.vectors(Sequences(np.array([0, 2, 3]), 0 * ids, np.zeros_like(ids)), lambda _: None)


def test_fill_mask(tmp_path, corrupt):
    model = write_directory(tmp_path / "model", "BertForPreTraining")
    (tmp_path / "text.txt").write_text(LINES)
    options = {"predict_file": str(tmp_path / "text.txt"), "output_dir": str(tmp_path), "init_checkpoint": str(model)}
    with pytest.raises(InputError, match=f"logits {SENTENCE}"):
        fill_mask.run(PretrainingConfig(bert_config_file="", input_file="", do_predict=True, **options))
    assert not (tmp_path / "fill_mask.jsonl").exists()


def test_a_task_and_exports(tmp_path, corrupt):
    """All tasks predict by `evaluation.predict_batches`; all SavedModels are written by one function."""
    tiny_squad.write_model_files(tmp_path)
    data = tiny_squad.write_json(tmp_path / "data.json", tiny_squad.squad(5, seed=1))
    tiny_squad.run(tmp_path, train_file=data, do_train=True, num_train_epochs=0.0)
    with pytest.raises(InputError, match=f"logits {SENTENCE}"):
        tiny_squad.run(tmp_path, predict_file=data, do_predict=True)
    assert not list((tmp_path / "model").glob("[a-z]*predictions*"))
    for name in ("saved_model", "encoder", "onnx"):
        if name == "onnx":
            pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install '.[onnx]')")
            pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (pip install '.[onnx]')")
        config = ExportConfig(output_dir=str(tmp_path / "model"), export_dir=str(tmp_path / name / "x"), format=name)
        with pytest.raises(InputError, match=SENTENCE):
            export_runner.run(config)
        assert not list((tmp_path / name).rglob("*.*"))
