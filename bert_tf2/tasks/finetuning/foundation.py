"""The config, vocabulary and weights that a fine-tuned model is built on, and checks before files are removed."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import listing, pretrained
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.training import RunConfig
from bert_tf2.errors import InputError, counted
from bert_tf2.io import file_system, run_files
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tasks.finetuning.config import FinetuningConfig

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=RunConfig)

_DATA = ("train_file", "dev_file", "predict_file")
_EVALUATED = (run_files.EVAL_PREDICTION_LINES, run_files.EVAL_PREDICTION_TABLE)
_PREDICTED = (run_files.PREDICTION_LINES, run_files.PREDICTION_TABLE, run_files.TAGGED, run_files.TAGGED_SPANS)


def with_model_in_output_dir(config: Config) -> Config:
    """The config with `output_dir` as `init_checkpoint` if nothing is trained and it holds a converted model.

    Such a directory, written by `convert_checkpoint.py` or downloaded, lacks the file `checkpoint` in which a run
    directory lists its checkpoints.
    """
    directory = config.output_dir
    if config.do_train or config.init_checkpoint or not file_system.isdir(directory) or listing.is_listed(directory):
        return config
    if not (listing.unlisted(directory) or pretrained.hugging_face_directory(directory)):
        return config
    logger.info("%s is not the directory of a training; using the model in it.", directory)
    return dataclasses.replace(config, init_checkpoint=directory)


def find_foundation(config: FinetuningConfig) -> Pretrained:
    """Finds the foundation: that of the flags, else of the run in `output_dir`, else of the checkpoint's directory.

    Raises:
      InputError: there is no model, a file is missing or cannot be read, or it is not the one that the earlier training
        used.
    """
    if config.use_best and not config.do_train:
        best_weights.check(config.output_dir)
    if not (config.do_train or config.init_checkpoint or listing.is_listed(config.model_dir)):
        other = "--use_best for the weights in its best/" if best_weights.exist(config.output_dir) else "train first"
        raise InputError(f"{config.output_dir} has no checkpoint; {other}, or give --init_checkpoint.")
    return pretrained.find(
        config.init_checkpoint,
        None if config.overwrite_output_dir else config.model_dir,
        bert_config_file=config.bert_config_file,
        vocab_file=config.vocab_file,
        spm_model_file=config.spm_model_file,
        do_lower_case=config.do_lower_case,
        num_hidden_layers=config.num_hidden_layers,
        tokenizer=config.tokenizer,
    )


def load_averages(variables: Mapping[str, tf.Variable], prefix: str) -> None:
    """Sets variables to their moving averages in a checkpoint of a run, as `--ema_decay` requests.

    If the checkpoint has none, the variables keep their values, and a warning is logged.

    Raises:
      InputError: the checkpoint is corrupt.
    """
    averages = checkpoints.load_averages(variables, prefix)
    if averages:
        logger.info("Using the moving averages of %s.", counted(averages, "variable"))
    else:
        logger.warning("--ema_decay: %s has no moving averages; using the weights themselves.", prefix)


def check_not_inside(output_dir: str, paths: Sequence[str | None]) -> None:
    """Rejects `--overwrite_output_dir` if it would remove files that are going to be read.

    Args:
      output_dir: the directory that is going to be emptied.
      paths: the files and directories to be read; None is ignored.

    Raises:
      InputError: one of them is in `output_dir`.
    """
    for path in filter(None, paths):
        if file_system.is_inside(path, output_dir):
            raise InputError(
                f"{path} is in {output_dir}, which --overwrite_output_dir empties; give another --output_dir."
            )


def check_data_is_kept(config: FinetuningConfig) -> None:
    """Rejects data that the run would remove or replace, such as `eval_predictions.csv` with corrected labels.

    Raises:
      InputError: a flag names such a file in `output_dir`.
    """
    names = _EVALUATED * (config.do_eval or config.overwrite_output_dir)
    names += _PREDICTED * (config.do_predict or config.overwrite_output_dir)
    for flag in _DATA:
        value = getattr(config, flag, None)
        if value and os.path.basename(value) in names and file_system.is_inside(value, config.output_dir):
            raise InputError(
                f"--{flag}={value} is one of the files that this command removes or replaces; copy it to another "
                "directory, or give another --output_dir."
            )
