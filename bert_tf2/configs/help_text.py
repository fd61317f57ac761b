"""The text of `--help`: what a command is for, examples, the flags in them, then all other flags by section."""

import dataclasses
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence

COMMON = "Common flags"
_NARROWEST, _WIDEST, _WIDTH = 40, 100, 80
_NAMES = 30  # width of the column of names
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9_]*)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag as `--help` describes it.

    Attributes:
      name: without dashes.
      help: sentences.
      group: its section.
      is_boolean: whether `--name` alone means true.
      choices: the allowed strings.
      default: as a string; None if there is none.
      is_required: whether it must be given.
      is_original: whether the original has it.
    """

    name: str
    help: str
    group: str
    is_boolean: bool = False
    choices: Sequence[str] = ()
    default: str | None = None
    is_required: bool = False
    is_original: bool = False

    def text(self, width: int) -> str:
        """The name and, next to or below it, what it means."""
        can_be_off = self.is_boolean and self.default != "false"
        label = f"  --{'[no]' * can_be_off}{self.name}"
        remarks = ["required"] * self.is_required
        if self.choices:
            remarks.append(f"one of {', '.join(self.choices)}")
        if self.default is not None and not (self.is_boolean and self.default == "false"):
            remarks.append(f"default: {self.default or repr('')}")
        meaning = f"{self.help} ({'; '.join(remarks)})" if remarks else self.help
        return row(label, meaning, width)


def width() -> int:
    """Columns of a help text: those of the terminal, at most 100; 80 if there is no terminal."""
    columns = shutil.get_terminal_size((_WIDTH, 24)).columns
    return min(_WIDEST, max(_NARROWEST, columns))


def row(label: str, meaning: str, width: int, names: int = _NAMES) -> str:
    """A label and, next to or below it, its meaning: lines of at most `width` columns if no word is longer.

    Args:
      label: with its indentation.
      meaning: sentences.
      width: columns.
      names: columns of the labels.
    """
    names = min(names, max(12, width // 2 - 8))
    first = label.ljust(names) if len(label) <= names - 2 else f"{label}\n{' ' * names}"
    return first + wrap(meaning, width, " " * names).lstrip(" ")


def wrap(paragraph: str, width: int, indent: str = "") -> str:
    """A paragraph in lines of at most `width` columns; paths, lists of numbers and flags are not split."""
    return textwrap.fill(
        paragraph,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def render(about: str, flags: Sequence[Flag], groups: Sequence[str], width: int) -> str:
    """The complete text.

    Args:
      about: what the command does, in paragraphs; indented ones are examples. The required flags are listed first, then
        those of the examples, in their order.
      flags: all flags, in the order of their definition. Within a section, those of the original come first.
      groups: the sections, in order.
      width: columns; examples are printed as they are.
    """
    named = _FLAG.findall("\n".join(examples(about)))
    by_name = {flag.name: flag for flag in flags}
    required = [flag.name for flag in flags if flag.is_required]
    common = [by_name[name] for name in dict.fromkeys((*required, *named)) if name in by_name]
    others = [flag for flag in flags if flag not in common]
    sections = [(COMMON, common)]
    for group in groups:
        members = [flag for flag in others if flag.group == group]
        sections.append((group, sorted(members, key=lambda flag: not flag.is_original)))
    shown = [
        f"{title}:\n" + "".join(f"{flag.text(width)}\n" for flag in members) for title, members in sections if members
    ]
    return "\n".join([*_paragraphs(about, width), "", *shown, _about_help(width)])


def examples(about: str) -> Iterator[str]:
    """The paragraphs of a text that are indented."""
    return (paragraph for paragraph in about.split("\n\n") if paragraph.startswith(" "))


def _paragraphs(about: str, width: int) -> Iterator[str]:
    for number, paragraph in enumerate(about.split("\n\n")):
        if number:
            yield ""
        yield paragraph if paragraph.startswith(" ") else wrap(" ".join(paragraph.split()), width)


def _about_help(width: int) -> str:
    rows = (
        ("  --help, -h", "Print this text and exit."),
        ("  --helpfull", "Print all flags, including those of libraries, and exit."),
        ("  --version", "Print the version and exit."),
        ("  --verbosity=1", "Log more, including tracebacks of errors."),
    )
    usage = "Flags are written --name=value; true-or-false flags are switched on by --name and off by --noname."
    return "Help:\n" + "".join(f"{row(*entry, width)}\n" for entry in rows) + "\n" + wrap(usage, width)
