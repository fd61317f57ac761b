"""Compiled code that encodes rows of numbers as TFRecords of `tf.train.Example` in one pass, like protobuf and
TensorFlow.

A file is a sequence of records: length (8 bytes), its checksum (4), the example, its checksum (4); all little-endian.
An example consists of nested messages, each preceded by its length, so that lengths are added up from the inside:

    Example { Features { entry { name, Feature { Int64List or FloatList { packed values } } } ... } }

Written by hand, as the `protobuf` package and TensorFlow's writer need a Python object for each value and a call for
each record: 23 times as long (some 115 µs instead of 5 for a record of 128 tokens), which would be most of the time of
creating records. Tests show for any schema and values that the bytes are the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined

Array: TypeAlias = np.ndarray[Any, Any]

# The tags of the fields: number << 3 | 2 for those preceded by a length.
_FIRST = 1 << 3 | 2  # Example.features, Features.feature, name of an entry, values of a list
_SECOND = 2 << 3 | 2  # value of an entry; Feature.float_list
_THIRD = 3 << 3 | 2  # Feature.int64_list
_HEADER, _FOOTER = 12, 4  # bytes around an example
_MAX_INTEGER_BYTES = 10

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK_DELTA = 0xA282EAD8


class Layout(NamedTuple):
    """The layout of a row of values: C features in protobuf's order.

    Attributes:
      splits: int64 [C + 1]; the values of feature `i` are `splits[i]` to `splits[i + 1]` of the row.
      is_float: bool [C].
      heads: uint8, the bytes before the value of each entry: its name with tag and length, and the value's tag.
      head_splits: int64 [C + 1], the boundaries of the features in `heads`.
    """

    splits: Array
    is_float: Array
    heads: Array
    head_splits: Array


def layout(names: Sequence[bytes], sizes: Sequence[int], is_float: Sequence[bool]) -> Layout:
    """The layout of features.

    Args:
      names: of the features, in UTF-8, in protobuf's order.
      sizes: values of each feature.
      is_float: whether each feature is a float.
    """
    heads = [bytes([_FIRST, *_varint(len(name)), *name, _SECOND]) for name in names]
    return Layout(
        splits=np.cumsum([0, *sizes], dtype=np.int64),
        is_float=np.array(is_float, np.bool_),
        heads=np.array([byte for head in heads for byte in head], np.uint8),
        head_splits=np.cumsum([0, *map(len, heads)], dtype=np.int64),
    )


def _varint(length: int) -> list[int]:
    return [length] if length < 1 << 7 else [length & 0x7F | 0x80, *_varint(length >> 7)]


def max_record_bytes(layout: Layout) -> int:
    """The maximum bytes of a record, header and footer included."""
    lengths = 1 + 4 * len(layout.is_float)  # of up to six bytes, tags included
    return _HEADER + _FOOTER + 6 * lengths + len(layout.heads) + _MAX_INTEGER_BYTES * int(layout.splits[-1])


def _crc_tables() -> Array:
    """`tables[k, b]`: the internal state of the checksum after byte `b` and `k` zero bytes."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    tables = [table]
    for _ in range(7):
        tables.append(table[tables[-1] & 0xFF] ^ tables[-1] >> 8)
    return np.array(tables).astype(np.int64)


_TABLES = _crc_tables()


@compiled
def encode(values: Array, layout: Layout, first: int, step: int, out: Array) -> int:
    """Encodes rows `first`, `first + step`, ... as TFRecords, with headers and footers.

    Args:
      values: int32 [rows, values of a row], floats as their bits.
      layout: of a row.
      first: the first row to encode.
      step: the distance between rows to encode.
      out: uint8, with room for `max_record_bytes` per record.

    Returns:
      The number of bytes written.
    """
    splits, is_float, heads, head_splits = layout
    features = len(is_float)
    # The values of a row, one feature after the other.
    packed = np.empty(_MAX_INTEGER_BYTES * splits[features] + 2, np.uint8)
    packed_splits = np.zeros(features + 1, np.int64)
    end = 0
    for row in range(first, len(values), step):
        _pack(values, row, splits, is_float, packed, packed_splits)
        total = 0
        for feature in range(features):
            head = head_splits[feature + 1] - head_splits[feature]
            total += _with_length(_entry_size(head, packed_splits[feature + 1] - packed_splits[feature]))
        start = end + _HEADER
        offset = _put_length(out, start, _FIRST, total)
        for feature in range(features):
            head = head_splits[feature + 1] - head_splits[feature]
            size = packed_splits[feature + 1] - packed_splits[feature]
            offset = _put_length(out, offset, _FIRST, _entry_size(head, size))
            offset = _copy(heads, head_splits[feature], head, out, offset)
            offset = _put_integer(out, offset, _with_length(_list_size(size)))
            offset = _put_length(out, offset, _SECOND if is_float[feature] else _THIRD, _list_size(size))
            if size:
                offset = _put_length(out, offset, _FIRST, size)
                offset = _copy(packed, packed_splits[feature], size, out, offset)

        _put_fixed(out, end, offset - start, 8)
        _put_fixed(out, end + 8, masked_crc(out, end, end + 8), 4)
        end = _put_fixed(out, offset, masked_crc(out, start, offset), 4)
    return end


@inlined
def _pack(values: Array, row: int, splits: Array, is_float: Array, packed: Array, packed_splits: Array) -> None:
    offset = 0
    for feature in range(len(is_float)):
        source = values[row, splits[feature] : splits[feature + 1]]
        bits = 0
        for value in source:
            bits |= value
        if is_float[feature]:
            for value in source:
                offset = _put_fixed(packed, offset, value, 4)
        elif 0 <= bits < 1 << 7:  # then so is every value, as in masks; the compiler vectorizes this loop
            target = packed[offset : offset + len(source)]
            for column in range(len(source)):
                target[column] = source[column]
            offset += len(source)
        else:
            for value in source:
                offset = _put_integer(packed, offset, value)
        packed_splits[feature + 1] = offset


@inlined
def _copy(source: Array, start: int, size: int, target: Array, offset: int) -> int:
    source_bytes, target_bytes = source[start : start + size], target[offset : offset + size]
    for byte in range(len(source_bytes)):
        target_bytes[byte] = source_bytes[byte]
    return offset + size


@inlined
def _with_length(size: int) -> int:
    """The bytes of a field of `size` bytes, its tag and length included."""
    return 2 + (size >= 1 << 7) + (size >= 1 << 14) + (size >= 1 << 21) + (size >= 1 << 28) + size


@inlined
def _list_size(packed: int) -> int:
    return _with_length(packed) if packed else 0


@inlined
def _entry_size(head: int, packed: int) -> int:
    return head - 1 + _with_length(_with_length(_list_size(packed)))


@inlined
def _put_length(out: Array, offset: int, tag: int, length: int) -> int:
    out[offset] = tag
    return _put_integer(out, offset + 1, length)


@inlined
def _put_integer(out: Array, offset: int, value: int) -> int:
    """Writes a varint: seven bits per byte, the lowest first, with the high bit set in all but the last byte.

    Up to ten bytes, and always at least three, of which the surplus is overwritten later.
    """
    if 0 <= value < 1 << 21:  # without branches: lengths of one to three bytes alternate unpredictably
        two, three = value >= 1 << 7, value >= 1 << 14
        out[offset] = value & 0x7F | two << 7
        out[offset + 1] = value >> 7 & 0x7F | three << 7
        out[offset + 2] = value >> 14
        return offset + 1 + two + three
    last = offset + _MAX_INTEGER_BYTES - 1
    while not 0 <= value < 1 << 7 and offset < last:
        out[offset] = value & 0x7F | 0x80
        value >>= 7
        offset += 1
    out[offset] = value & (1 if offset == last else 0x7F)  # of a negative value, the last of 64 bits
    return offset + 1


@inlined
def _put_fixed(out: Array, offset: int, value: int, size: int) -> int:
    for byte in range(size):
        out[offset + byte] = value >> 8 * byte & 0xFF
    return offset + size


@compiled
def masked_crc(content: Array, start: int, end: int) -> int:
    """CRC-32C of `content[start:end]`, masked as in TFRecord files; computed eight bytes at a time."""
    crc = 0xFFFFFFFF
    blocks_end = start + (end - start) // 8 * 8
    for at in range(start, blocks_end, 8):
        crc = (
            _TABLES[7, content[at] ^ crc & 0xFF]
            ^ _TABLES[6, content[at + 1] ^ crc >> 8 & 0xFF]
            ^ _TABLES[5, content[at + 2] ^ crc >> 16 & 0xFF]
            ^ _TABLES[4, content[at + 3] ^ crc >> 24]
            ^ _TABLES[3, content[at + 4]]
            ^ _TABLES[2, content[at + 5]]
            ^ _TABLES[1, content[at + 6]]
            ^ _TABLES[0, content[at + 7]]
        )
    for at in range(blocks_end, end):
        crc = _TABLES[0, (content[at] ^ crc) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def try_out() -> None:
    """Compiles or loads everything that `writer` calls."""
    example = layout([b"name"], [1], [False])
    encode(np.zeros((1, 1), np.int32), example, 0, 1, np.empty(max_record_bytes(example), np.uint8))
