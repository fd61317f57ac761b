"""`from_pretrained` and `save_pretrained` of the Keras models, and `from_pretrained` of the tokenizer.

They stand on models, checkpoints and conversion; the methods, which are on the classes where a Keras user looks for
them, find this module by its name when they are called.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, model_source, pretrained
from bert_tf2.checkpoints.huggingface_config import FolderConfig, default_labels
from bert_tf2.checkpoints.model_source import PROBLEM_TYPES, Source
from bert_tf2.configs.tokenizer import PLAIN
from bert_tf2.conversion import output as conversion_output
from bert_tf2.errors import InputError, some
from bert_tf2.io import file_system
from bert_tf2.modeling.classifier import BertClassifier
from bert_tf2.modeling.keras_model import BertBase
from bert_tf2.modeling.lora import merged_variables
from bert_tf2.modeling.with_head import BertWithLabels
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tokenization.auto import check_vocab_size
from bert_tf2.tokenization.vocab_case import validate_case_matches_checkpoint, warn_of_case
from bert_tf2.tokenization.wordpiece import FullTokenizer

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BertBase)
TokenizerClass = TypeVar("TokenizerClass", bound=FullTokenizer)

_FORMATS = ("google", "huggingface")


def load_model(kind: type[Model], path: str, options: Mapping[str, Any]) -> Model:
    """A model with the weights of a checkpoint; see `BertBase.from_pretrained`."""
    pretrained.find_bert_config(path)  # which says best what is wrong with a path
    best_weights.say_if_better(path, "loaded", "from_pretrained({best!r})", logging.WARNING)
    options = dict(options)
    count = options.pop("num_hidden_layers", None)
    source = model_source.open_source(path, num_hidden_layers=count)
    head = huggingface.head_of_one_name(kind.ARCHITECTURE)
    has_head = "output_bias" in source.own_names and source.classifier in (None, head)
    model = kind(source.config, **(_with_labels(source, kind, options, has_head)))
    variables = checkpoints.tf_variables(model.named_variables())
    report = model_source.load(variables, path, head, count)
    fresh = [name for name in variables if name in report.missing or name in report.mismatched]
    fresh = [name for name in fresh if kind.TRAINS_POOLER or not name.startswith("bert/pooler/")]
    if fresh:
        logger.warning("%s has no weights for %s, which are initialized randomly.", report.prefix, some(fresh))
    if any(name.endswith(f"/{checkpoints.AVERAGE}") for name in report.unused):
        logger.warning("%s also has moving averages; loaded the weights themselves.", report.prefix)
    return model


def _with_labels(source: Source, kind: type[BertBase], given: Mapping[str, Any], has_head: bool) -> dict[str, Any]:
    """Arguments of a model, with the source's labels and problem type unless they are given."""
    options = dict(given)
    if not issubclass(kind, BertWithLabels):
        return options
    if "labels" not in options:
        if not has_head:
            raise InputError(
                f"{source.weights} has no head of a {kind.__name__}; give labels=, their names or how many they are."
            )
        count = source.shapes["output_bias"][0]
        options["labels"] = source.labels if len(source.labels) == count else count
    if kind is BertClassifier and has_head and "problem_type" not in options:
        count = options["labels"] if isinstance(options["labels"], int) else len(options["labels"])
        options["problem_type"] = source.problem_type or ("regression" if count == 1 else "single_label")
    return options


def save_model(model: BertBase, path: str, output_format: str, tokenizer: FullTokenizer | None) -> None:
    """Writes a model's directory; see `BertBase.save_pretrained`."""
    if output_format not in _FORMATS:
        raise InputError(f"format={output_format!r}; choose one of {', '.join(_FORMATS)}.")
    if file_system.exists(path) and not (file_system.isdir(path) and not file_system.listdir(path)):
        raise InputError(f"{path} exists already; give the path of a new or an empty directory.")
    vocab_file = None
    if tokenizer is None:
        logger.warning("Without tokenizer=, %s gets no vocabulary, and is marked as lower-casing.", path)
    elif not isinstance(tokenizer, FullTokenizer):
        raise InputError(f"tokenizer= is a {type(tokenizer).__name__}; expected a FullTokenizer.")
    else:
        vocab_file = tokenizer.vocab_file
        check_vocab_size(vocab_file, max(tokenizer.vocab.values()) + 1, model.config.vocab_size)
    labels: tuple[str, ...] = ()
    problem_type = None
    if isinstance(model, BertWithLabels):
        labels = model.labels or default_labels(model.number_of_labels)
    if isinstance(model, BertClassifier):
        problem_type = next(there for there, here in PROBLEM_TYPES.items() if here == model.problem_type)
    conversion_output.write(
        path,
        conversion_output.Output(
            format=output_format,
            config=FolderConfig(model.config, model.ARCHITECTURE, labels, problem_type),
            variables=merged_variables(
                {name: np.asarray(variable.value) for name, variable in model.named_variables().items()}
            ),
            vocab_file=vocab_file,
            do_lower_case=tokenizer is None or tokenizer.basic_tokenizer.do_lower_case,
            source=f"the {type(model).__name__}",
            more_pieces=() if tokenizer is None else tokenizer.added_tokens,
            options=PLAIN if tokenizer is None else tokenizer.basic_tokenizer.options,
        ),
    )


def load_tokenizer(
    kind: type[TokenizerClass], path: str, do_lower_case: bool | None, given: Mapping[str, Any]
) -> TokenizerClass:
    """The tokenizer of a model's directory; see `FullTokenizer.from_pretrained`."""
    vocabulary = pretrained.find_vocabulary(path)
    if vocabulary.is_sentencepiece:
        raise InputError(
            f"{vocabulary.path} is a SentencePiece model; give it to "
            "bert_tf2.tokenization.sentencepiece.SentencePieceTokenizer."
        )
    lower = pretrained.find_do_lower_case(path, do_lower_case)
    validate_case_matches_checkpoint(lower, path)
    options = {**dataclasses.asdict(vocabulary.options), **given}
    if vocabulary.added_tokens:
        options["added_tokens"] = vocabulary.added_tokens
    changed = {name: value for name, value in options.items() if value != getattr(PLAIN, name, ())}
    tokenizer = kind(vocabulary.path, lower, **changed)  # a subclass may take only what the original has
    warn_of_case(tokenizer.vocab, lower, vocabulary.path)
    return tokenizer
