"""Excerpts of long texts: the parts around their marks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bert_tf2.reports.page import Mark

ELLIPSIS = " … "
"""Stands for the omitted parts."""


def excerpt(text: str, marks: Sequence[Mark] = (), most: int = 800, around: int = 200) -> tuple[str, list[Mark]]:
    """The parts of a text around its marks, or its beginning.

        excerpt("a long text", [Mark(2, 6, "person", "right")], most=8, around=0)
        # (" … long … ", [Mark(3, 7, "person", "right")])

    Args:
      text: the text; if it has at most `most` characters, it is returned unchanged.
      marks: the marked spans of the text.
      most: the maximum number of characters to keep; later parts are omitted.
      around: the maximum number of characters to keep on each side of a mark.

    Returns:
      The excerpt, and the marks in it.
    """
    if len(text) <= most:
        return text, list(marks)
    shortened, kept = "", list[Mark]()
    end = 0
    for begin, end in _parts(text, marks, most, around):
        shortened += ELLIPSIS if begin else ""
        for mark in marks:
            first, last = max(mark.begin, begin), min(mark.end, end)
            if first < last:
                kept.append(replace(mark, begin=first - begin + len(shortened), end=last - begin + len(shortened)))
        shortened += text[begin:end]
    return shortened + (ELLIPSIS if end < len(text) else ""), kept


def _parts(text: str, marks: Sequence[Mark], most: int, around: int) -> Iterator[tuple[int, int]]:
    """The bounds of the parts, which neither overlap nor touch, with at most `most` characters in total."""
    merged: list[tuple[int, int]] = []
    for mark in sorted(marks, key=lambda mark: mark.begin):
        begin, end = _at_words(text, mark, max(0, mark.begin - around), min(len(text), mark.end + around))
        if merged and begin <= merged[-1][1] + len(ELLIPSIS):
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    for begin, end in merged or [(0, most)]:
        if most > 0:
            yield begin, min(end, begin + most)
        most -= end - begin


def _at_words(text: str, mark: Mark, begin: int, end: int) -> tuple[int, int]:
    """The bounds of a part of the text, moved to spaces so that no word is split."""
    if begin and (space := text.find(" ", begin - 1, mark.begin)) >= 0:
        begin = space + 1
    if end < len(text) and (space := text.rfind(" ", mark.end, end + 1)) >= 0:
        end = space
    return begin, end
