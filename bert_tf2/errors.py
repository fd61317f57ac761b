"""The one exception that stands for a mistake in what the user gave."""


class InputError(ValueError):
    """Bad input: a file, flag or value that the user can correct.

    The message is one clear sentence: what was found, where, what was expected, what to do. The scripts print it
    without a traceback and exit with status 1; any other exception is a defect of this project and keeps its traceback.
    """
