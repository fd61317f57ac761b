"""Builds the sdist and, from that, the wheel into `dist/`: `make dist`.

The sources do not contain the URL of the repository; a release specifies it (`make dist
REPOSITORY=https://github.com/OWNER/NAME`). Then the copy of the source tree from which it is built has URLs in its
metadata, and a README whose links work on PyPI.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from repository_links import ROOT, absolute

_NOT_SOURCES = (".*", "*.egg-info", "__pycache__", "build", "demo_output", "dist", "htmlcov", "site")
_HIDDEN_SOURCES = (".dockerignore",)
_PROJECT_ENDS = "\n[project.optional-dependencies]\n"


def copy_sources(destination: Path) -> None:
    """Copies the files that may be part of a distribution into a new directory."""
    shutil.copytree(ROOT, destination, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
    for name in _HIDDEN_SOURCES:
        shutil.copy(ROOT / name, destination)


def add_addresses(tree: Path, repository: str, documentation: str | None = None) -> None:
    """Adds the URLs of the project to the metadata and the README in a copy of the sources.

    Args:
      tree: the copy.
      repository: the URL of the repository, `https://github.com/OWNER/NAME`.
      documentation: the URL of the site; if omitted, that of the README.

    Raises:
      ValueError: `pyproject.toml` already has URLs.
    """
    repository = repository.rstrip("/")
    revision = f"v{version(tree)}"
    urls = {
        "Homepage": repository,
        "Documentation": documentation or f"{repository}#readme",
        "Repository": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/{revision}/CHANGELOG.md",
    }
    project = tree / "pyproject.toml"
    before, separator, after = project.read_text(encoding="utf-8").partition(_PROJECT_ENDS)
    if not separator or "[project.urls]" in before:
        raise ValueError(f"{project} must have [project.optional-dependencies], and no [project.urls] before it.")
    table = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    project.write_text(f"{before}\n[project.urls]\n{table}{separator}{after}", encoding="utf-8")
    readme = tree / "README.md"
    text = absolute(readme.read_text(encoding="utf-8"), "README.md", repository, revision)
    readme.write_text(text, encoding="utf-8")


def version(tree: Path) -> str:
    """The version of the sources, from `bert_tf2/__init__.py`.

    Raises:
      ValueError: the file has no version.
    """
    path = tree / "bert_tf2/__init__.py"
    match = re.search(r'^__version__ = "(.+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ValueError(f"{path} has no __version__.")
    return match[1]


def main() -> None:
    """Builds both distributions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", help="https://github.com/OWNER/NAME")
    parser.add_argument("--documentation", help="the address of the site")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "sources"
        copy_sources(tree)
        if arguments.repository:
            add_addresses(tree, arguments.repository, arguments.documentation)
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        subprocess.run([sys.executable, "-m", "build", "--outdir", ROOT / "dist", tree], check=True)


if __name__ == "__main__":
    main()
