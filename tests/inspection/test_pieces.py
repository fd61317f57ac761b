"""Pieces and their words, for both kinds of tokenizers."""

from bert_tf2.inspection import pieces
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##ed", "the", ",", "[", "]"]


def tokenizer():
    return FastTokenizer.of_vocab({name: index for index, name in enumerate(NAMES)}, do_lower_case=True)


def test_words_of_a_text():
    text = pieces.split(tokenizer(), "The  Playing, quite [MASK]ed")
    assert text.tokens == ("[CLS]", "the", "play", "##ing", ",", "[UNK]", "[MASK]", "[UNK]", "[SEP]")
    assert text.words == ("the", "playing", ",", "quite", "[MASK]", "ed")
    assert [piece.word for piece in text.pieces] == [None, 0, 1, 1, 2, 3, 4, 5, None]
    assert [piece.is_unknown for piece in text.pieces] == [token == "[UNK]" for token in text.tokens]
    assert text.ids.tolist() == [2, 8, 5, 6, 9, 1, 4, 1, 3]
    assert text.segments.tolist() == [0] * 9
    assert text.masks == (6,)
    assert pieces.text_positions(text).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert text.to_dict()["pieces"][3] == {"token": "##ing", "id": 6, "segment": 0, "word": 1, "unknown": False}
    assert "text_b" not in text.to_dict()


def test_words_of_a_pair_are_numbered_consecutively():
    text = pieces.split(tokenizer(), "played", "[MASK] the")
    assert text.tokens == ("[CLS]", "play", "##ed", "[SEP]", "[MASK]", "the", "[SEP]")
    assert text.words == ("played", "[MASK]", "the")
    assert [piece.word for piece in text.pieces] == [None, 0, 0, None, 1, 2, None]
    assert text.segments.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert text.to_dict()["text_b"] == "[MASK] the"


def test_text_without_pieces():
    text = pieces.split(tokenizer(), "\x00")
    assert text.tokens == ("[CLS]", "[SEP]")
    assert text.words == ()
    assert pieces.text_positions(text).shape == (0,)


def test_sentencepiece(spm_model):
    model = SentencePieceTokenizer(spm_model)
    text = pieces.split(model, "the records, [MASK]")
    assert list(text.tokens) == ["[CLS]", *model.tokenize("the records, "), "[MASK]", "[SEP]"]
    assert text.words[0] == "the"
    assert text.words[-1] == "[MASK]"
    assert "".join(text.words[1:-1]).startswith("records")
    assert [piece.word for piece in text.pieces[1:3]] == [0, 1]
