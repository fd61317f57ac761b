"""Writes a model's directory in Google's or Hugging Face's format."""

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
from bert_tf2.checkpoints.huggingface_config import TOKENIZER_FILES, HuggingFaceConfig, pieces_of_tokenizer_json
from bert_tf2.checkpoints.model_source import PROBLEM_TYPES
from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, json_files, run_files
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription
from bert_tf2.tasks.squad.task_description import TaskDescription as SquadDescription
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tokenization.auto import VocabularyFile, write_options
from bert_tf2.tokenization.vocab_file import load_vocab, vocab_of_lines, with_added, with_lines

logger = logging.getLogger(__name__)

Description = MultipleChoiceDescription | SquadDescription | TaggingDescription | TaskDescription

_MAX_SEQ_LENGTH = 128
# Classes in transformers -> the descriptions of models with their heads.
_DESCRIPTIONS: dict[str, type[Description]] = {
    "BertForMultipleChoice": MultipleChoiceDescription,
    "BertForQuestionAnswering": SquadDescription,
    "BertForSequenceClassification": TaskDescription,
    "BertForTokenClassification": TaggingDescription,
}


@dataclasses.dataclass(frozen=True)
class Output:
    """A model to write.

    Attributes:
      format: "google" or "huggingface".
      config: the model config, architecture, labels and problem type.
      variables: arrays by Google's names.
      vocab_file: the vocabulary to copy, or the `tokenizer.json` to take it from; None without a vocabulary.
      do_lower_case: whether the tokenizer lower-cases.
      source: the name of the source model in errors.
      added_tokens: tokens whose ids follow those of the vocabulary; they are written after it.
      tokenizer_directory: a Hugging Face directory whose tokenizer files to copy, for the same format; or None.
      options: the tokenizer's other options.
      new_positions: the number of positions, if it was changed and so differs from those files; or None.
      spm_model_file: the SentencePiece model to copy, for a model without a WordPiece vocabulary; or None.
      task_directory: the directory of the model whose `task.json` to keep, if it belongs to the same head; or None.
    """

    format: str
    config: HuggingFaceConfig
    variables: Mapping[str, NDArray[Any]]
    vocab_file: str | None
    do_lower_case: bool
    source: str
    added_tokens: Sequence[str] = ()
    tokenizer_directory: str | None = None
    options: TokenizerOptions = PLAIN
    new_positions: int | None = None
    spm_model_file: str | None = None
    task_directory: str | None = None

    @property
    def vocab(self) -> dict[str, int] | None:
        """The id of each piece, if there is a vocabulary."""
        return with_added(vocabulary(self.vocab_file), self.added_tokens) if self.vocab_file else None


def vocabulary(vocab_file: str) -> dict[str, int]:
    """The id of each piece in a `vocab.txt` or a `tokenizer.json`.

    Raises:
      InputError: the file cannot be read, or its pieces cannot be stored in a `vocab.txt`.
    """
    if vocab_file.endswith(".json"):
        return vocab_of_lines(_lines_of_tokenizer_json(vocab_file), vocab_file)
    return load_vocab(vocab_file)


def _lines_of_tokenizer_json(path: str) -> Sequence[str]:
    """The pieces of a `tokenizer.json`, as lines for a `vocab.txt`.

    Raises:
      InputError: the file cannot be read, or a piece cannot be stored as a line.
    """
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
      output_dir: the path of a new or empty directory.
      output: the model.

    Returns:
      The names of the files.

    Raises:
      InputError: labels or pieces cannot be stored one per line; then nothing has been written.
      OSError: the files cannot be written, for example because the disk is full.
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
            content = with_lines(_content(output.vocab_file), output.added_tokens)
            (unfinished / pretrained.VOCAB_FILE).write_bytes(content)
        if output.spm_model_file:
            if output.format == "huggingface":
                logger.warning("transformers' BERT cannot read %s, which is copied unchanged.", output.spm_model_file)
            VocabularyFile(output.spm_model_file, is_sentencepiece=True).copy_into(os.fspath(unfinished))
        _check_reading(unfinished, output, description)
    return sorted(file_system.listdir(output_dir))


def write_checkpoint(directory: str | os.PathLike[str], variables: Mapping[str, Any]) -> None:
    """Writes the weights of a model into its directory.

    Raises:
      OSError: the files cannot be written, for example because the disk is full.
    """
    try:
        checkpoints.write(os.path.join(directory, run_files.CONVERTED_PREFIX), variables)
    except tf.errors.OpError as error:
        raise OSError(f"Cannot write the checkpoint: {str(error.message).splitlines()[0][:300]}") from None


def _write_hugging_face(directory: Path, output: Output) -> None:
    huggingface.write_directory(
        directory,
        output.config,
        output.variables,
        do_lower_case=output.do_lower_case,
        options=output.options,
        vocab=output.vocab,
    )
    for name in TOKENIZER_FILES if output.tokenizer_directory else ():
        if (file := file_system.path(str(output.tokenizer_directory)) / name).is_file():
            file_system.copy(file, directory / name)
    if output.tokenizer_directory and output.new_positions:
        settings = directory / run_files.HF_TOKENIZER_CONFIG
        values = {**json_files.read_object(settings), "model_max_length": output.new_positions}
        settings.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_google(directory: Path, output: Output, description: Description | None) -> None:
    """Writes the files of Google's releases; the task, or the case of a cased model, is saved as by fine-tuning."""
    write_checkpoint(directory, output.variables)
    (directory / pretrained.CONFIG_FILE).write_text(output.config.bert.to_json_string(), encoding="utf-8")
    if description is not None:
        description.save(os.fspath(directory))
    elif not output.do_lower_case:  # lower case is the default, as in the original's scripts
        task_metadata.save(os.fspath(directory), {"do_lower_case": False, "labels": []})
    if output.options != PLAIN:
        write_options(os.fspath(directory), output.options)


def _description(output: Output) -> Description | None:
    """The description of the model's task, which Google's format stores in its own files.

    None for Hugging Face's format, for models without the head of a task, and for question answering without
    `task.json`.
    """
    config = output.config
    if output.format == "huggingface":
        return None
    kind = _DESCRIPTIONS.get(str(config.architecture))
    saved = kind.load_if_own(output.task_directory) if kind and output.task_directory else None
    if saved is not None:
        return dataclasses.replace(saved, do_lower_case=output.do_lower_case)
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
        problem_type = cast(ProblemType, PROBLEM_TYPES[str(config.problem_type)])
        return TaskDescription(
            name="converted",
            problem_type=problem_type,
            labels=() if problem_type == "regression" else config.labels,
            max_seq_length=min(_MAX_SEQ_LENGTH, config.bert.max_position_embeddings),
            do_lower_case=output.do_lower_case,
        )
    return None


def _check_reading(directory: Path, output: Output, description: Description | None) -> None:
    """Checks that reading the files back, except for the weights, gives what was to be written."""
    compared: list[tuple[object, object]] = []
    if output.format == "huggingface":
        compared.append((HuggingFaceConfig.read(directory / huggingface.CONFIG_FILE).bert, output.config.bert))
    else:
        compared.append((BertConfig.from_json_file(directory / pretrained.CONFIG_FILE), output.config.bert))
    if description is not None:
        compared.append((type(description).load(os.fspath(directory)), description))
    if output.vocab_file:
        compared.append((load_vocab(directory / pretrained.VOCAB_FILE), output.vocab))
    for read, written in compared:
        if read != written:
            raise RuntimeError(f"{read!r:.200} was read where {written!r:.200} was written.")


def _content(vocab_file: str) -> bytes:
    """The content of a `vocab.txt`, or that of a `tokenizer.json` converted to one."""
    if vocab_file.endswith(".json"):
        return "".join(f"{piece}\n" for piece in _lines_of_tokenizer_json(vocab_file)).encode()
    with files.open_bytes(vocab_file) as file:
        return bytes(file.read())
