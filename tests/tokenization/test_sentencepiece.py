import functools
import io
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from helpers.repository import REPOSITORY, own_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tokenization import sentencepiece as sentencepiece_tokenizer
from bert_tf2.tokenization import vocab_training
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.subword_regularization import UNKNOWN_ID, Piece, Sampler, sample_bpe, sample_unigram
from bert_tf2.tokenization.wordpiece import SPECIAL_TOKENS

ENGLISH = "the quick brown fox jumps over the lazy dog, and the dog, being lazy, lets it jump over and over again"
SPELT_OUT = st.sampled_from([*SPECIAL_TOKENS, "[unused0]", "<pad>", "<unk>", "<s>", "▁", " ", "the quick", "é", "中"])


def trained(tmp_path: Path, name: str = "x.model", **options: Any) -> str:
    """A model by the package's own trainer."""
    options = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": "[CLS],[SEP],[MASK]", **options}
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([ENGLISH] * 3),
        model_writer=model,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"vocab_size": 60, "model_type": "bpe", **options},
    )
    path = tmp_path / name
    path.write_bytes(model.getvalue())
    return str(path)


def lines_of(language: str) -> list[str]:
    return chinese_lines() if language == "zh" else own_lines()


def chinese_lines() -> list[str]:
    """Sentences of every subject, time, verb and object."""
    parts = (
        ["我们", "他", "那位老师", "孩子们"],
        ["今天", "明天早上", "昨天"],
        ["去公园看", "在家里画", "想买", "听说过"],
    )
    objects = ["花", "一本旧书", "地图", "很多有趣的故事", "大船"]
    return ["".join(words) + "。" for words in itertools.product(*parts, objects)]


@pytest.fixture(scope="module")
def models(spm_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models of this project's: English unigram, BPE and one that keeps case, Chinese unigram."""
    paths = {"en-unigram": str(spm_model)}
    for name, size, options in (
        ("en-bpe", 1000, {"model_type": "bpe"}),
        ("en-cased", 1000, {"do_lower_case": False}),
        ("zh-unigram", 200, {}),
    ):
        words = vocab_training.count_words(lines_of(name[:2]), vocab_training.split_parts)
        path = tmp_path_factory.mktemp("models") / f"{name}.model"
        path.write_bytes(vocab_training.learn_sentencepiece(words, size, **options))
        paths[name] = str(path)
    return paths


def test_tokens_and_ids(models: dict[str, str]):
    tokenizer = SentencePieceTokenizer(models["en-bpe"])
    tokens = tokenizer.tokenize("The files")
    assert tokens == ["▁the", "▁files"]
    assert tokenizer.convert_tokens_to_ids(tokens) == tokenizer.encode("The files") == tokenizer.encode(b"the files")
    assert list(tokenizer.vocab.values()) == list(range(1000))
    special = tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    assert tokenizer.convert_ids_to_tokens([*special, tokens_id := tokenizer.vocab["▁the"]]) == [
        *SPECIAL_TOKENS,
        "▁the",
    ]
    assert tokenizer.inv_vocab[tokens_id] == "▁the"
    with pytest.raises(InputError, match="'nothing' is not in the vocabulary of 1,000 pieces"):
        tokenizer.convert_tokens_to_ids(["nothing"])


def test_lower_case_only_where_asked_for(models: dict[str, str]):
    cased = SentencePieceTokenizer(models["en-cased"])
    assert cased.tokenize("FILE") != cased.tokenize("file") == ["▁file"]
    lowered = SentencePieceTokenizer(models["en-cased"], do_lower_case=True)
    assert lowered.do_lower_case
    assert lowered.encode("FILÉ") == lowered.encode("file") == cased.encode("file")
    # Where the model folds case itself, nothing is done to the text before: the accent stays.
    own = SentencePieceTokenizer(models["en-unigram"], do_lower_case=True)
    assert own.encode("CAFÉ") == own.encode("café") == SentencePieceTokenizer(models["en-unigram"]).encode("café")
    assert own.encode("café") != own.encode("cafe")


def test_rows(models: dict[str, str]):
    tokenizer = SentencePieceTokenizer(models["en-cased"])
    texts = ["the dog", "", "a", "the \n\t dog"]
    rows = tokenizer.encode_batch(texts)
    assert rows.values.dtype == np.int32
    assert rows.row_splits.dtype == np.int64
    expected = [tokenizer.encode(text) for text in texts]
    assert rows.row_splits.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert rows.values.tolist() == [index for row in expected for index in row]
    assert expected[0] == expected[3]
    assert tokenizer.encode("") == []
    empty = tokenizer.encode_batch([])
    assert (empty.values.tolist(), empty.row_splits.tolist()) == ([], [0])


@pytest.mark.parametrize("alpha", [0.0, 0.2])
@settings(max_examples=60)
@given(parts=st.lists(st.one_of(SPELT_OUT, st.text(max_size=5)), max_size=8))
def test_text_makes_no_special_token(alpha: float, parts: list[str], models: dict[str, str]):
    text = "".join(parts)
    for path in (models["en-cased"], models["en-bpe"]):
        tokenizer = cached(path, alpha)
        tokens = tokenizer.tokenize(text)
        assert not {"[PAD]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"} & set(tokens)
        assert tokenizer.convert_tokens_to_ids(tokens) == tokenizer.encode(text)


@functools.cache
def cached(path: str, alpha: float) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(path, alpha=alpha)


def test_user_defined_special_tokens_are_not_found_in_text(tmp_path: Path):
    path = trained(tmp_path, control_symbols="[CLS],[SEP]", user_defined_symbols="[MASK],fox")
    assert sentencepiece.SentencePieceProcessor(model_file=path).encode("the [MASK] dog", out_type=str)[2] == "[MASK]"
    tokenizer = SentencePieceTokenizer(path)
    assert tokenizer.tokenize("the [MASK] dog") == ["▁the", "▁", "[UNK]", "▁dog"]
    assert tokenizer.encode_batch(["[MASK]"] * 2).values.tolist() == [tokenizer.vocab["▁"], 1] * 2
    assert tokenizer.tokenize("the fox") == ["▁the", "▁", "fox"]
    assert not tokenizer.is_continuation[[tokenizer.vocab["fox"], tokenizer.vocab["[MASK]"]]].any()


def test_continuations(models: dict[str, str]):
    tokenizer = SentencePieceTokenizer(models["en-unigram"])
    assert tokenizer.is_continuation.shape == (1000,)
    assert tokenizer.is_continuation.dtype == bool
    begin = [*SPECIAL_TOKENS, "▁", "▁the", "(", ",", "-", "."]
    continuing = ["s", "ed", "ing", "er"]
    assert not tokenizer.is_continuation[tokenizer.convert_tokens_to_ids(begin)].any()
    assert tokenizer.is_continuation[tokenizer.convert_tokens_to_ids(continuing)].all()
    chinese = SentencePieceTokenizer(models["zh-unigram"])
    ids = chinese.encode("我们明天早上在家里画大船。")
    assert len(ids) > 3
    assert not chinese.is_continuation[ids].any()


def test_bytes_go_on_with_a_word(tmp_path: Path):
    tokenizer = SentencePieceTokenizer(trained(tmp_path, byte_fallback=True, vocab_size=330))
    ids = tokenizer.encode("a中")
    assert tokenizer.convert_ids_to_tokens(ids)[-3:] == ["<0xE4>", "<0xB8>", "<0xAD>"]
    assert tokenizer.is_continuation[ids[-3:]].all()


# --- Sampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["en-unigram", "en-bpe"])
def test_sampling_is_a_function_of_text_and_seed(name: str, models: dict[str, str]):
    lines = [line for line in own_lines()[:200] if line]
    best = SentencePieceTokenizer(models[name])
    one = SentencePieceTokenizer(models[name], alpha=0.2, seed=1)
    rows = [one.encode(line) for line in lines]
    assert [one.encode(line) for line in reversed(lines)] == rows[::-1]
    assert one.encode_batch(lines).values.tolist() == [index for row in rows for index in row]
    two = one.with_seed(2)
    assert [two.encode(line) for line in lines] != rows
    assert [one.encode(line) for line in lines] == rows
    assert [two.with_seed(1).encode(line) for line in lines] == rows
    assert [pickle.loads(pickle.dumps(two)).encode(line) for line in lines[:9]] == [
        two.encode(line) for line in lines[:9]
    ]
    # Other pieces, the same text.
    plain = [best.encode(line) for line in lines]
    assert sum(map(len, rows)) > 1.05 * sum(map(len, plain))
    for row, other in zip(rows, plain, strict=True):
        assert "".join(one.convert_ids_to_tokens(row)) == "".join(best.convert_ids_to_tokens(other))


def test_each_text_has_draws_of_its_own(models: dict[str, str]):
    tokenizer = SentencePieceTokenizer(models["en-unigram"], alpha=0.1)
    seeds = [tokenizer.with_seed(seed) for seed in range(20)]
    # The model folds case, so that both are the same to it.
    assert [one.encode("walking") for one in seeds] != [one.encode("Walking") for one in seeds]


def test_user_defined_pieces_are_kept_whole_in_samples(tmp_path: Path):
    for model_type in ("bpe", "unigram"):
        path = trained(tmp_path, user_defined_symbols="fox", model_type=model_type)
        tokenizer = SentencePieceTokenizer(path, alpha=0.5)
        sampled = [tokenizer.with_seed(seed).tokenize("the foxes jump") for seed in range(50)]
        assert model_type == "unigram" or len(set(map(tuple, sampled))) > 1
        assert all("fox" in tokens for tokens in sampled)


def test_sampling_is_the_same_in_each_process(models: dict[str, str]):
    lines = [line for line in own_lines()[:100] if line]
    program = f"""
import json, sys
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
tokenizer = SentencePieceTokenizer({models["en-unigram"]!r}, alpha=0.1, seed=7)
print(json.dumps([tokenizer.encode(line) for line in json.load(sys.stdin)]))
"""
    done = []
    for share in (lines[:50], lines[50:]):
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": str(len(done))}
        output = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(share), env=environment, **CAPTURED
        ).stdout
        done += json.loads(output)
    tokenizer = SentencePieceTokenizer(models["en-unigram"], alpha=0.1, seed=7)
    assert [tokenizer.encode(line) for line in lines] == done


CAPTURED: dict[str, Any] = {"capture_output": True, "text": True, "check": True}


def test_sampling_draws_as_the_model_says(models: dict[str, str]):
    """With alpha 1, as often as the probabilities of the ways to cut a word; the seeds are independent draws."""
    processor = sentencepiece.SentencePieceProcessor(model_file=models["en-unigram"])
    ways = processor.nbest_encode("walking", out_type=int, nbest_size=200)
    weights = np.array([np.exp(sum(map(processor.get_score, way))) for way in ways])
    tokenizer = SentencePieceTokenizer(models["en-unigram"], alpha=0.2)
    draws = 4000
    sampled = [tokenizer.with_seed(seed).encode("walking") for seed in range(draws)]
    for way, share in zip(ways, weights**0.2 / (weights**0.2).sum(), strict=True):
        if share > 0.02:
            assert sampled.count(way) / draws == pytest.approx(share, abs=5 * (share / draws) ** 0.5)


def test_bpe_dropout_draws_as_the_library_does(models: dict[str, str]):
    processor = sentencepiece.SentencePieceProcessor(model_file=models["en-bpe"])
    tokenizer = SentencePieceTokenizer(models["en-bpe"], alpha=0.3)
    draws = 4000
    ours = Counter(tuple(tokenizer.with_seed(seed).encode("walking")) for seed in range(draws))
    theirs = Counter(
        tuple(processor.encode("walking", out_type=int, enable_sampling=True, alpha=0.3)) for _ in range(draws)
    )
    assert len(ours) > 10
    for way in {*ours, *theirs}:
        difference = abs(ours[way] - theirs[way])
        assert difference <= 6 * (ours[way] + theirs[way] + 1) ** 0.5


@pytest.mark.parametrize("name", ["en-unigram", "en-bpe", "zh-unigram", "en-cased", "user-defined", "bytes"])
def test_without_randomness_it_is_the_library(name: str, models: dict[str, str], tmp_path: Path):
    """The most probable cut, and byte-pair encoding that leaves out nothing."""
    if name == "user-defined":
        path = trained(tmp_path, user_defined_symbols="fox,ju,over and", vocab_size=70, model_type="bpe")
    elif name == "bytes":
        path = trained(tmp_path, byte_fallback=True, vocab_size=320, model_type="unigram")
    else:
        path = models[name]
    lines = lines_of(name[:2])
    lines += [f"{ENGLISH} ju fox over and foxes", "🙂🙂 中文x 🙂", "ＡＢ ﬁ é ½", " ", "▁x ▁"]
    tokenizer = SentencePieceTokenizer(path, alpha=1.0)
    tokenizer._sampler = exact(path)
    best = SentencePieceTokenizer(path)
    same = [tokenizer.encode(line) == best.encode(line) for line in lines]
    # Two cuts can be equally probable but for rounding.
    assert sum(same) >= len(lines) - (0 if "bpe" in name else 3)


def exact(path: str) -> Sampler:
    content = sentencepiece_tokenizer._content(Path(path).read_bytes())
    pieces = {
        piece.piece: Piece(index, piece.score, piece.type == 4)
        for index, piece in enumerate(content.pieces)
        if piece.type in (1, 4)
    }
    return sample_bpe(pieces, 0.0) if content.trainer_spec.model_type == 2 else sample_unigram(pieces, 1e5)


def test_draws_are_pinned():
    """The same on each machine and with each version."""
    pieces = {
        text: Piece(index, -float(len(text) % 3), False)
        for index, text in enumerate(["a", "b", "ab", "ba", "aba", "bab"])
    }
    rng = random.Random(1)
    sampler = sample_unigram(pieces, 0.5)
    assert [sampler("ababa", rng) for _ in range(4)] == [[0, 1, 4], [0, 5, 0], [4, 3], [4, 1, 0]]
    sampler = sample_bpe(pieces, 0.5)
    assert [sampler("ababa", rng) for _ in range(4)] == [[0, 5, 0], [0, 1, 4], [2, 4], [0, 1, 0, 1, 0]]
    assert sampler("acb", rng) == [0, UNKNOWN_ID, 1]


def test_pieces_at_odds():
    """An unknown character is worse than any piece; a piece of the user's takes no part in merges."""
    pieces = {"a": Piece(0, -1.0, False), "ab": Piece(1, -9.0, False), "c": Piece(2, -2.0, False)}
    assert sample_unigram(pieces, 1e5)("abc", random.Random(0)) == [1, 2]
    assert sample_unigram(pieces, 1e5)("bc", random.Random(0)) == [UNKNOWN_ID, 2]
    for score, ids in ((-0.04, [0, 1]), (-0.06, [2])):
        pieces = {"a": Piece(0, score, False), "b": Piece(1, score, False), "ab": Piece(2, 0.0, True)}
        assert sample_unigram(pieces, 1e5)("ab", random.Random(0)) == ids
    pieces = {
        "ab": Piece(0, 0.0, True),
        "c": Piece(1, -2.0, False),
        "abc": Piece(2, -1.0, False),
        **pieces_of("a", "b"),
    }
    assert sample_bpe(pieces, 0.0)("abcab", random.Random(0)) == [0, 1, 0]


def pieces_of(*texts: str) -> dict[str, Piece]:
    return {text: Piece(10 + index, -5.0, False) for index, text in enumerate(texts)}


def test_sampling_needs_a_model_that_has_a_choice(tmp_path: Path):
    path = trained(tmp_path, model_type="char")
    assert SentencePieceTokenizer(path).tokenize("the") == ["▁", "t", "h", "e"]
    with pytest.raises(InputError, match=r"x.model is neither unigram nor BPE .* set --spm_alpha=0"):
        SentencePieceTokenizer(path, alpha=0.1)


def test_pieces_over_the_ends_of_words(tmp_path: Path):
    path = trained(tmp_path, split_by_whitespace=False, vocab_size=90)
    best, tokenizer = SentencePieceTokenizer(path), SentencePieceTokenizer(path, alpha=0.1)
    assert any("▁" in piece[1:] for piece in best.tokenize(ENGLISH))
    assert any("▁" in piece[1:] for piece in tokenizer.tokenize(ENGLISH))
    assert "".join(tokenizer.tokenize(ENGLISH)) == "".join(best.tokenize(ENGLISH))


# --- In the graph ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["en-unigram", "en-bpe", "zh-unigram", "en-cased"])
def test_same_ids_in_the_graph(name: str, models: dict[str, str]):
    import tensorflow as tf
    import tensorflow_text

    path = models[name]
    lines = [*lines_of(name[:2]), "[CLS] in a Text [MASK]", "  two   blanks\t", "ＡＢ ﬁ é ½", "🙂 ▁x"]
    graph = tensorflow_text.SentencepieceTokenizer(Path(path).read_bytes())
    ragged = tf.function(graph.tokenize)(tf.constant(lines))
    rows = SentencePieceTokenizer(path).encode_batch(lines)
    np.testing.assert_array_equal(rows.row_splits, ragged.row_splits)
    np.testing.assert_array_equal(rows.values, ragged.values)
    assert rows.values.size > (1000 if name.startswith("zh") else 10000)


# --- Mistakes --------------------------------------------------------------------------------------------------------


def test_pickle_does_not_need_the_file(tmp_path: Path):
    path = trained(tmp_path)
    tokenizer = SentencePieceTokenizer(path)
    packed = pickle.dumps(tokenizer)
    Path(path).unlink()
    again = pickle.loads(packed)
    assert again.encode(ENGLISH) == tokenizer.encode(ENGLISH)
    assert again.vocab == tokenizer.vocab
    assert (again.is_continuation == tokenizer.is_continuation).all()


def test_missing_special_tokens_are_named(tmp_path: Path):
    path = trained(tmp_path, pad_id=-1, unk_id=0, control_symbols="[SEP]")
    with pytest.raises(InputError, match=r"x.model of 60 pieces lacks \[PAD\], \[CLS\], \[MASK\]; BERT needs"):
        SentencePieceTokenizer(path)


def test_the_names_of_padding_and_unknown(tmp_path: Path):
    own = SentencePieceTokenizer(trained(tmp_path, pad_piece="[PAD]", unk_piece="[UNK]", pad_id=3, unk_id=7))
    assert (own.vocab["[PAD]"], own.vocab["[UNK]"]) == (3, 7)
    assert own.encode("中")[-1] == 7
    assert not own.is_continuation[[3, 7]].any()


@pytest.mark.parametrize("content", [b"", b"the\t-1.5\n", b"\x00" * 50, b"{}"])
def test_not_a_model(content: bytes, tmp_path: Path):
    path = tmp_path / "x.model"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x.model is not a SentencePiece model; expected the .model file"):
        SentencePieceTokenizer(path)


def test_no_such_model(tmp_path: Path):
    with pytest.raises(InputError, match=r"Cannot read the SentencePiece model .*x.model: No such file"):
        SentencePieceTokenizer(tmp_path / "x.model")


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_is_a_share(alpha: float, tmp_path: Path):
    with pytest.raises(InputError, match=r"--spm_alpha=.* must be between 0 and 1; 0 does not sample"):
        SentencePieceTokenizer(trained(tmp_path), alpha=alpha)
