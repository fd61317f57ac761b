"""The files that a run wrote into a directory."""

import fnmatch
import os
from collections.abc import Iterable
from pathlib import Path

from bert_tf2.io.run_files import RunFile


def unlisted(directory: Path, files: Iterable[RunFile]) -> list[str]:
    """The files of a directory that are not in a table of `io.run_files`."""
    patterns = [name.rstrip("/") for file in files for name in file.names]
    return [
        name
        for name in sorted(os.listdir(directory))
        if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]
