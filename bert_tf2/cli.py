"""What the scripts share: how they start and end, and the flag groups that more than one of them has."""

import dataclasses
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from absl import app, flags

from bert_tf2.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

flags.disclaim_key_flags()  # what is defined here belongs to the script that asks for it, and so into its --help


def run(main: Callable[..., None], takes_arguments: bool = False) -> None:
    """Parses the flags, calls `main` and turns its end into an exit status.

    Args:
      main: the script's work.
      takes_arguments: whether `main` is called with the list of arguments that are none of the script's flags; else
        such arguments are refused.

    A mistake of the user's (`InputError`) or of the system's (`OSError`: a full disk, no permission, ...) is printed as
    one sentence, exit status 1. `--verbosity=1` adds the traceback. Anything else is a defect and keeps its traceback.
    """

    def checked(arguments: list[str]) -> None:
        if len(arguments) > 1 and not takes_arguments:
            _exit(f"unexpected argument {arguments[1]!r}; flags are written --name=value.")
        log_to_stderr(debug=flags.FLAGS.verbosity >= 1)
        try:
            main(*([arguments[1:]] if takes_arguments else []))
        except InputError as error:
            _exit(str(error))
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            _exit(f"{error.filename}: {error.strerror}." if error.filename else str(error))

    if takes_arguments:
        app.run(checked, flags_parser=_parse_known)
    else:
        app.run(checked)


def _parse_known(arguments: list[str]) -> list[str]:
    try:
        return list(flags.FLAGS(arguments, known_only=True))
    except flags.Error as error:
        sys.exit(f"FATAL Flags parsing error: {error}\nPass --helpshort or --helpfull to see help on flags.")


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
    if debug:  # other libraries' debugging output is not asked for
        for name in ("h5py", "matplotlib", "PIL", "tensorflow"):
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


def define_bert_flags() -> None:
    """Model and output folder."""
    flags.DEFINE_string("bert_config_file", None, "JSON file with the sizes of the model.", required=True)
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
    flags.DEFINE_integer("log_steps", 100, "Steps between TensorBoard events.")
    flags.DEFINE_integer("seed", 12345, "What initial weights, dropout and the order of data follow from.")


def define_distribution_flags() -> None:
    """Devices: the original's TPU flags, and `--distribution_strategy`."""
    flags.DEFINE_string(
        "distribution_strategy",
        "auto",
        "off: one device; mirrored: all GPUs of this machine; auto: mirrored if several.",
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

    return from_flags(DistributionConfig, strategy=flags.FLAGS.distribution_strategy)


def from_flags(config: type[Config], **values: Any) -> Config:
    """A config dataclass with each field from the flag of its name, except those given in `values`."""
    names = [field.name for field in dataclasses.fields(config) if field.name not in values]
    return config(**{name: getattr(flags.FLAGS, name) for name in names}, **values)
