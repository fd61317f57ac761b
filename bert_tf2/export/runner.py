"""Exports a model, for `export_model.py`."""

import logging
import os

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import task_metadata
from bert_tf2.conversion.output import write_checkpoint
from bert_tf2.errors import InputError
from bert_tf2.export import classifier, encoder, multiple_choice, onnx, program, question_answering, tagger
from bert_tf2.export.config import ENCODER, ONNX, ExportConfig
from bert_tf2.export.program import Program
from bert_tf2.export.source import ModelSource, open_source
from bert_tf2.io import atomic, file_system
from bert_tf2.tasks.classification.task_description import TaskDescription as ClassificationDescription
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription
from bert_tf2.tasks.squad.task_description import TaskDescription as SquadDescription
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tokenization import tf_tokenizer

__all__ = ["ExportConfig", "run"]

logger = logging.getLogger(__name__)


def run(config: ExportConfig) -> str:
    """Writes the export into a directory, which appears when it is complete.

    Returns:
      The path of the new directory.

    Raises:
      InputError: the model cannot be read or exported, the directory already exists, or a package is missing.
      OSError: the files cannot be written.
    """
    atomic.check_writable(config.export_dir)
    if config.format == ONNX:
        onnx.check_installed(config)
    source = open_source(config)
    if config.format == ENCODER:
        return _encoder(config, source)
    if config.format == ONNX:
        with atomic.directory(_free_directory(config.export_dir)) as directory:
            onnx.write(os.fspath(directory), config, source, _program(config, source, None))
        return config.export_dir
    tokenizer = program.graph_tokenizer(source)
    functions = _program(config, source, tokenizer)
    version = config.version or _next_version(config.export_dir)
    final = os.path.join(config.export_dir, str(version))
    if file_system.exists(final):
        raise InputError(f"{final} already exists; give another --version.")
    with atomic.directory(final) as directory:
        program.save(os.fspath(directory), source, functions, tokenizer)
    _report(final, functions)
    return final


def _program(config: ExportConfig, source: ModelSource, tokenizer: tf_tokenizer.Tokenizer | None) -> Program:
    description = source.description
    if isinstance(description, ClassificationDescription | TaggingDescription):
        task_metadata.check_labels(description.labels, source.directory)
    if isinstance(description, ClassificationDescription):
        return classifier.build(source, description, tokenizer, config.use_averages, config.text_pairs)
    if config.text_pairs is not None:
        raise InputError("--text_pairs is for classifiers; omit it.")
    if isinstance(description, TaggingDescription):
        return tagger.build(source, description, tokenizer, config.use_averages)
    if isinstance(description, MultipleChoiceDescription):
        return multiple_choice.build(source, description, tokenizer, config.use_averages)
    if isinstance(description, SquadDescription):
        return question_answering.build(source, description, tokenizer, config)
    return encoder.build(source, description, tokenizer, config.use_averages)[0]


def _encoder(config: ExportConfig, source: ModelSource) -> str:
    """Writes a SavedModel of the encoder, and the files with which its directory works as `--init_checkpoint`."""
    tokenizer = program.graph_tokenizer(source)
    functions, model = encoder.build(source, source.description, tokenizer, config.use_averages)
    with atomic.directory(_free_directory(config.export_dir)) as directory:
        program.save(os.path.join(directory, "1"), source, functions, tokenizer)
        variables = checkpoints.tf_variables(model.named_variables())
        if not source.has_pooler:
            variables = {name: variable for name, variable in variables.items() if name not in encoder.POOLER}
        write_checkpoint(directory, variables)
        source.foundation.write_files(os.fspath(directory))
        task_metadata.save(os.fspath(directory), {"do_lower_case": source.description.do_lower_case, "labels": []})
    _report(os.path.join(config.export_dir, "1"), functions)
    logger.info("To fine-tune it, give --init_checkpoint=%s.", config.export_dir)
    return config.export_dir


def _report(directory: str, functions: Program) -> None:
    size = sum(path.stat().st_size for path in file_system.path(directory).rglob("*") if path.is_file())
    logger.info(
        "Wrote %s, %s MB: a SavedModel that takes %s, or token ids. Import tensorflow_text before loading it.",
        *(directory, f"{size / 1e6:,.0f}", " and ".join(functions.texts)),
    )


def _next_version(export_dir: str) -> int:
    directory = file_system.path(export_dir)
    numbers = [int(path.name) for path in directory.iterdir() if path.name.isdecimal()] if directory.is_dir() else []
    return max(numbers, default=0) + 1


def _free_directory(path: str) -> str:
    """The path, after checking that nothing but an empty directory is there."""
    if file_system.isfile(path) or (file_system.isdir(path) and file_system.listdir(path)):
        raise InputError(f"--export_dir={path} already exists and is not an empty directory; give a new one.")
    return path
