"""Whole Chinese words: which characters are marked, the same records as simple code makes, and warnings."""

import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.golden_outputs import decoded
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.chinese_words import marked_tokens, unmarked
from reference.instances import create_instances, instance_features, read_documents
from reference.single_texts import line_by_line

from bert_tf2.errors import InputError
from bert_tf2.pretraining_data.chinese_words import WordMarker, read_word_list
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer

CHARACTERS = "使用语言模型来预测下一个词的天气很好我们去北京看长城"
WORDS = ["使用", "语言", "模型", "语言模型", "预测", "天气", "我们", "北京", "长城", "很好"]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *dict.fromkeys(CHARACTERS),
    "pro",
    "##ba",
    "##bility",
    "。",
    "a",
]
SEGMENTED = [
    "使用 语言 模型 来 预测 下 一个 词 的 probability 。",
    "我们 去 北京 看 长城",
    "",
    "天气 很好 a 天气 。",
    "我们 预测 北京 的 天气",
    "",
    "模型 龘 很好龘 模型",  # a character that the vocabulary lacks
    "语言 来 去",
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chinese")
    (directory / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    (directory / "segmented.txt").write_text("\n".join(SEGMENTED) + "\n", encoding="utf-8")
    (directory / "plain.txt").write_text(
        "\n".join(line.replace(" ", "") for line in SEGMENTED) + "\n", encoding="utf-8"
    )
    (directory / "words.txt").write_text("".join(f"{word} 12 n\n" for word in WORDS) + "\nno\n的\n", encoding="utf-8")
    return directory


def config(directory: Path, output: Path, text: str = "segmented.txt", **changes: Any) -> PretrainingDataConfig:
    values = {"max_seq_length": 24, "max_predictions_per_seq": 6, "dupe_factor": 4, "do_whole_word_mask": True}
    return PretrainingDataConfig(
        input_file=str(directory / text),
        output_file=str(output),
        vocab_file=str(directory / "vocab.txt"),
        **{**values, **changes},
    )


mixed = st.text(st.sampled_from([*CHARACTERS, *"ab  。é龘鿿豈\u200d\u0301Σ"]), max_size=40)


@given(lines=st.lists(mixed, max_size=6), listed=st.booleans(), lower=st.booleans())
@settings(max_examples=150)
def test_marks_are_those_of_plain_code(directory: Path, lines: list[str], listed: bool, lower: bool) -> None:
    vocab_file = str(directory / "vocab.txt")
    tokenizer, plain = FastTokenizer(vocab_file, lower), FullTokenizer(vocab_file, lower)
    marker = WordMarker(tokenizer, read_word_list(str(directory / "words.txt")) if listed else None)
    encoded = tokenizer.encode_batch(lines)
    expected = [token for line in lines for token in marked_tokens(line, plain, WORDS if listed else None)]
    assert encoded.values.tolist() == [plain.vocab[unmarked(token, plain.vocab)] for token in expected]
    is_marked = [token not in plain.vocab for token in expected]
    assert (marker.mark(lines, encoded) - encoded.values).tolist() == [marker.shift * mark for mark in is_marked]
    assert marker.marked == sum(is_marked)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("lines", [False, True])
def test_records_are_those_of_plain_code(directory: Path, tmp_path: Path, listed: bool, lines: bool) -> None:
    flags = {"word_list": str(directory / "words.txt")} if listed else {"segmented_text": True}
    text = "plain.txt" if listed else "segmented.txt"
    create_pretraining_data(config(directory, tmp_path / "a", text, line_by_line=lines, **flags))

    tokenizer = FullTokenizer(str(directory / "vocab.txt"))
    lines_of_text = (directory / text).read_text(encoding="utf-8").split("\n")
    documents = read_documents(lines_of_text, lambda line: marked_tokens(line, tokenizer, WORDS if listed else None))
    parameters = InstanceParameters(24, 6, dupe_factor=4, do_whole_word_mask=True)
    rng, words = random.Random(12345), list(tokenizer.vocab)
    if lines:
        instances = line_by_line([line for document in documents for line in document], words, parameters, rng)
    else:
        instances = create_instances(documents, words, parameters, rng)
    for instance in instances:
        for tokens in (instance.tokens, instance.masked_lm_labels):
            tokens[:] = [unmarked(token, tokenizer.vocab) for token in tokens]
    features = [instance_features(instance, tokenizer, parameters) for instance in instances]
    for row in features if lines else []:
        del row["next_sentence_labels"]  # type: ignore[attr-defined]
    assert decoded(tmp_path / "a") == features


def test_tokens_are_those_without_spaces(directory: Path, tmp_path: Path) -> None:
    """Only which tokens are masked differs."""
    unmasked = []
    for text, flags in (("segmented.txt", {"segmented_text": True}), ("plain.txt", {})):
        create_pretraining_data(config(directory, tmp_path / text, text, line_by_line=True, dupe_factor=1, **flags))
        rows = decoded(tmp_path / text)
        for row in rows:
            for position, label in zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True):
                if position:
                    row["input_ids"][int(position)] = label
        unmasked.append(Counter(tuple(row["input_ids"]) for row in rows))
    assert unmasked[0] == unmasked[1]


def test_records_without_masks_contain_which_characters_continue_a_word(directory: Path, tmp_path: Path) -> None:
    flags = {"segmented_text": True, "line_by_line": True, "masking": "dynamic"}
    summary = create_pretraining_data(config(directory, tmp_path / "a", **flags))
    tokenizer = FullTokenizer(str(directory / "vocab.txt"))
    expected = set()
    for line in filter(None, SEGMENTED):
        tokens = marked_tokens(line, tokenizer)[:22]
        ids = [tokenizer.vocab[unmarked(token, tokenizer.vocab)] for token in tokens]
        padding = [0] * (22 - len(ids))
        marks = [int(token not in tokenizer.vocab) for token in tokens]
        expected.add(((2, *ids, 3, *padding), (0, *marks, 0, *padding)))
    rows = decoded(tmp_path / "a")
    assert {(tuple(row["input_ids"]), tuple(row["continues_word"])) for row in rows} == expected
    assert len(rows) == summary.instances == len(expected)
    create_pretraining_data(config(directory, tmp_path / "b", line_by_line=True, masking="dynamic"))
    assert "continues_word" not in decoded(tmp_path / "b")[0]


def test_all_characters_of_a_word_are_masked(directory: Path, tmp_path: Path) -> None:
    flags = {"segmented_text": True, "line_by_line": True, "dupe_factor": 50}
    create_pretraining_data(config(directory, tmp_path / "a", **flags))
    several = {tuple(PIECES.index(char) for char in word): word for word in ("北京", "长城", "我们")}
    seen: Counter[str] = Counter()
    for row in decoded(tmp_path / "a"):
        chosen = {
            int(at): label for at, label in zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True) if at
        }
        original = [chosen.get(at, piece) for at, piece in enumerate(row["input_ids"])]
        for at in range(len(original) - 1):
            if word := several.get((int(original[at]), int(original[at + 1]))):
                assert (at in chosen) == (at + 1 in chosen)
                seen[word] += at in chosen
    assert min(seen[word] for word in several.values()) > 3


@pytest.mark.parametrize(
    ("text", "changes", "sentence"),
    [
        ("segmented.txt", {"segmented_text": True}, None),
        ("plain.txt", {"do_whole_word_mask": False}, None),
        ("plain.txt", {}, "--do_whole_word_mask does nothing on Chinese characters, which are 8"),
        ("plain.txt", {"segmented_text": True}, "Words of 7.0 Chinese characters on average: --segmented_text expects"),
        (
            "english.txt",
            {"segmented_text": True},
            "The text has no word of several Chinese characters; --segmented_text",
        ),
    ],
)
def test_warnings(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, changes: dict[str, Any], sentence: str
) -> None:
    (directory / "english.txt").write_text("a a\na\n\na probability\na a\n")
    create_pretraining_data(config(directory, tmp_path / "a", text, **changes))
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [warning[: len(sentence or "")] for warning in warnings] == ([sentence] if sentence else [])


def test_mistakes(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("的\nword\n", encoding="utf-8")
    words = {"word_list": str(directory / "words.txt")}
    for changes, sentence in (
        ({**words, "segmented_text": True}, "--segmented_text and --word_list both say where words end"),
        ({**words, "do_whole_word_mask": False}, "--word_list says which .*; add --do_whole_word_mask"),
        ({"segmented_text": True, "vocab_file": None, "spm_model_file": "m"}, "--segmented_text needs --vocab_file"),
    ):
        with pytest.raises(InputError, match=sentence):
            PretrainingDataConfig(**{**config(directory, tmp_path / "a").__dict__, **changes})
    for name, sentence in (("none.txt", "has no word of at least two Chinese characters"), ("gone", "Cannot read")):
        with pytest.raises(InputError, match=sentence):
            create_pretraining_data(config(directory, tmp_path / "a", word_list=str(tmp_path / name)))
    with pytest.raises(InputError, match="is read by --word_list"):
        config(directory, directory / "words.txt", **words)
