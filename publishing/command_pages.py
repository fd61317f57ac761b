"""The commands and their flags, as pages of the site."""

import dataclasses
import importlib
import inspect
from collections.abc import Iterator

from bert_tf2.__main__ import COMMANDS
from bert_tf2.configs.fields import GROUPS, Setting, flags_of, is_required, type_of


def config_of(script: str) -> type:
    """The dataclass whose fields are the flags of a command.

    Args:
      script: the module in `bert_tf2.commands`, for example `run_squad`.
    """
    module = importlib.import_module(f"bert_tf2.commands.{script}")
    classes = (value for value in vars(module).values() if isinstance(value, type))
    (config,) = filter(dataclasses.is_dataclass, classes)
    return config


def pages() -> Iterator[tuple[str, str]]:
    """The name and the Markdown text of each command's page."""
    for name, (script, _) in COMMANDS.items():
        yield name, page(name, script)


def page(name: str, script: str) -> str:
    """The page of a command: its description, and a table of flags for each section of its `--help`."""
    module = importlib.import_module(f"bert_tf2.commands.{script}")
    about, _, rest = (inspect.getdoc(module) or "").partition("\n")
    flags = list(flags_of(config_of(script)))
    same = f"In a clone, `python {script}.py` is the same command."
    parts = [f"# bert-tf2 {name}", about, rest.strip("\n"), f"{same} {_MARK} marks flags of google-research/bert."]
    for group in GROUPS:
        rows = [_row(field, said) for field, said in flags if said.group == group]
        if rows:
            parts += [f"## {group}", "\n".join(["| flag | default | |", "|---|---|---|", *rows])]
    parts.append("`--config=FILE` reads flags from YAML or JSON, `--print_config` prints such a file.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(field: "dataclasses.Field[object]", said: Setting) -> str:
    default = field.default if said.flag_default is ... else said.flag_default
    shown = "required" if is_required(field) else "" if default in (None, "") else f"`{_text(default)}`"
    kind = " ".join(f"`{choice}`" for choice in said.choices) if said.choices else _KINDS[type_of(field)]
    about = " ".join(filter(None, (_escaped(said.help), f"({kind})" if kind else "", _MARK if said.original else "")))
    return f"| `--{field.name}` | {shown} | {about} |"


_MARK = "†"
_KINDS = {bool: "", int: "whole number", float: "number", str: ""}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("|", "\\|")


def _escaped(text: str) -> str:
    for character in ("\\", "|", "*", "<", "{", "["):
        text = text.replace(character, f"\\{character}")
    return text
