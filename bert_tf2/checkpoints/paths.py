"""What the path of weights refers to: a checkpoint, its directory, a Hugging Face directory, or nothing."""

import glob
import os

from bert_tf2.checkpoints import by_name, huggingface, listing
from bert_tf2.errors import InputError, some
from bert_tf2.io import file_system, run_files


def hugging_face_directory(path: str) -> str | None:
    """The Hugging Face directory that the path of weights refers to; None if it refers to something else.

    Raises:
      InputError: the directory has no weights in a supported format.
    """
    directory = huggingface.find_directory(path)
    config_only = directory is None and file_system.isfile(os.path.join(path, huggingface.CONFIG_FILE))
    if config_only and not listing.has_checkpoint(path):
        raise InputError(
            f"{path} has a config.json, but neither model.safetensors nor pytorch_model.bin nor tf_model.h5; weights "
            "in other formats cannot be read."
        )
    return directory


def check_exists(init_checkpoint: str) -> None:
    """Checks that a path exists, and is not the directory of a hyperparameter search, whose weights are in `best/`.

    Raises:
      InputError: it does not exist, or is such a directory; the message says which paths could be meant.
    """
    best = os.path.join(init_checkpoint, run_files.BEST)
    has_own = listing.has_checkpoint(init_checkpoint) or hugging_face_directory(init_checkpoint)
    if listing.is_listed(best) and not has_own:
        raise InputError(f"The directory {init_checkpoint} has no weights of its own; give {best}, which has the best.")
    if file_system.exists(init_checkpoint) or file_system.glob(f"{glob.escape(init_checkpoint)}*"):
        return
    directory = os.path.dirname(init_checkpoint)
    if directory and file_system.isdir(directory):
        prefixes = sorted(path.removesuffix(".index") for path in file_system.glob(f"{glob.escape(directory)}/*.index"))
        raise InputError(
            f"There is no {init_checkpoint}: {directory} has no directory and no checkpoint of that name"
            f"{f', but {some(prefixes)}' if prefixes else ''}."
        )
    raise by_name.not_found(init_checkpoint)
