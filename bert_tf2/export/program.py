"""Writing SavedModels: functions, their weights, and additional files."""

import dataclasses
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints.task_metadata import LABELS_FILE, write_labels
from bert_tf2.export.sequences import TOKEN_IDS
from bert_tf2.export.source import ModelSource
from bert_tf2.io import file_system, run_files
from bert_tf2.metrics.finite import check_finite
from bert_tf2.tokenization import tf_tokenizer

SERVING_DEFAULT, TOKEN_IDS_SIGNATURE = "serving_default", "token_ids"
_SAMPLE = (4, 32)  # the rows and tokens of the batch with which a model is checked

Outputs = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Program:
    """A model as functions of text and of token ids.

    Attributes:
      of_texts: the function of texts, strings `[B]`.
      texts: the names of its arguments.
      of_token_ids: the function of token ids, with the arguments `sequences.TOKEN_IDS`.
      variables: all weights.
      settings: information for clients.
      labels: the names of the labels, if there are any.
    """

    of_texts: Callable[..., Outputs]
    texts: Sequence[str]
    of_token_ids: Callable[..., Outputs]
    variables: Sequence[tf.Variable]
    settings: Mapping[str, Any]
    labels: Sequence[str] = ()


def graph_tokenizer(source: ModelSource) -> tf_tokenizer.Tokenizer:
    """The tokenizer of a model as part of a graph.

    Raises:
      InputError: the tokenizer is not supported inside a graph.
    """
    return tf_tokenizer.make(source.foundation.vocabulary, source.description.do_lower_case)


def require_tokenizer(tokenizer: tf_tokenizer.Tokenizer | None) -> tf_tokenizer.Tokenizer:
    """The tokenizer of a program.

    Raises:
      ValueError: the program is for token ids only.
    """
    if tokenizer is None:
        raise ValueError("This program has no tokenizer for texts.")
    return tokenizer


def sample_batch(source: ModelSource) -> dict[str, NDArray[np.int32]]:
    """Random token ids in rows of different lengths, for checking a model's outputs."""
    config, rng = source.foundation.bert_config, np.random.default_rng(0)
    rows, tokens = _SAMPLE[0], min(_SAMPLE[1], config.max_position_embeddings)
    lengths = np.linspace(max(1, tokens // 4), tokens, rows).astype(int)
    mask = (np.arange(tokens) < lengths[:, None]).astype(np.int32)
    ids = rng.integers(0, config.vocab_size, mask.shape, dtype=np.int32)
    types = rng.integers(0, min(2, config.type_vocab_size), mask.shape, dtype=np.int32)
    return {"input_ids": ids * mask, "input_mask": mask, "segment_ids": types * mask}


def save(directory: str, source: ModelSource, program: Program, tokenizer: tf_tokenizer.Tokenizer) -> None:
    """Writes a SavedModel.

    Args:
      directory: the directory to create.
      source: the model.
      program: the model's functions.
      tokenizer: the tokenizer that `program` uses.

    Raises:
      InputError: the model's outputs are not finite.
      OSError: the files cannot be written, for example because the disk is full.
    """
    module = tf.Module()
    module.weights = list(program.variables)
    module.tokenizer = tokenizer
    texts = [tf.TensorSpec([None], tf.string, name) for name in program.texts]
    module.of_texts = tf.function(_never_empty(program.of_texts), input_signature=texts, autograph=False)
    token_ids = list(TOKEN_IDS.values())
    module.of_token_ids = tf.function(program.of_token_ids, input_signature=token_ids, autograph=False)
    outputs = module.of_token_ids(**{name: tf.constant(value) for name, value in sample_batch(source).items()})
    check_finite({name: value.numpy() for name, value in outputs.items()})
    with tempfile.TemporaryDirectory() as assets:
        module.assets = [tf.saved_model.Asset(path) for path in write_assets(assets, source, program)]
        signatures = {SERVING_DEFAULT: module.of_texts, TOKEN_IDS_SIGNATURE: module.of_token_ids}
        try:
            with suppress_logging(logging.INFO):
                tf.saved_model.save(module, directory, signatures)
        except tf.errors.OpError as error:
            raise OSError(f"Cannot write the SavedModel: {str(error.message).splitlines()[0][:300]}") from None


def _never_empty(of_texts: Callable[..., Outputs]) -> Callable[..., Outputs]:
    """Extends a function of texts to empty batches, for which the model is run on an empty text."""

    def outputs(*texts: tf.Tensor) -> Outputs:
        count = tf.shape(texts[0])[0]
        padding = tf.fill(tf.cast(tf.equal(count, 0), tf.int32)[None], "")
        values = of_texts(*(tf.concat([text, padding], 0) for text in texts))
        return {name: value[:count] for name, value in values.items()}

    return outputs


def write_assets(directory: str, source: ModelSource, program: Program) -> list[str]:
    """Writes settings, labels and the vocabulary into a directory; returns their paths.

    Raises:
      OSError: the files cannot be written.
    """
    paths = [os.path.join(directory, run_files.SETTINGS)]
    file_system.path(paths[0]).write_text(
        json.dumps({**program.settings, "labels": list(program.labels)}, indent=2, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    if program.labels:
        paths.append(os.path.join(directory, LABELS_FILE))
        write_labels(paths[-1], program.labels)
    return [*paths, *source.foundation.vocabulary.copy_into(directory)]


@contextmanager
def suppress_logging(level: int) -> Iterator[None]:
    """A context in which messages up to a level are not logged, such as those of libraries about their progress."""
    previous = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(previous)
