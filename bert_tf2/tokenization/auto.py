"""Vocabulary files in models' directories, and the tokenizers that belong to them; no TensorFlow."""

import dataclasses
import json
import os

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, run_files
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.vocab_file import check_in_vocab, load_vocab, with_added, with_lines

VOCAB_FILE, SENTENCEPIECE_FILE = run_files.VOCABULARY, run_files.SENTENCEPIECE_MODEL

Tokenizer = FastTokenizer | SentencePieceTokenizer


@dataclasses.dataclass(frozen=True)
class VocabularyFile:
    """A model's vocabulary.

    Attributes:
      path: the file.
      is_sentencepiece: whether it is a SentencePiece model; otherwise it is a WordPiece vocabulary, one piece per line.
      options: WordPiece options that differ from the original.
      added_tokens: pieces that are not in the file; their ids follow its last one.

    Raises:
      InputError: options are given for a SentencePiece model.
    """

    path: str
    is_sentencepiece: bool = False
    options: TokenizerOptions = PLAIN
    added_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.is_sentencepiece and self.options != PLAIN:
            raise InputError(
                "--strip_accents, --tokenize_chinese_chars and --never_split are for WordPiece vocabularies, but "
                f"{self.path} is a SentencePiece model, which itself defines how text is treated; omit them."
            )

    @classmethod
    def from_flags(cls, vocab_file: str | None, spm_model_file: str | None) -> "VocabularyFile | None":
        """The vocabulary that `--vocab_file` or `--spm_model_file` names; None if both are omitted.

        Raises:
          InputError: both are given.
        """
        if vocab_file and spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        path = vocab_file or spm_model_file
        return cls(path, is_sentencepiece=not vocab_file) if path else None

    @classmethod
    def in_directory(cls, directory: str) -> "VocabularyFile | None":
        """The vocabulary in a model's directory; None if there is none under the usual names."""
        for candidate in (
            cls(os.path.join(directory, VOCAB_FILE)),
            cls(os.path.join(directory, SENTENCEPIECE_FILE), is_sentencepiece=True),
        ):
            if file_system.isfile(candidate.path):
                return candidate
        return None

    @property
    def name(self) -> str:
        """The usual name of such a file in a model's directory."""
        return SENTENCEPIECE_FILE if self.is_sentencepiece else VOCAB_FILE

    def tokenizer(self, do_lower_case: bool, alpha: float = 0.0, seed: int = 0) -> Tokenizer:
        """Makes the tokenizer.

        Args:
          do_lower_case: whether to lower-case the text and strip accents.
          alpha, seed: for SentencePiece models only; see `SentencePieceTokenizer`.

        Raises:
          InputError: the file cannot be read, or lacks a special token or a `never_split` token.
        """
        if self.is_sentencepiece:
            return SentencePieceTokenizer(self.path, do_lower_case, alpha, seed)
        vocab = with_added(load_vocab(self.path), self.added_tokens)
        check_in_vocab(self.options, vocab, self.path)
        return FastTokenizer.of_vocab(vocab, do_lower_case, self.options)

    def copy_into(self, directory: str) -> list[str]:
        """Writes the vocabulary under its usual name into a model's directory, and the options if not the defaults.

        Returns:
          The path of the vocabulary, and if there are options, that of `tokenizer_config.json`.

        Raises:
          OSError: a file cannot be read or written.
        """
        paths = [os.path.join(directory, self.name)]
        if not (file_system.exists(paths[0]) and file_system.samefile(paths[0], self.path)):
            content = self.content()
            with atomic.replacing(paths[0], "wb") as file:
                file.write(content)
        if self.options != PLAIN:
            paths.append(write_options(directory, self.options))
        return paths

    def content(self) -> bytes:
        """The content of the file, with a line for each added token.

        Raises:
          OSError: it cannot be read.
        """
        with files.open_bytes(self.path) as file:
            return with_lines(bytes(file.read()), self.added_tokens)


def write_options(directory: str, options: TokenizerOptions) -> str:
    """Writes a model's tokenizer options into its directory, as `tokenizer_config.json`; returns the path.

    Raises:
      OSError: it cannot be written.
    """
    path = os.path.join(directory, run_files.HF_TOKENIZER_CONFIG)
    with atomic.replacing(path) as file:
        file.write(json.dumps(dataclasses.asdict(options), indent=2, ensure_ascii=False) + "\n")
    return path


def check_vocab_size(path: str, pieces: int, vocab_size: int) -> None:
    """Checks that a model has an embedding for each id of a vocabulary.

    Args:
      path: the path of the vocabulary, for the error.
      pieces: its highest id + 1.
      vocab_size: the number of embeddings of the model.

    Raises:
      InputError: there are too few embeddings.
    """
    if pieces > vocab_size:
        raise InputError(
            f"{path} has {pieces:,} pieces, but the model's vocab_size is {vocab_size:,}; give the vocabulary and the "
            "config of one model, or make room for more pieces with convert_checkpoint.py --grow_vocab."
        )
