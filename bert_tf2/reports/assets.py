"""What HTML pages are made of: style sheets and scripts, and their hashes for a content security policy."""

import base64
import hashlib
from importlib import resources


def template(name: str) -> str:
    """A file of `templates`."""
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


def style(own: str) -> str:
    """The style of a page: what all pages share (colours, light and dark, and fonts), then its own."""
    return template("base.css") + own


def source(content: str) -> str:
    """The content of a `<script>` or `<style>` as a source in a policy: `'sha256-...'`."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
