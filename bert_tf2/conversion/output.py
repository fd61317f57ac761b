"""A converted model as a directory, in Google's format or in Hugging Face's."""

import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, pretrained, task_metadata
from bert_tf2.checkpoints.huggingface_config import TOKENIZER_FILES, FolderConfig, pieces_of_tokenizer_json
from bert_tf2.checkpoints.model_source import PROBLEM_TYPES
from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, json_files, run_files
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tokenization.auto import VocabularyFile, write_options
from bert_tf2.tokenization.vocab_file import load_vocab, vocab_of_lines, with_added, with_lines

logger = logging.getLogger(__name__)

Description = MultipleChoiceDescription | TaggingDescription | TaskDescription

_MAX_SEQ_LENGTH = 128


@dataclasses.dataclass(frozen=True)
class Output:
    """A model to write.

    Attributes:
      format: "google" or "huggingface".
      config: sizes, architecture, labels, kind of problem.
      variables: by Google's names.
      vocab_file: the vocabulary to copy, or a `tokenizer.json` to take it from; None where there is none.
      do_lower_case: of the tokenizer.
      source: the source model's name in error messages.
      more_pieces: added tokens, whose ids follow those of the vocabulary; they are written after it.
      tokenizer_folder: a Hugging Face directory whose tokenizer settings are copied, for the same format.
      options: the tokenizer's other options.
      new_positions: the number of positions, if it was changed and so differs from those settings.
      spm_model_file: the SentencePiece model to copy, of a model without a WordPiece vocabulary.
    """

    format: str
    config: FolderConfig
    variables: Mapping[str, NDArray[Any]]
    vocab_file: str | None
    do_lower_case: bool
    source: str
    more_pieces: Sequence[str] = ()
    tokenizer_folder: str | None = None
    options: TokenizerOptions = PLAIN
    new_positions: int | None = None
    spm_model_file: str | None = None

    @property
    def vocab(self) -> dict[str, int] | None:
        """The id of each piece, if there is a vocabulary."""
        return with_added(vocabulary(self.vocab_file), self.more_pieces) if self.vocab_file else None


def vocabulary(vocab_file: str) -> dict[str, int]:
    """The id of each piece of a `vocab.txt`, or of the one that a `tokenizer.json` becomes.

    Raises:
      InputError: the file cannot be read, or its pieces cannot be those of a `vocab.txt`.
    """
    if vocab_file.endswith(".json"):
        return vocab_of_lines(_lines_of_tokenizer_json(vocab_file), vocab_file)
    return load_vocab(vocab_file)


def _lines_of_tokenizer_json(path: str) -> Sequence[str]:
    """The pieces of a `tokenizer.json`, each of which can be a line of a `vocab.txt`."""
    pieces = pieces_of_tokenizer_json(path)
    ids = {piece: index for index, piece in enumerate(pieces)}
    for index, piece in enumerate(pieces):
        if "\n" in piece or "\r" in piece:
            problem = "contains a line break, which would shift all later ids"
        elif not files.is_unicode(piece):
            problem = "is not valid Unicode (it contains an unpaired surrogate)"
        elif ids.get(piece.strip(), index) != index:
            problem = f"is piece {ids[piece.strip()]} apart from surrounding whitespace"
        else:
            continue
        raise InputError(
            f"{path}: piece {index}, {piece!r:.60}, {problem}; {pretrained.VOCAB_FILE} has one piece per line, "
            "without surrounding whitespace. Give the --vocab_file of the model, or rename that piece."
        )
    return pieces


def write(output_dir: str, output: Output) -> list[str]:
    """Writes the directory of a model, which appears when it is complete.

    Args:
      output_dir: a path that is free, or an empty directory.
      output: the model.

    Returns:
      The names of the files.

    Raises:
      InputError: labels or pieces cannot be stored one per line; then nothing has been written.
      OSError: the disk is full, or the like.
    """
    description = _description(output)
    if description is not None:
        task_metadata.check_labels(description.labels, output.source)
    with atomic.directory(output_dir) as unfinished:
        if output.format == "huggingface":
            _write_hugging_face(unfinished, output)
        else:
            _write_google(unfinished, output, description)
        if output.vocab_file:
            content = with_lines(_content(output.vocab_file), output.more_pieces)
            (unfinished / pretrained.VOCAB_FILE).write_bytes(content)
        if output.spm_model_file:
            if output.format == "huggingface":
                logger.warning("transformers' BERT cannot read %s, which is copied unchanged.", output.spm_model_file)
            VocabularyFile(output.spm_model_file, is_sentencepiece=True).copy_into(os.fspath(unfinished))
        _check_reading(unfinished, output, description)
    return sorted(file_system.listdir(output_dir))


def write_checkpoint(folder: str | os.PathLike[str], variables: Mapping[str, Any]) -> None:
    """Writes the weights of a model's directory.

    Raises:
      OSError: the disk is full, or the like.
    """
    try:
        checkpoints.write(os.path.join(folder, run_files.CONVERTED_PREFIX), variables)
    except tf.errors.OpError as error:
        raise OSError(f"Cannot write the checkpoint: {str(error.message).splitlines()[0][:300]}") from None


def _write_hugging_face(folder: Path, output: Output) -> None:
    huggingface.write_folder(
        folder,
        output.config,
        output.variables,
        do_lower_case=output.do_lower_case,
        options=output.options,
        vocab=output.vocab,
    )
    for name in TOKENIZER_FILES if output.tokenizer_folder else ():
        if (file := file_system.path(str(output.tokenizer_folder)) / name).is_file():
            file_system.copy(file, folder / name)
    if output.tokenizer_folder and output.new_positions:
        settings = folder / run_files.HF_TOKENIZER_CONFIG
        values = {**json_files.read_object(settings), "model_max_length": output.new_positions}
        settings.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_google(folder: Path, output: Output, description: Description | None) -> None:
    """As Google's releases are; a cased model's case, and a task, as fine-tuning here leaves them."""
    write_checkpoint(folder, output.variables)
    (folder / pretrained.CONFIG_FILE).write_text(output.config.bert.to_json_string(), encoding="utf-8")
    if description is not None:
        description.save(os.fspath(folder))
    elif not output.do_lower_case:  # what is not said is lower-cased, as by the original's scripts
        task_metadata.save(os.fspath(folder), {"do_lower_case": False, "labels": []})
    if output.options != PLAIN:
        write_options(os.fspath(folder), output.options)


def _description(output: Output) -> Description | None:
    """What Google's format says of the task in files of its own; None for Hugging Face's, and for other models."""
    config = output.config
    if output.format == "huggingface":
        return None
    if config.architecture == "BertForTokenClassification":
        return TaggingDescription(
            labels=config.labels,
            max_seq_length=min(_MAX_SEQ_LENGTH, config.bert.max_position_embeddings),
            do_lower_case=output.do_lower_case,
        )
    if config.architecture == "BertForMultipleChoice":
        return MultipleChoiceDescription(
            max_seq_length=min(_MAX_SEQ_LENGTH, config.bert.max_position_embeddings),
            do_lower_case=output.do_lower_case,
        )
    if config.architecture == "BertForSequenceClassification":
        kind = cast(ProblemType, PROBLEM_TYPES[str(config.problem_type)])
        return TaskDescription(
            name="converted",
            problem_type=kind,
            labels=() if kind == "regression" else config.labels,
            max_seq_length=min(_MAX_SEQ_LENGTH, config.bert.max_position_embeddings),
            do_lower_case=output.do_lower_case,
        )
    return None


def _check_reading(folder: Path, output: Output, description: Description | None) -> None:
    """Reads the output back, except for weights, and compares it with what was to be written."""
    compared: list[tuple[object, object]] = []
    if output.format == "huggingface":
        compared.append((FolderConfig.read(folder / huggingface.CONFIG_FILE).bert, output.config.bert))
    else:
        compared.append((BertConfig.from_json_file(folder / pretrained.CONFIG_FILE), output.config.bert))
    if description is not None:
        compared.append((type(description).load(os.fspath(folder)), description))
    if output.vocab_file:
        compared.append((load_vocab(folder / pretrained.VOCAB_FILE), output.vocab))
    for found, written in compared:
        if found != written:
            raise RuntimeError(f"{found!r:.200} was read where {written!r:.200} was written.")


def _content(vocab_file: str) -> bytes:
    """The content of a `vocab.txt`, or of the one that a `tokenizer.json` becomes."""
    if vocab_file.endswith(".json"):
        return "".join(f"{piece}\n" for piece in _lines_of_tokenizer_json(vocab_file)).encode()
    with files.open_bytes(vocab_file) as file:
        return bytes(file.read())
