"""A model to convert or export: a uniform view of checkpoints with Google's names and Hugging Face directories.

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
from bert_tf2.checkpoints.huggingface_config import FolderConfig, TokenizerSettings
from bert_tf2.checkpoints.lora import MergedReader
from bert_tf2.checkpoints.task_metadata import LABELS_FILE, read_labels
from bert_tf2.configs.choices import MULTIPLE_CHOICE, TAGGING
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError, some
from bert_tf2.io import file_system

logger = logging.getLogger(__name__)

Format = Literal["google", "huggingface"]
# Kinds of a classifier's problem: those of transformers -> ours.
PROBLEM_TYPES = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
_HEADS = {**dict.fromkeys(PROBLEM_TYPES.values(), "classifier"), TAGGING: "tagger", MULTIPLE_CHOICE: "multiple_choice"}
_HEAD_NAMES = {"classifier": "a classifier", "tagger": "a tagger", "multiple_choice": "multiple choice"}
_OF_HEAD = ("output_weights", "output_bias")


@dataclasses.dataclass(frozen=True)
class Source:
    """A model to convert, under Google's names.

    Attributes:
      format: its format.
      weights: the name of its weights in messages: a checkpoint's prefix or a file.
      folder: the directory of its other files.
      config: its config.
      own_names: its own name of each variable.
      shapes: the shape of each variable.
      read: returns a variable.
      left_out: its own names of arrays that are not weights, and why.
      unplaced: its own names of arrays that are not known as part of BERT.
      classifier: one of `huggingface.OF_ONE_NAME` where its files say what `output_weights` is, else None.
      labels: of that head; empty where its files do not say.
      problem_type: of that head, as in `metrics.PROBLEM_TYPES`; None where its files do not say.
      tokenizer: how its tokenizer treats text.
      untied: its own names of a masked-LM decoder that is not the word embeddings, as it is in BERT.
    """

    format: Format
    weights: str
    folder: str
    config: BertConfig
    own_names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], NDArray[Any]]
    left_out: Mapping[str, str]
    unplaced: tuple[str, ...]
    classifier: str | None
    labels: tuple[str, ...]
    problem_type: str | None
    tokenizer: TokenizerSettings = dataclasses.field(default_factory=TokenizerSettings)
    untied: tuple[str, ...] = ()


def open_source(
    init_checkpoint: str, bert_config_file: str | None = None, num_hidden_layers: int | None = None
) -> Source:
    """Opens what `--init_checkpoint` names.

    Args:
      init_checkpoint: as in `pretrained.load`.
      bert_config_file: instead of the config in its directory.
      num_hidden_layers: how many of its layers to use, counted from the first; None: all.

    Raises:
      InputError: there is no such model, it cannot be read, or it has fewer layers.
    """
    init_checkpoint = by_name.local(init_checkpoint)
    folder = pretrained.hugging_face_folder(init_checkpoint)
    if not folder:
        pretrained.check_exists(init_checkpoint)
    prefix = None if folder else checkpoints.find(init_checkpoint)
    bert_config = pretrained.find_bert_config(init_checkpoint, bert_config_file, num_hidden_layers=num_hidden_layers)
    source = _open_google(prefix, bert_config) if prefix else _open_hugging_face(str(folder), bert_config)
    return source if num_hidden_layers is None else _with_first_layers(source, num_hidden_layers)


def _with_first_layers(source: Source, count: int) -> Source:
    """The source without the variables of its layers above the first `count`."""
    above = huggingface.above(source.own_names, count)
    reason = f"above {huggingface.first_layers(count)} (--num_hidden_layers)"
    return dataclasses.replace(
        source,
        own_names={name: own for name, own in source.own_names.items() if name not in above},
        left_out={**source.left_out, **{source.own_names[name]: reason for name in above}},
    )


def _open_hugging_face(path: str, bert_config: BertConfig) -> Source:
    folder = huggingface.Folder(path)
    shapes = folder.get_variable_to_shape_map()
    config = folder.config
    return Source(
        format="huggingface",
        weights=folder.weights_file,
        folder=path,
        config=bert_config,
        own_names=folder.there,
        shapes={name: tuple(shapes[name]) for name in folder.there},
        read=folder.get_tensor,
        left_out={**folder.ignored, **dict.fromkeys(folder.untied, "a masked-LM decoder that BERT does not have")},
        unplaced=tuple(name for name in folder.unplaced if name not in folder.untied),
        classifier=head_of(path),
        labels=config.labels,
        problem_type=PROBLEM_TYPES.get(config.problem_type or ""),
        tokenizer=folder.tokenizer,
        untied=folder.untied,
    )


def _open_google(prefix: str, config: BertConfig) -> Source:
    reader = MergedReader(checkpoints.open_reader(prefix), checkpoints.AVERAGE)
    shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    names = sorted(name for name in shapes if huggingface.to_huggingface(name))
    left_out = dict.fromkeys(sorted(checkpoints.training_state(shapes, names)), "state of the training")
    folder = listing.files_beside(os.path.dirname(prefix))
    labels_file = os.path.join(folder, LABELS_FILE)
    kind = task_metadata.setting(folder, "problem_type", str)
    return Source(
        format="google",
        weights=prefix,
        folder=folder,
        config=config,
        own_names={name: name for name in names},
        shapes={name: tuple(shapes[name]) for name in names},
        read=lambda name: _as_float32(checkpoints.read(reader, name, prefix), name, prefix),
        left_out=left_out,
        unplaced=tuple(sorted(set(shapes) - set(names) - set(left_out))),
        classifier=head_of(prefix),
        labels=read_labels(labels_file) if file_system.isfile(labels_file) else (),
        problem_type=kind if kind in PROBLEM_TYPES.values() else None,
        tokenizer=TokenizerSettings.read(folder),
    )


def _as_float32(array: NDArray[Any], name: str, prefix: str) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiuV":  # V: bfloat16
        raise InputError(f"{name} in {prefix} is of {array.dtype}, not of numbers; use another checkpoint.")
    return np.asarray(array, np.float32)


def check_complete(source: Source, names: Collection[str]) -> None:
    """Checks that variables are a whole model of the source's config: encoder, pooler or none, and whole heads.

    Args:
      source: the model.
      names: Google's names of those of its variables that are to be converted.

    Raises:
      InputError: a variable is missing, is of a layer that the config does not have, or has another shape.
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
        wanted, found = expected[name], source.shapes[name]
        if len(wanted) != len(found) or any(
            length not in (None, there) for length, there in zip(wanted, found, strict=True)
        ):
            shown = ["labels" if length is None else length for length in wanted]
            raise InputError(
                f"{name} in {source.weights} is {list(found)}, by its config it would be {shown}; give the config that "
                "belongs to it."
            )


def expected_shapes(config: BertConfig) -> dict[str, tuple[int | None, ...]]:
    """The shape of each variable of an encoder and all heads by Google's names; None for the number of labels."""
    hidden, wide = config.hidden_size, config.intermediate_size
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
        dense(f"{layer}/intermediate/dense", outputs=wide)
        dense(f"{layer}/output/dense", inputs=wide)
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
      variables: the model's, by Google's names.
      init_checkpoint: a Hugging Face directory, or anything `checkpoints.find` understands.
      head: what `output_weights` is in the model, one of `huggingface.OF_ONE_NAME`. Where the checkpoint's files say
        that there it is the head of another kind of task, it is not loaded, whatever its shape, and counts as missing.
      num_hidden_layers: see `pretrained.load`.

    Raises:
      InputError: there are no such weights, or they do not match the model.
    """
    found = head_of(init_checkpoint) if head and _OF_HEAD[0] in variables else None
    if found is None or head is None or found == head:
        return pretrained.load(variables, init_checkpoint, num_hidden_layers=num_hidden_layers)
    others = {name: variable for name, variable in variables.items() if name not in _OF_HEAD}
    report = pretrained.load(others, init_checkpoint, num_hidden_layers=num_hidden_layers)
    kinds = _HEAD_NAMES[found], _HEAD_NAMES[head]
    logger.info("The head of %s is that of %s, not of %s: it is not loaded.", report.prefix, *kinds)
    return dataclasses.replace(report, missing=(*report.missing, *(name for name in _OF_HEAD if name in variables)))


def head_of(init_checkpoint: str) -> str | None:
    """Which of `huggingface.OF_ONE_NAME` a checkpoint's `output_weights` are, by its `config.json` or `task.json`.

    None where these do not say it.

    Raises:
      InputError: the file cannot be read.
    """
    init_checkpoint = by_name.local(init_checkpoint)
    directory = pretrained.hugging_face_folder(init_checkpoint)
    if directory is None:
        return _HEADS.get(task_metadata.setting(pretrained.folder_of(init_checkpoint), "problem_type", str) or "")
    config = FolderConfig.read(os.path.join(directory, huggingface.CONFIG_FILE))
    return huggingface.head_of_one_name(config.architecture)
