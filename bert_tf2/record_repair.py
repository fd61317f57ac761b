"""Going on without the damaged records of a file, where the user allows it; no TensorFlow."""

import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bert_tf2 import files
from bert_tf2.compilation import kernel
from bert_tf2.errors import InputError

logger = logging.getLogger(__name__)


def without_damage(paths: Sequence[str], folder: str | os.PathLike[str], most: int) -> list[str]:
    """Files with the same records, those left out that are cut short or whose checksum is wrong.

    Whole files are used as they are; of a damaged one, a copy of its whole records is written.

    Args:
      paths: TFRecord files, plain or gzip.
      folder: where copies go.
      most: how many damaged records may be left out, over all files.

    Raises:
      InputError: more are damaged, or a file cannot be read.
    """
    found = kernel("bert_tf2.damage_kernel")
    if found is None:
        raise InputError("--skip_bad_records needs Numba; repair its installation, or leave the flag away.")
    result, reasons, damaged = [], [], 0
    for path in paths:
        content = _content(path)
        spans, bad = found.whole_records(content)
        damaged += bad
        if bad:
            reasons.append(f"{path} ({bad})")
            copy = (
                Path(folder) / "whole_records" / f"{zlib.crc32(os.path.abspath(path).encode()):08x}-{Path(path).name}"
            )
            result.append(os.fspath(copy))
            if damaged <= most:
                with files.replacing(copy, "wb") as file:
                    for start, end in spans:
                        file.write(content[start:end])
        else:
            result.append(path)
    if damaged > most:
        raise InputError(
            f"{damaged} damaged records in {', '.join(reasons)}, more than --skip_bad_records={most}; make the files "
            "again, copy them again from where they are whole, or raise the number."
        )
    if damaged:
        logger.warning("Skipping %d damaged records: %s.", damaged, ", ".join(reasons))
    return result


def _content(path: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    try:
        if not os.path.getsize(path):
            return np.zeros(0, np.uint8)
        if files.compression(path) is None:
            return np.memmap(path, np.uint8, "r")
        with files.open_bytes(path) as file:
            return np.frombuffer(file.read(), np.uint8)
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None
