"""Links of the repository's Markdown texts, which name other files relative to the text's own directory."""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The target of [text](target), [text](target#anchor), <img src="target"> and the like, without its anchor.
_TARGET = re.compile(r"""(?<=\]\()[^)\s#]+(?=[)\s#])|(?<=\b(?:src|ref)=")[^"#]+(?=["#])|(?<=\bsrcset=")[^"]+(?=")""")


def rewritten(text: str, source: str, replacement: Callable[[str], str | None], root: Path = ROOT) -> str:
    """A text whose links to files and directories of the repository lead elsewhere.

    Other links, and what only looks like a link (`names["a"](b)` in a program), stay as they are.

    Args:
      text: Markdown.
      source: its path in the repository, for example `docs/python.md`.
      replacement: from a path in the repository to the new target; None leaves the link.
      root: the repository.

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
    """A text that can be read anywhere: its links lead to the repository's pages on the web.

    Args:
      text, source, root: see `rewritten`.
      repository: the address of the repository, `https://github.com/OWNER/NAME`.
      revision: a branch, a tag or a commit.
    """

    def page(path: str) -> str:
        is_image = path.endswith((".gif", ".jpg", ".png", ".svg"))
        kind = "raw" if is_image else "tree" if (root / path).is_dir() else "blob"
        return f"{repository}/{kind}/{revision}/{path}"

    return rewritten(text, source, page, root)
