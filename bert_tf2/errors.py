"""The exceptions that are not defects: a mistake in what the user gave, and a wish to stop."""

from collections.abc import Iterable

MOST_NAMED = 20
"""Longer lists of labels, tags and the like are not written out in messages."""


class InputError(ValueError):
    """Bad input: a file, flag or value that the user can correct.

    The message is one clear sentence: what was found, where, what was expected, what to do. The scripts print it
    without a traceback and exit with status 1; any other exception is a defect of this project and keeps its traceback.
    """


class Diverged(InputError):
    """A training whose loss is not finite any more; the user can correct that by other flags."""


class Stopped(Exception):
    """SIGTERM or Ctrl-C: the work is saved; the message says how to go on. The scripts exit with status 75."""


def some(names: Iterable[str], most: int = 4) -> str:
    """The first few of the names for a message: `a, b and 3 more`."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(count: int, what: str) -> str:
    """A number and what it counts, for a message: `1 row`, `2,000 rows`."""
    return f"{count:,} {what}{'s' * (count != 1)}"
