"""Finding the whole records of a damaged TFRecord file, compiled; `record_kernel` says how a file is laid out."""

import numpy as np

from bert_tf2.compilation import compiled, inlined
from bert_tf2.record_kernel import Array, masked_crc

_HEADER, _FOOTER = 12, 4  # bytes around an example


@inlined
def _fixed(content: Array, at: int, size: int) -> int:
    """A little-endian number."""
    value = 0
    for byte in range(size):
        value |= int(content[at + byte]) << 8 * byte
    return value


@compiled
def _end_of_record(content: Array, at: int) -> int:
    """Where the record that begins at `at` ends, by its length and the length's checksum; -1 where none begins."""
    if at + _HEADER > content.size or content[at + 7] > 0x7F:
        return -1
    if _fixed(content, at + 8, 4) != masked_crc(content, at, at + 8):
        return -1
    length = _fixed(content, at, 8)
    end = at + _HEADER + length + _FOOTER
    return end if length < content.size and end <= content.size else -1


@compiled
def whole_records(content: Array) -> tuple[Array, int]:
    """Which bytes of a file are whole records.

    Behind a record whose length is damaged, the next one is looked for byte by byte.

    Args:
      content: uint8 `[bytes]`, the file.

    Returns:
      Start and end of each whole record, int64 `[records, 2]`; and how many damaged stretches there are between them.
    """
    spans = np.empty((content.size // (_HEADER + _FOOTER) + 1, 2), np.int64)
    found, damaged, at = 0, 0, 0
    while at < content.size:
        end = _end_of_record(content, at)
        if end < 0:
            damaged += 1
            at += 1
            while at < content.size and _end_of_record(content, at) < 0:
                at += 1
            continue
        if _fixed(content, end - _FOOTER, 4) == masked_crc(content, at + _HEADER, end - _FOOTER):
            spans[found, 0], spans[found, 1] = at, end
            found += 1
        else:
            damaged += 1
        at = end
    return spans[:found].copy(), damaged


def try_out() -> None:
    """Compiles, or loads, all that `record_repair` calls."""
    whole_records(np.zeros(1, np.uint8))
