"""The two exceptions that are no defects: a mistake in what the user gave, and a wish to stop."""


class InputError(ValueError):
    """Bad input: a file, flag or value that the user can correct.

    The message is one clear sentence: what was found, where, what was expected, what to do. The scripts print it
    without a traceback and exit with status 1; any other exception is a defect of this project and keeps its traceback.
    """


class Stopped(Exception):
    """SIGTERM or Ctrl-C: the work is saved; the message says how to go on. The scripts exit with status 75."""
