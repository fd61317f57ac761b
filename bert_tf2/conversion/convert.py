"""Converts weights between formats, for convert_checkpoint.py."""

import dataclasses
import fnmatch
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, model_source, pretrained, tokenizer_options
from bert_tf2.checkpoints.huggingface_config import HuggingFaceConfig, default_labels
from bert_tf2.checkpoints.model_source import Source
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import TokenizerConfig, TokenizerOptions
from bert_tf2.conversion import output as conversion_output
from bert_tf2.conversion import vocab_growth
from bert_tf2.conversion.config import HEADS, ConversionConfig
from bert_tf2.errors import InputError, counted, some
from bert_tf2.io import atomic, file_system
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tokenization.auto import SENTENCEPIECE_FILE, check_vocab_size
from bert_tf2.tokenization.vocab_file import check_in_vocab

logger = logging.getLogger(__name__)

_VOCABULARY_TABLES = ("bert/embeddings/word_embeddings", "cls/predictions/output_bias")
_POSITIONS = "bert/embeddings/position_embeddings"
_NEW_PIECES_SHOWN = 10


def convert(config: ConversionConfig) -> None:
    """Reads a model, writes it in another format or with other dimensions, and prints a table of names.

    The same model gives the same bytes. The directory appears when it is complete.

    Raises:
      InputError: the model cannot be read or is incomplete, a variable has no counterpart and may not be dropped, the
        vocabularies do not match, or labels or pieces cannot be stored one per line.
      OSError: the directory cannot be written.
    """
    atomic.check_writable(config.output_dir)
    if config.use_best:
        best_weights.check(config.init_checkpoint)
    else:
        best_weights.log_if_better(config.init_checkpoint, "converted")
    source = model_source.open_source(config.model, config.bert_config_file, config.num_hidden_layers)
    target = config.output_format or _default_format(source, config)
    allowed = _allowed_names(source, config.allow_unused)
    names = [name for name in source.own_names if source.own_names[name] not in allowed]
    heads = huggingface.heads_of(names, config.head or source.classifier or "classifier")
    architecture = _architecture(source, heads)
    model_source.check_complete(source, names)
    if config.head and not heads & {*HEADS}:
        raise InputError(f"--head={config.head}: {source.weights} has no output_weights to be the head of; omit it.")
    destinations = {name: name for name in names}
    if target == "huggingface":
        mappings = huggingface.weight_mappings(names, architecture)
        destinations = {name: mapping.name for name, mapping in mappings.items()}

    vocab_file, added_tokens = _vocabulary(config, source)
    if any(name.endswith(f"/{checkpoints.AVERAGE}") for name in source.left_out):
        logger.warning("%s also has moving averages; converting the weights themselves.", source.weights)
    variables = {name: source.read(name) for name in names}
    bert_config = source.config
    if config.grow_vocab:
        variables, bert_config = _grow_vocabulary(config, variables, bert_config, vocab_file)
        vocab_file = config.grow_vocab
    if config.max_position_embeddings:
        variables, bert_config = _with_positions(config.max_position_embeddings, variables, bert_config, source.weights)
    hf_config = HuggingFaceConfig(bert_config, architecture, *_labels(source, heads, variables))
    do_lower_case = pretrained.find_do_lower_case(
        config.model,
        config.do_lower_case,
        pieces=conversion_output.vocabulary(vocab_file) if vocab_file else (),
    )
    keeps_vocabulary = source.format == target and not (config.grow_vocab or config.vocab_file)
    keeps_options = config.do_lower_case is None and config.tokenizer == TokenizerConfig()
    output = conversion_output.Output(
        format=target,
        config=hf_config,
        variables=variables,
        vocab_file=vocab_file,
        do_lower_case=do_lower_case,
        source=source.directory,
        added_tokens=added_tokens,
        tokenizer_directory=source.directory if keeps_vocabulary and keeps_options else None,
        options=_options(config, source, vocab_file, added_tokens),
        new_positions=config.max_position_embeddings,
        spm_model_file=_spm_model_file(config, source),
        task_directory=source.directory if source.format == "google" else None,
    )
    written = conversion_output.write(config.output_dir, output)
    print(_table(source, target, destinations, allowed))
    logger.info(
        "Wrote %s: %s (%s parameters, %s, do_lower_case %s).",
        *(config.output_dir, ", ".join(written), f"{sum(variable.size for variable in variables.values()):,}"),
        *(architecture, str(do_lower_case).lower()),
    )


def _default_format(source: Source, config: ConversionConfig) -> str:
    if config.changes_model:
        return source.format
    return "huggingface" if source.format == "google" else "google"


# --- Names -----------------------------------------------------------------------------------------------------------


def _allowed_names(source: Source, patterns: str) -> set[str]:
    """The source's own names of the weights that `--allow_unused` allows to drop.

    Raises:
      InputError: another weight has no counterpart.
    """
    candidates = [*source.own_names.values(), *source.unmapped]
    allowed: set[str] = set()
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        matches = fnmatch.filter(candidates, pattern)
        if not matches:
            logger.warning("--allow_unused: no weight in %s matches %s.", source.weights, pattern)
        allowed.update(matches)
    unmapped = [name for name in source.unmapped if name not in allowed]
    if unmapped:
        raise InputError(
            f"{source.weights} holds {some(unmapped, 5)}, for which BERT has no place; to drop them, give "
            f"--allow_unused='{','.join(unmapped[:5])}' (* matches anything)."
        )
    return allowed


def _architecture(source: Source, heads: frozenset[str]) -> str:
    """The class in transformers that has these heads."""
    for architecture, architecture_heads in huggingface.ARCHITECTURES.items():
        if architecture_heads == heads:
            return architecture
    patterns = {head: sorted(huggingface.HEADS[head]) for head in sorted(heads)}
    raise InputError(
        f"{source.weights} has the heads {', '.join(sorted(heads))}, which no transformers model has together; "
        f"drop all but one, for example with --allow_unused='{','.join(next(iter(patterns.values())))}'."
    )


def _table(source: Source, target: str, destinations: Mapping[str, str], allowed: set[str]) -> str:
    """The table of names: each variable's name and shape in the source, and its name in the output."""
    rows = [("name", "shape", "name there")]
    for name, destination in destinations.items():
        mapping = huggingface.to_huggingface(name)
        transposed = mapping is not None and mapping.transposed
        shape = source.shapes[name][::-1] if transposed and source.format == "huggingface" else source.shapes[name]
        note = ", transposed" if transposed and target != source.format else ""
        rows.append((source.own_names[name], str(list(shape)), f"{destination}{note}"))
    rows += [(name, "", "dropped, as allowed") for name in sorted(allowed)]
    left_out: dict[str, list[str]] = {}
    for name, reason in source.left_out.items():
        left_out.setdefault(reason, []).append(name)
    for reason, names in left_out.items():
        rows.append((some(names, 1), "", f"left out: {reason}"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {output}" for name, shape, output in rows)


def _labels(
    source: Source, heads: frozenset[str], variables: Mapping[str, NDArray[Any]]
) -> tuple[tuple[str, ...], str | None]:
    """The labels of the classifier or tagger, and the classifier's problem type in transformers' terms."""
    if not heads & {"classifier", "tagger"}:
        return (), None
    count = len(variables["output_bias"])
    labels = source.labels or default_labels(count)
    if len(labels) != count:
        raise InputError(
            f"{source.directory} names {counted(len(labels), 'label')}, but the head in {source.weights} has "
            f"{counted(count, 'output')}; labels.txt (or id2label) must have a name for each."
        )
    hf_types = {ours: hf_type for hf_type, ours in model_source.PROBLEM_TYPES.items()}
    problem_type = source.problem_type or ("regression" if count == 1 else "single_label")
    return labels, hf_types[problem_type] if "classifier" in heads else None


def _with_positions(
    count: int, variables: Mapping[str, NDArray[Any]], bert_config: BertConfig, weights: str
) -> tuple[dict[str, NDArray[Any]], BertConfig]:
    """The model with more positions: its own, then copies of them repeated in order, as in Longformer.

    Beltagy et al. 2020, arXiv:2004.05150, section 5.
    """
    old_count = bert_config.max_position_embeddings
    if count <= old_count:
        raise InputError(
            f"--max_position_embeddings={count}, but {weights} has {counted(old_count, 'position')}; give more, or "
            "omit it: shorter sequences only need --max_seq_length."
        )
    table = variables[_POSITIONS]
    logger.info(
        "%s positions instead of %s; the new ones are copies of the old ones, repeated in order.",
        f"{count:,}",
        f"{old_count:,}",
    )
    extended = {**variables, _POSITIONS: table[np.arange(count) % old_count]}
    return extended, dataclasses.replace(bert_config, max_position_embeddings=count)


# --- Vocabulary ------------------------------------------------------------------------------------------------------


def _vocabulary(config: ConversionConfig, source: Source) -> tuple[str | None, tuple[str, ...]]:
    """The vocabulary's file, None without one, and the added tokens, whose ids follow its last id."""
    vocab_file = config.vocab_file or pretrained.vocabulary_to_convert(source.directory)
    if vocab_file is None:
        if not _spm_model_file(config, source):
            logger.warning("%s has no vocabulary, so none is written; give --vocab_file to add one.", source.directory)
        return None, ()
    vocab = conversion_output.vocabulary(vocab_file)
    added_tokens = tokenizer_options.added_tokens(source.tokenizer, vocab, vocab_file)
    pieces = max(vocab.values()) + 1 + len(added_tokens)
    check_vocab_size(vocab_file, pieces, source.config.vocab_size)
    if added_tokens and config.grow_vocab:
        raise InputError(
            f"--grow_vocab: {source.directory} has added tokens ({added_tokens[0]}, ...), whose rows follow those of "
            "its vocabulary; convert it without --grow_vocab first, then grow the vocab.txt that this writes."
        )
    return vocab_file, added_tokens


def _options(
    config: ConversionConfig, source: Source, vocab_file: str | None, added_tokens: Sequence[str]
) -> TokenizerOptions:
    """The options of the output's tokenizer."""
    vocab = {*conversion_output.vocabulary(vocab_file), *added_tokens} if vocab_file else set()
    options = tokenizer_options.merged_options(
        source.tokenizer, config.tokenizer, vocab, vocab_file or source.directory
    )
    check_in_vocab(options, vocab, vocab_file or source.directory)
    return options


def _spm_model_file(config: ConversionConfig, source: Source) -> str | None:
    """The SentencePiece model of a source without a WordPiece vocabulary; None if there is none."""
    path = os.path.join(source.directory, SENTENCEPIECE_FILE)
    is_used = not config.vocab_file and not pretrained.vocabulary_to_convert(source.directory)
    return path if is_used and file_system.isfile(path) else None


def _grow_vocabulary(
    config: ConversionConfig, variables: Mapping[str, NDArray[Any]], bert_config: BertConfig, vocab_file: str | None
) -> tuple[dict[str, NDArray[Any]], BertConfig]:
    """The model with the vocabulary of `--grow_vocab`."""
    new_file = str(config.grow_vocab)
    if vocab_file is None or vocab_file.endswith(".json"):
        raise InputError("--grow_vocab needs the vocabulary that the model was trained with; give --vocab_file, too.")
    new_pieces = vocab_growth.plan(vocab_file, new_file)
    rows = max(bert_config.vocab_size, *(new.index + 1 for new in new_pieces))
    grown = {
        name: vocab_growth.grow(variable, new_pieces, rows) if name in _VOCABULARY_TABLES else variable
        for name, variable in variables.items()
    }
    for new in new_pieces[:_NEW_PIECES_SHOWN]:
        logger.info("  %s, id %d, initialized to the mean of %s", new.piece, new.index, " ".join(new.pieces))
    logger.info(
        "%s, %s of them in unused slots; vocab_size is now %s, was %s.",
        counted(len(new_pieces), "new piece"),
        f"{sum(new.index < bert_config.vocab_size for new in new_pieces):,}",
        f"{rows:,}",
        f"{bert_config.vocab_size:,}",
    )
    return grown, dataclasses.replace(bert_config, vocab_size=rows)
