"""Whether a vocabulary or a released checkpoint is cased, and warnings about a mismatch with the text."""

import logging
import os
import re
from collections.abc import Iterable

from bert_tf2.errors import InputError

_logger = logging.getLogger(__name__)

_CASED_FRACTION = 0.05  # of pieces with capitals: uncased vocabularies have a few by accident, cased ones a quarter


def fraction_with_capitals(pieces: Iterable[str]) -> float:
    """The fraction of pieces with capitals, not counting special ones, which begin with `[` or `<`."""
    words = [piece for piece in pieces if not piece.startswith(("[", "<"))]
    return sum(piece != piece.lower() for piece in words) / max(len(words), 1)


def looks_cased(pieces: Iterable[str]) -> bool:
    """Whether so many pieces have capitals that the model has certainly seen text with capitals."""
    return fraction_with_capitals(pieces) > _CASED_FRACTION


def warn_about_case(pieces: Iterable[str], do_lower_case: bool, path: str) -> None:
    """Warns if a vocabulary and `--do_lower_case` do not match, which otherwise shows only in worse results.

    Args:
      pieces: the vocabulary.
      do_lower_case: whether the text is lower-cased.
      path: the vocabulary's file, for the message.
    """
    pieces = list(pieces)
    fraction = fraction_with_capitals(pieces)
    if do_lower_case and fraction > _CASED_FRACTION:
        _logger.warning(
            "%.0f %% of the pieces of %s have capital letters, which lower-cased text never has; is it for "
            "--do_lower_case=false?",
            100 * fraction,
            path,
        )
    elif (
        not do_lower_case and fraction == 0 and any(piece != piece.upper() for piece in pieces if piece[:1] not in "[<")
    ):
        _logger.warning(
            "No piece of %s has a capital letter, so words with one become [UNK]; should it be --do_lower_case=true?",
            path,
        )


# Names of the directories of Google's released models. Those with 2 to 12 layers are the small models of 2020.

_LOWER_CASE_MODEL = re.compile(
    r"(wwm_)?uncased_L-24_H-1024_A-16|(multilingual|chinese)_L-12_H-768_A-12"
    r"|uncased_L-(2|4|6|8|10|12)_H-(128|256|512|768)_A-\d+"
)
_CASED_MODEL = re.compile(r"(wwm_)?cased_L-24_H-1024_A-16|(multi_)?cased_L-12_H-768_A-12")
# "uncased" or "cased" inside a longer name, but not the end of a word as in "lowercased".
_CASE_WORD = re.compile(r"uncased|(?<![a-z])cased", re.IGNORECASE)


def validate_case_matches_checkpoint(do_lower_case: bool, init_checkpoint: str | os.PathLike[str] | None) -> None:
    """Checks that the case of the text matches the checkpoint's training, judging by the checkpoint's path.

    `<directory>/bert_model.ckpt` with the name of one of Google's released models is certain. Otherwise the last name
    in the path that is one of these, or contains "cased" or "uncased", is a hint, and a mismatch only logs a warning.

    Args:
      do_lower_case: the flag `--do_lower_case`.
      init_checkpoint: the flag `--init_checkpoint`; nothing is checked if it is empty.

    Raises:
      InputError: the checkpoint was certainly trained on text of the other case.
    """
    path = os.fspath(init_checkpoint or "")
    release = re.search(r"([A-Za-z0-9_-]+)/bert_model\.ckpt", path)
    if release and _is_release(release[1]):
        if _trained_lower_case(release[1]) != do_lower_case:
            raise InputError(
                f"--do_lower_case={do_lower_case} does not fit --init_checkpoint={path}: {release[1]} was trained on "
                f"{_kind(not do_lower_case)} text. Pass --do_lower_case={not do_lower_case}; if this is a model of "
                "your own, give its directory another name."
            )
        return
    for name in reversed(re.split(r"[/\\]", path)):
        lower_case = _trained_lower_case(name)
        if lower_case is None:
            continue
        if lower_case != do_lower_case:
            _logger.warning(
                "--do_lower_case=%s, but by the name %s the checkpoint %s was trained on %s text. If so, pass "
                "--do_lower_case=%s: with the wrong case a model runs, but scores worse.",
                do_lower_case,
                name,
                path,
                _kind(lower_case),
                lower_case,
            )
        return


def _is_release(name: str) -> bool:
    return bool(_LOWER_CASE_MODEL.fullmatch(name) or _CASED_MODEL.fullmatch(name))


def _trained_lower_case(name: str) -> bool | None:
    """Whether the model of this name was trained on lower-cased text; None if the name does not say."""
    if _LOWER_CASE_MODEL.fullmatch(name):
        return True
    words = {word.lower() for word in _CASE_WORD.findall(name)}
    return words == {"uncased"} if len(words) == 1 else None


def _kind(lower_case: bool) -> str:
    return "lower-cased" if lower_case else "cased"
