"""build_vocab.py with other rules of the tokenizer than the original's; see also e2e/test_build_vocab.py."""

from pathlib import Path
from typing import Any

import pytest

from bert_tf2.configs.tokenizer import TextTokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.tokenization.vocab_runner import VocabularyConfig, build_vocabulary
from bert_tf2.tokenization.wordpiece import SPECIAL_TOKENS, FullTokenizer


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Über [DRUG]在中国 über [DRUG]\n", encoding="utf-8")
    return path


def build(text: Path, name: str, **changes: Any) -> list[str]:
    build_vocabulary(VocabularyConfig(str(text), str(text.with_name(name)), **changes))
    return text.with_name(name).read_bytes().decode().split("\n")[:-1]


def test_a_new_vocabulary(text: Path) -> None:
    rules = TextTokenizerConfig(strip_accents=False, tokenize_chinese_chars=False, never_split="[DRUG],[E1]")
    pieces = build(text, "v.txt", num_unused=2, tokenizer=rules)
    assert pieces[:9] == ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DRUG]", "[E1]"]
    assert {"##国", "über", "在中国"} <= set(pieces)
    assert not {"[", "d", "u"} & set(pieces)
    tokenizer = FullTokenizer(text.with_name("v.txt"), strip_accents=False, never_split=["[DRUG]"])
    assert tokenizer.tokenize("ÜBER[DRUG]") == ["über", "[DRUG]"]


def test_never_split_tokens_take_the_first_slots(text: Path) -> None:
    old = text.with_name("old.txt")
    lines = [*SPECIAL_TOKENS, "[unused1]\r", " [unused2]", "[unused3]", "[E0]"]
    old.write_bytes("".join(f"{line}\n" for line in lines).encode())
    rules = TextTokenizerConfig(never_split="[E0],[E1],[DRUG]")
    extended = build(text, "x.txt", extend=str(old), min_count=1, max_new=1, tokenizer=rules)
    assert extended[5:] == ["[E1]\r", " [DRUG]", "uber", "[E0]"]
    rules = TextTokenizerConfig(never_split="[A],[B],[C],[D]")
    with pytest.raises(
        InputError, match=r"--never_split has 4 tokens .* has only 3 \[unusedN\] slots; give fewer tokens"
    ):
        build(text, "y.txt", extend=str(old), tokenizer=rules)
    assert not text.with_name("y.txt").exists()


def test_a_sentencepiece_model_has_its_own_rules(text: Path) -> None:
    with pytest.raises(InputError, match=r"--never_split needs --type=wordpiece"):
        build(text, "y.model", type="sentencepiece", tokenizer=TextTokenizerConfig(never_split="[A]"))
