"""Detects the encoding of text, and suggests a command that converts it to UTF-8; no TensorFlow."""

import codecs

SAMPLE = 1 << 16
"""How many bytes of a text the guess looks at."""

_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# The most frequent characters of what is written in an encoding: its name for iconv, Python's name, characters.
_FREQUENT = (
    ("GB18030", "gb18030", set("的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而得于，。")),
    ("BIG5", "big5", set("的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而得於，。")),
    ("CP932", "cp932", {chr(code) for code in range(0x3041, 0x30FB)} | set("、。")),
    ("EUC-JP", "euc_jp", {chr(code) for code in range(0x3041, 0x30FB)} | set("、。")),
    ("CP949", "cp949", set("이다는의에을가고은하지를한도로사서기아나그자있리어인것수시대해")),
)
_LEAST_SHARE = 0.1  # of the characters beyond ASCII that are frequent ones
# What Western European languages have beyond ASCII. Letters of Czech, Polish or Turkish in their own encodings are
# others in cp1252, or signs amid words: "pøíliš žluouèký".
_WESTERN = set("àáâãäåæçèéêëíîïñóôõöøùúûüßœÀÁÂÄÅÆÇÈÉÊËÍÎÑÓÔÖØÚÜŒ¿¡‘’“”„–—…•€£§°©®™«»·´\xa0") | set("ìòÒÙãÃ")
_LEAST_WESTERN = 0.9  # of the characters beyond ASCII
_LEAST_NEIGHBOURS = 0.6  # of the bytes beyond ASCII that have another one beside them; accented letters stand alone


def guess(content: bytes) -> str | None:
    """iconv's name of the encoding of a text that is not UTF-8; None where the text does not show it."""
    sample = content[:SAMPLE]
    for mark, name in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return name
    if (zeros := sample.count(0)) > len(sample) / 5:  # ASCII in UTF-16 is every other byte; in CJK, fewer are zero
        odd = sample[1::2].count(0)
        return "UTF-16LE" if odd > zeros / 2 else "UTF-16BE"
    if b"\x00" in sample or not _stands_together(sample):
        return None
    shares = {name: _share(sample, codec, frequent) for name, codec, frequent in _FREQUENT}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= _LEAST_SHARE else None


def detect(sample: bytes) -> str | None:
    """Python's name of the encoding of a text: UTF-8, one that `guess` knows, or cp1252; None where it is another one.

    Args:
      sample: the beginning of the text, or of what is not ASCII in it; it may end within a character.
    """
    sample = sample[:SAMPLE]
    name = guess(sample)
    if name is not None and name.startswith("UTF"):
        return codecs.lookup(name).name if _decodes(sample, name) else None
    if _decodes(sample, "utf-8"):
        return "utf-8"
    if name is None and b"\x00" not in sample and _is_western(sample):
        name = "cp1252"
    return codecs.lookup(name).name if name and _decodes(sample, name) else None


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)  # whose last character may not be whole
    except UnicodeDecodeError:
        return False
    return True


def _is_western(sample: bytes) -> bool:
    beyond = [character for character in sample.decode("cp1252", errors="replace") if character > "\x7f"]
    return not _stands_together(sample) and sum(map(_WESTERN.__contains__, beyond)) >= _LEAST_WESTERN * len(beyond)


def _stands_together(sample: bytes) -> bool:
    high = [byte >= 0x80 for byte in sample]
    pairs = zip([False, *high], high, [*high[1:], False], strict=False)
    beside = [before or after for before, this, after in pairs if this]
    return bool(beside) and sum(beside) >= _LEAST_NEIGHBOURS * len(beside)


def _share(sample: bytes, codec: str, frequent: set[str]) -> float:
    text = sample.decode(codec, errors="replace")
    beyond = [character for character in text if character > "\x7f"]
    # A sample may end inside of a character; more than that is another encoding.
    if not beyond or text.count("\ufffd") > 1 + len(beyond) // 100:
        return 0.0
    return sum(character in frequent for character in beyond) / len(beyond)


def sentence(what: str, content: bytes) -> str:
    """The end of an error: that something is not UTF-8, what it may be, and how to convert it; without a full stop.

    Args:
      what: what is not UTF-8: "byte 3 of the line (0xe9)".
      content: the beginning of the text.
    """
    name = guess(content)
    if name is None:
        return f"{what} is not UTF-8; convert the text to UTF-8, for example with iconv, from its actual encoding"
    return f"{what} is not UTF-8; the text looks like {name}: convert it with iconv -f {name} -t UTF-8"
