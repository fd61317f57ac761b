"""Pages of the site about the commands and their flags."""

import dataclasses
import importlib
import inspect
from collections.abc import Iterator

from bert_tf2.__main__ import COMMANDS
from bert_tf2.configs.fields import GROUPS, Setting, flags_of, is_required, type_of


def config_of(script: str) -> type:
    """The dataclass whose fields are the flags of a command.

    Args:
      script: the name of the module in `bert_tf2.commands`, for example `run_squad`.
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
    note = f"In a clone, `python {script}.py` is the same command."
    parts = [f"# bert-tf2 {name}", about, rest.strip("\n"), f"{note} {_MARK} marks flags of google-research/bert."]
    for group in GROUPS:
        rows = [_row(field, setting) for field, setting in flags if setting.group == group]
        if rows:
            parts += [f"## {group}", "\n".join(["| flag | default | |", "|---|---|---|", *rows])]
    parts.append("`--config=FILE` reads flags from YAML or JSON, `--print_config` prints such a file.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(field: "dataclasses.Field[object]", setting: Setting) -> str:
    """The row of a flag in its table."""
    default = field.default if setting.flag_default is ... else setting.flag_default
    shown = "required" if is_required(field) else "" if default in (None, "") else f"`{_text(default)}`"
    kind = " ".join(f"`{choice}`" for choice in setting.choices) if setting.choices else _KINDS[type_of(field)]
    mark = _MARK if setting.original else ""
    about = " ".join(filter(None, (_escape(setting.help), f"({kind})" if kind else "", mark)))
    return f"| `--{field.name}` | {shown} | {about} |"


_MARK = "†"
_KINDS = {bool: "", int: "whole number", float: "number", str: ""}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("|", "\\|")


def _escape(text: str) -> str:
    for character in ("\\", "|", "*", "<", "{", "["):
        text = text.replace(character, f"\\{character}")
    return text
