"""WordPiece from code points to ids, compiled with Numba; no TensorFlow.

The characters that pieces are made of are numbered: their `symbol`. A word is a string of symbols, and these, read as
the digits of a number, are what it is looked up by. In 64 bits the number of a short word is exact; a longer one may
share its number with others and is compared with the piece found.

Imported by `compilation.kernel` alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bert_tf2.numba_support import compiled, inlined
from bert_tf2.tokenization.unicode_tables import BLANK, CODE_POINTS, CONTEXT, Replacements, code_points

NEEDS_RULES = -1
"""Noted for a text with a character whose replacement depends on its neighbours."""

# Symbols. Letters of the vocabulary are numbered from 2, so that no digit is 0 and "ab" is another number than "b".
_FOREIGN = 1  # A character that no piece has.
_BOUNDARY = 0  # Between words.
_END = -1  # Of an expansion.
_CONTEXT = -2

# Columns of `Parts.slots` and of `Parts.pieces`.
_NUMBER, _PIECE = 0, 1
_BEGIN, _LENGTH, _ID = 0, 1, 2
_HEADER = 6  # numbers in front of the parts in `Tables.narrow`

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_HIGH_BITS = np.uint64(32)


class Tables(NamedTuple):
    """All `Parts`, one after the other, in two arrays.

    Numba takes over few arguments more quickly than many, and that is what a short text waits for most.

    Attributes:
      narrow: int32: the three numbers, where `expansions`, `spellings` and `powers` end, then `actions`, `expansions`,
        `spellings` and `pieces`.
      wide: uint64: `powers` and `slots`.
    """

    narrow: np.ndarray
    wide: np.ndarray


class Parts(NamedTuple):
    """A vocabulary and the rules, as the kernels read them.

    Attributes:
      actions: int32 `[0x110000]`. Above 0: the symbol that a code point becomes. Otherwise minus the place in
        `expansions` of the symbols that it becomes.
      expansions: int32, strings of symbols, each ended by `_END`. The one at 0 is a `_BOUNDARY`.
      spellings: int32, the symbols of all pieces, without `##`.
      pieces: int32 `[pieces + 1, 3]`: where a piece begins in `spellings`, its length without `##`, its id. Row 0 is
        what words that cannot be cut become; it has no spelling.
      powers: uint64 `[longest piece + 1]`, the powers of the numbers' base, modulo 2**64.
      slots: uint64 `[slots, 2]`, two hash tables with open addressing: the number of a piece, and its row in `pieces`
        (0: the slot is free). The first half holds the pieces that begin a word, the second those that continue one.
      exact_length: up to this length, words of one length with the same number are the same.
      max_length: of a word that is cut, in characters.
      widest: symbols that a character becomes at most.
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


def _tables(parts: Parts) -> Tables:
    narrow = [parts.actions, parts.expansions, parts.spellings, parts.pieces.ravel()]
    ends = _HEADER + np.cumsum([len(part) for part in narrow[:3]])
    header = [parts.exact_length, parts.max_length, parts.widest, *ends[1:], len(parts.powers)]
    return Tables(
        np.concatenate([header, *narrow], dtype=np.int32, casting="same_kind"),
        np.concatenate([parts.powers, parts.slots.ravel()]),
    )


@inlined
def parts(narrow: np.ndarray, wide: np.ndarray) -> Parts:
    """The parts of `Tables`."""
    actions_end = _HEADER + CODE_POINTS
    expansions_end, spellings_end, powers_end = narrow[3], narrow[4], narrow[5]
    return Parts(
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
    """The tables of a vocabulary.

    Args:
      vocab: the id of each piece.
      replacements: what each code point becomes.
      unknown: the piece for words that cannot be cut.
      max_length: longer words, in characters, are unknown too.
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
    base = (2 + len(letters)) | 1  # Odd: of an even base, the high digits of a long word would leave no trace.
    powers = np.array([pow(base, length, 1 << 64) for length in range(lengths.max() + 1)], np.uint64)
    exact_length = next(length for length in range(64, 0, -1) if base**length <= 1 << 64)
    half = 1 << (2 * max(len(beginnings), len(continuations))).bit_length()
    slots = np.zeros((2 * half, 2), np.uint64)
    _fill(slots, pieces, len(beginnings), spellings, powers[1])

    # Now what text becomes. A piece can hold these two characters, but then no text makes it.
    symbol_of[ord(BLANK)] = _BOUNDARY
    symbol_of[ord(CONTEXT)] = _CONTEXT
    symbols = symbol_of[replacements.characters]
    ends = replacements.ends
    widths = np.diff(ends, prepend=0)
    expansions = np.concatenate([[_BOUNDARY, _END], np.insert(symbols, ends, _END)])
    actions = symbol_of  # Nobody needs it any more as it was.
    actions[replacements.changed] = -(2 + ends - widths + np.arange(len(ends)))  # Behind each comes an `_END`.
    single = np.flatnonzero(widths == 1)
    single = single[symbols[ends[single] - 1] > 0]
    actions[replacements.changed[single]] = symbols[ends[single] - 1]

    return _tables(
        Parts(
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
    """Where to begin to look for a number in one half of `Tables.slots`."""
    place: Any = np.int64((number * _SPREAD) >> _HIGH_BITS)
    return place & (half - 1)


@compiled
def _fill(slots: np.ndarray, pieces: np.ndarray, beginnings: int, spellings: np.ndarray, base: np.uint64) -> None:
    """Enters the pieces into `slots`; the first `beginnings` of them begin words. See `Tables`."""
    half = len(slots) // 2
    for piece in range(1, len(pieces)):
        number = np.uint64(0)
        for place in range(pieces[piece, _BEGIN], pieces[piece, _BEGIN] + pieces[piece, _LENGTH]):
            number = number * base + np.uint64(spellings[place])
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
    """Writes the ids of all texts to `ids`, and how many each text has to `counts`; returns their sum.

    See `encode_texts` and `Tables`. `ids` has room for as many ids a character as it may become.

    All in one function, as Numba counts references to arrays wherever they are handed on: that took twice the time.
    """
    actions, expansions, spellings, pieces, powers, slots, exact_length, max_length, _ = parts(narrow, wide)
    base = powers[1]
    longest_piece = len(powers) - 1
    half = len(slots) // 2
    # What a word needs to be cut: the numbers of its beginnings, from the empty one's on. Symbol i of the word is
    # numbers[i + 1] - numbers[i] * base. Of a word that is too long, no more than is needed to see that is kept.
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
        for place in range(begin, end + 1):
            action = actions[codes[place]] if place < end else _BOUNDARY  # The end of the text ends a word.
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

                # The word ends. At each place, the longest piece that fits.
                word_begin = count
                start = 0
                while start < length <= max_length:
                    piece = 0
                    table = half if start > 0 else 0
                    stop = min(length, start + longest_piece) + 1
                    while piece == 0 and stop > start + 1:
                        stop -= 1
                        size = stop - start
                        wanted = numbers[stop] - numbers[start] * powers[size]
                        slot = _slot(wanted, half)
                        while piece == 0 and slots[table + slot, _PIECE] != 0:
                            if slots[table + slot, _NUMBER] == wanted:
                                found: Any = np.int64(slots[table + slot, _PIECE])
                                if pieces[found, _LENGTH] == size:
                                    same = size if size <= exact_length else 0
                                    while same < size and numbers[start + same + 1] == (
                                        numbers[start + same] * base
                                        + np.uint64(spellings[pieces[found, _BEGIN] + same])
                                    ):
                                        same += 1
                                    if same == size:
                                        piece = found
                            slot = (slot + 1) & (half - 1)
                    if piece == 0:
                        break
                    ids[count] = pieces[piece, _ID]
                    count += 1
                    start = stop
                if start < length:  # Not to be cut to its end, or too long.
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
      text: UTF-32, little-endian, without a byte order mark; lone surrogates may be there.
      narrow: see `Tables`.
      wide: see there.

    Returns:
      The ids; None where the text needs the rules.
    """
    codes = np.frombuffer(text, np.int32)
    lengths = np.full(1, len(codes), np.int64)
    ids = np.empty(len(codes) * parts(narrow, wide).widest, np.int32)
    end = _encode(codes, lengths, ids, lengths, narrow, wide)  # The counts may overwrite the lengths.
    return None if lengths[0] == NEEDS_RULES else [int(ids[place]) for place in range(end)]


@compiled
def encode_texts(
    text: bytes, lengths: np.ndarray, narrow: np.ndarray, wide: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ids of several texts.

    Args:
      text: all of them, one after the other, as for `encode_text`.
      lengths: int64 `[rows]`, the characters of each.
      narrow: see `Tables`.
      wide: see there.

    Returns:
      ids: int32 `[total]`, of all texts.
      counts: int64 `[rows]`, how many ids each text has; `NEEDS_RULES` for one that has none yet for that reason.
    """
    codes = np.frombuffer(text, np.int32)
    counts = np.empty(len(lengths), np.int64)
    ids = np.empty(len(codes) * parts(narrow, wide).widest, np.int32)
    end = _encode(codes, lengths, ids, counts, narrow, wide)
    return ids[:end].copy(), counts


def try_out() -> None:
    """Calls all compiled functions, as `compilation.kernel` asks for."""
    nothing = np.empty(0, np.int32)
    tables = make_tables({"[UNK]": 0, "a": 1}, Replacements(nothing, nothing, nothing), "[UNK]", max_length=1)
    encode_text(b"a\0\0\0", *tables)
    encode_texts(b"a\0\0\0", np.ones(1, np.int64), *tables)
