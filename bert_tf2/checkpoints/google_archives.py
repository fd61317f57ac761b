"""Google's released models by archive name: downloaded once, verified and cached; no TensorFlow.

Names and URLs are those in README.md and multilingual.md of google-research/bert.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, download, file_system, json_files, run_files
from bert_tf2.io.files import open_regular

logger = logging.getLogger(__name__)

URL_VARIABLE, DEFAULT_URL = "BERT_TF2_GOOGLE_MODELS", "https://storage.googleapis.com/bert_models"
CACHE_VARIABLE = "BERT_TF2_CACHE"
PREFIX = "bert_model.ckpt"
_SOURCE_FILE = "bert_tf2_download.json"  # in the cache: a model's URL, the checksum of its archive, its case
_LOWER_CASE = "do_lower_case"
_CASED = re.compile(r"(wwm_|multi_)?cased_")
_BLOCK = 1 << 20  # bytes

_INDEX, _DATA = f"{PREFIX}.index", f"{PREFIX}.data-00000-of-00001"
_FILES = (run_files.BERT_CONFIG, run_files.VOCABULARY, _INDEX, _DATA)
_RELEASES = {
    "2018_10_18": (
        "uncased_L-12_H-768_A-12",
        "uncased_L-24_H-1024_A-16",
        "cased_L-12_H-768_A-12",
        "cased_L-24_H-1024_A-16",
    ),
    "2018_11_03": ("multilingual_L-12_H-768_A-12", "chinese_L-12_H-768_A-12"),
    "2018_11_23": ("multi_cased_L-12_H-768_A-12",),
    "2019_05_30": ("wwm_uncased_L-24_H-1024_A-16", "wwm_cased_L-24_H-1024_A-16"),
    "2020_02_20": tuple(
        f"uncased_L-{layers}_H-{hidden}_A-{hidden // 64}"
        for layers in (2, 4, 6, 8, 10, 12)
        for hidden in (128, 256, 512, 768)
    ),
}
# The SHA-256 checksums of _FILES, as far as they were published: by NVIDIA, in DeepLearningExamples. Other archives are
# verified by the MD5 checksum in the storage's response, their length, and the checksums inside the archive.
_SHA256: Mapping[str, tuple[str, str, str, str]] = {
    "2018_10_18/uncased_L-12_H-768_A-12": (
        "7b4e5f53efbd058c67cda0aacfafb340113ea1b5797d9ce6ee411704ba21fcbc",
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "04c1323086e2f1c5b7c0759d8d3e484afbb0ab45f51793daab9f647113a0117b",
        "58580dc5e0bf0ae0d2efd51d0e8272b2f808857f0a43a88aaf7549da6d7a8a84",
    ),
    "2018_10_18/uncased_L-24_H-1024_A-16": (
        "bfa42236d269e2aeb3a6d30412a33d15dbe8ea597e2b01dc9518c63cc6efafcb",
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "68b52f2205ffc64dc627d1120cf399c1ef1cbc35ea5021d1afc889ffe2ce2093",
        "bc6b3363e3be458c99ecf64b7f472d2b7c67534fd8f564c0556a678f90f4eea1",
    ),
    "2018_10_18/cased_L-12_H-768_A-12": (
        "f11dfb757bea16339a33e1bf327b0aade6e57fd9c29dc6b84f7ddb20682f48bc",
        "eeaa9875b23b04b4c54ef759d03db9d1ba1554838f8fb26c5d96fa551df93d02",
        "517d6ef5c41fc2ca1f595276d6fccf5521810d57f5a74e32616151557790f7b1",
        "734d5a1b68bf98d4e9cb6b6692725d00842a1937af73902e51776905d8f760ea",
    ),
    "2018_10_18/cased_L-24_H-1024_A-16": (
        "7adb2125c8225da495656c982fd1c5f64ba8f20ad020838571a3f8a954c2df57",
        "eeaa9875b23b04b4c54ef759d03db9d1ba1554838f8fb26c5d96fa551df93d02",
        "ef42a53f577fbe07381f4161b13c7cab4f4fc3b167cec6a9ae382c53d18049cf",
        "6ff33640f40d472f7a16af0c17b1179ca9dcc0373155fb05335b6a4dd1657ef0",
    ),
    "2018_11_03/multilingual_L-12_H-768_A-12": (
        "49063bb061390211d2fdd108cada1ed86faa5f90b80c8f6fdddf406afa4c4624",
        "87b44292b452f6c05afa49b2e488e7eedf79ea4f4c39db6f2f4b37764228ef3f",
        "87c372c1a3b1dc7effaaa9103c80a81b3cbab04c7933ced224eec3b8ad2cc8e7",
        "3cd83912ebeb0efe2abf35c9f1d5a515d8e80295e61c49b75c8853f756658429",
    ),
    "2018_11_03/chinese_L-12_H-768_A-12": (
        "7aaad0335058e2640bcb2c2e9a932b1cd9da200c46ea7b8957d54431f201c015",
        "45bbac6b341c319adc98a532532882e91a9cefc0329aa57bac9ae761c27b291c",
        "46315546e05ce62327b3e2cd1bed22836adcb2ff29735ec87721396edb21b82e",
        "756699356b78ad0ef1ca9ba6528297bcb3dd1aef5feadd31f4775d7c7fc989ba",
    ),
    "2018_11_23/multi_cased_L-12_H-768_A-12": (
        "e76c3964bc14a8bb37a5530cdc802699d2f4a6fddfab0611e153aa2528f234f0",
        "fe0fda7c425b48c516fc8f160d594c8022a0808447475c1a7c6d6479763f310c",
        "7d8509c2a62b4e300feb55f8e5f1eef41638f4998dd4d887736f42d4f6a34b37",
        "55b8a2df41f69c60c5180e50a7c31b7cdf6238909390c4ddf05fbc0d37aa1ac5",
    ),
}


def _release_paths() -> dict[str, str]:
    """The path `DATE/NAME` of each release by `NAME`, the earliest of that name, and by `DATE/NAME`."""
    paths: dict[str, str] = {}
    for date, names in _RELEASES.items():
        for name in names:
            paths.setdefault(name, f"{date}/{name}")
            paths[f"{date}/{name}"] = f"{date}/{name}"
    return paths


_RELEASE_PATHS = _release_paths()
NAMES = tuple(_RELEASE_PATHS)
"""The names that `fetch` accepts: `uncased_L-12_H-768_A-12`, `2020_02_20/uncased_L-12_H-768_A-12`, ..."""


def cache() -> Path:
    """The cache of downloaded models: `BERT_TF2_CACHE`, else `bert-tf2` in the user's cache directory."""
    path = os.environ.get(CACHE_VARIABLE)
    return Path(path) if path else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bert-tf2"


def fetch(name: str) -> str:
    """The checkpoint of a released model, which is downloaded if it is not in the cache yet.

    Args:
      name: one of `NAMES`.

    Returns:
      The prefix of the checkpoint; config and vocabulary are in the same directory.

    Raises:
      InputError: the model cannot be downloaded, or its checksum differs from the published one.
      OSError: the files cannot be written.
    """
    release = _RELEASE_PATHS[name]
    directory = cache() / release
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(directory.with_name(f".{directory.name}.lock")):
            if not directory.is_dir():
                _download(release, directory)
    return os.fspath(directory / PREFIX)


def do_lower_case(directory: str) -> bool | None:
    """Whether the model in a directory of the cache is for lower-cased text; None for any other directory.

    Raises:
      InputError: the file with the model's case is corrupt.
    """
    path = os.path.join(directory, _SOURCE_FILE)
    return json_files.get(json_files.read_object(path), _LOWER_CASE, bool, path) if file_system.isfile(path) else None


def _download(release: str, directory: Path) -> None:
    url = f"{os.environ.get(URL_VARIABLE, DEFAULT_URL).rstrip('/')}/{release}.zip"
    archive = directory.with_name(f"{directory.name}.zip.part")
    logger.info("Downloading %s to %s.", url, directory)
    try:
        digest = download.fetch(url, archive, directory.name)
        lower_case = _CASED.match(directory.name) is None
        source = {"url": url, "bytes": digest.size, "sha256": digest.sha256, _LOWER_CASE: lower_case}
        _unpack(archive, directory, source, dict(zip(_FILES, _SHA256.get(release, ()), strict=False)))
    except download.DownloadError as error:
        raise InputError(
            f"{directory.name} is not on this machine (--init_checkpoint also takes the directory of a model), and it "
            f"cannot be downloaded from {url}: {error}."
        ) from None
    logger.info("%s is in %s (%s bytes, SHA-256 %s).", url, directory, f"{digest.size:,}", digest.sha256)
    archive.unlink()


def _unpack(archive: Path, directory: Path, source: Mapping[str, object], published: Mapping[str, str]) -> None:
    """Extracts a model's four files, at any path in an archive, into a directory.

    Args:
      archive: the archive; deleted if it is corrupt.
      directory: the directory to create.
      source: the content of `_SOURCE_FILE`.
      published: the published SHA-256 checksums, by file name.

    Raises:
      DownloadError: the archive is corrupt, lacks a file, or a checksum differs.
    """
    try:
        with zipfile.ZipFile(archive) as contents, atomic.directory(directory) as unfinished:
            members = {os.path.basename(member.filename): member for member in contents.infolist()}
            for name in _FILES:
                if name not in members:
                    raise download.DownloadError(f"the archive has no {name}")
                sha256 = _extract(contents, members[name], unfinished / name)
                if published.get(name, sha256) != sha256:
                    raise download.DownloadError(
                        f"{name} in it has the SHA-256 {sha256}, the published one has {published[name]}"
                    )
            text = json.dumps(source, indent=2) + "\n"
            (unfinished / _SOURCE_FILE).write_text(text, encoding="utf-8")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, download.DownloadError) as error:
        archive.unlink()
        reason = str(error) if isinstance(error, download.DownloadError) else f"the archive is corrupt ({error})"
        raise download.DownloadError(reason) from None


def _extract(contents: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
    """Extracts a member of an archive, whose CRC-32 `zipfile` verifies; returns its SHA-256 checksum."""
    sha256 = hashlib.sha256()
    with contents.open(member) as packed, atomic.naming(path), file_system.open(path, "xb") as file:
        while block := packed.read(_BLOCK):
            sha256.update(block)
            file.write(block)
    return sha256.hexdigest()


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Lets only one process at a time execute the `with` block."""
    descriptor = open_regular(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("Another process is downloading it (%s); waiting.", path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
                raise
        yield
    finally:
        os.close(descriptor)
