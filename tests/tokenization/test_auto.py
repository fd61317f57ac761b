"""The tokenizer for a vocabulary, by flags and by a directory's files; vocabularies and model sizes."""

from pathlib import Path

import pytest

from bert_tf2.errors import InputError
from bert_tf2.tokenization.auto import VocabularyFile, check_vocab_size
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    return tmp_path


def test_from_flags() -> None:
    assert VocabularyFile.from_flags("v.txt", None) == VocabularyFile("v.txt")
    assert VocabularyFile.from_flags(None, "s.model") == VocabularyFile("s.model", is_sentencepiece=True)
    assert VocabularyFile.from_flags(None, None) is None
    with pytest.raises(InputError, match="--vocab_file and --spm_model_file exclude each other"):
        VocabularyFile.from_flags("v.txt", "s.model")


def test_in_directory(directory: Path) -> None:
    (directory / "spm.model").touch()
    assert VocabularyFile.in_directory(str(directory)) == VocabularyFile(str(directory / "vocab.txt"))
    (directory / "vocab.txt").unlink()
    vocabulary = VocabularyFile.in_directory(str(directory))
    assert vocabulary == VocabularyFile(str(directory / "spm.model"), is_sentencepiece=True)
    (directory / "spm.model").unlink()
    assert VocabularyFile.in_directory(str(directory)) is None


def test_tokenizers(directory: Path, spm_model: Path) -> None:
    tokenizer = VocabularyFile(str(directory / "vocab.txt")).tokenizer(do_lower_case=True)
    assert isinstance(tokenizer, FastTokenizer)
    assert tokenizer.tokenize("AB") == ["a", "##b"]
    cased = VocabularyFile(str(directory / "vocab.txt")).tokenizer(do_lower_case=False)
    assert cased.tokenize("AB") == ["[UNK]"]
    sampled = VocabularyFile(str(spm_model), is_sentencepiece=True).tokenizer(False, alpha=0.1, seed=3)
    assert isinstance(sampled, SentencePieceTokenizer)
    text = "the weather in the mountains"
    assert sampled.encode(text) == SentencePieceTokenizer(spm_model, False, 0.1, 3).encode(text)
    assert sampled.encode(text) != SentencePieceTokenizer(spm_model, False, 0.1, 4).encode(text)


def test_copies(directory: Path, spm_model: Path) -> None:
    for file, name in (
        (VocabularyFile(str(directory / "vocab.txt")), "vocab.txt"),
        (VocabularyFile(str(spm_model), is_sentencepiece=True), "spm.model"),
    ):
        file.copy_into(str(directory / "new"))
        assert (directory / "new" / name).read_bytes() == Path(file.path).read_bytes()
        VocabularyFile(str(directory / "new" / name), file.is_sentencepiece).copy_into(str(directory / "new"))
        assert (directory / "new" / name).read_bytes() == Path(file.path).read_bytes()


def test_more_pieces_than_embeddings() -> None:
    check_vocab_size("v.txt", 1000, 1000)
    with pytest.raises(InputError, match=r"^v\.txt has 1,001 pieces, but the model's vocab_size is 1,000; .*--grow"):
        check_vocab_size("v.txt", 1001, 1000)
