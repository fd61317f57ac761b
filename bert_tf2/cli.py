"""What the scripts share: how they start and end, and the flag groups that more than one of them has."""

import argparse
import dataclasses
import difflib
import functools
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from absl import app, flags

from bert_tf2 import json_files
from bert_tf2.errors import InputError, Stopped
from bert_tf2.files import read_lines

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

_NOT_CONFIGURATION = ("config", "print_config")
_PATH_FLAG = re.compile(r".*_(file|dir|checkpoint)|extend|grow_vocab|config")

flags.disclaim_key_flags()  # what is defined here belongs to the script that asks for it, and so into its --help


def run(main: Callable[..., None], takes_arguments: bool = False) -> None:
    """Parses the flags, calls `main` and turns its end into an exit status.

    Args:
      main: the script's work.
      takes_arguments: whether `main` is called with the list of arguments that are none of the script's flags; else
        such arguments are refused.

    A mistake of the user's (`InputError`) or of the system's (`OSError`: a full disk, no permission, ...) is printed as
    one sentence, exit status 1. `--verbosity=1` adds the traceback. A process that was asked to stop and has saved its
    work ends with exit status 75. Anything else is a defect and keeps its traceback.

    Every script has `--config`, a file with values for its flags (those on the command line go before), and
    `--print_config`, which prints such a file and ends.
    """
    flags.DEFINE_string(
        "config", None, "JSON or YAML file with values for flags; what the command line says goes before."
    )
    flags.DEFINE_bool("print_config", False, "Print all flags as JSON, which --config takes, and do nothing else.")

    def checked(arguments: list[str]) -> None:
        if len(arguments) > 1 and not takes_arguments:
            _exit(f"unexpected argument {arguments[1]!r}; flags are written --name=value.")
        if flags.FLAGS.print_config:
            print(json.dumps(_flag_values(), indent=2))
            return
        log_to_stderr(debug=flags.FLAGS.verbosity >= 1)
        try:
            _check_paths()
            main(*([arguments[1:]] if takes_arguments else []))
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

    app.run(checked, flags_parser=functools.partial(_parse, known_only=takes_arguments))


def _out_of_memory() -> str:
    if not any(name.endswith("batch_size") for name in flags.FLAGS):
        return "The memory does not suffice; divide the input, or use a machine with more of it."
    return (
        "The memory does not suffice; give smaller batches or shorter sequences, for training also "
        "--gradient_accumulation_steps or --recompute, or use a smaller model."
    )


def _parse(arguments: list[str], known_only: bool) -> list[str]:
    """Parses flags as absl does, those of the file of `--config` included."""
    try:
        return list(flags.FLAGS([arguments[0], *_from_config_file(arguments), *arguments[1:]], known_only=known_only))
    except flags.Error as error:
        sys.exit(f"ERROR: {_of_flags(str(error))}; --help lists the flags.")
    except InputError as error:
        sys.exit(f"ERROR: {error}")


def _of_flags(message: str) -> str:
    """What absl says of flags, without its prefixes, advice to programmers, and values of any length."""
    message = " ".join(message.split()).partition("; use sys.")[0].rstrip(".")
    if missing := re.fullmatch(r"flag --(\w+)=None: .* must have a value other than None", message):
        return f"--{missing[1]} is missing"
    message = re.sub(r"^flags (\w+=.*?, )*\w+=.*?: (?=Flags )", "", message)
    return re.sub(r"(\S{60})\S{60,}", r"\1...", message)


def _check_paths() -> None:
    """Refuses flags of paths that are given but name nothing, as an unset variable of the shell leaves them."""
    for flag in _key_flags():
        if flag.present and isinstance(flag.value, str) and _PATH_FLAG.fullmatch(flag.name):
            if not flag.value.strip():
                raise InputError(
                    f"--{flag.name} is empty (from a variable that is not set?); give a path, or omit the flag."
                )
            if "\0" in flag.value:
                raise InputError(f"--{flag.name}={flag.value!r} holds a NUL character, which no path has.")


def _from_config_file(arguments: list[str]) -> list[str]:
    """The file of `--config` as arguments, so that its values are checked as those of the command line."""
    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    given.add_argument("--config", "-config", nargs="?")  # without a path, absl says what is missing
    path = given.parse_known_args(arguments[1:])[0].config
    if not path:
        return []
    allowed = {flag.name for flag in _key_flags()}
    found = []
    for name, value in read_config_file(path).items():
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, 1)
            hint = f"did you mean {close[0]}?" if close else f"the flags are {', '.join(sorted(allowed))}."
            raise InputError(f"{path}: there is no flag {name!r}; {hint}")
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if value is not None:
            found.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return found


def read_config_file(path: str) -> dict[str, Any]:
    """The values by flag of a JSON or YAML file, or of what `run_folder.describe` wrote.

    Raises:
      InputError: it cannot be read, or is no mapping from flags to values.
    """
    values = _read_yaml(path) if path.endswith((".yaml", ".yml")) else json_files.read(path)
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and all(map(_is_plain, value if isinstance(value, list) else [value]))
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
    except ValueError as error:  # a date or a number that there is not
        reason = str(error).partition(";")[0]
    raise InputError(f"{path} is not YAML: {reason}.")


def _is_plain(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and not (isinstance(value, str) and "\0" in value))


def _key_flags() -> list[Any]:
    return [flag for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]) if flag.name not in _NOT_CONFIGURATION]


def _flag_values() -> dict[str, Any]:
    return {flag.name: flag.value for flag in _key_flags()}


def _exit(sentence: str) -> None:
    logging.debug("Traceback of the error below:", exc_info=True)
    sys.exit(f"ERROR: {sentence}")


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname}: {text}"


def log_to_stderr(debug: bool = False) -> None:
    """Sends log messages to standard error as plain lines; warnings and errors say so in front."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.DEBUG if debug else logging.INFO)
    # What other libraries say of their own work is not asked for.
    logging.getLogger("tensorflow").setLevel(logging.INFO if debug else logging.WARNING)
    for name in ("h5py", "matplotlib", "PIL"):
        logging.getLogger(name).setLevel(logging.INFO)


def import_tensorflow() -> None:
    """Imports TensorFlow without the lines about the build that it prints on every start.

    They are written by C++ code past Python's `sys.stderr` and no setting silences all of them. What was held back is
    shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # device discovery writes some more
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def define_vocab_flags(required: bool = True) -> None:
    """`--vocab_file` and `--do_lower_case`, as every script of the original has them."""
    flags.DEFINE_string(
        "vocab_file", None, "The vocabulary that the model was or will be trained on.", required=required
    )
    flags.DEFINE_bool(
        "do_lower_case",
        True,
        "Whether to lower-case the text: true for uncased models, false for cased and multilingual cased ones.",
    )


def define_sentencepiece_flags() -> None:
    """`--spm_model_file` and `--spm_alpha`, wherever `--vocab_file` is."""
    flags.DEFINE_string("spm_model_file", None, "A SentencePiece model, instead of vocab_file.")
    flags.DEFINE_float(
        "spm_alpha", 0.0, "Draw the pieces of the SentencePiece model at random: 0.1 is usual, 0 takes the best ones."
    )


def define_bert_flags(required: bool = True) -> None:
    """Model and output folder; `required` is the config, which can also be found beside a checkpoint."""
    flags.DEFINE_string("bert_config_file", None, "JSON file with the sizes of the model.", required=required)
    flags.DEFINE_string(
        "init_checkpoint",
        None,
        "Checkpoint to start from (the original's, or of this project), usually a pre-trained one.",
    )
    flags.DEFINE_string("output_dir", None, "Folder of checkpoints, results and TensorBoard events.", required=True)


def define_training_flags(*, train_batch_size: int, eval_batch_size: int, learning_rate: float) -> None:
    """Batch sizes, learning rate, checkpoints, seed; defaults differ between scripts."""
    flags.DEFINE_integer("train_batch_size", train_batch_size, "Examples in a training step, over all devices.")
    flags.DEFINE_integer("eval_batch_size", eval_batch_size, "Examples in an evaluation batch, over all devices.")
    flags.DEFINE_float("learning_rate", learning_rate, "Highest learning rate of the schedule.")
    flags.DEFINE_integer("save_checkpoints_steps", 1000, "Steps between checkpoints.")
    flags.DEFINE_integer("iterations_per_loop", 1000, "Most steps in one call of the compiled loop.")
    flags.DEFINE_integer("keep_checkpoints", 5, "How many of the latest checkpoints to keep.")
    flags.DEFINE_integer("log_steps", 100, "Steps between TensorBoard events.")
    flags.DEFINE_integer("seed", 12345, "What initial weights, dropout and the order of data follow from.")
    flags.DEFINE_integer(
        "gradient_accumulation_steps", 1, "Compute a batch in so many parts, to save memory; the results are the same."
    )
    flags.DEFINE_integer(
        "max_skipped_steps", 10, "Stop after so many steps in a row whose loss or gradients are not finite."
    )
    flags.DEFINE_string("profile_steps", None, "10,20: profile from step 10 to step 20 for TensorBoard.")
    flags.DEFINE_bool("dry_run", False, "Check all inputs, shapes and paths, and train nothing.")
    flags.DEFINE_enum(
        "optimizer",
        "bert",
        ["bert", "adamw", "lamb", "adafactor"],
        "bert: Adam as BERT was trained with; lamb: for batches of thousands; adafactor: hardly any memory beside the "
        "weights and gradients, its learning_rate is relative to the weights (1e-3 to 1e-2).",
    )
    flags.DEFINE_enum(
        "learning_rate_schedule", "linear", ["linear", "cosine", "constant"], "What follows the linear warm-up."
    )
    flags.DEFINE_float("weight_decay", 0.01, "Of all weights but LayerNorm's and biases.")
    flags.DEFINE_float("layerwise_learning_rate_decay", 1.0, "Each layer's rate is that of the layer above times this.")
    flags.DEFINE_integer("num_frozen_layers", 0, "Do not train the embeddings and so many of the lowest layers.")
    flags.DEFINE_bool("freeze_embeddings", False, "Do not train the embeddings.")
    flags.DEFINE_float("ema_decay", 0.0, "Keep moving averages of the weights and evaluate with them; 0.999 is usual.")


def define_finetuning_flags(*, max_seq_length: int, num_train_epochs: float) -> None:
    """What the fine-tuning scripts share beside model, training, precision and devices; defaults differ."""
    flags.DEFINE_string("spm_model_file", None, "A SentencePiece model, instead of vocab_file.")
    flags.DEFINE_integer("max_seq_length", max_seq_length, "Longest sequence in pieces; longer ones are cut.")
    flags.DEFINE_bool("do_train", False, "Whether to train.")
    flags.DEFINE_bool("do_eval", False, "Whether to evaluate, while and after training if there is any.")
    flags.DEFINE_bool("do_predict", False, "Whether to predict, after training if there is any.")
    flags.DEFINE_integer("predict_batch_size", 8, "Examples in a batch of a prediction, over all devices.")
    flags.DEFINE_float("num_train_epochs", num_train_epochs, "How often each example is learned.")
    flags.DEFINE_float("warmup_proportion", 0.1, "Share of the steps over which the learning rate rises.")
    flags.DEFINE_integer("eval_every_steps", 0, "With do_train and do_eval: steps between evaluations; 0: each epoch.")
    flags.DEFINE_integer(
        "early_stopping_patience", 0, "Stop after so many evaluations without a better one; 0 goes on to the end."
    )
    flags.DEFINE_string(
        "metric_for_best", None, "Which number of the evaluation decides which weights are kept in best/; or loss."
    )
    flags.DEFINE_bool(
        "overwrite_output_dir", False, "Remove what an earlier training left in output_dir, and start anew."
    )
    flags.DEFINE_string("seeds", None, "1,2,3: once with each of these seeds, in output_dir/seed-N, instead of seed.")


def define_precision_flags(training: bool = True) -> None:
    """In what and how the model computes."""
    flags.DEFINE_enum(
        "precision",
        "float32",
        ["float32", "bfloat16", "float16", "auto"],
        "What the model computes in, weights excepted; auto: the fastest of this device.",
    )
    flags.DEFINE_enum("jit", "auto", ["auto", "on", "off"], "Whether XLA compiles the steps; auto: on GPU and TPU.")
    if training:
        flags.DEFINE_bool(
            "recompute", False, "Save memory: compute each layer again for its gradients, a third slower."
        )


def define_distribution_flags() -> None:
    """Devices: the original's TPU flags, and `--distribution_strategy`."""
    flags.DEFINE_string(
        "distribution_strategy",
        "auto",
        "off: one device; mirrored: all GPUs of this machine; multi_worker_mirrored: all machines of TF_CONFIG; tpu; "
        "auto: mirrored if there are several GPUs.",
    )
    flags.DEFINE_bool("use_tpu", False, "Whether to run on a TPU.")
    flags.DEFINE_string("tpu_name", None, "The TPU's name or grpc://ip:8470 address; local on a TPU VM.")
    flags.DEFINE_string("tpu_zone", None, "Cloud zone of the TPU, found from metadata if not given.")
    flags.DEFINE_string("gcp_project", None, "Cloud project of the TPU, found from metadata if not given.")
    flags.DEFINE_string("master", None, "Address of the TPU if tpu_name is not given.")
    flags.DEFINE_integer("num_tpu_cores", 8, "Cores of the TPU; used only with use_tpu.")


def distribution_config() -> Any:
    """The `distribution.DistributionConfig` of `define_distribution_flags`."""
    from bert_tf2.distribution import DistributionConfig

    return from_flags(DistributionConfig)


def optimizer_config() -> Any:
    """The `optimization.OptimizerConfig` of `define_training_flags`."""
    from bert_tf2.optimization import OptimizerConfig

    return from_flags(OptimizerConfig)


def precision_config() -> Any:
    """The `precision.PrecisionConfig` of `define_precision_flags`."""
    from bert_tf2.precision import PrecisionConfig

    return from_flags(PrecisionConfig)


def given(name: str) -> Any:
    """A flag's value where it was given; None, not its default, where it was not."""
    return flags.FLAGS[name].value if flags.FLAGS[name].present else None


def from_flags(config: type[Config], **values: Any) -> Config:
    """A config dataclass with each field from the flag of its name, except those given in `values`."""
    names = [field.name for field in dataclasses.fields(config) if field.name not in values]
    return config(**{name: getattr(flags.FLAGS, name) for name in names}, **values)
