"""Growing files whose copies are kept in a remote directory, in which files cannot grow: each addition as a file.

An addition is `<name>.<begin>-<end>`, by its bytes in the file. What is beyond the sizes of the last state is of a
process that was killed before it wrote its state, and is removed.
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
      place: the remote directory.
      local: where the files grow.
    """

    def __init__(self, place: Path, local: Path) -> None:
        self._place, self._local = place, local
        self._kept: dict[str, int] = {}  # bytes of each file

    def fetch(self, sizes: Mapping[str, int]) -> None:
        """Makes the files, of these sizes or less, of what is kept.

        Raises:
          OSError: it cannot be read, or the disk is full.
        """
        self._kept = {}
        for name in sizes:
            (self._local / name).touch()
        for path, name, begin, end in self._all():
            if begin != self._kept.get(name, 0) or end > sizes.get(name, 0):
                continue
            with file_system.open(path, "rb") as addition, open(self._local / name, "ab") as file:
                shutil.copyfileobj(addition, file, 1 << 20)
            self._kept[name] = end

    def drop_others(self, sizes: Mapping[str, int]) -> None:
        """Removes what is beyond these sizes."""
        self._kept = {name: size for name, size in self._kept.items() if sizes.get(name) == size}
        for path, name, _, end in self._all():
            if end > self._kept.get(name, 0):
                path.unlink(missing_ok=True)

    def keep(self, names: Iterable[str]) -> None:
        """Keeps what has been added to files; they are flushed.

        Raises:
          OSError: it cannot be written.
        """
        for name in names:
            begin, end = self._kept.get(name, 0), os.path.getsize(self._local / name)
            if begin == end:
                continue
            with (
                open(self._local / name, "rb") as file,
                file_system.open(self._place / f"{name}.{begin:015d}-{end:015d}", "wb") as addition,
            ):
                file.seek(begin)
                shutil.copyfileobj(file, addition, 1 << 20)
            self._kept[name] = end

    def _all(self) -> list[tuple[Path, str, int, int]]:
        """The additions, those of a file in their order."""
        matches = [(path, _ADDITION.fullmatch(path.name)) for path in self._place.iterdir()]
        found = [(path, match[1], int(match[2]), int(match[3])) for path, match in matches if match]
        return sorted(found, key=lambda addition: addition[1:])
