"""Whether a vocabulary is of a cased model, and a warning where text is treated otherwise; no TensorFlow."""

import logging
from collections.abc import Iterable

_logger = logging.getLogger(__name__)

_CASED_SHARE = 0.05  # of pieces with capitals: uncased vocabularies have a few by accident, cased ones a quarter


def share_of_capitals(pieces: Iterable[str]) -> float:
    """The fraction of pieces that lower-cased text never gives; special ones, which begin with `[` or `<`, aside."""
    words = [piece for piece in pieces if not piece.startswith(("[", "<"))]
    return sum(piece != piece.lower() for piece in words) / max(len(words), 1)


def looks_cased(pieces: Iterable[str]) -> bool:
    """Whether so many pieces have capitals that the model has certainly seen text with capitals."""
    return share_of_capitals(pieces) > _CASED_SHARE


def warn_of_case(pieces: Iterable[str], do_lower_case: bool, path: str) -> None:
    """Logs a warning where a vocabulary and `--do_lower_case` do not fit: nothing fails then, results are worse.

    Args:
      pieces: the vocabulary.
      do_lower_case: whether the text is lower-cased.
      path: its file, for the message.
    """
    pieces = list(pieces)
    share = share_of_capitals(pieces)
    if do_lower_case and share > _CASED_SHARE:
        _logger.warning(
            "%.0f %% of the pieces of %s have capital letters, which lower-cased text never has; is it for "
            "--do_lower_case=false?",
            100 * share,
            path,
        )
    elif not do_lower_case and share == 0 and any(piece != piece.upper() for piece in pieces if piece[:1] not in "[<"):
        _logger.warning(
            "No piece of %s has a capital letter, so that words with one become [UNK]; is it for --do_lower_case=true?",
            path,
        )
