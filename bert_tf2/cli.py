"""What all commands share: flags defined by settings, `--config`, `--help`, startup and exit."""

import argparse
import dataclasses
import difflib
import functools
import io
import itertools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from absl import app, flags

from bert_tf2 import __version__
from bert_tf2.configs import help_text
from bert_tf2.configs.fields import GROUPS, Setting, as_flag, flags_of, is_required, type_of
from bert_tf2.errors import InputError, Stopped
from bert_tf2.io import json_files, standard_error, standard_output
from bert_tf2.io.files import read_lines

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

_NOT_CONFIGURATION = ("config", "print_config")
_CONFIGURATION = "Files of flags"  # the last section of --help
_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
# By flag name: the setting, and whether the flag is required.
_SETTINGS: dict[str, tuple[Setting, bool]] = {}
_PATH_FLAG = re.compile(r".*_(file|dir|checkpoint)|extend|grow_vocab|teacher|word_list")

flags.disclaim_key_flags()  # flags defined here count as the calling script's own, so that its --help lists them


class Main(Protocol):
    """The entry point of a command."""

    def __call__(self, arguments: Sequence[str] | None = None, /) -> None:
        """Runs the command.

        Args:
          arguments: the command's name for `--help`, then its flags; `sys.argv` if omitted.
        """


def command(config: type[Config], work: Callable[..., None], takes_arguments_with: str | None = None) -> Main:
    """Makes the entry point of a command, whose flags are the settings of a dataclass.

    Args:
      config: the dataclass.
      work: called with an instance of it. `--help` shows the docstring of its module.
      takes_arguments_with: the name of a flag with which `work` is also called with the list of arguments that are not
        flags of the command.
    """

    def main(arguments: Sequence[str] | None = None, /) -> None:
        argv = sys.argv if arguments is None else arguments
        takes_arguments = False
        if takes_arguments_with is not None:
            flag = re.compile(rf"--?{takes_arguments_with}(=.*)?", re.DOTALL)
            takes_arguments = any(map(flag.fullmatch, argv[1:]))
        define_flags(config)

        @functools.wraps(work)
        def configured(*rest: Any) -> None:
            work(from_flags(config), *rest)

        run(configured, takes_arguments, arguments)

    return main


def run(main: Callable[..., None], takes_arguments: bool = False, arguments: Sequence[str] | None = None) -> None:
    """Parses the flags, calls `main` and turns its end into an exit status.

    Args:
      main: the script's work.
      takes_arguments: whether `main` is called with the list of arguments that are not flags of the script; otherwise
        such arguments are an error.
      arguments: see `Main`.

    A user error (`InputError`) or system error (`OSError`: disk full, permission denied, ...) is printed as one
    sentence with exit status 1, as is a lack of memory; `--verbosity=1` adds the traceback. A process that was asked to
    stop and has saved its work exits with status 75, one that Ctrl-C ended with 130. Anything else is a bug and keeps
    its traceback.

    Every script has `--config`, a file of flag values (overridden by the command line), and `--print_config`, which
    prints such a file and exits.
    """
    about = (sys.modules[main.__module__].__doc__ or sys.argv[0]).strip()
    if arguments is not None:  # examples show the command as it was called
        about = about.replace(f"python {main.__module__.rpartition('.')[2]}.py", arguments[0])
    _define_help(about)
    flags.DEFINE_string("config", None, "JSON or YAML file with flag values; flags on the command line override it.")
    flags.DEFINE_bool("print_config", False, "Print all flags as JSON for --config, and exit.")

    def checked(rest: list[str]) -> None:
        if len(rest) > 1 and not takes_arguments:
            _exit(f"unexpected argument {rest[1]!r}; flags are written --name=value.")
        if flags.FLAGS.print_config:
            standard_output.show(json.dumps(_flag_values(), indent=2))
            return
        log_to_stderr(debug=flags.FLAGS.verbosity >= 1)
        try:
            _check_paths()
            main(*([rest[1:]] if takes_arguments else []))
        except InputError as error:
            _exit(str(error))
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            sys.exit(os.EX_TEMPFAIL)
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            reason = str(error.strerror or error).rstrip(".")
            _exit(f"{error.filename}: {reason}." if error.filename else f"{reason}.")
        except Exception as error:
            if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's
                raise
            _exit(_out_of_memory())

    parser = functools.partial(_parse, known_only=takes_arguments)
    app.run(checked, arguments if arguments is None else list(arguments), flags_parser=parser)


def _out_of_memory() -> str:
    if not any(name.endswith("batch_size") for name in flags.FLAGS):
        return "Out of memory; split the input, or use a machine with more memory."
    return (
        "Out of memory; use smaller batches or shorter sequences, for training also --gradient_accumulation_steps or "
        "--recompute, or use a smaller model."
    )


def _parse(arguments: list[str], known_only: bool) -> list[str]:
    """Parses flags as absl does, those in the `--config` file included; reports all missing flags at once."""
    if "version" in _SETTINGS and _asks_for_version(arguments):
        standard_output.show(_version())
        sys.exit(0)
    try:
        rest = list(flags.FLAGS([arguments[0], *_from_config_file(arguments), *arguments[1:]], known_only=known_only))
    except InputError as error:
        sys.exit(f"ERROR: {error}")
    except (flags.Error, ValueError) as error:  # `--noname=value` is a ValueError of absl's
        sys.exit(f"ERROR: {_about_flag(error)}")
    values = {name: flags.FLAGS[name].value for name in _SETTINGS}
    missing = [
        f"--{name}"
        for name, (setting, required) in _SETTINGS.items()
        if values[name] is None and (setting.needed_if(values) if setting.needed_if else required)
    ]
    if missing:
        listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        sys.exit(f"ERROR: {listed} {'is' if len(missing) == 1 else 'are'} missing; --help lists the flags.")
    return rest


def _about_flag(error: Exception) -> str:
    """A sentence about an invalid flag: it is unknown, or its value is missing or invalid."""
    message = " ".join(str(error).split()).partition("; use sys.")[0].rstrip(".")
    if isinstance(error, flags.UnrecognizedFlagError):
        own = _own_flags()
        names = (flag.name for flag in own), (f"no{flag.name}" for flag in own if flag.boolean)
        return _unknown_flag(error.flagname, itertools.chain(*names))
    if missing := re.fullmatch(r"Missing value for flag -*(.*)", message):
        return f"--{missing[1]} has no value; write --{missing[1]}=VALUE."
    if negated := re.fullmatch(r"-*no(.*)=.* does not take an argument", message):
        return f"--no{negated[1]} takes no value; write --no{negated[1]}, or --{negated[1]}=false."
    flag = re.match(r"flag --(\w+)=", message)
    if not isinstance(error, flags.IllegalFlagValueError) or not flag or flag[1] not in flags.FLAGS:
        return f"{_truncated(message)}; --help lists the flags."
    assignment = str(error).removeprefix("flag ").removesuffix(f": {error.__context__}")
    return f"{_truncated(' '.join(assignment.split()))}; it must be {_allowed_values(flags.FLAGS[flag[1]])}."


def _truncated(text: str) -> str:
    return re.sub(r"(\S{60})\S{60,}", r"\1...", text)


def _allowed_values(flag: Any) -> str:
    """The allowed values of a flag, to complete "it must be ..."."""
    if isinstance(flag.parser, flags.EnumParser):
        return f"one of {', '.join(flag.parser.enum_values)}"
    kinds = {"bool": "true or false", "int": "a whole number", "float": "a number"}
    return kinds.get(flag.flag_type(), f"of the type {flag.flag_type()}")


def _unknown_flag(name: str, known: Iterable[str]) -> str:
    """A sentence about an unknown flag on the command line or in the `--config` file."""
    close = difflib.get_close_matches(name, list(known), 1, cutoff=0.7)
    hint = f"did you mean --{close[0]}?" if close else "--help lists the flags."
    return f"there is no flag --{_truncated(name)}; {hint}"


def _asks_for_version(arguments: Sequence[str]) -> bool:
    """Whether `--version` is given without a value, to a command that has a setting of this name."""
    after = dict(zip(arguments, [*arguments[1:], "-"], strict=True))
    return any(after.get(name, "").startswith("-") for name in ("--version", "-version"))


def _version() -> str:
    return f"bert-tf2 {__version__}"


def _check_paths() -> None:
    """Checks the values of the path flags."""
    for flag in _key_flags():
        if flag.present and isinstance(flag.value, str) and _PATH_FLAG.fullmatch(flag.name):
            _check_path(flag.name, flag.value)


def _check_path(name: str, path: str) -> None:
    """Rejects an empty path, as an unset shell variable leaves it, and impossible ones."""
    if not path.strip():
        raise InputError(f"--{name} is empty (from an unset variable?); give a path, or omit the flag.")
    if "\0" in path:
        raise InputError(f"--{name}={path!r} contains a NUL character, which no path can contain.")


def _from_config_file(arguments: list[str]) -> list[str]:
    """The `--config` file as arguments, so that its values are checked like those on the command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", "-config", nargs="?")  # absl reports a missing path
    path = parser.parse_known_args(arguments[1:])[0].config
    if path is None:
        return []
    _check_path("config", path)
    allowed = [flag.name for flag in _key_flags()]
    assignments = []
    for name, value in read_config_file(path).items():
        if name not in allowed:
            raise InputError(f"{path}: {_unknown_flag(name, allowed)}")
        values = value if isinstance(value, list) else [value]
        if any(isinstance(each, bool) for each in values) and not flags.FLAGS[name].boolean:
            raise InputError(
                f"{path}: --{name} is not a true-or-false flag, so its value cannot be {json.dumps(value):.60}; put a "
                "text such as yes into quotes."
            )
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if value is not None:
            assignments.append(as_flag(name, value))
    return assignments


def read_config_file(path: str) -> dict[str, Any]:
    """The flag values in a JSON or YAML file, or in a file that `run_dir.describe` wrote.

    Raises:
      InputError: the file cannot be read, or does not map flags to values.
    """
    values = _read_yaml(path) if path.endswith((".yaml", ".yml")) else json_files.read(path)
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and all(map(_is_flag_value, value if isinstance(value, list) else [value]))
        for name, value in values.items()
    ):
        raise InputError(
            f'{path} does not map flags to values; an object like {{"train_batch_size": 32}} was expected.'
        )
    return values


def _read_yaml(path: str) -> Any:
    import yaml

    try:
        return yaml.safe_load("\n".join(read_lines(path)))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
    except RecursionError:
        reason = "it is nested too deeply"
    except InputError:
        raise
    except ValueError as error:  # an impossible date or number
        reason = str(error).partition(";")[0]
    raise InputError(f"{path} is not YAML: {reason}.")


def _is_flag_value(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and not (isinstance(value, str) and "\0" in value))


def _key_flags() -> list[Any]:
    return [flag for flag in _own_flags() if flag.name not in _NOT_CONFIGURATION]


def _own_flags() -> list[Any]:
    """The script's flags: those of its settings, others that it defines, and those of all scripts."""
    defined = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
    return [flags.FLAGS[name] for name in dict.fromkeys((*_SETTINGS, *defined, *_NOT_CONFIGURATION))]


class _PrintingFlag(flags.BooleanFlag):
    """A flag that prints something and exits with status 0, unlike absl's own."""

    def __init__(self, name: str, text: Callable[[], str], short_name: str | None = None) -> None:
        super().__init__(name, False, f"show {name} and exit", short_name=short_name, allow_override=True)
        self._text = text

    def parse(self, argument: Any) -> None:
        super().parse(argument)
        if self.value:
            standard_output.show(self._text())
            sys.exit(0)


def _define_help(about: str) -> None:
    """Defines `--help` and its variants: the sections of `GROUPS`, in each the original's flags first."""

    def command_help() -> str:
        shown = list(map(_help_entry, _own_flags()))
        return help_text.render(about, shown, (*GROUPS, _CONFIGURATION), help_text.width())

    app.define_help_flags()
    for flag in (
        _PrintingFlag("help", command_help, "h"),
        _PrintingFlag("helpshort", command_help, "?"),
        _PrintingFlag("helpfull", lambda: f"{about}\n\nflags:\n{flags.FLAGS.get_help()}"),
        _PrintingFlag("helpxml", _help_in_xml),
        _PrintingFlag("version", _version),
    ):
        if flag.name not in _SETTINGS:  # export_model.py has its own --version
            flags.FLAGS[flag.name] = flag


def _help_in_xml() -> str:
    text = io.StringIO()
    flags.FLAGS.write_help_in_xml_format(text)
    return text.getvalue()


def _help_entry(flag: Any) -> help_text.Flag:
    """A flag as `--help` describes it."""
    is_configuration = flag.name in _NOT_CONFIGURATION
    setting, is_required = _SETTINGS.get(flag.name, (Setting(help=flag.help), False))
    default = None if flag.default is None or is_configuration else flag.default_as_str.strip("'")
    return help_text.Flag(
        name=flag.name,
        help=setting.help,
        group=_CONFIGURATION if is_configuration else setting.group,
        is_boolean=flag.boolean,
        choices=setting.choices,
        default="false" if is_configuration and flag.boolean else default,
        is_required=is_required,
        is_original=setting.original,
    )


def _flag_values() -> dict[str, Any]:
    """The values of all flags for JSON; None for an omitted flag whose default is not the one shown by `--help`."""
    values = {
        flag.name: None if not flag.present and _setting(flag.name).flag_default is not ... else flag.value
        for flag in _key_flags()
    }
    return json_files.plain(values)


def _setting(name: str) -> Setting:
    return _SETTINGS[name][0] if name in _SETTINGS else Setting()


def _exit(sentence: str) -> None:
    logging.debug("Traceback of the error below:", exc_info=True)
    sys.exit(f"ERROR: {sentence}")


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname}: {text}"


def log_to_stderr(debug: bool = False) -> None:
    """Sends log messages to standard error as plain lines, prefixed with the level unless it is INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainFormatter())
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.DEBUG if debug else logging.INFO)
    # Routine messages of other libraries would only distract.
    for name in ("tensorflow", "httpx", "httpx2", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.WARNING)
    for name in ("h5py", "matplotlib", "PIL"):
        logging.getLogger(name).setLevel(logging.INFO)


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines about the build that it prints on every start.

    They are written by C++ code that bypasses Python's `sys.stderr`, and no setting silences all of them. If the import
    fails, the suppressed lines are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with standard_error.held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()  # device discovery prints more of them


def define_flags(config: type) -> None:
    """Defines a flag for each setting of a dataclass, including those of nested dataclasses."""
    for field, setting in flags_of(config):
        default = field.default if setting.flag_default is ... else setting.flag_default
        required = is_required(field)
        default = None if required else default
        if setting.choices:
            flags.DEFINE_enum(field.name, default, setting.choices, setting.help)
        else:
            _DEFINE[type_of(field)](field.name, default, setting.help)
        _SETTINGS[field.name] = setting, required


def from_flags(config: type[Config]) -> Config:
    """A dataclass of settings: the values of the flags that are given, the fields' defaults for the others."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(field.type):
            values[field.name] = from_flags(cast(Any, field.type))
        elif flags.FLAGS[field.name].present:
            values[field.name] = flags.FLAGS[field.name].value
    return config(**values)
