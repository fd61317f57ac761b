"""WordPiece from code points to ids, compiled with Numba; no TensorFlow.

Each character that occurs in pieces has a number, its `symbol`. A word is a string of symbols; read as the digits of a
number, they are its hash. In 64 bits, this number is exact for short words; a longer word may share its number with
others, and is compared with the piece.

Only `numba_support.kernel` imports this module.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bert_tf2.numba_support import compiled, inlined
from bert_tf2.tokenization.unicode_tables import BLANK, CODE_POINTS, CONTEXT, Replacements, code_points

NEEDS_RULES = -1
"""The count of a text with a character whose replacement depends on its neighbours."""

# Symbols. The characters of the vocabulary are numbered from 2, so that no digit is 0 and "ab" differs from "b".
_FOREIGN = 1  # a character that no piece contains
_BOUNDARY = 0  # between words
_END = -1  # ends an expansion
_CONTEXT = -2

# Columns of `Arrays.slots` and of `Arrays.pieces`.
_NUMBER, _PIECE = 0, 1
_BEGIN, _LENGTH, _ID = 0, 1, 2
_HEADER = 6  # numbers before the arrays in `Tables.narrow`

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_HIGH_BITS = np.uint64(32)


class Tables(NamedTuple):
    """All `Arrays`, concatenated into two.

    Numba converts few arguments faster than many, and that takes most of the time for a short text.

    Attributes:
      narrow: int32: the three numbers, the ends of `expansions`, `spellings` and `powers`, then `actions`,
        `expansions`, `spellings` and `pieces`.
      wide: uint64: `powers` and `slots`.
    """

    narrow: np.ndarray
    wide: np.ndarray


class Arrays(NamedTuple):
    """A vocabulary and the rules, as the kernels read them.

    Attributes:
      actions: int32 `[0x110000]`. Above 0: the symbol of a code point. Otherwise, minus the index in `expansions` of
        its symbols.
      expansions: int32, strings of symbols, each ended by `_END`. The one at 0 is a `_BOUNDARY`.
      spellings: int32, the symbols of all pieces, without `##`.
      pieces: int32 `[pieces + 1, 3]`: the start of a piece in `spellings`, its length without `##`, its id. Row 0 is
        for words that cannot be split; it has no spelling.
      powers: uint64 `[longest piece + 1]`, the powers of the numbers' base, modulo 2**64.
      slots: uint64 `[slots, 2]`, two hash tables with open addressing: the number of a piece, and its row in `pieces`
        (0: the slot is free). The first half contains the pieces that begin a word, the second those that continue one.
      exact_length: up to this length, words of the same length and number are equal.
      max_length: the maximum length of words that are split, in characters.
      widest: the maximum number of symbols of a character.
    """

    actions: np.ndarray
    expansions: np.ndarray
    spellings: np.ndarray
    pieces: np.ndarray
    powers: np.ndarray
    slots: np.ndarray
    exact_length: int
    max_length: int
    widest: int


def _tables(arrays: Arrays) -> Tables:
    narrow = [arrays.actions, arrays.expansions, arrays.spellings, arrays.pieces.ravel()]
    ends = _HEADER + np.cumsum([len(array) for array in narrow[:3]])
    header = [arrays.exact_length, arrays.max_length, arrays.widest, *ends[1:], len(arrays.powers)]
    return Tables(
        np.concatenate([header, *narrow], dtype=np.int32, casting="same_kind"),
        np.concatenate([arrays.powers, arrays.slots.ravel()]),
    )


@inlined
def arrays_of(narrow: np.ndarray, wide: np.ndarray) -> Arrays:
    """The arrays in `Tables`."""
    actions_end = _HEADER + CODE_POINTS
    expansions_end, spellings_end, powers_end = narrow[3], narrow[4], narrow[5]
    return Arrays(
        narrow[_HEADER:actions_end],
        narrow[actions_end:expansions_end],
        narrow[expansions_end:spellings_end],
        narrow[spellings_end:].reshape(-1, 3),
        wide[:powers_end],
        wide[powers_end:].reshape(-1, 2),
        narrow[0],
        narrow[1],
        narrow[2],
    )


def make_tables(vocab: Mapping[str, int], replacements: Replacements, unknown: str, max_length: int) -> Tables:
    """Makes the tables of a vocabulary.

    Args:
      vocab: the id of each piece.
      replacements: the replacements of code points.
      unknown: the piece for words that cannot be split.
      max_length: words with more characters than this are unknown, too.
    """
    beginnings = {piece: index for piece, index in vocab.items() if piece and not piece.startswith("##")}
    continuations = {piece[2:]: index for piece, index in vocab.items() if piece.startswith("##") and piece != "##"}
    spelled = code_points("".join([*beginnings, *continuations]))
    lengths = np.array([0, *map(len, beginnings), *map(len, continuations)])
    ids = [vocab[unknown], *beginnings.values(), *continuations.values()]
    pieces = np.stack([np.cumsum(lengths) - lengths, lengths, ids], axis=1).astype(np.int32)

    letters = np.unique(spelled)
    symbol_of = np.full(CODE_POINTS, _FOREIGN, np.int32)
    symbol_of[letters] = np.arange(2, 2 + len(letters))
    spellings = symbol_of[spelled]
    base = (2 + len(letters)) | 1  # odd: modulo 2**64, powers of an even base become 0
    powers = np.array([pow(base, length, 1 << 64) for length in range(lengths.max() + 1)], np.uint64)
    exact_length = next(length for length in range(64, 0, -1) if base**length <= 1 << 64)
    half = 1 << (2 * max(len(beginnings), len(continuations))).bit_length()
    slots = np.zeros((2 * half, 2), np.uint64)
    _fill(slots, pieces, len(beginnings), spellings, powers[1])

    # From here on, symbols of text. Pieces may contain these two characters, but no text produces such pieces.
    symbol_of[ord(BLANK)] = _BOUNDARY
    symbol_of[ord(CONTEXT)] = _CONTEXT
    symbols = symbol_of[replacements.characters]
    ends = replacements.ends
    widths = np.diff(ends, prepend=0)
    expansions = np.concatenate([[_BOUNDARY, _END], np.insert(symbols, ends, _END)])
    actions = symbol_of  # changed in place, as it is not used below
    actions[replacements.changed] = -(2 + ends - widths + np.arange(len(ends)))  # an `_END` follows each
    single = np.flatnonzero(widths == 1)
    single = single[symbols[ends[single] - 1] > 0]
    actions[replacements.changed[single]] = symbols[ends[single] - 1]

    return _tables(
        Arrays(
            actions=actions,
            expansions=expansions,
            spellings=spellings,
            pieces=pieces,
            powers=powers,
            slots=slots,
            exact_length=exact_length,
            max_length=max_length,
            widest=widths.max(initial=1),
        )
    )


@inlined
def _slot(number: np.uint64, half: int) -> int:
    """The slot at which the search for a number begins, in one half of `Arrays.slots`."""
    hashed: Any = np.int64((number * _SPREAD) >> _HIGH_BITS)
    return hashed & (half - 1)


@compiled
def _fill(slots: np.ndarray, pieces: np.ndarray, beginnings: int, spellings: np.ndarray, base: np.uint64) -> None:
    """Enters the pieces into `slots`; the first `beginnings` of them begin words. See `Arrays`."""
    half = len(slots) // 2
    for piece in range(1, len(pieces)):
        number = np.uint64(0)
        for index in range(pieces[piece, _BEGIN], pieces[piece, _BEGIN] + pieces[piece, _LENGTH]):
            number = number * base + np.uint64(spellings[index])
        table = 0 if piece <= beginnings else half
        slot = _slot(number, half)
        while slots[table + slot, _PIECE] != 0:
            slot = (slot + 1) & (half - 1)
        slots[table + slot, _NUMBER] = number
        slots[table + slot, _PIECE] = np.uint64(piece)


@compiled
def _encode(
    codes: np.ndarray, lengths: np.ndarray, ids: np.ndarray, counts: np.ndarray, narrow: np.ndarray, wide: np.ndarray
) -> int:
    """Writes the ids of all texts to `ids`, and the number of ids of each to `counts`; returns the total.

    See `encode_texts` and `Tables`. `ids` must have room for `widest` ids per character.

    This is a single function because Numba counts references to arrays whenever they are passed on, which took twice as
    long.
    """
    actions, expansions, spellings, pieces, powers, slots, exact_length, max_length, _ = arrays_of(narrow, wide)
    base = powers[1]
    longest_piece = len(powers) - 1
    half = len(slots) // 2
    # The numbers of all prefixes of the current word, from the empty one on. Symbol i of the word is
    # numbers[i + 1] - numbers[i] * base. If the word is too long, only enough is stored to detect that.
    numbers = np.empty(max_length + 2, np.uint64)
    numbers[0] = 0
    number = np.uint64(0)
    end = 0
    count = 0
    for row in range(len(lengths)):
        begin = end
        end = begin + lengths[row]
        row_begin = count
        length = 0
        needs_rules = False
        for index in range(begin, end + 1):
            action = actions[codes[index]] if index < end else _BOUNDARY  # the end of the text ends a word
            if action > 0:
                number = number * base + np.uint64(action)
                length = min(length + 1, max_length + 1)
                numbers[length] = number
                continue

            expansion = -action
            while expansions[expansion] != _END:
                symbol = expansions[expansion]
                expansion += 1
                if symbol > 0:
                    number = number * base + np.uint64(symbol)
                    length = min(length + 1, max_length + 1)
                    numbers[length] = number
                    continue
                if symbol == _CONTEXT:
                    needs_rules = True
                    break

                # The word ends: at each position, take the longest piece that matches.
                word_begin = count
                start = 0
                while start < length <= max_length:
                    piece = 0
                    table = half if start > 0 else 0
                    stop = min(length, start + longest_piece) + 1
                    while piece == 0 and stop > start + 1:
                        stop -= 1
                        size = stop - start
                        target = numbers[stop] - numbers[start] * powers[size]
                        slot = _slot(target, half)
                        while piece == 0 and slots[table + slot, _PIECE] != 0:
                            if slots[table + slot, _NUMBER] == target:
                                candidate: Any = np.int64(slots[table + slot, _PIECE])
                                if pieces[candidate, _LENGTH] == size:
                                    same = size if size <= exact_length else 0
                                    while same < size and numbers[start + same + 1] == (
                                        numbers[start + same] * base
                                        + np.uint64(spellings[pieces[candidate, _BEGIN] + same])
                                    ):
                                        same += 1
                                    if same == size:
                                        piece = candidate
                            slot = (slot + 1) & (half - 1)
                    if piece == 0:
                        break
                    ids[count] = pieces[piece, _ID]
                    count += 1
                    start = stop
                if start < length:  # it cannot be split completely, or is too long
                    ids[word_begin] = pieces[0, _ID]
                    count = word_begin + 1
                length = 0
                number = np.uint64(0)
            if needs_rules:
                break
        if needs_rules:
            count = row_begin
            number = np.uint64(0)
        counts[row] = NEEDS_RULES if needs_rules else count - row_begin
    return count


@compiled
def encode_text(text: bytes, narrow: np.ndarray, wide: np.ndarray) -> list[int] | None:
    """The ids of one text.

    Args:
      text: UTF-32, little-endian, without a byte order mark; lone surrogates are allowed.
      narrow: see `Tables`.
      wide: see `Tables`.

    Returns:
      The ids; None if the text needs the rules.
    """
    codes = np.frombuffer(text, np.int32)
    lengths = np.full(1, len(codes), np.int64)
    ids = np.empty(len(codes) * arrays_of(narrow, wide).widest, np.int32)
    end = _encode(codes, lengths, ids, lengths, narrow, wide)  # the counts may overwrite the lengths
    return None if lengths[0] == NEEDS_RULES else [int(ids[index]) for index in range(end)]


@compiled
def encode_texts(
    text: bytes, lengths: np.ndarray, narrow: np.ndarray, wide: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ids of several texts.

    Args:
      text: all of them, concatenated, as for `encode_text`.
      lengths: int64 `[rows]`, the number of characters of each.
      narrow: see `Tables`.
      wide: see `Tables`.

    Returns:
      ids: int32 `[total]`, the ids of all texts.
      counts: int64 `[rows]`, the number of ids of each text; `NEEDS_RULES` if it needs the rules and so has no ids yet.
    """
    codes = np.frombuffer(text, np.int32)
    counts = np.empty(len(lengths), np.int64)
    ids = np.empty(len(codes) * arrays_of(narrow, wide).widest, np.int32)
    end = _encode(codes, lengths, ids, counts, narrow, wide)
    return ids[:end].copy(), counts


def try_out() -> None:
    """Calls all compiled functions, as `numba_support.kernel` requires."""
    empty = np.empty(0, np.int32)
    tables = make_tables({"[UNK]": 0, "a": 1}, Replacements(empty, empty, empty), "[UNK]", max_length=1)
    encode_text(b"a\0\0\0", *tables)
    encode_texts(b"a\0\0\0", np.ones(1, np.int64), *tables)
