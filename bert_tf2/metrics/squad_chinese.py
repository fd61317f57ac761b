"""Exact match and F1 of Chinese answers as in the evaluation script of CMRC 2018; no TensorFlow.

Each Chinese character counts as a word. F1 is that of the longest common run of words of two answers.

The script splits text that is not Chinese with `nltk.word_tokenize`, whose rules for words, those of the Penn Treebank,
are reimplemented here (`tests/metrics/test_squad.py` compares with NLTK if that is installed). There is one difference:
NLTK finds the sentences of such a passage with a trained model; here they end where `_SENTENCE_END` matches.
"""

import re
from collections.abc import Callable

_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")

_CHINESE = "\u4e00-\u9fa5"  # the characters that the script considers Chinese
_PASSAGE = re.compile(rf"[{_CHINESE}]|[^{_CHINESE}]+")
_IS_CHINESE = re.compile(f"[{_CHINESE}]")

# In the lower-cased texts, neither a number or letter with a full stop nor an abbreviation ends a sentence.
_TITLES = ("mr", "mrs", "ms", "dr", "prof", "gen", "gov", "sen", "rep", "lt", "col", "sgt")
_ABBREVIATIONS = frozenset((*_TITLES, "st", "jr", "sr", "vs", "inc", "corp", "co", "ltd"))
_SENTENCE_END = re.compile(r"""(\S*[.?!])([)\]}>"']*)(?:\s+|$)""")


def _split(match: re.Match[str]) -> str:
    """The parts of a contraction as separate words."""
    return "".join(f" {part} " for part in match.groups() if part)


# Replacements, in order; afterwards, spaces separate the words. There are no rules for what `normalized` removes.
_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # Opening quotation marks. A straight one becomes two backquotes; a closing one, two apostrophes.
        (r"[«‘„]", r" \g<0> "),
        (r'^"', " `` "),
        (r"""(?<=[ (\[{<])(?:"|'')""", " `` "),
        (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
        # Punctuation. A comma before a digit belongs to the number; a full stop is a word only at the end.
        (r"""(?<=[^.])\.(?=[\])}>"' »]*$)""", " . "),
        (r",([^\d])", r" , \1"),
        (r",$", " , "),
        (r"\.{2,}|[;@#$%&?!\u2012-\u2015]", r" \g<0> "),
        (r"(?<=[^'])' ", " ' "),
        (r"[\[\](){}<>]", r" \g<0> "),
        # Closing quotation marks, and contractions.
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
    """The text in lower case, without the punctuation that the script removes (Chinese, and some of ASCII)."""
    return text.lower().strip().translate(_PUNCTUATION)


def segments(text: str) -> list[str]:
    """Chinese characters, words and other characters of a text, without the punctuation that `normalized` removes."""
    result: list[str] = []
    for passage in _PASSAGE.findall(normalized(text)):
        if _IS_CHINESE.fullmatch(passage):
            result.append(passage)
        else:
            result += [word for sentence in _sentences(passage) for word in _words(sentence)]
    return result


def _words(sentence: str) -> list[str]:
    """The words and punctuation marks of a sentence, in lower case."""
    for pattern, replacement in _RULES:
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()


def _sentences(passage: str) -> list[str]:
    """The sentences of a passage without Chinese characters."""
    sentences, begin = [], 0
    for match in _SENTENCE_END.finditer(passage):
        word, following = match[1][:-1].lstrip("([{<\"'"), passage[match.end() : match.end() + 1]
        is_short = len(word) == 1 or word.replace(",", "").replace(".", "").isdecimal()
        if (
            match[1].endswith(".")
            and not match[2]
            and (word in _ABBREVIATIONS or "." in word or (is_short and following.islower()))
        ):
            continue
        sentences.append(passage[begin : match.end(2)])
        begin = match.end()
    return [*sentences, passage[begin:]]


def exact(gold: str, predicted: str) -> float:
    """1 if both answers are the same, else 0."""
    return float(normalized(gold) == normalized(predicted))


def f1(gold: str, predicted: str) -> float:
    """The F1 of the longest common run of segments of two answers."""
    gold_segments, predicted_segments = segments(gold), segments(predicted)
    same = _longest_common_run(gold_segments, predicted_segments)
    if not same:
        return 0.0
    precision, recall = same / len(predicted_segments), same / len(gold_segments)
    return 2 * precision * recall / (precision + recall)


def _longest_common_run(a: list[str], b: list[str]) -> int:
    """The length of the longest run of segments that occurs in both lists."""
    longest = 0
    previous = [0] * (len(b) + 1)  # lengths of the common runs that end at the previous segment of a and each one of b
    for segment in a:
        current = [0] * (len(b) + 1)
        for end, other in enumerate(b, 1):
            if segment == other:
                current[end] = previous[end - 1] + 1
                longest = max(longest, current[end])
        previous = current
    return longest
