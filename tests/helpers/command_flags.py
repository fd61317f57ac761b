"""The flags that a command defines."""

import json
import subprocess
import sys
from typing import Any, NamedTuple

from helpers.repository import REPOSITORY

_PROGRAM = """
import contextlib, io, json
from absl import flags
from bert_tf2.commands.{0} import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["x", "--help"])
own = flags.FLAGS.flags_by_module_dict()["-c"]
print(json.dumps([[f.name, f.default, f.boolean, getattr(f.parser, "enum_values", [])] for f in own]))
"""


class Flag(NamedTuple):
    """A flag as absl defines it."""

    default: Any
    is_boolean: bool
    choices: list[str]


def flags_of(script: str) -> dict[str, Flag]:
    """The flags of a command by name, including `--config` and `--print_config`.

    Args:
      script: the module in `bert_tf2.commands`, for example "run_squad".
    """
    command = [sys.executable, "-c", _PROGRAM.format(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return {name: Flag(*flag) for name, *flag in json.loads(done.stdout)}


def defaults_of(script: str) -> dict[str, Any]:
    """The default of each flag of a command by name."""
    return {name: flag.default for name, flag in flags_of(script).items()}
