"""MkDocs hooks that create pages from files outside `docs/`, so that their content is not duplicated.

The README is the first page, and the other Markdown files of the root are pages, too. Each command has a page with its
flags, created from its config. Links lead to these pages, or to copies of the files.
"""

import posixpath
from pathlib import Path

import command_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from repository_links import ROOT, rewritten

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code_of_conduct.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Paths in the repository -> pages of the site; files in `docs/` keep their names."""

_LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml", ".csv": "text", "": "text"}
"""The language for highlighting, by extension, of files that are shown as a page; other files are copied."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replaces `commands` in the navigation by the pages of the commands."""
    pages = [f"commands/{name}.md" for name, _ in command_pages.pages()]

    def with_pages(item: object) -> object:
        if isinstance(item, list):
            return [with_pages(child) for child in item]
        if isinstance(item, dict):
            return {title: with_pages(child) for title, child in item.items()}
        return pages if item == "commands" else item

    config.nav = [with_pages(item) for item in config.nav or ()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages, and the files that they link to."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text(encoding="utf-8")))
    for name, text in command_pages.pages():
        files.append(File.generated(config, f"commands/{name}.md", content=text))
    for file in list(files.documentation_pages()):
        rewritten(file.content_string, _source(file.src_uri), lambda path: _add(path, files, config))
    return files


def on_page_markdown(markdown: str, /, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replaces the links of a page by links within the site."""
    uri = page.file.src_uri
    return rewritten(markdown, _source(uri), lambda path: posixpath.relpath(_uri(path), posixpath.dirname(uri) or "."))


def _source(uri: str) -> str:
    """The path in the repository of the source of a page."""
    return {page: path for path, page in PAGES.items()}.get(uri, f"docs/{uri}")


def _uri(path: str) -> str:
    """The path in the site of the page or copy of a path in the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"files/{path}/index.md"
    return f"files/{path}.md" if _language(path) else f"files/{path}"


def _language(path: str) -> str | None:
    """The language for highlighting a file; None if it is not shown, but copied."""
    return "dockerfile" if path == "Dockerfile" else _LANGUAGES.get(Path(path).suffix)


def _add(path: str, files: Files, config: MkDocsConfig) -> None:
    """Adds the page or the copy of a file that a page links to."""
    uri, source = _uri(path), ROOT / path
    if uri in files.src_uris:
        return
    if source.is_dir():
        names = sorted(child.name for child in source.iterdir() if child.is_file())
        for name in names:
            _add(f"{path}/{name}", files, config)
        links = (f"- [{name}]({posixpath.relpath(_uri(f'{path}/{name}'), posixpath.dirname(uri))})" for name in names)
        content = "\n".join([f"# {path}/", "", *links])
    elif language := _language(path):
        content = f"# {path}\n\n~~~~{language}\n{source.read_text(encoding='utf-8')}\n~~~~\n"
    else:
        files.append(File.generated(config, uri, abs_src_path=str(source)))
        return
    files.append(File.generated(config, uri, content=f"---\nsearch:\n  exclude: true\n---\n\n{content}"))
