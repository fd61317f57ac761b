"""Public models by name: values of `--init_checkpoint` that are not local paths; no TensorFlow."""

import difflib
import functools
import os
import re

from bert_tf2.errors import InputError
from bert_tf2.io import file_system

# Models that had a short name on the Hugging Face Hub before they were moved to this owner.
_OWNER = "google-bert"
_SHORT_NAMES = (
    *("bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-large-cased", "bert-base-chinese"),
    *("bert-base-multilingual-uncased", "bert-base-multilingual-cased", "bert-base-german-cased"),
    *("bert-large-uncased-whole-word-masking", "bert-large-cased-whole-word-masking"),
    *("bert-large-uncased-whole-word-masking-finetuned-squad", "bert-large-cased-whole-word-masking-finetuned-squad"),
    "bert-base-cased-finetuned-mrpc",
)
_HUB_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@(?P<revision>[^@\s]+))?")
_FILE_NAME = re.compile(r"\.ckpt|\.(index|h5|bin|safetensors|json|txt)$|\.data-\d{5}-of-\d{5}$")


def local_path(init_checkpoint: str) -> str:
    """The local path of a model: `init_checkpoint` itself, or, for a name, the path of the downloaded public model.

    Text that exists as a path, or looks like one, is never taken for a name: it begins with `.`, `/` or `~`, contains
    a scheme (`gs://`), more than one `/` or a file name, or is in an existing directory.

    Args:
      init_checkpoint: a path; the name of one of Google's archives (`uncased_L-12_H-768_A-12`); or a model on the
        Hugging Face Hub (`google-bert/bert-base-uncased`, `bert-base-uncased`), optionally with `@REVISION`.

    Raises:
      InputError: the model cannot be downloaded, or the name is unknown but resembles that of a model.
      OSError: the downloaded files cannot be written.
    """
    return _download(init_checkpoint) if is_name(init_checkpoint) else init_checkpoint


def is_name(text: str) -> bool:
    """Whether text can only be the name of a public model, not a path; see `local_path`."""
    if not _HUB_NAME.fullmatch(text) or _FILE_NAME.search(text):
        return False
    directory = os.path.dirname(text)
    return not (_exists(text) or (directory and _exists(directory)))


def _exists(path: str) -> bool:
    """Whether there is a file, directory or link at a path, or a checkpoint with this prefix."""
    return any(file_system.exists(each) or file_system.islink(each) for each in (path, f"{path}.index"))


@functools.cache  # so that a process asks the server only once
def _download(name: str) -> str:
    from bert_tf2.checkpoints import google_archives, hub

    if name in google_archives.NAMES:
        return google_archives.fetch(name)
    match = _HUB_NAME.fullmatch(name)
    assert match is not None  # by `is_name`
    repository, revision = match["name"], match["revision"]
    if repository in _SHORT_NAMES:
        repository = f"{_OWNER}/{repository}"
    if "/" in repository:
        return hub.fetch(repository, revision)
    if _closest_name(name):
        raise not_found(name)
    return name


def not_found(init_checkpoint: str) -> InputError:
    """The error for text that is neither a local path nor the name of a model."""
    close = _closest_name(init_checkpoint)
    hint = f"; did you mean {close}?" if close else "."
    return InputError(
        f"There is no {init_checkpoint}: the directory of a model on this machine, a checkpoint in it "
        "(DIRECTORY/bert_model.ckpt), or the name of a public model (uncased_L-12_H-768_A-12, bert-base-uncased, "
        f"OWNER/NAME of the Hugging Face Hub) was expected{hint}"
    )


def _closest_name(name: str) -> str | None:
    """The public model whose name is most similar to `name`; None if no name is similar."""
    from bert_tf2.checkpoints import google_archives

    return next(iter(difflib.get_close_matches(name, (*_SHORT_NAMES, *google_archives.NAMES), 1)), None)
