"""Compiled code that finds the records in the bytes of a TFRecord file; see `_tfrecord_numba` for the format."""

import numpy as np

from bert_tf2.numba_support import compiled, inlined
from bert_tf2.records._tfrecord_numba import Array, masked_crc

_HEADER, _FOOTER = 12, 4  # bytes around an example
_MAX_BYTES = 1 << 31  # of a record; a longer one is a corrupt length

DONE, MORE, DAMAGED_HEADER, DAMAGED_RECORD = 0, 1, 2, 3


@inlined
def _fixed(content: Array, at: int, size: int) -> int:
    """The little-endian number of `size` bytes at `at`."""
    value = 0
    for byte in range(size):
        value |= int(content[at + byte]) << 8 * byte
    return value


@compiled
def _length_at(content: Array, at: int) -> int:
    """The length of the record that begins at `at`; -1 if the checksum shows that none begins there."""
    if content[at + 7] > 0x7F or _fixed(content, at + 8, 4) != masked_crc(content, at, at + 8):
        return -1
    length = _fixed(content, at, 8)
    return length if length < _MAX_BYTES else -1


@compiled
def frame(content: Array, at: int, check: bool, spans: Array) -> tuple[int, int, int]:
    """Finds records, one after the other.

    Args:
      content: uint8 `[bytes]`, a part of a file.
      at: the offset in it at which a record begins.
      check: whether the checksums of the records are verified; those of their lengths always are.
      spans: int64 `[max_count, 2]`, filled with the start and end of each example in the content.

    Returns:
      The number of records found; the offset of the next record; and why the search ended: `DONE`, `spans` is full;
      `MORE`, the next record, or the end of the file, is beyond the content; `DAMAGED_HEADER`, no record begins there;
      `DAMAGED_RECORD`, its checksum is wrong.
    """
    for count in range(len(spans)):
        if at + _HEADER > content.size:
            return count, at, MORE
        length = _length_at(content, at)
        if length < 0:
            return count, at, DAMAGED_HEADER
        end = at + _HEADER + length
        if end + _FOOTER > content.size:
            return count, at, MORE
        if check and _fixed(content, end, 4) != masked_crc(content, at + _HEADER, end):
            return count, at, DAMAGED_RECORD
        spans[count, 0], spans[count, 1] = at + _HEADER, end
        at = end + _FOOTER
    return len(spans), at, DONE


@compiled
def next_header(content: Array, at: int) -> int:
    """The first offset from `at` on at which a record seems to begin; -1 if there is none."""
    while at + _HEADER <= content.size:
        if _length_at(content, at) >= 0:
            return at
        at += 1
    return -1


def try_out() -> None:
    """Compiles or loads everything that `shuffled` calls."""
    content = np.zeros(0, np.uint8)
    content.flags.writeable = False
    frame(content, 0, True, np.empty((1, 2), np.int64))
    next_header(content, 0)
