"""Exact match and F1 of Chinese answers as in the evaluation script of CMRC 2018; no TensorFlow.

Chinese characters count one by one, other text in words. F1 is that of the longest part that two answers share.

The script cuts what is not Chinese with `nltk.word_tokenize`. Its rules for words, those of the Penn Treebank, are here
(`tests/test_squad_scoring.py` compares with NLTK where that is installed). One thing is not the script's: NLTK finds
the sentences of such a passage with a trained model; here they end where `_SENTENCE_END` says.
"""

import re
from collections.abc import Callable

_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")

_CHINESE = "\u4e00-\u9fa5"  # what the script takes for Chinese
_PASSAGE = re.compile(rf"[{_CHINESE}]|[^{_CHINESE}]+")
_IS_CHINESE = re.compile(f"[{_CHINESE}]")

# In lower case, in which texts come, a number or a letter with a full stop ends no sentence, nor does an abbreviation.
_TITLES = ("mr", "mrs", "ms", "dr", "prof", "gen", "gov", "sen", "rep", "lt", "col", "sgt")
_ABBREVIATIONS = frozenset((*_TITLES, "st", "jr", "sr", "vs", "inc", "corp", "co", "ltd"))
_SENTENCE_END = re.compile(r"""(\S*[.?!])([)\]}>"']*)(?:\s+|$)""")


def _split(match: re.Match[str]) -> str:
    """The two parts of a contraction as words."""
    return "".join(f" {part} " for part in match.groups() if part)


# What is replaced by what, one after the other; then words stand between spaces. What `normalized` removes has no rule.
_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # Quotation marks that open. A straight one becomes two backquotes, one that closes two apostrophes.
        (r"[«‘„]", r" \g<0> "),
        (r'^"', " `` "),
        (r"""(?<=[ (\[{<])(?:"|'')""", " `` "),
        (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
        # Punctuation. A comma followed by a digit belongs to its number, a full stop is a word at the end alone.
        (r"""(?<=[^.])\.(?=[\])}>"' »]*$)""", " . "),
        (r",([^\d])", r" , \1"),
        (r",$", " , "),
        (r"\.{2,}|[;@#$%&?!\u2012-\u2015]", r" \g<0> "),
        (r"(?<=[^'])' ", " ' "),
        (r"[\[\](){}<>]", r" \g<0> "),
        # Quotation marks that close, and what is contracted.
        (r"$", " "),
        (r"»", " » "),
        (r"''|\"", " '' "),
        (r"\s+", " "),
        (r"(?<=[^' ])(?:'[smd]|') ", r" \g<0>"),
        (r"(?<=[^' ])(?:'ll|'re|'ve|n't) ", r" \g<0>"),
        (r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b", _split),
        (r"\b(more)('n)\b|\b(wan)(na)(?=\s)|(?<= )('t)(is|was)\b", _split),
    )
]


def normalized(text: str) -> str:
    """Lower case, without the punctuation that the script removes (Chinese, and some of ASCII's)."""
    return text.lower().strip().translate(_PUNCTUATION)


def segments(text: str) -> list[str]:
    """Chinese characters, words and other characters of a text, without the punctuation that `normalized` removes."""
    found: list[str] = []
    for passage in _PASSAGE.findall(normalized(text)):
        if _IS_CHINESE.fullmatch(passage):
            found.append(passage)
        else:
            found += [word for sentence in _sentences(passage) for word in _words(sentence)]
    return found


def _words(sentence: str) -> list[str]:
    """The words and punctuation marks of a sentence, in lower case."""
    for pattern, replacement in _RULES:
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()


def _sentences(passage: str) -> list[str]:
    """The sentences of a passage without Chinese characters."""
    found, begin = [], 0
    for match in _SENTENCE_END.finditer(passage):
        word, following = match[1][:-1].lstrip("([{<\"'"), passage[match.end() : match.end() + 1]
        is_short = len(word) == 1 or word.replace(",", "").replace(".", "").isdecimal()
        if (
            match[1].endswith(".")
            and not match[2]
            and (word in _ABBREVIATIONS or "." in word or (is_short and following.islower()))
        ):
            continue
        found.append(passage[begin : match.end(2)])
        begin = match.end()
    return [*found, passage[begin:]]


def exact(gold: str, predicted: str) -> float:
    """1 if both are the same answer, else 0."""
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
