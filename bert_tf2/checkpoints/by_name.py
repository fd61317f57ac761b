"""Public models by name: values of `--init_checkpoint` that are not local paths; no TensorFlow."""

import difflib
import functools
import os
import re

from bert_tf2.errors import InputError
from bert_tf2.io import file_system

# Models that had a short name on the Hugging Face Hub before they moved to this owner.
_OWNER = "google-bert"
_SHORT_NAMES = (
    *("bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-large-cased", "bert-base-chinese"),
    *("bert-base-multilingual-uncased", "bert-base-multilingual-cased", "bert-base-german-cased"),
    *("bert-large-uncased-whole-word-masking", "bert-large-cased-whole-word-masking"),
    *("bert-large-uncased-whole-word-masking-finetuned-squad", "bert-large-cased-whole-word-masking-finetuned-squad"),
    "bert-base-cased-finetuned-mrpc",
)
_ON_THE_HUB = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@(?P<revision>[^@\s]+))?")
_OF_A_FILE = re.compile(r"\.ckpt|\.(index|h5|bin|safetensors|json|txt)$|\.data-\d{5}-of-\d{5}$")


def local(init_checkpoint: str) -> str:
    """The path of a model on this machine: the given path, or that of the downloaded public model of that name.

    A text is never taken for a name if it exists as a path or looks like one: it begins with `.`, `/` or `~`, contains
    a scheme (`gs://`), more than one `/` or a file name, or is in an existing directory.

    Args:
      init_checkpoint: a path; a name of one of Google's archives (`uncased_L-12_H-768_A-12`); or a model of the
        Hugging Face Hub (`google-bert/bert-base-uncased`, `bert-base-uncased`), optionally with `@REVISION`.

    Raises:
      InputError: the model of that name cannot be downloaded, or the name resembles that of a model.
      OSError: what is downloaded cannot be written.
    """
    return _downloaded(init_checkpoint) if is_name(init_checkpoint) else init_checkpoint


def is_name(text: str) -> bool:
    """Whether a text can only be the name of a public model, not a path; see `local`."""
    if not _ON_THE_HUB.fullmatch(text) or _OF_A_FILE.search(text):
        return False
    directory = os.path.dirname(text)
    return not (_exists(text) or (directory and _exists(directory)))


def _exists(path: str) -> bool:
    """Whether something has that path, or a checkpoint has that prefix."""
    return any(file_system.exists(each) or file_system.islink(each) for each in (path, f"{path}.index"))


@functools.cache  # a process looks only once
def _downloaded(name: str) -> str:
    from bert_tf2.checkpoints import google_archives, hub

    if name in google_archives.NAMES:
        return google_archives.fetch(name)
    match = _ON_THE_HUB.fullmatch(name)
    assert match is not None  # it is a name
    known, revision = match["name"], match["revision"]
    if known in _SHORT_NAMES:
        known = f"{_OWNER}/{known}"
    if "/" in known:
        return hub.fetch(known, revision)
    if _close(name):
        raise unknown(name)
    return name


def unknown(init_checkpoint: str) -> InputError:
    """The error for a text that is neither a local path nor the name of a model."""
    close = _close(init_checkpoint)
    hint = f"; did you mean {close}?" if close else "."
    return InputError(
        f"There is no {init_checkpoint}: the directory of a model on this machine, a checkpoint in it "
        "(DIRECTORY/bert_model.ckpt), or the name of a public model (uncased_L-12_H-768_A-12, bert-base-uncased, "
        f"OWNER/NAME of the Hugging Face Hub) was expected{hint}"
    )


def _close(name: str) -> str | None:
    """The name of a public model that resembles a text; None if there is none."""
    from bert_tf2.checkpoints import google_archives

    return next(iter(difflib.get_close_matches(name, (*_SHORT_NAMES, *google_archives.NAMES), 1)), None)
