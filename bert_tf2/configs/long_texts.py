"""How texts longer than the model's sequences are handled: truncation, or overlapping windows; no TensorFlow."""

from typing import Any, Final, Literal

from bert_tf2.configs.fields import TASK, setting
from bert_tf2.errors import InputError

LongText = Literal["truncate_tail", "truncate_head", "head_tail", "windows"]
TRUNCATE_TAIL: Final = "truncate_tail"
TRUNCATE_HEAD: Final = "truncate_head"
HEAD_TAIL: Final = "head_tail"
WINDOWS: Final = "windows"
LONG_TEXTS: tuple[LongText, ...] = (TRUNCATE_TAIL, TRUNCATE_HEAD, HEAD_TAIL, WINDOWS)
"""Drop the end of a text, its beginning, or its middle; or drop nothing and read it in windows."""

WindowPooling = Literal["mean", "max"]
WINDOW_POOLINGS: tuple[WindowPooling, ...] = ("mean", "max")
"""How the model's outputs for the windows of a text are combined into one for the text."""

_LEAST = 5
_SPECIAL = 2  # [CLS] and [SEP] of a window


def long_text(default: LongText | None, texts: str, more: str = "") -> Any:
    """The setting `long_text`.

    Args:
      default: the value if the flag is omitted.
      texts: what `--help` calls the input.
      more: further sentences for `--help`.
    """
    return setting(
        default,
        help=f"How to handle {texts} longer than max_seq_length: truncate_tail drops the end, truncate_head the "
        "beginning, head_tail the middle (a quarter of what fits is taken from the beginning); windows reads "
        f"everything in overlapping windows.{more}",
        group=TASK,
        choices=LONG_TEXTS,
    )


def window_stride() -> Any:
    """The setting `window_stride`."""
    return setting(
        None,
        help="With windows: tokens from the start of one window to the start of the next; if omitted, half a window.",
        group=TASK,
        at_least=1,
    )


def check_long_text(long_text: str, window_stride: int | None, max_seq_length: int) -> None:
    """Checks `--long_text` and `--window_stride`.

    Raises:
      InputError: the choice is unknown, windows have no room, or their stride has no effect or skips tokens.
    """
    if long_text not in LONG_TEXTS:
        raise InputError(f"Unknown --long_text {long_text!r:.60}; choose one of {', '.join(LONG_TEXTS)}.")
    if long_text == WINDOWS and max_seq_length < _LEAST:
        raise InputError(
            f"--long_text=windows needs --max_seq_length={_LEAST} or more, room for a token of each text of a pair; "
            f"it is {max_seq_length}."
        )
    if window_stride is None:
        return
    if long_text != WINDOWS:
        raise InputError(f"--window_stride is for --long_text=windows, but it is {long_text}; give both or omit it.")
    if not 1 <= window_stride <= max_seq_length - _SPECIAL:
        raise InputError(
            f"--window_stride={window_stride} must be from 1 to {max_seq_length - _SPECIAL}, the tokens of a window of "
            f"--max_seq_length={max_seq_length} without [CLS] and [SEP]; more would skip tokens."
        )
