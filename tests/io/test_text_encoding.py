"""Guesses of encodings: right, or none."""

import pytest

from bert_tf2.io.text_encoding import detect, guess, not_utf8_reason

CHINESE = "今天天气很好，我们在公园里散步。\n"
JAPANESE = "今日はとても良い天気です。\nカタカナもあります。\n"


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("text,label\ngood,1\n", "utf-16", "UTF-16"),
        (CHINESE, "utf-16", "UTF-16"),
        ("text,label\ngood,1\n", "utf-16-le", "UTF-16LE"),
        ("text,label\ngood,1\n", "utf-16-be", "UTF-16BE"),
        ("text,label\ngood,1\n", "utf-32", "UTF-32"),
        (CHINESE, "gb18030", "GB18030"),
        (CHINESE, "gbk", "GB18030"),
        ("text,label\n" + CHINESE * 50, "gb18030", "GB18030"),
        ("今天天氣很好，我們在公園裡散步。\n", "big5", "BIG5"),
        (JAPANESE, "cp932", "CP932"),
        (JAPANESE, "euc_jp", "EUC-JP"),
        ("안녕하세요, 오늘은 날씨가 좋습니다. 그 사람은 학교에 갔다.\n", "cp949", "CP949"),
        ("Der Käse ist schön. Über die Größe läßt sich streiten.\n", "latin-1", None),
        ("Été à la forêt, où naïf et déçu il rêvait.\n", "cp1252", None),
        ("Привет, это пример текста на русском языке.\n", "cp1251", None),
        ("Zażółć gęślą jaźń.\n", "cp1250", None),
    ],
)
def test_guess(text, encoding, expected):
    assert guess(text.encode(encoding)) == expected


def test_no_guess():
    assert guess(b"") is None
    assert guess(bytes(range(256)) * 10) is None


def test_reasons():
    assert not_utf8_reason("byte 1", CHINESE.encode("gbk")) == (
        "byte 1 is not UTF-8; the text looks like GB18030: convert it with iconv -f GB18030 -t UTF-8"
    )
    assert not_utf8_reason("byte 1", b"caf\xe9") == (
        "byte 1 is not UTF-8; convert the text to UTF-8, for example with iconv, from its actual encoding"
    )


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("good", "utf-8", "utf-8"),
        ("", "utf-8", "utf-8"),
        ("今天天气很好", "utf-8", "utf-8"),
        ("text,label\n", "utf-16-le", "utf-16-le"),
        (CHINESE, "gb18030", "gb18030"),
        ("Der Käse ist schön.\n", "latin-1", "cp1252"),
        ("Été à la forêt, où naïf et déçu il rêvait.\n", "cp1252", "cp1252"),
        ("¿Qué película más buena, señor?\n", "cp1252", "cp1252"),
        ("Привет, это пример текста на русском языке.\n", "cp1251", None),
        ("Zażółć gęślą jaźń.\n", "cp1250", None),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy.\n", "cp1250", None),
        ("Çok güzel bir film, beğendim, şahane ışık.\n", "cp1254", None),
    ],
)
def test_detect(text, encoding, expected):
    assert detect(text.encode(encoding)) == expected


def test_a_sample_may_end_within_a_character():
    for encoding in ("utf-8", "gb18030"):
        assert detect((CHINESE * 3).encode(encoding)[:-2]) == encoding
