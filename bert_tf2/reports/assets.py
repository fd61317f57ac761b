"""The style sheets and scripts of HTML pages, and their hashes for a content security policy."""

import base64
import hashlib
from importlib import resources


def template(name: str) -> str:
    """The content of a file in `templates`."""
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


def style(own: str) -> str:
    """The style of a page: that of all pages (fonts, and colours for light and dark themes), followed by its own."""
    return template("base.css") + own


def source(content: str) -> str:
    """The source expression of a content security policy for a `<script>` or `<style>`: `'sha256-...'`."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
