"""Models on the Hugging Face Hub, downloaded by `huggingface_hub` into its cache; no TensorFlow.

The environment variables of `huggingface_hub` apply: `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_TOKEN`, ...
"""

import contextlib
import errno
import fnmatch
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf2.checkpoints import huggingface
from bert_tf2.checkpoints.huggingface_config import TOKENIZER_FILES
from bert_tf2.errors import InputError, some
from bert_tf2.io import run_files

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0  # seconds, for the list of a model's files
_BLOCK = 1 << 20  # bytes
# Files other than the weights: config, vocabulary, tokenizer, and those of this project's training runs.
_SMALL_FILES = (
    *(huggingface.CONFIG_FILE, run_files.BERT_CONFIG, run_files.VOCABULARY, run_files.SENTENCEPIECE_MODEL),
    *(*TOKENIZER_FILES, run_files.TASK, run_files.LABELS, run_files.NULL_THRESHOLD, run_files.CHECKPOINT_LIST),
)
_GOOGLE_WEIGHTS = ("*.ckpt*.index", "*.ckpt*.data-?????-of-?????")
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)
_NOT_FOUND = "there is no such model, or it is private: then set HF_TOKEN"


def fetch(name: str, revision: str | None = None) -> str:
    """The directory of a model on the Hub; files missing from the cache are downloaded, the weights in one format only.

    If the Hub cannot be reached, a model in the cache is used, with a warning.

    Args:
      name: `OWNER/NAME`.
      revision: a branch, a tag or a commit; None for the main branch.

    Raises:
      InputError: `huggingface_hub` is not installed, or the model cannot be downloaded.
      OSError: the files cannot be written.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants, errors
    except ImportError:
        raise InputError(
            f"{name} is not on this machine; to download it from the Hugging Face Hub, install huggingface_hub "
            "(pip install 'bert-tf2[hub]'), or give --init_checkpoint the directory of a model."
        ) from None
    with _as_input_error(name, revision):
        try:
            info = huggingface_hub.HfApi().model_info(name, revision=revision, timeout=_TIMEOUT, files_metadata=True)
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
            raise
        except Exception as error:
            directory = _cached_directory(name, revision)
            if directory is None or _http_status(error) in (401, 403):
                raise
            if not isinstance(error, errors.OfflineModeIsEnabled):
                logger.warning(
                    "%s cannot be reached (%s); %s of the cache is used.",
                    *(constants.ENDPOINT, _first_line(error), _full_name(name, revision)),
                )
            return directory
        return _download(name, revision, info)


def _download(name: str, revision: str | None, info: "ModelInfo") -> str:
    """Downloads a model's needed files that are missing from the cache; returns their directory."""
    import huggingface_hub
    from huggingface_hub import constants

    files = {file.rfilename: file for file in info.siblings or ()}
    needed = _needed_files(files)
    if needed is None:
        weights = ", ".join(huggingface.WEIGHTS_FILES)
        raise _NotDownloadedError(f"it has none of the weights that can be read ({weights}, *.ckpt.*)")
    missing = [
        file
        for file in needed
        if not isinstance(huggingface_hub.try_to_load_from_cache(name, file, revision=info.sha), str)
    ]
    if missing:
        size = sum(files[file].size or 0 for file in missing)
        logger.info(
            "Downloading %s of %s, %s bytes, from %s.",
            *(some(missing), _full_name(name, revision), f"{size:,}", constants.ENDPOINT),
        )
    for file in missing:
        path = huggingface_hub.hf_hub_download(name, file, revision=revision)
        _verify(path, files[file])
    weights_file = huggingface_hub.try_to_load_from_cache(name, needed[0], revision=info.sha)
    if not isinstance(weights_file, str):
        raise _NotDownloadedError("it has changed since its files were listed; run the same command again")
    directory = Path(weights_file).parent
    if missing:
        logger.info("%s is in %s.", _full_name(name, revision), directory)
    return os.fspath(directory)


class _NotDownloadedError(Exception):
    """A model cannot be used; the message is the reason, as a clause of a sentence."""


def _needed_files(files: Iterable[str]) -> list[str] | None:
    """The files to download: the weights, in the first available format, then the small files; None without weights."""
    files = list(files)
    small = [name for name in _SMALL_FILES if name in files]
    for name in huggingface.WEIGHTS_FILES:
        if name in files and huggingface.CONFIG_FILE in files:
            stem, _, extension = name.removesuffix(".index.json").rpartition(".")
            is_list = name.endswith(".index.json")
            parts = fnmatch.filter(files, f"{stem}-*-of-*.{extension}") if is_list else []
            return [name, *parts, *small]
    weights = [name for pattern in _GOOGLE_WEIGHTS for name in fnmatch.filter(files, pattern) if "/" not in name]
    return [*weights, *small] if weights else None


def _verify(path: str, file: "RepoSibling") -> None:
    """Compares a downloaded file with its checksum on the Hub: SHA-256 of large files, Git's SHA-1 of all others.

    Raises:
      _NotDownloadedError: the checksum differs; the file has been removed from the cache.
    """
    if file.lfs is not None:
        digest, expected = hashlib.sha256(), file.lfs.sha256
    elif file.blob_id is not None:
        digest, expected = hashlib.sha1(usedforsecurity=False), file.blob_id
        digest.update(b"blob %d\0" % os.path.getsize(path))
    else:
        return
    with open(path, "rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != expected:
        for copy in dict.fromkeys((os.path.realpath(path), path)):
            os.unlink(copy)
        raise _NotDownloadedError(
            f"{file.rfilename} arrived with the checksum {digest.hexdigest()}, {expected} was expected"
        )


def _cached_directory(name: str, revision: str | None) -> str | None:
    """The directory of a model in the cache; None if the model or its weights are missing."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        directory = str(huggingface_hub.snapshot_download(name, revision=revision, local_files_only=True))
    except (errors.LocalEntryNotFoundError, OSError, ValueError):
        return None
    return directory if _needed_files(os.listdir(directory)) else None


@contextlib.contextmanager
def _as_input_error(name: str, revision: str | None) -> Iterator[None]:
    """Turns any error of a download into an `InputError` with the reason; errors of the disk become an `OSError`."""
    from huggingface_hub import constants, errors

    try:
        yield
        return
    except errors.GatedRepoError:
        reason = f"it is only for those who accept its terms, at {constants.ENDPOINT}/{name}, and set HF_TOKEN"
    except errors.RevisionNotFoundError:
        reason = f"it has no revision {revision}"
    except errors.RepositoryNotFoundError:
        reason = _NOT_FOUND
    except errors.OfflineModeIsEnabled:
        reason = "HF_HUB_OFFLINE is set, and the model is not in the cache as a whole"
    except errors.HFValidationError:
        reason = "that is not the name of a model there"
    except _NotDownloadedError as error:
        reason = str(error)
    except Exception as error:  # also errors of the HTTP library, which depends on huggingface_hub's version
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise OSError(error.errno, error.strerror, error.filename or constants.HF_HUB_CACHE) from None
        if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # why it was not downloaded
        reason = _NOT_FOUND if _http_status(error) == 401 else _first_line(error)
    raise InputError(
        f"{_full_name(name, revision)} is not on this machine (--init_checkpoint also takes the directory of a "
        f"model), and it cannot be downloaded from {constants.ENDPOINT}: {reason}."
    ) from None


def _full_name(name: str, revision: str | None) -> str:
    return f"{name}@{revision}" if revision else name


def _http_status(error: Exception) -> int | None:
    """The HTTP status of a server's response that caused an error; None for other errors."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0][:200].rstrip(". ")
    return line or type(error).__name__
