"""The options of a model's tokenizer, from flags and the files in its directories; no TensorFlow."""

import dataclasses
import logging
import os
from collections.abc import Container, Mapping

from bert_tf2.checkpoints.huggingface_config import TokenizerSettings
from bert_tf2.configs.tokenizer import PLAIN, TokenizerConfig, TokenizerOptions, unique
from bert_tf2.errors import InputError, some
from bert_tf2.io import file_system, files, run_files
from bert_tf2.tokenization.auto import VocabularyFile
from bert_tf2.tokenization.vocab_file import load_vocab

logger = logging.getLogger(__name__)


def is_trained(output_dir: str, vocabulary: VocabularyFile) -> bool:
    """Whether a directory has the config and vocabulary (of the same kind) of a model that was trained in it."""
    return all(file_system.isfile(os.path.join(output_dir, name)) for name in (run_files.BERT_CONFIG, vocabulary.name))


def check_same_vocabulary(output_dir: str, vocabulary: VocabularyFile) -> None:
    """Checks that a vocabulary is that of the model trained in a directory, if there is one.

    Raises:
      InputError: the vocabularies differ, or cannot be read.
    """
    saved = os.path.join(output_dir, vocabulary.name)
    flag = "spm_model_file" if vocabulary.is_sentencepiece else "vocab_file"
    if not (is_trained(output_dir, vocabulary) and file_system.isfile(vocabulary.path)):
        return
    with files.open_bytes(saved) as file:
        content = file.read()
    if content != vocabulary.content():
        raise InputError(
            f"--{flag}={vocabulary.path} is not the vocabulary that the model in {output_dir} was trained with "
            f"({saved}); omit the flag, or give another --output_dir."
        )


def with_options(
    vocabulary: VocabularyFile, flags: TokenizerConfig, model_dir: str | None, output_dir: str | None
) -> VocabularyFile:
    """A vocabulary with the added tokens and the tokenizer options of a model's directory.

    Args:
      vocabulary: the file.
      flags: the tokenizer options of the flags; options that they omit are those of a directory of the model.
      model_dir: the directory of the checkpoint that a training run starts from, or None.
      output_dir: the directory of a training run, which takes precedence if it has a model; or None.

    Raises:
      InputError: the flags contradict the training run in `output_dir`, or are specified for a SentencePiece model.
    """
    if vocabulary.is_sentencepiece:
        return dataclasses.replace(vocabulary, options=flags.over(PLAIN))
    own = TokenizerSettings.read(os.path.dirname(vocabulary.path))
    added = added_tokens(own, load_vocab(vocabulary.path), vocabulary.path) if own.added else ()
    vocabulary = dataclasses.replace(vocabulary, added_tokens=added)
    trained = output_dir is not None and is_trained(output_dir, vocabulary)
    directory = output_dir if trained else model_dir
    settings = TokenizerSettings() if directory is None else TokenizerSettings.read(directory)
    if trained and (flag := flags.contradicted(settings.options)):
        raise InputError(
            f"{flag} is not how the model in {directory} was trained; omit the flag, or give another --output_dir."
        )
    known = {*load_vocab(vocabulary.path), *added} if settings.options.never_split else ()
    return dataclasses.replace(vocabulary, options=merged_options(settings, flags, known, vocabulary.path))


def merged_options(
    settings: TokenizerSettings, flags: TokenizerConfig, vocab: Container[str], vocab_file: str
) -> TokenizerOptions:
    """The tokenizer options of the flags; those that they omit are the directory's.

    Logs a warning if a token that the directory's tokenizer does not split is not in the vocabulary.

    Args:
      settings: the settings of the directory's tokenizer.
      flags: the flags.
      vocab: the vocabulary.
      vocab_file: the file of the vocabulary, for the warning.
    """
    options = settings.options
    lacking = [token for token in options.never_split if token not in vocab]
    if lacking and flags.never_split is None:
        logger.warning("%s has no %s, split like other text.", vocab_file, some(lacking))
    kept = tuple(token for token in options.never_split if token in vocab)
    return flags.over(dataclasses.replace(options, never_split=kept))


def added_tokens(settings: TokenizerSettings, vocab: Mapping[str, int], vocab_file: str) -> tuple[str, ...]:
    """The tokens that a tokenizer adds to its vocabulary; none, with a warning, if their ids do not follow its last id.

    Args:
      settings: the tokenizer's settings.
      vocab: its vocabulary.
      vocab_file: the file of the vocabulary, for the warning.
    """
    added = [(token, index) for token, index in settings.added if token not in vocab]
    first = max(vocab.values()) + 1
    if [index for _, index in added] != list(range(first, first + len(added))):
        logger.warning(
            "The added tokens of %s (%s, ...) are left out: their ids do not continue those of the vocabulary.",
            *(os.path.dirname(vocab_file) or ".", added[0][0]),
        )
        return ()
    return unique(token for token, _ in added)
