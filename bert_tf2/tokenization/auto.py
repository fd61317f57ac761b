"""Which tokenizer belongs to which vocabulary, and what a model's directory calls the file; no TensorFlow."""

import dataclasses
import os
import shutil

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, run_files
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer

VOCAB_FILE, SENTENCEPIECE_FILE = run_files.VOCABULARY, run_files.SENTENCEPIECE_MODEL

Tokenizer = FastTokenizer | SentencePieceTokenizer


@dataclasses.dataclass(frozen=True)
class VocabularyFile:
    """A model's vocabulary.

    Attributes:
      path: the file.
      is_sentencepiece: whether it is a SentencePiece model; else it is a WordPiece vocabulary, one piece a line.
    """

    path: str
    is_sentencepiece: bool = False

    @classmethod
    def given(cls, vocab_file: str | None, spm_model_file: str | None) -> "VocabularyFile | None":
        """The vocabulary that `--vocab_file` or `--spm_model_file` names; None if both are omitted.

        Raises:
          InputError: both are given.
        """
        if vocab_file and spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        path = vocab_file or spm_model_file
        return cls(path, is_sentencepiece=not vocab_file) if path else None

    @classmethod
    def inside(cls, directory: str) -> "VocabularyFile | None":
        """The vocabulary in a model's directory; None if it has none under its usual name."""
        for found in (
            cls(os.path.join(directory, VOCAB_FILE)),
            cls(os.path.join(directory, SENTENCEPIECE_FILE), is_sentencepiece=True),
        ):
            if file_system.isfile(found.path):
                return found
        return None

    @property
    def name(self) -> str:
        """The file's name in a model's directory."""
        return SENTENCEPIECE_FILE if self.is_sentencepiece else VOCAB_FILE

    def tokenizer(self, do_lower_case: bool, alpha: float = 0.0, seed: int = 0) -> Tokenizer:
        """The tokenizer.

        Args:
          do_lower_case: whether case and accents are stripped.
          alpha, seed: of a SentencePiece model, see `SentencePieceTokenizer`.

        Raises:
          InputError: the file cannot be read, or lacks a special token.
        """
        if self.is_sentencepiece:
            return SentencePieceTokenizer(self.path, do_lower_case, alpha, seed)
        return FastTokenizer(self.path, do_lower_case)

    def copy_into(self, directory: str) -> None:
        """Copies the file into a model's directory, under its usual name.

        Raises:
          OSError: it cannot be read or written.
        """
        target = os.path.join(directory, self.name)
        if file_system.exists(target) and file_system.samefile(target, self.path):
            return
        with files.open_bytes(self.path) as source, atomic.replacing(target, "wb") as file:
            shutil.copyfileobj(source, file)


def check_vocab_size(path: str, pieces: int, vocab_size: int) -> None:
    """Checks that a model has an embedding for each id of a vocabulary.

    Args:
      path: of the vocabulary, for the error.
      pieces: its highest id + 1.
      vocab_size: the model's.

    Raises:
      InputError: there are too few.
    """
    if pieces > vocab_size:
        raise InputError(
            f"{path} has {pieces:,} pieces, but the model's vocab_size is {vocab_size:,}; give the vocabulary and the "
            "config of one model, or make room for more pieces with convert_checkpoint.py --grow_vocab."
        )
