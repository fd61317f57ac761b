"""Exported encoders: the vectors of extract_features.py, and a directory that works as --init_checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_classification as tiny
from helpers.exported import ask
from helpers.rounding import SUM, assert_close, bound, forward
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_huggingface import write_directory

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.export import runner
from bert_tf2.export.config import ExportConfig
from bert_tf2.io import run_files
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tasks.feature_extraction import runner as feature_extraction

pytestmark = pytest.mark.numeric

TEXTS = ["w1 W2 happy", "", "w3, ? w4 sad " * 10, "café"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cased pre-trained model in the layout of Google's."""
    directory = tmp_path_factory.mktemp("encoder")
    flags = tiny.write_model_files(directory)
    model = BertModel(BertConfig.from_json_file(flags["bert_config_file"]))
    checkpoints.write(str(directory / "bert_model.ckpt"), model.named_variables())
    return directory


@pytest.mark.slow
def test_an_encoder_to_fine_tune_from(directory: Path, tmp_path: Path):
    exported = tmp_path / "encoder"
    config = ExportConfig(
        init_checkpoint=str(directory),
        export_dir=str(exported),
        format="encoder",
        do_lower_case=False,
        max_seq_length=12,
    )
    assert runner.run(config) == str(exported)
    names = {path.name for path in exported.iterdir()}
    assert names == {
        *("1", "bert_config.json", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index", "vocab.txt"),
        "task.json",
    }
    assert unlisted(exported, run_files.GOOGLE_MODEL) == ["1"]
    assert unlisted(exported / "1" / "assets", run_files.EXPORTED_ASSETS) == []
    readers = [tf.train.load_checkpoint(str(where / "bert_model.ckpt")) for where in (directory, exported)]
    assert readers[0].get_variable_to_shape_map() == readers[1].get_variable_to_shape_map()
    for name in readers[0].get_variable_to_shape_map():
        np.testing.assert_array_equal(*(reader.get_tensor(name) for reader in readers))

    outputs = ask(exported / "1", {"text": TEXTS})
    assert outputs.keys() == {"mean", "pooled"}
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{text}\n" for text in TEXTS))
    for name, pooling in (("mean", "mean"), ("pooled", "pooler")):
        path = tmp_path / f"{name}.npy"
        feature_extraction.run(
            feature_extraction.FeatureConfig(
                input_file=str(lines),
                output_file=str(path),
                init_checkpoint=str(directory),
                output_format="npy",
                pooling=pooling,
                do_lower_case=False,
                max_seq_length=12,
                **({"layers": "-1"} if name == "mean" else {}),
            )
        )
        assert_close(outputs[name], np.load(path), forward(1))

    # Models fine-tuned from it inherit its settings.
    train = tiny.write_csv(tmp_path / "train.csv", tiny.rows(32, seed=1))
    flags = {"vocab_file": None, "bert_config_file": None, "init_checkpoint": str(exported)}
    tiny.run(tmp_path, train_file=train, do_train=True, num_train_epochs=1.0, **flags)
    assert json.loads((tmp_path / "model/task.json").read_text())["do_lower_case"] is False
    again = ExportConfig(init_checkpoint=str(exported), export_dir=str(tmp_path / "again"))
    settings = json.loads((Path(runner.run(again)) / "assets/settings.json").read_text())
    sizes = {"max_seq_length": 24, "max_characters": 24 * 256}
    assert settings == {"problem_type": "features", **sizes, "do_lower_case": False, "labels": []}

    with pytest.raises(InputError, match=r"encoder already exists and is not an empty directory; give a new one"):
        runner.run(config)


@pytest.mark.slow
def test_token_ids_of_an_encoder(directory: Path, tmp_path: Path):
    path = runner.run(ExportConfig(init_checkpoint=str(directory), export_dir=str(tmp_path / "features")))
    model = tf.saved_model.load(path)
    ids, mask = tf.constant([[2, 7, 3, 0, 0]]), tf.constant([[1, 1, 1, 0, 0]])
    outputs = model.signatures["token_ids"](input_ids=ids, input_mask=mask, segment_ids=tf.zeros_like(ids))
    assert outputs["sequence"].shape == (1, 5, 16)
    assert_close(outputs["mean"], outputs["sequence"].numpy()[:, :3].mean(1), SUM)


@pytest.mark.parametrize(
    ("architecture", "outputs"),
    [
        ("BertModel", {"mean", "pooled"}),
        ("BertForMaskedLM", {"mean"}),
        pytest.param("BertForSequenceClassification", {"label", "labels", "probabilities"}, marks=pytest.mark.slow),
        ("BertForTokenClassification", {"words", "tags", "probabilities", "lengths"}),
        pytest.param("BertForQuestionAnswering", {"answer", "start", "end", "score"}, marks=pytest.mark.slow),
    ],
)
def test_hugging_face_directories(architecture: str, outputs: set[str], tmp_path: Path):
    source = write_directory(tmp_path / "source", architecture)
    path = runner.run(ExportConfig(init_checkpoint=str(source), export_dir=str(tmp_path / "exported")))
    signature = tf.saved_model.load(path).signatures["serving_default"]
    names = signature.structured_input_signature[1]
    values = signature(**dict.fromkeys(names, tf.constant(["a b", "c"])))
    assert values.keys() == outputs


@pytest.mark.slow
def test_moving_averages(directory: Path, tmp_path: Path):
    tiny.write_model_files(tmp_path)
    train = tiny.write_csv(tmp_path / "train.csv", tiny.rows(64, seed=1))
    from bert_tf2.configs.training import OptimizerConfig

    optimizer = OptimizerConfig(ema_decay=0.9)
    tiny.run(tmp_path, train_file=train, predict_file=train, do_train=True, do_predict=True, optimizer=optimizer)
    expected = np.loadtxt(tmp_path / "model/test_results.tsv")
    texts = tf.constant([text for text, _ in tiny.rows(64, seed=1)])
    for use_averages in (True, False):
        flags = {"output_dir": str(tmp_path / "model"), "export_dir": str(tmp_path / "exported")}
        model = tf.saved_model.load(runner.run(ExportConfig(**flags, use_averages=use_averages)))
        probabilities = model.signatures["serving_default"](texts)["probabilities"].numpy()
        assert (np.abs(probabilities - expected).max() < bound(1, forward(1))) == use_averages
    with pytest.raises(InputError, match=r"--use_averages: .* has no moving averages"):
        runner.run(ExportConfig(init_checkpoint=str(directory), export_dir=str(tmp_path / "none"), use_averages=True))


def test_the_script(directory: Path, tmp_path: Path, scripts: Scripts):
    source = f"--init_checkpoint={directory}"
    done = scripts.run("export_model.py", [source, f"--export_dir={tmp_path / 'x'}"])
    assert done.returncode == 0, done.stderr
    assert f"Wrote {tmp_path / 'x/1'}, " in done.stderr
    assert "a SavedModel that takes text, or token ids." in done.stderr
    done = scripts.run("export_model.py", [source, f"--export_dir={directory / 'vocab.txt'}"])
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "Give either --output_dir"),
        ({"output_dir": "a", "init_checkpoint": "b"}, "Give either --output_dir"),
        ({"output_dir": "a", "format": "tflite"}, "Unknown --format 'tflite'; choose one of saved_model"),
        ({"output_dir": "a", "quantize": "int8"}, "--quantize is for --format=onnx"),
        (
            {"output_dir": "a", "dev_file": "x", "format": "onnx"},
            "--dev_file is for measuring the loss of accuracy by --quantize=int8",
        ),
        ({"output_dir": "a", "version": 0}, "--version=0; it must be at least 1"),
        ({"output_dir": "a", "version": 1, "format": "encoder"}, "--version is for --format=saved_model"),
        ({"output_dir": "a", "language": "auto"}, "Unknown --language 'auto'; choose one of en, zh"),
        ({"output_dir": "a", "vocab_file": "b", "spm_model_file": "c"}, "exclude each other"),
    ],
)
def test_invalid_flags_are_errors(flags: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        ExportConfig(export_dir="x", **flags)


def test_unsupported_exports_are_errors(directory: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"has no checkpoints"):
        runner.run(ExportConfig(output_dir=str(tmp_path), export_dir=str(tmp_path / "x")))
    with pytest.raises(InputError, match=r"--text_pairs is for classifiers"):
        runner.run(ExportConfig(init_checkpoint=str(directory), export_dir=str(tmp_path / "x"), text_pairs=True))
    with pytest.raises(InputError, match=r"--language is for question answering"):
        runner.run(ExportConfig(init_checkpoint=str(directory), export_dir=str(tmp_path / "x"), language="zh"))
    for flag in ({"n_best_size": 2}, {"max_answer_length": 2}, {"null_score_diff_threshold": 1.0}):
        with pytest.raises(InputError, match=rf"--{next(iter(flag))} is for question answering; omit it"):
            runner.run(ExportConfig(init_checkpoint=str(directory), export_dir=str(tmp_path / "x"), **flag))
    with pytest.raises(InputError, match=r"--max_seq_length=25, but the model has only 24 positions"):
        runner.run(ExportConfig(init_checkpoint=str(directory), export_dir=str(tmp_path / "x"), max_seq_length=25))
    source = write_directory(tmp_path / "hf", "BertModel")
    with pytest.raises(InputError, match=r"^--use_averages: .*hf/model\.safetensors has no moving averages"):
        runner.run(ExportConfig(init_checkpoint=str(source), export_dir=str(tmp_path / "x"), use_averages=True))
    source = write_directory(
        tmp_path / "tagger", "BertForTokenClassification", id2label={"0": "O", "1": " B", "2": "I"}
    )
    with pytest.raises(InputError, match=rf"^{source}: label 1, ' B', begins or ends with whitespace"):
        runner.run(ExportConfig(init_checkpoint=str(source), export_dir=str(tmp_path / "x")))
