"""A model to convert or export: a uniform view of Google's checkpoints and Hugging Face directories.

Shapes: `V` vocabulary, `H` hidden, `I` intermediate, `L` labels.
"""

import dataclasses
import logging
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, huggingface, listing, pretrained, task_metadata
from bert_tf2.checkpoints.huggingface_config import HuggingFaceConfig, TokenizerSettings
from bert_tf2.checkpoints.lora import MergedReader
from bert_tf2.checkpoints.task_metadata import LABELS_FILE, read_labels
from bert_tf2.configs.choices import MULTIPLE_CHOICE, TAGGING
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError, some
from bert_tf2.io import file_system

logger = logging.getLogger(__name__)

Format = Literal["google", "huggingface"]
# Problem types of a classifier: the names in transformers -> ours.
PROBLEM_TYPES = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
_HEADS = {**dict.fromkeys(PROBLEM_TYPES.values(), "classifier"), TAGGING: "tagger", MULTIPLE_CHOICE: "multiple_choice"}
_HEAD_NAMES = {"classifier": "a classifier", "tagger": "a tagger", "multiple_choice": "multiple choice"}
_HEAD_VARIABLES = ("output_weights", "output_bias")


@dataclasses.dataclass(frozen=True)
class Source:
    """A model to convert, with Google's names.

    Attributes:
      format: the format of its weights.
      weights: the name of its weights in messages: a checkpoint's prefix or a file.
      directory: the directory of its other files.
      config: its config.
      own_names: the name of each variable in the source's format, by Google's name.
      shapes: the shape of each variable, by Google's name.
      read: reads the variable with a name of Google's.
      left_out: its own names of arrays that are not weights, and why.
      unmapped: its own names of arrays that are not known as part of BERT.
      classifier: the head that `output_weights` belongs to, one of `huggingface.OUTPUT_WEIGHTS_HEADS`; None if the
        source does not specify it.
      labels: the labels of that head; empty if the source does not specify them.
      problem_type: one of `configs.choices.PROBLEM_TYPES` for that head; None if the source does not specify it.
      tokenizer: the settings of its tokenizer.
      untied: its own names of a masked-LM decoder that is not tied to the word embeddings, as BERT's is.
    """

    format: Format
    weights: str
    directory: str
    config: BertConfig
    own_names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], NDArray[Any]]
    left_out: Mapping[str, str]
    unmapped: tuple[str, ...]
    classifier: str | None
    labels: tuple[str, ...]
    problem_type: str | None
    tokenizer: TokenizerSettings = dataclasses.field(default_factory=TokenizerSettings)
    untied: tuple[str, ...] = ()


def open_source(
    init_checkpoint: str, bert_config_file: str | None = None, num_hidden_layers: int | None = None
) -> Source:
    """Opens the model that `--init_checkpoint` specifies.

    Args:
      init_checkpoint: as in `pretrained.load`.
      bert_config_file: a config to use instead of the one in the model's directory.
      num_hidden_layers: how many layers to use, counted from the first; None for all.

    Raises:
      InputError: there is no such model, it cannot be read, or it has fewer layers.
    """
    init_checkpoint = by_name.local_path(init_checkpoint)
    directory = pretrained.hugging_face_directory(init_checkpoint)
    if not directory:
        pretrained.check_exists(init_checkpoint)
    prefix = None if directory else checkpoints.find(init_checkpoint)
    bert_config = pretrained.find_bert_config(init_checkpoint, bert_config_file, num_hidden_layers=num_hidden_layers)
    source = _open_google(prefix, bert_config) if prefix else _open_hugging_face(str(directory), bert_config)
    return source if num_hidden_layers is None else _with_first_layers(source, num_hidden_layers)


def _with_first_layers(source: Source, count: int) -> Source:
    """The source without the variables of its layers above the first `count`."""
    above = huggingface.names_above(source.own_names, count)
    reason = f"above {huggingface.first_layers(count)} (--num_hidden_layers)"
    return dataclasses.replace(
        source,
        own_names={name: own for name, own in source.own_names.items() if name not in above},
        left_out={**source.left_out, **{source.own_names[name]: reason for name in above}},
    )


def _open_hugging_face(path: str, bert_config: BertConfig) -> Source:
    directory = huggingface.ModelDirectory(path)
    shapes = directory.get_variable_to_shape_map()
    config = directory.config
    return Source(
        format="huggingface",
        weights=directory.weights_file,
        directory=path,
        config=bert_config,
        own_names=directory.hf_names,
        shapes={name: tuple(shapes[name]) for name in directory.hf_names},
        read=directory.get_tensor,
        left_out={
            **directory.ignored,
            **dict.fromkeys(directory.untied, "a masked-LM decoder that BERT does not have"),
        },
        unmapped=tuple(name for name in directory.unmapped if name not in directory.untied),
        classifier=output_weights_head(path),
        labels=config.labels,
        problem_type=PROBLEM_TYPES.get(config.problem_type or ""),
        tokenizer=directory.tokenizer,
        untied=directory.untied,
    )


def _open_google(prefix: str, config: BertConfig) -> Source:
    reader = MergedReader(checkpoints.open_reader(prefix), checkpoints.AVERAGE)
    shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    names = sorted(name for name in shapes if huggingface.to_huggingface(name))
    left_out = dict.fromkeys(sorted(checkpoints.training_state(shapes, names)), "state of the training")
    directory = listing.assets_directory(os.path.dirname(prefix))
    labels_file = os.path.join(directory, LABELS_FILE)
    kind = task_metadata.setting(directory, "problem_type", str)
    return Source(
        format="google",
        weights=prefix,
        directory=directory,
        config=config,
        own_names={name: name for name in names},
        shapes={name: tuple(shapes[name]) for name in names},
        read=lambda name: _as_float32(checkpoints.read(reader, name, prefix), name, prefix),
        left_out=left_out,
        unmapped=tuple(sorted(set(shapes) - set(names) - set(left_out))),
        classifier=output_weights_head(prefix),
        labels=read_labels(labels_file) if file_system.isfile(labels_file) else (),
        problem_type=kind if kind in PROBLEM_TYPES.values() else None,
        tokenizer=TokenizerSettings.read(directory),
    )


def _as_float32(array: NDArray[Any], name: str, prefix: str) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiuV":  # V: bfloat16
        raise InputError(f"{name} in {prefix} is of {array.dtype}, not of numbers; use another checkpoint.")
    return np.asarray(array, np.float32)


def check_complete(source: Source, names: Collection[str]) -> None:
    """Checks that variables are a complete model of the source's config: encoder, optional pooler, complete heads.

    Args:
      source: the model.
      names: Google's names of the variables to be converted.

    Raises:
      InputError: a variable is missing, belongs to a layer that the config does not have, or has a different shape.
    """
    expected = expected_shapes(source.config)
    heads = huggingface.heads_of(names)
    if source.untied and "masked_lm" in heads:
        raise InputError(
            f"{source.untied[0]} in {source.weights} belongs to a masked-LM decoder of its own, where BERT uses the "
            "word embeddings. To convert the model without its masked-LM head, give --allow_unused='cls.predictions.*'."
        )
    groups = [[name for name in expected if name.startswith("bert/") and "/pooler/" not in name]]
    groups += [[name for name in expected if "/pooler/" in name and any("/pooler/" in other for other in names)]]
    groups += [list(huggingface.HEADS[head]) for head in sorted(heads)]
    missing = [name for group in groups for name in group if name not in names]
    surplus = [name for name in names if name not in expected]
    if missing:
        raise InputError(f"{source.weights} lacks {some(missing, 1)}: the model is incomplete, or has another config.")
    if surplus:
        raise InputError(
            f"{source.weights} has {some(surplus, 1)}, but its config has too few layers; give the config "
            "that belongs to it."
        )
    for name in names:
        shape, actual = expected[name], source.shapes[name]
        if len(shape) != len(actual) or any(
            length not in (None, actual_length) for length, actual_length in zip(shape, actual, strict=True)
        ):
            shown = ["labels" if length is None else length for length in shape]
            raise InputError(
                f"{name} in {source.weights} is {list(actual)}, by its config it would be {shown}; give the config "
                "that belongs to it."
            )


def expected_shapes(config: BertConfig) -> dict[str, tuple[int | None, ...]]:
    """The shape of each variable of an encoder and of all heads, by Google's names; None for the number of labels."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int | None, ...]] = {
        "bert/embeddings/word_embeddings": (config.vocab_size, hidden),
        "bert/embeddings/token_type_embeddings": (config.type_vocab_size, hidden),
        "bert/embeddings/position_embeddings": (config.max_position_embeddings, hidden),
        "cls/predictions/output_bias": (config.vocab_size,),
        "cls/seq_relationship/output_weights": (2, hidden),
        "cls/seq_relationship/output_bias": (2,),
        "cls/squad/output_weights": (2, hidden),
        "cls/squad/output_bias": (2,),
        "output_weights": (None, hidden),
        "output_bias": (None,),
    }

    def dense(name: str, inputs: int = hidden, outputs: int = hidden) -> None:
        shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = (inputs, outputs), (outputs,)

    def norm(name: str) -> None:
        shapes[f"{name}/gamma"], shapes[f"{name}/beta"] = (hidden,), (hidden,)

    norm("bert/embeddings/LayerNorm")
    for index in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_{index}"
        for part in ("self/query", "self/key", "self/value", "output/dense"):
            dense(f"{layer}/attention/{part}")
        norm(f"{layer}/attention/output/LayerNorm")
        dense(f"{layer}/intermediate/dense", outputs=intermediate)
        dense(f"{layer}/output/dense", inputs=intermediate)
        norm(f"{layer}/output/LayerNorm")
    dense("bert/pooler/dense")
    dense("cls/predictions/transform/dense")
    norm("cls/predictions/transform/LayerNorm")
    return shapes


def load(
    variables: Mapping[str, tf.Variable],
    init_checkpoint: str,
    head: str | None = None,
    num_hidden_layers: int | None = None,
) -> checkpoints.LoadReport:
    """Initializes a model from a checkpoint, by name; see `pretrained.load`.

    Args:
      variables: the model's variables, by Google's names.
      init_checkpoint: a Hugging Face directory, or anything that `checkpoints.find` accepts.
      head: the model's head that `output_weights` belongs to, one of `huggingface.OUTPUT_WEIGHTS_HEADS`. If the
        checkpoint's files say that it belongs to another kind of head there, it is not loaded, whatever its shape, and
        is reported as missing.
      num_hidden_layers: see `pretrained.load`.

    Returns:
      A report of what was loaded, missing and unused.

    Raises:
      InputError: there are no such weights, or they do not match the model.
    """
    saved_head = output_weights_head(init_checkpoint) if head and _HEAD_VARIABLES[0] in variables else None
    if saved_head is None or head is None or saved_head == head:
        return pretrained.load(variables, init_checkpoint, num_hidden_layers=num_hidden_layers)
    others = {name: variable for name, variable in variables.items() if name not in _HEAD_VARIABLES}
    report = pretrained.load(others, init_checkpoint, num_hidden_layers=num_hidden_layers)
    kinds = _HEAD_NAMES[saved_head], _HEAD_NAMES[head]
    logger.info("The head of %s is that of %s, not of %s: it is not loaded.", report.prefix, *kinds)
    return dataclasses.replace(
        report, missing=(*report.missing, *(name for name in _HEAD_VARIABLES if name in variables))
    )


def output_weights_head(init_checkpoint: str) -> str | None:
    """The head that a checkpoint's `output_weights` belongs to, one of `huggingface.OUTPUT_WEIGHTS_HEADS`.

    None if neither `config.json` nor `task.json` specifies it.

    Raises:
      InputError: the file cannot be read.
    """
    init_checkpoint = by_name.local_path(init_checkpoint)
    directory = pretrained.hugging_face_directory(init_checkpoint)
    if directory is None:
        return _HEADS.get(task_metadata.setting(pretrained.model_directory(init_checkpoint), "problem_type", str) or "")
    config = HuggingFaceConfig.read(os.path.join(directory, huggingface.CONFIG_FILE))
    return huggingface.output_weights_head(config.architecture)
