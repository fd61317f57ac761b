"""The exceptions that are not bugs: invalid user input, and a request to stop; helpers for messages."""

from collections.abc import Iterable

MOST_NAMED = 20
"""Messages list at most this many labels, tags and the like."""


class InputError(ValueError):
    """Bad input: a file, flag or value that the user can correct.

    The message is one clear sentence: what was found, where, what was expected, what to do. The scripts print it
    without a traceback and exit with status 1, as they do for `OSError` and a lack of memory; any other exception is a
    bug in this project and keeps its traceback.

    Examples:
      >>> from bert_tf2 import BertConfig, InputError
      >>> try:
      ...     BertConfig(100, hidden_size=10, num_attention_heads=3)
      ... except InputError as error:
      ...     print(error)
      BERT config: hidden_size 10 is not a multiple of num_attention_heads 3; ...
    """


class Diverged(InputError):
    """Loss, outputs or scores of a model are not numbers; the user can correct that with other flags or weights."""


class Stopped(Exception):
    """SIGTERM or Ctrl-C: the work is saved; the message says how to continue. The scripts exit with status 75."""


def some(names: Iterable[str], most: int = 4) -> str:
    """The first few names, for a message: `a, b and 3 more`."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def proportion(count: int, total: int, what: str) -> str:
    """A count of a total above 0, with the percentage, for a message: `28 of 64 rows (44 %)`; `what` is singular."""
    return f"{count:,} of {counted(total, what)} ({float(f'{100 * count / total:.2g}'):g} %)"


def counted(count: float, what: str) -> str:
    """A count with its noun, for a message: `1 row`, `2,000 rows`, `1.5 epochs`; `what` is a singular noun."""
    number = f"{count:g}" if isinstance(count, float) else f"{count:,}"
    return f"{number} {inflected(count, what, plural_of(what))}"


def inflected(count: float, singular: str, plural: str) -> str:
    """The word that agrees with a count, for a message: `was` or `were`."""
    return singular if count == 1 else plural


def plural_of(noun: str) -> str:
    """The plural of a regular noun: `rows`, `batches`."""
    return f"{noun}{'es' if noun.endswith(('tch', 's', 'x')) else 's'}"
