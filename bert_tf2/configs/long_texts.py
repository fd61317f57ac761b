"""What becomes of texts that are longer than the model: which part it reads, or all in windows; no TensorFlow."""

from typing import Any, Final, Literal

from bert_tf2.configs.fields import TASK, setting
from bert_tf2.errors import InputError

LongText = Literal["truncate_tail", "truncate_head", "head_tail", "windows"]
TRUNCATE_TAIL: Final = "truncate_tail"
TRUNCATE_HEAD: Final = "truncate_head"
HEAD_TAIL: Final = "head_tail"
WINDOWS: Final = "windows"
LONG_TEXTS: tuple[LongText, ...] = (TRUNCATE_TAIL, TRUNCATE_HEAD, HEAD_TAIL, WINDOWS)
"""The end of a text is dropped, or its beginning, or what is between both; or nothing is, and it is read in windows."""

WindowPooling = Literal["mean", "max"]
WINDOW_POOLINGS: tuple[WindowPooling, ...] = ("mean", "max")
"""How what a model says of a text's windows becomes what it says of the text."""

_LEAST = 5
_SPECIAL = 2  # tokens of a window that are not of its text


def long_text(default: LongText | None, texts: str, more: str = "") -> Any:
    """The setting `long_text`.

    Args:
      default: what is done if it is omitted.
      texts: what is read, for `--help`.
      more: sentences for `--help`.
    """
    return setting(
        default,
        help=f"Of {texts} longer than max_seq_length: truncate_tail drops their end, truncate_head their beginning, "
        "head_tail what is between the first quarter of what fits and the rest of it; windows reads all of it in parts "
        f"that overlap.{more}",
        group=TASK,
        choices=LONG_TEXTS,
    )


def window_stride() -> Any:
    """The setting `window_stride`."""
    return setting(
        None,
        help="With windows: tokens from the beginning of one to that of the next; half a window if omitted.",
        group=TASK,
        at_least=1,
    )


def check_long_text(long_text: str, window_stride: int | None, max_seq_length: int) -> None:
    """Checks `--long_text` and `--window_stride`.

    Raises:
      InputError: there is no such choice, windows have no room, or their stride has no effect or leaves tokens out.
    """
    if long_text not in LONG_TEXTS:
        raise InputError(f"Unknown --long_text {long_text!r:.60}; choose one of {', '.join(LONG_TEXTS)}.")
    if long_text == WINDOWS and max_seq_length < _LEAST:
        raise InputError(
            f"--long_text=windows needs --max_seq_length={_LEAST} at least, room for a token of each text of a pair; "
            f"it is {max_seq_length}."
        )
    if window_stride is None:
        return
    if long_text != WINDOWS:
        raise InputError(f"--window_stride is for --long_text=windows, but it is {long_text}; give both or omit it.")
    if not 1 <= window_stride <= max_seq_length - _SPECIAL:
        raise InputError(
            f"--window_stride={window_stride} must be from 1 to {max_seq_length - _SPECIAL}, the tokens of a window of "
            f"--max_seq_length={max_seq_length} without [CLS] and [SEP]; more would leave tokens out."
        )
