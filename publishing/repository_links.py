"""Rewriting the links in the repository's Markdown files, which are relative to each file's directory."""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The target of [text](target), [text](target#anchor), <img src="target"> and the like, without its anchor.
_TARGET = re.compile(r"""(?<=\]\()[^)\s#]+(?=[)\s#])|(?<=\b(?:src|ref)=")[^"#]+(?=["#])|(?<=\bsrcset=")[^"]+(?=")""")


def rewritten(text: str, source: str, replacement: Callable[[str], str | None], root: Path = ROOT) -> str:
    """The text with the links to files and directories of the repository replaced.

    Other links, and code that only looks like a link (`names["a"](b)`), are unchanged.

    Args:
      text: Markdown.
      source: the path of the text in the repository, for example `docs/python.md`.
      replacement: returns the new target of a path in the repository, or None to keep the link.
      root: the directory of the repository.

    Example:
      `rewritten("[a](b.md#c)", "docs/d.md", "/{}".format)` is `[a](/docs/b.md#c)` if there is a file `docs/b.md`.
    """

    def target(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[0]))
        if re.match(r"[a-z]+:|/", match[0]) or path.startswith("..") or not (root / path).exists():
            return match[0]
        return replacement(path) or match[0]

    return _TARGET.sub(target, text)


def absolute(text: str, source: str, repository: str, revision: str, root: Path = ROOT) -> str:
    """The text with absolute links to the repository's pages on the web, so that it can be read anywhere.

    Args:
      text, source, root: see `rewritten`.
      repository: the URL of the repository, `https://github.com/OWNER/NAME`.
      revision: a branch, a tag or a commit.
    """

    def page(path: str) -> str:
        is_image = path.endswith((".gif", ".jpg", ".png", ".svg"))
        kind = "raw" if is_image else "tree" if (root / path).is_dir() else "blob"
        return f"{repository}/{kind}/{revision}/{path}"

    return rewritten(text, source, page, root)
