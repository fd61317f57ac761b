"""What the scripts share: how they start and end, and the flag groups that more than one of them has."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable

from absl import app, flags

from bert_tf2.errors import InputError


def run(main: Callable[[], None]) -> None:
    """Parses the flags, calls `main` and turns its end into an exit status.

    A mistake of the user's (`InputError`) or of the system's (`OSError`: a full disk, no permission, ...) is printed as
    one sentence, exit status 1. `--verbosity=1` adds the traceback. Anything else is a defect and keeps its traceback.
    """

    def checked(arguments: list[str]) -> None:
        if len(arguments) > 1:
            _exit(f"unexpected argument {arguments[1]!r}; flags are written --name=value.")
        log_to_stderr(debug=flags.FLAGS.verbosity >= 1)
        try:
            main()
        except InputError as error:
            _exit(str(error))
        except OSError as error:
            _exit(f"{error.filename or 'The system'}: {error.strerror or error}.")

    app.run(checked)


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
