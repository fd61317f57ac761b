"""What a path of weights names: a checkpoint, a directory of one, a Hugging Face directory, or nothing."""

import glob
import os

from bert_tf2.checkpoints import by_name, huggingface, listing
from bert_tf2.errors import InputError, some
from bert_tf2.io import file_system, run_files


def hugging_face_folder(path: str) -> str | None:
    """The Hugging Face directory that a path of weights names; None if it names something else.

    Raises:
      InputError: it is one without weights that can be read.
    """
    directory = huggingface.find_folder(path)
    config_only = directory is None and file_system.isfile(os.path.join(path, huggingface.CONFIG_FILE))
    if config_only and not listing.has_checkpoint(path):
        raise InputError(
            f"{path} has a config.json, but neither model.safetensors nor pytorch_model.bin nor tf_model.h5; weights "
            "in other formats cannot be read."
        )
    return directory


def check_exists(init_checkpoint: str) -> None:
    """Checks that a path names something, and not the directory of a search, whose weights are in `best/`.

    Raises:
      InputError: it does not; the message says what could be given, and what is like it.
    """
    best = os.path.join(init_checkpoint, run_files.BEST)
    has_own = listing.has_checkpoint(init_checkpoint) or hugging_face_folder(init_checkpoint)
    if listing.is_listed(best) and not has_own:
        raise InputError(f"The directory {init_checkpoint} has no weights of its own; give {best}, which has the best.")
    if file_system.exists(init_checkpoint) or file_system.glob(f"{glob.escape(init_checkpoint)}*"):
        return
    folder = os.path.dirname(init_checkpoint)
    if folder and file_system.isdir(folder):
        prefixes = sorted(path.removesuffix(".index") for path in file_system.glob(f"{glob.escape(folder)}/*.index"))
        raise InputError(
            f"There is no {init_checkpoint}: {folder} has no directory and no checkpoint of that name"
            f"{f', but {some(prefixes)}' if prefixes else ''}."
        )
    raise by_name.unknown(init_checkpoint)
