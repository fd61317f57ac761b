"""Where a model starts from: `--init_checkpoint` of every task, whatever it names.

That is a checkpoint of the original BERT, an output folder of this project, or a Hugging Face folder. The last two (and
Google's releases) have the model's config and vocabulary beside the weights, so that they need not be given.
"""

import dataclasses
import glob
import logging
import os
import re

from bert_tf2 import checkpoint_list, checkpoints, huggingface
from bert_tf2.checkpoints import hugging_face_folder as hugging_face_folder
from bert_tf2.checkpoints import load as load
from bert_tf2.config import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.huggingface_config import TokenizerSettings
from bert_tf2.io import run_files

logger = logging.getLogger(__name__)

CONFIG_FILE, VOCAB_FILE = run_files.BERT_CONFIG, run_files.VOCABULARY
# Keys that may differ between a given config and the folder's, because they change training only.
_OF_TRAINING = ("attention_probs_dropout_prob", "hidden_dropout_prob", "initializer_range")


def folder_of(init_checkpoint: str) -> str:
    """The folder that a checkpoint's config and vocabulary are expected in."""
    path = hugging_face_folder(init_checkpoint)
    return path or (init_checkpoint if os.path.isdir(init_checkpoint) else os.path.dirname(init_checkpoint))


def find_bert_config(init_checkpoint: str | None, bert_config_file: str | None = None) -> BertConfig:
    """The model's config: the given file, else that of the folder to start from.

    Args:
      init_checkpoint: as in `load`, or None.
      bert_config_file: Google's `bert_config.json` or Hugging Face's `config.json`, or None.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    found = _config_in_folder(init_checkpoint) if init_checkpoint else None
    config = _find_bert_config(init_checkpoint, found, bert_config_file)
    if init_checkpoint:
        check_config(config, init_checkpoint)
    return config


def check_config(config: BertConfig, checkpoint: str, is_needed: bool = False) -> None:
    """Checks a config against the shapes in a checkpoint, before a model is made that could be of any size.

    Args:
      config: of the model to be made.
      checkpoint: as `init_checkpoint` in `load`.
      is_needed: whether there has to be such a checkpoint; else loading it says what is wrong with it, if it matters.

    Raises:
      InputError: they do not belong together.
    """
    if hugging_face_folder(checkpoint):
        return
    if is_needed:
        _check_exists(checkpoint)
    try:
        prefix = checkpoint_list.find(checkpoint)
        shapes: dict[str, list[int]] = checkpoints.open_reader(prefix).get_variable_to_shape_map()
    except InputError:
        if is_needed:
            raise
        return
    hidden = config.hidden_size
    expected = {
        checkpoints.WORD_EMBEDDINGS: [config.vocab_size, hidden],
        "bert/embeddings/position_embeddings": [config.max_position_embeddings, hidden],
        "bert/embeddings/token_type_embeddings": [config.type_vocab_size, hidden],
        "bert/encoder/layer_0/intermediate/dense/kernel": [hidden, config.intermediate_size],
    }
    checkpoints.check_shapes(expected, shapes, prefix)
    layers = {int(match[1]) for name in shapes if (match := re.match(r"bert/encoder/layer_(\d{1,9})/", name))}
    if layers and len(layers) != config.num_hidden_layers:
        raise InputError(
            f"The encoder in {prefix} is not the one of the BERT config: it has {len(layers)} layers, the config "
            f"{config.num_hidden_layers} (num_hidden_layers); use the bert_config.json that belongs to the checkpoint."
        )


def _find_bert_config(init_checkpoint: str | None, found: str | None, bert_config_file: str | None) -> BertConfig:
    if bert_config_file is None:
        if found is None:
            if init_checkpoint:
                _check_exists(init_checkpoint)
            where = f"{folder_of(init_checkpoint) or '.'} has no {CONFIG_FILE}; g" if init_checkpoint else "G"
            raise InputError(f"{where}ive --bert_config_file, the JSON file with the sizes of the model.")
        return BertConfig.from_json_file(found)
    config = BertConfig.from_json_file(bert_config_file)
    if found is not None and not os.path.samefile(found, bert_config_file):
        _warn_of_differences(config, bert_config_file, BertConfig.from_json_file(found), found)
    return config


def _config_in_folder(init_checkpoint: str) -> str | None:
    name = huggingface.CONFIG_FILE if hugging_face_folder(init_checkpoint) else CONFIG_FILE
    path = os.path.join(folder_of(init_checkpoint), name)
    return path if os.path.isfile(path) else None


def _warn_of_differences(given: BertConfig, given_file: str, found: BertConfig, found_file: str) -> None:
    names = [field.name for field in dataclasses.fields(BertConfig) if field.name not in _OF_TRAINING]
    different = [name for name in names if getattr(given, name) != getattr(found, name)]
    if different:
        logger.warning(
            "--bert_config_file=%s is used, but the checkpoint's own %s differs: %s.",
            given_file,
            found_file,
            ", ".join(f"{name} {getattr(given, name)} there {getattr(found, name)}" for name in different),
        )


def find_vocab_file(init_checkpoint: str | None, vocab_file: str | None = None) -> str:
    """The vocabulary: the given file, else that of the folder to start from.

    Args:
      init_checkpoint: as in `load`, or None.
      vocab_file: a `vocab.txt`, or None.

    Raises:
      InputError: there is none.
    """
    if vocab_file is not None:
        return vocab_file
    if init_checkpoint is None:
        raise InputError("Give --vocab_file, the vocabulary of the model.")
    folder = folder_of(init_checkpoint)
    path = os.path.join(folder, VOCAB_FILE)
    if os.path.isfile(path):
        return path
    if os.path.isfile(os.path.join(folder, huggingface.TOKENIZER_FILE)):
        raise InputError(
            f"{folder} has no {VOCAB_FILE}; its vocabulary is in {huggingface.TOKENIZER_FILE}. Convert it once, with "
            f"convert_checkpoint.py --init_checkpoint={folder} --output_dir=NEW, and give --init_checkpoint=NEW."
        )
    _check_exists(init_checkpoint)
    raise InputError(f"{folder or '.'} has no {VOCAB_FILE}; give --vocab_file, the vocabulary of the model.")


def _check_exists(init_checkpoint: str) -> None:
    """Refuses what is nothing on this machine, a model's name on a hub for example."""
    folder = os.path.dirname(init_checkpoint)
    beside = glob.glob(f"{glob.escape(init_checkpoint)}*")
    if not beside and not (folder and os.path.isdir(folder)):
        raise InputError(
            f"There is no {init_checkpoint}: the directory of a model on this machine, or a checkpoint in it "
            "(DIRECTORY/bert_model.ckpt), was expected; models are not downloaded."
        )


def find_do_lower_case(init_checkpoint: str | None, given: bool | None = None) -> bool | None:
    """Whether the tokenizer lower-cases: what was given, else what the folder says; None where it does not.

    Logs a warning where the folder's tokenizer does something that the one here does not.

    Args:
      init_checkpoint: as in `load`, or None.
      given: by `--do_lower_case`.

    Raises:
      InputError: the tokenizer's files cannot be read.
    """
    folder = hugging_face_folder(init_checkpoint) if init_checkpoint else None
    if folder is None:
        return given
    settings = TokenizerSettings.read(folder)
    if settings.differences:
        logger.warning(
            "The tokenizer of %s is not quite the one here (%s there): some text will be split differently.",
            folder,
            ", ".join(settings.differences),
        )
    return settings.do_lower_case if given is None else given
