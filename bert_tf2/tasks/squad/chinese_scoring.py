"""Exact match and F1 of Chinese answers as the evaluation script of CMRC 2018 counts them; no TensorFlow.

Chinese characters count one by one, other text in words. F1 is that of the longest part that two answers share.

One thing is not the script's: it cuts what is not Chinese into words with NLTK. Here that is a regular expression,
under which figures (`3,000`, `24.5`), units and names come out the same.
"""

import re
import string

_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")

_CHINESE = "\u4e00-\u9fa5"  # what the script takes for Chinese
_WORD = rf"[^\s{_CHINESE}{re.escape(string.punctuation)}–—‘„«»]+"
_SEGMENT = re.compile(rf"[{_CHINESE}]|{_WORD}(?:[.,]{_WORD})*|'{_WORD}|\.\.+|\S")


def normalized(text: str) -> str:
    """Lower case, without the punctuation that the script removes (Chinese, and some of ASCII's)."""
    return text.lower().strip().translate(_PUNCTUATION)


def segments(text: str) -> list[str]:
    """Chinese characters, words and other characters of a text, without the punctuation that `normalized` removes."""
    return _SEGMENT.findall(normalized(text))


def exact(gold: str, predicted: str) -> float:
    """1 where the two are the same answer, else 0."""
    return float(normalized(gold) == normalized(predicted))


def f1(gold: str, predicted: str) -> float:
    """The harmonic mean of how much of either is the longest run of segments that they share."""
    gold_segments, predicted_segments = segments(gold), segments(predicted)
    same = _longest_shared(gold_segments, predicted_segments)
    if not same:
        return 0.0
    precision, recall = same / len(predicted_segments), same / len(gold_segments)
    return 2 * precision * recall / (precision + recall)


def _longest_shared(a: list[str], b: list[str]) -> int:
    """The length of the longest run that is in both."""
    longest = 0
    before = [0] * (len(b) + 1)  # how long the shared run is that ends at each place of b, and the last one of a
    for one in a:
        here = [0] * (len(b) + 1)
        for place, other in enumerate(b, 1):
            if one == other:
                here[place] = before[place - 1] + 1
                longest = max(longest, here[place])
        before = here
    return longest
