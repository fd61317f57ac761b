"""`tf_model.h5` of transformers: the same variables as in PyTorch's files."""

import h5py
import numpy as np
import pytest
from helpers.tiny_huggingface import MODELS, arrays_of
from helpers.tiny_tensorflow import name_of, write, write_directory

from bert_tf2.checkpoints import huggingface, keras_h5
from bert_tf2.errors import InputError


def arrays_in_full(architecture):
    """The arrays, with the prefix `bert.` in the encoder's names, as in all TensorFlow models of transformers."""
    arrays = arrays_of(architecture)
    bare = architecture == "BertModel"
    return {f"bert.{name}" if bare else name: array for name, array in arrays.items()}


def test_names():
    pytorch = "bert.encoder.layer.11.attention.output.LayerNorm.weight"
    gamma = "bert/tf_bert_model/bert/encoder/layer_._11/attention/output/LayerNorm/gamma:0"
    assert name_of("tf_bert_model", pytorch) == gamma
    for name, expected in {
        gamma: (pytorch, False),
        "mlm___cls/tf_bert_for_masked_lm/mlm___cls/predictions/bias:0": ("cls.predictions.bias", False),
        "nsp___cls/tf_bert_for_pre_training/nsp___cls/seq_relationship/kernel:0": ("cls.seq_relationship.weight", True),
        "classifier/tf_bert_for_sequence_classification/classifier/kernel:0": ("classifier.weight", True),
        "bert/tf_bert_model/bert/embeddings/word_embeddings/weight:0": (
            "bert.embeddings.word_embeddings.weight",
            False,
        ),
        "bert/tf_bert_model/bert/embeddings/token_type_embeddings/embeddings:0": (
            "bert.embeddings.token_type_embeddings.weight",
            False,
        ),
    }.items():
        assert keras_h5._pytorch_name(name) == expected


@pytest.mark.parametrize("heads_apart", [False, True])
@pytest.mark.parametrize("architecture", MODELS)
def test_reads_files_of_transformers(tmp_path, architecture, heads_apart):
    arrays = arrays_in_full(architecture)
    directory = huggingface.ModelDirectory(write_directory(tmp_path, architecture, arrays, heads_apart=heads_apart))
    assert directory.weights_file == str(tmp_path / "tf_model.h5")
    assert directory.unmapped == directory.untied == ()
    assert {*directory.hf_names.values()} == {*arrays}
    shapes = directory.get_variable_to_shape_map()
    for google, pytorch in directory.hf_names.items():
        mapping = huggingface.to_google(pytorch)
        expected = arrays[pytorch].T if mapping.transposed else arrays[pytorch]
        np.testing.assert_array_equal(directory.get_tensor(google), expected)
        assert shapes[google] == list(expected.shape)


def test_other_weights_take_precedence(tmp_path):
    arrays = arrays_in_full("BertModel")
    directory = write_directory(tmp_path, "BertModel", arrays)
    (directory / "pytorch_model.bin").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"pytorch_model\.bin cannot be read"):
        huggingface.ModelDirectory(directory)


def test_half_precision_and_unsupported_types(tmp_path):
    bias = np.arange(4, dtype=np.float16)
    name = "bert.pooler.dense.bias"
    write(tmp_path / "x.h5", "tf_bert_model", {name: bias})
    assert keras_h5.open_h5(tmp_path / "x.h5")[name].read().dtype == np.float32
    write(tmp_path / "x.h5", "tf_bert_model", {name: bias.astype(np.int32)})
    with pytest.raises(InputError, match=r"pooler/dense/bias:0 \(int32\) in .*x.h5 does not hold 32-bit or 16-bit"):
        keras_h5.open_h5(tmp_path / "x.h5")[name].read()


def test_different_copies_of_the_embeddings_are_an_error(tmp_path):
    arrays = arrays_in_full("BertForMaskedLM")
    write(tmp_path / "x.h5", "tf_bert_for_masked_lm", arrays)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["mlm___cls/tf_bert_for_masked_lm/bert/embeddings/word_embeddings/weight:0"][0, 0] += 1
    with pytest.raises(InputError, match="which should be equal"):
        keras_h5.open_h5(tmp_path / "x.h5")


def test_external_files_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"\0" * 16)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("bert/tf_bert_model/bert/pooler/dense")
        group.create_dataset("bias:0", (4,), np.float32, external=[(tmp_path / "secret", 0, 16)])
    with pytest.raises(InputError, match=r"dense/bias:0 in .*x\.h5 is a link to another file, which is not followed"):
        keras_h5.open_h5(tmp_path / "x.h5")


def test_corrupt_files_are_errors(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"x" * 5000)
    with pytest.raises(InputError, match=r"x.h5 is not an HDF5 file of weights, or is corrupt or truncated \("):
        keras_h5.open_h5(tmp_path / "x.h5")
    write(tmp_path / "x.h5", "tf_bert_model", arrays_in_full("BertModel"))
    content = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is not an HDF5 file of weights"):
        keras_h5.open_h5(tmp_path / "x.h5")


def test_unreadable_files_are_errors(tmp_path):
    (tmp_path / "x.h5").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match=r"x\.h5 is a Git LFS pointer, not the weights; fetch them with git lfs pull"):
        keras_h5.open_h5(tmp_path / "x.h5")
    with pytest.raises(InputError, match=r"Cannot read .*none\.h5: No such file"):
        keras_h5.open_h5(tmp_path / "none.h5")
