"""Detects the encoding of text, and suggests a command that converts it to UTF-8; no TensorFlow."""

import codecs

SAMPLE = 1 << 16
"""The number of bytes from which the encoding is guessed."""

_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# iconv's name of an encoding, Python's name, and the most frequent characters of texts written in it.
_FREQUENT = (
    ("GB18030", "gb18030", set("的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而得于，。")),
    ("BIG5", "big5", set("的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而得於，。")),
    ("CP932", "cp932", {chr(code) for code in range(0x3041, 0x30FB)} | set("、。")),
    ("EUC-JP", "euc_jp", {chr(code) for code in range(0x3041, 0x30FB)} | set("、。")),
    ("CP949", "cp949", set("이다는의에을가고은하지를한도로사서기아나그자있리어인것수시대해")),
)
_MIN_FREQUENT = 0.1  # of the non-ASCII characters
# The non-ASCII characters of Western European languages. Czech, Polish or Turkish letters in their own encodings are
# other characters when read as cp1252, or signs within words: "pøíliš žluouèký".
_WESTERN = set("àáâãäåæçèéêëíîïñóôõöøùúûüßœÀÁÂÄÅÆÇÈÉÊËÍÎÑÓÔÖØÚÜŒ¿¡‘’“”„–—…•€£§°©®™«»·´\xa0") | set("ìòÒÙãÃ")
_MIN_WESTERN = 0.9  # of the non-ASCII characters
_MIN_ADJACENT = 0.6  # of the non-ASCII bytes, next to another one in multi-byte encodings; accented letters stand alone


def guess(content: bytes) -> str | None:
    """iconv's name of the encoding of a text that is not UTF-8; None if the text does not reveal it."""
    sample = content[:SAMPLE]
    for mark, name in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return name
    if (zeros := sample.count(0)) > len(sample) / 5:  # ASCII in UTF-16 is every other byte; in CJK, fewer are zero
        odd = sample[1::2].count(0)
        return "UTF-16LE" if odd > zeros / 2 else "UTF-16BE"
    if b"\x00" in sample or not _is_multi_byte(sample):
        return None
    fractions = {name: _frequent_fraction(sample, codec, frequent) for name, codec, frequent in _FREQUENT}
    best = max(fractions, key=lambda name: fractions[name])
    return best if fractions[best] >= _MIN_FREQUENT else None


def detect(sample: bytes) -> str | None:
    """Python's name of the encoding of a text: UTF-8, one that `guess` knows, or cp1252; None if unknown.

    Args:
      sample: the beginning of the text, or its bytes from the first non-ASCII one on; it may end within a character.
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
        codecs.getincrementaldecoder(encoding)().decode(sample)  # which accepts an incomplete last character
    except UnicodeDecodeError:
        return False
    return True


def _is_western(sample: bytes) -> bool:
    non_ascii = [character for character in sample.decode("cp1252", errors="replace") if character > "\x7f"]
    return not _is_multi_byte(sample) and sum(map(_WESTERN.__contains__, non_ascii)) >= _MIN_WESTERN * len(non_ascii)


def _is_multi_byte(sample: bytes) -> bool:
    non_ascii = [byte >= 0x80 for byte in sample]
    triples = zip([False, *non_ascii], non_ascii, [*non_ascii[1:], False], strict=False)
    adjacent = [before or after for before, this, after in triples if this]
    return bool(adjacent) and sum(adjacent) >= _MIN_ADJACENT * len(adjacent)


def _frequent_fraction(sample: bytes, codec: str, frequent: set[str]) -> float:
    text = sample.decode(codec, errors="replace")
    non_ascii = [character for character in text if character > "\x7f"]
    # The sample may end within a character; more undecodable bytes than that mean another encoding.
    if not non_ascii or text.count("\ufffd") > 1 + len(non_ascii) // 100:
        return 0.0
    return sum(character in frequent for character in non_ascii) / len(non_ascii)


def not_utf8_reason(what: str, content: bytes) -> str:
    """Completes an error message: something is not UTF-8, its probable encoding, and how to convert it; no full stop.

    Args:
      what: what is not UTF-8: "byte 3 of the line (0xe9)".
      content: the beginning of the text.
    """
    name = guess(content)
    if name is None:
        return f"{what} is not UTF-8; convert the text to UTF-8, for example with iconv, from its actual encoding"
    return f"{what} is not UTF-8; the text looks like {name}: convert it with iconv -f {name} -t UTF-8"
