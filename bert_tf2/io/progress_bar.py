"""Renders the state of long work on one line of a terminal; no TensorFlow."""

import dataclasses
import unicodedata
from collections.abc import Iterator

_BAR, _SHORT_BAR = 10, 4  # minimum columns: while there are numbers to drop, and after that
_BLOCKS = " ▏▎▍▌▋▊▉█"
_ASCII_BLOCKS = " #"


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """What a line can show; empty strings are unknown.

    Attributes:
      description: what is being done.
      fraction: the fraction that is done, from 0 to 1; None if unknown.
      counts: the work done and the total.
      speed, short_speed: the rate, with and without its unit.
      left: the time left.
      notes: other values, the most important first.
    """

    description: str
    fraction: float | None = None
    counts: str = ""
    speed: str = ""
    short_speed: str = ""
    left: str = ""
    notes: tuple[str, ...] = ()

    def by_preference(self) -> Iterator[tuple[int, int, list[str]]]:
        """Layouts, preferred ones first: columns of the description and the bar, and the numbers after the bar."""
        for notes in range(len(self.notes), -1, -1):
            yield 24, _BAR, [self.counts, self.speed, self.left, *self.notes[:notes]]
        yield 24, _BAR, [self.speed, self.left]
        yield 16, _BAR, [self.short_speed, self.left]
        yield 8, _SHORT_BAR, [self.short_speed, self.left]
        yield 0, _SHORT_BAR, [self.short_speed, self.left]
        yield 0, _SHORT_BAR, [self.short_speed]
        yield 0, _SHORT_BAR, []


def render(state: State, width: int, *, is_ascii: bool = False) -> str:
    """The state as a line of at most `width` columns.

    If it does not fit, the notes are dropped first, starting with the last; then the counts, the units, most of the
    description, and the time left. If the total is known, the bar fills the remaining columns.

    Args:
      state: what to show.
      width: columns.
      is_ascii: whether the terminal can only show ASCII.

    >>> state = State(description="Training", fraction=0.5, counts="5/10", speed="2/s", left="0:03 left", notes=("a",))
    >>> render(state, 48, is_ascii=True)
    'Training  50% |#####     |  5/10  2/s  0:03 left'
    >>> render(state, 51, is_ascii=True)
    'Training  50% |#####     |  5/10  2/s  0:03 left  a'
    """
    for columns, bar, numbers in state.by_preference():
        numbers = [number for number in numbers if number]
        description = shortened(state.description, columns, is_ascii)
        if state.fraction is None:
            line = "  ".join(filter(None, [description, *numbers]))
        else:
            start = f"{description} {state.fraction:>4.0%} ".lstrip(" ")
            end = "".join(f"  {number}" for number in numbers)
            room = width - display_width(start) - display_width(end) - 2
            line = f"{start}|{_bar(state.fraction, room, is_ascii)}|{end}" if room >= bar else ""
        if line and display_width(line) <= width:
            return line
    return shortened(state.description, width, is_ascii)


def _bar(fraction: float, width: int, is_ascii: bool) -> str:
    blocks = _ASCII_BLOCKS if is_ascii else _BLOCKS
    whole, rest = divmod(int(min(max(fraction, 0.0), 1.0) * width * (len(blocks) - 1)), len(blocks) - 1)
    return (blocks[-1] * whole + (blocks[rest] if rest else "")).ljust(width)


def display_width(text: str) -> int:
    """The number of columns of a text: two for each wide character of East Asian scripts."""
    return sum(2 if unicodedata.east_asian_width(character) in "FW" else 1 for character in text)


def shortened(text: str, width: int, is_ascii: bool = False) -> str:
    """A text in at most `width` columns: if it is too long, its first word and its end, which suits paths.

    >>> shortened("Tokenizing /data/reviews/train.csv", 24, is_ascii=True)
    'Tokenizing .../train.csv'
    """
    if display_width(text) <= width:
        return text
    mark = "..." if is_ascii else "…"
    first, _, rest = text.partition(" ")
    begin = f"{first} {mark}"
    if not rest or display_width(begin) >= width:
        begin, rest = "", text
        while rest and display_width(rest) > width:
            rest = rest[:-1]
        return rest
    while display_width(begin) + display_width(rest) > width:
        rest = rest[1:]
    return begin + rest
