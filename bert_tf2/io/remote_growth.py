"""Copies of growing files in a remote directory, where files cannot grow: each addition is a file of its own.

An addition is named `<name>.<begin>-<end>` after its range of bytes. Additions beyond the sizes in the last state come
from a process that was killed before it wrote its state, and are removed.
"""

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from bert_tf2.io import file_system

_ADDITION = re.compile(r"(.+)\.(\d{15})-(\d{15})")


class Additions:
    """The additions to some files.

    Args:
      remote: the remote directory.
      local: the local directory in which the files grow.
    """

    def __init__(self, remote: Path, local: Path) -> None:
        self._remote, self._local = remote, local
        self._saved: dict[str, int] = {}  # the number of bytes of each file that are saved

    def fetch(self, sizes: Mapping[str, int]) -> None:
        """Restores the local files from the saved additions, up to these sizes.

        Raises:
          OSError: it cannot be read, or the disk is full.
        """
        self._saved = {}
        for name in sizes:
            (self._local / name).touch()
        for path, name, begin, end in self._all():
            if begin != self._saved.get(name, 0) or end > sizes.get(name, 0):
                continue
            with file_system.open(path, "rb") as addition, open(self._local / name, "ab") as file:
                shutil.copyfileobj(addition, file, 1 << 20)
            self._saved[name] = end

    def drop_others(self, sizes: Mapping[str, int]) -> None:
        """Removes additions beyond these sizes."""
        self._saved = {name: size for name, size in self._saved.items() if sizes.get(name) == size}
        for path, name, _, end in self._all():
            if end > self._saved.get(name, 0):
                path.unlink(missing_ok=True)

    def save(self, names: Iterable[str]) -> None:
        """Saves what has been added to the files, which must have been flushed.

        Raises:
          OSError: it cannot be written.
        """
        for name in names:
            begin, end = self._saved.get(name, 0), os.path.getsize(self._local / name)
            if begin == end:
                continue
            with (
                open(self._local / name, "rb") as file,
                file_system.open(self._remote / f"{name}.{begin:015d}-{end:015d}", "wb") as addition,
            ):
                file.seek(begin)
                shutil.copyfileobj(file, addition, 1 << 20)
            self._saved[name] = end

    def _all(self) -> list[tuple[Path, str, int, int]]:
        """All additions: path, name of the file, first byte, end; sorted by file and position."""
        matches = [(path, _ADDITION.fullmatch(path.name)) for path in self._remote.iterdir()]
        additions = [(path, match[1], int(match[2]), int(match[3])) for path, match in matches if match]
        return sorted(additions, key=lambda addition: addition[1:])
