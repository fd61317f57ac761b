"""The tiny Hugging Face model as TensorFlow's classes of transformers saved it: `tf_model.h5`, names written out."""

import json
from pathlib import Path

import h5py
import numpy as np

from helpers.tiny_huggingface import CONFIG, PIECES

HEADS = CONFIG["num_attention_heads"]
# The model's layer, in whose group a variable is, by the beginning of its name in PyTorch.
LAYERS = {"cls.predictions": "mlm___cls", "cls.seq_relationship": "nsp___cls", "classifier": "classifier"}
LAYERS |= {"qa_outputs": "qa_outputs", "bert": "bert"}


def name_of(model: str, pytorch: str) -> str:
    """A variable's name in TensorFlow: `tf_bert_for_pre_training/bert/encoder/layer_._0/.../kernel:0`."""
    *scopes, last = pytorch.split(".")
    if "word_embeddings" in scopes:
        last = "weight"
    elif scopes[-1].endswith("_embeddings"):
        last = "embeddings"
    elif scopes[-1] == "LayerNorm":
        last = {"weight": "gamma", "bias": "beta"}[last]
    elif last == "weight":
        last = "kernel"
    layer = next(layer for beginning, layer in LAYERS.items() if pytorch.startswith(f"{beginning}."))
    path = "/".join([*scopes, last]).replace("layer/", "layer_._").replace("cls/", f"{layer}/", 1)
    return f"{layer}/{model}/{path}:0"


def write(path: Path, model: str, arrays: dict[str, np.ndarray], *, heads_apart: bool = False) -> None:
    """Writes arrays with names and shapes of PyTorch in the format of transformers' TensorFlow models.

    Args:
      path: the file.
      model: the name of the model in the file, such as `tf_bert_model`.
      arrays: the names begin with `bert.` or are those of heads.
      heads_apart: whether attention kernels have three dimensions, as in release 4.0 to 4.2.
    """
    size = CONFIG["hidden_size"] // HEADS
    with h5py.File(path, "w") as file:
        for pytorch, array in arrays.items():
            name = name_of(model, pytorch)
            if name.endswith("/kernel:0"):
                array = array.T
            if heads_apart and ".attention.self." in pytorch:
                array = array.reshape(*array.shape[:-1], HEADS, size)
            elif heads_apart and pytorch.endswith("attention.output.dense.weight"):
                array = array.reshape(HEADS, size, -1)
            file[name] = array
            if "cls.predictions.bias" in arrays and pytorch.startswith("bert.embeddings."):  # the head saves them, too
                file[name.replace("bert/", "mlm___cls/", 1)] = array
        file.create_group("dropout_37")


def write_directory(directory: Path, architecture: str, arrays: dict[str, np.ndarray], **options: bool) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({**CONFIG, "architectures": [architecture]}))
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in architecture)
    write(directory / "tf_model.h5", f"tf{words}", arrays, **options)
    return directory
