"""Compiled code that finds the records in the bytes of a TFRecord file; see `_tfrecord_numba` for the format."""

import numpy as np

from bert_tf2.numba_support import compiled, inlined
from bert_tf2.records._tfrecord_numba import Array, masked_crc

_HEADER, _FOOTER = 12, 4  # bytes around an example
_MOST_BYTES = 1 << 31  # of a record; a length above is no length

DONE, MORE, DAMAGED_HEADER, DAMAGED_RECORD = 0, 1, 2, 3


@inlined
def _fixed(content: Array, at: int, size: int) -> int:
    """A little-endian number."""
    value = 0
    for byte in range(size):
        value |= int(content[at + byte]) << 8 * byte
    return value


@compiled
def _length_at(content: Array, at: int) -> int:
    """The length of the record that begins at `at`, by its checksum; -1 where none begins."""
    if content[at + 7] > 0x7F or _fixed(content, at + 8, 4) != masked_crc(content, at, at + 8):
        return -1
    length = _fixed(content, at, 8)
    return length if length < _MOST_BYTES else -1


@compiled
def frame(content: Array, at: int, check: bool, spans: Array) -> tuple[int, int, int]:
    """Finds records, one after the other.

    Args:
      content: uint8 `[bytes]`, a part of a file.
      at: where a record begins.
      check: whether checksums of records are compared; those of their lengths always are.
      spans: int64 `[most, 2]`, filled with the start and end of each example.

    Returns:
      How many were found; where the next record begins; and why no more were found: `DONE`, all are; `MORE`, the next
      record, or the end of the file, is beyond the content; `DAMAGED_HEADER`, none begins there; `DAMAGED_RECORD`, its
      checksum is wrong.
    """
    for found in range(len(spans)):
        if at + _HEADER > content.size:
            return found, at, MORE
        length = _length_at(content, at)
        if length < 0:
            return found, at, DAMAGED_HEADER
        end = at + _HEADER + length
        if end + _FOOTER > content.size:
            return found, at, MORE
        if check and _fixed(content, end, 4) != masked_crc(content, at + _HEADER, end):
            return found, at, DAMAGED_RECORD
        spans[found, 0], spans[found, 1] = at + _HEADER, end
        at = end + _FOOTER
    return len(spans), at, DONE


@compiled
def next_header(content: Array, at: int) -> int:
    """The first place from `at` on where a record seems to begin; -1 where there is none."""
    while at + _HEADER <= content.size:
        if _length_at(content, at) >= 0:
            return at
        at += 1
    return -1


def try_out() -> None:
    """Compiles, or loads, all that `shuffled` calls."""
    content = np.zeros(0, np.uint8)
    content.flags.writeable = False
    frame(content, 0, True, np.empty((1, 2), np.int64))
    next_header(content, 0)
