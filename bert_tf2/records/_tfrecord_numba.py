"""Compiled code that encodes rows of numbers as TFRecords of `tf.train.Example` in one pass, like protobuf and
TensorFlow.

A file is a row of records: length (8 bytes), its checksum (4), the example, its checksum (4); all little-endian. An
example is nested messages, and each stands after its length, so that lengths are added up from the inside:

    Example { Features { entry { name, Feature { Int64List or FloatList { packed values } } } ... } }

Written by hand, as the `protobuf` package and TensorFlow's writer take a Python object for each value and a call for
each record: 23 times the time (some 115 µs a record of 128 tokens instead of 5), which would be most of the time of
making records. That the bytes are theirs is tested for any schema and values.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined

Array: TypeAlias = np.ndarray[Any, Any]

# The tags of the fields, number << 3 | 2 for those that have a length.
_FIRST = 1 << 3 | 2  # Example.features, Features.feature, name of an entry, values of a list
_SECOND = 2 << 3 | 2  # value of an entry; Feature.float_list
_THIRD = 3 << 3 | 2  # Feature.int64_list
_HEADER, _FOOTER = 12, 4  # bytes around an example
_LONGEST = 10  # bytes of an integer

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK_DELTA = 0xA282EAD8


class Layout(NamedTuple):
    """What the columns of a row are; C features in protobuf's order.

    Attributes:
      splits: int64 [C + 1], the values of a feature in the row.
      is_float: bool [C].
      heads: uint8, what stands before the value of each entry: its name with tag and length, and the value's tag.
      head_splits: int64 [C + 1], into heads.
    """

    splits: Array
    is_float: Array
    heads: Array
    head_splits: Array


def layout(names: Sequence[bytes], sizes: Sequence[int], is_float: Sequence[bool]) -> Layout:
    """The layout of features in protobuf's order; names in UTF-8."""
    heads = [bytes([_FIRST, *_varint(len(name)), *name, _SECOND]) for name in names]
    return Layout(
        splits=np.cumsum([0, *sizes], dtype=np.int64),
        is_float=np.array(is_float, np.bool_),
        heads=np.array([byte for head in heads for byte in head], np.uint8),
        head_splits=np.cumsum([0, *map(len, heads)], dtype=np.int64),
    )


def _varint(length: int) -> list[int]:
    return [length] if length < 1 << 7 else [length & 0x7F | 0x80, *_varint(length >> 7)]


def bytes_at_most(layout: Layout) -> int:
    """The greatest length of a record with all that is around it."""
    lengths = 1 + 4 * len(layout.is_float)  # of six bytes at most, tags included
    return _HEADER + _FOOTER + 6 * lengths + len(layout.heads) + _LONGEST * int(layout.splits[-1])


def _crc_tables() -> Array:
    """`tables[k, b]`: the checksum, as it is inside, of the byte b with k bytes of zeros after it."""
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
    """Encodes rows `first`, `first + step`, ... with what TFRecord files have around records.

    Args:
      values: int32 [rows, values of a row], floats as their bits.
      layout: what they are.
      first: see above.
      step: see above.
      out: uint8, with room for `bytes_at_most` bytes a record.

    Returns:
      How many bytes were written.
    """
    splits, is_float, heads, head_splits = layout
    features = len(is_float)
    packed = np.empty(_LONGEST * splits[features] + 2, np.uint8)  # the values of a row, features one after the other
    packed_splits = np.zeros(features + 1, np.int64)
    end = 0
    for row in range(first, len(values), step):
        _pack(values, row, splits, is_float, packed, packed_splits)
        total = 0
        for feature in range(features):
            head = head_splits[feature + 1] - head_splits[feature]
            total += _with_length(_entry_size(head, packed_splits[feature + 1] - packed_splits[feature]))
        start = end + _HEADER
        at = _put_length(out, start, _FIRST, total)
        for feature in range(features):
            head = head_splits[feature + 1] - head_splits[feature]
            size = packed_splits[feature + 1] - packed_splits[feature]
            at = _put_length(out, at, _FIRST, _entry_size(head, size))
            at = _copy(heads, head_splits[feature], head, out, at)
            at = _put_integer(out, at, _with_length(_list_size(size)))
            at = _put_length(out, at, _SECOND if is_float[feature] else _THIRD, _list_size(size))
            if size:
                at = _put_length(out, at, _FIRST, size)
                at = _copy(packed, packed_splits[feature], size, out, at)

        _put_fixed(out, end, at - start, 8)
        _put_fixed(out, end + 8, masked_crc(out, end, end + 8), 4)
        end = _put_fixed(out, at, masked_crc(out, start, at), 4)
    return end


@inlined
def _pack(values: Array, row: int, splits: Array, is_float: Array, packed: Array, packed_splits: Array) -> None:
    at = 0
    for feature in range(len(is_float)):
        here = values[row, splits[feature] : splits[feature + 1]]
        bits = 0
        for value in here:
            bits |= value
        if is_float[feature]:
            for value in here:
                at = _put_fixed(packed, at, value, 4)
        elif 0 <= bits < 1 << 7:  # so is every value, as in masks; this loop is of the kind that runs on many at once
            there = packed[at : at + len(here)]
            for column in range(len(here)):
                there[column] = here[column]
            at += len(here)
        else:
            for value in here:
                at = _put_integer(packed, at, value)
        packed_splits[feature + 1] = at


@inlined
def _copy(source: Array, start: int, size: int, target: Array, at: int) -> int:
    here, there = source[start : start + size], target[at : at + size]
    for byte in range(len(here)):
        there[byte] = here[byte]
    return at + size


@inlined
def _with_length(size: int) -> int:
    """Bytes of a field of `size` bytes with its tag and length in front."""
    return 2 + (size >= 1 << 7) + (size >= 1 << 14) + (size >= 1 << 21) + (size >= 1 << 28) + size


@inlined
def _list_size(packed: int) -> int:
    return _with_length(packed) if packed else 0


@inlined
def _entry_size(head: int, packed: int) -> int:
    return head - 1 + _with_length(_with_length(_list_size(packed)))


@inlined
def _put_length(out: Array, at: int, tag: int, length: int) -> int:
    out[at] = tag
    return _put_integer(out, at + 1, length)


@inlined
def _put_integer(out: Array, at: int, value: int) -> int:
    """Seven bits a byte, the lowest first, and a mark on all but the last. Writes up to ten bytes, or three of room."""
    if 0 <= value < 1 << 21:  # without branches, as lengths of one to three bytes come in no order
        two, three = value >= 1 << 7, value >= 1 << 14
        out[at] = value & 0x7F | two << 7
        out[at + 1] = value >> 7 & 0x7F | three << 7
        out[at + 2] = value >> 14
        return at + 1 + two + three
    last = at + _LONGEST - 1
    while not 0 <= value < 1 << 7 and at < last:
        out[at] = value & 0x7F | 0x80
        value >>= 7
        at += 1
    out[at] = value & (1 if at == last else 0x7F)  # below zero: the last of 64 bits
    return at + 1


@inlined
def _put_fixed(out: Array, at: int, value: int, size: int) -> int:
    for byte in range(size):
        out[at + byte] = value >> 8 * byte & 0xFF
    return at + size


@compiled
def masked_crc(content: Array, start: int, end: int) -> int:
    """CRC-32C, eight bytes at a time, and rotated as TFRecord files have it."""
    crc = 0xFFFFFFFF
    whole = start + (end - start) // 8 * 8
    for at in range(start, whole, 8):
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
    for at in range(whole, end):
        crc = _TABLES[0, (content[at] ^ crc) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def try_out() -> None:
    """Compiles, or loads, all that `writer` calls."""
    one = layout([b"name"], [1], [False])
    encode(np.zeros((1, 1), np.int32), one, 0, 1, np.empty(bytes_at_most(one), np.uint8))
