"""The vocabulary that training copies into `output_dir`, so that the model needs nothing else afterwards."""

import dataclasses
import json
import logging
import os
from collections.abc import Sequence

from bert_tf2.checkpoints import pretrained, tokenizer_options
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, run_files
from bert_tf2.pretraining_data import records_vocabulary
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tokenization.auto import VocabularyFile, check_vocab_size

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class KeptVocabulary:
    """A vocabulary to copy into `output_dir`.

    Attributes:
      file: the vocabulary, with the options of the tokenizer.
      do_lower_case: whether the text of the records was lower-cased; None if unknown.
    """

    file: VocabularyFile
    do_lower_case: bool | None = None

    def copy_into(self, directory: str) -> None:
        """Writes the vocabulary, and `tokenizer_config.json` if the tokenizer is not the original's default.

        Raises:
          OSError: a file cannot be read or written.
        """
        self.file.copy_into(directory)
        if self.do_lower_case is False and not self.file.is_sentencepiece:
            options = {"do_lower_case": False, **dataclasses.asdict(self.file.options)}
            with atomic.replacing(os.path.join(directory, run_files.HF_TOKENIZER_CONFIG)) as file:
                file.write(json.dumps(options, indent=2, ensure_ascii=False) + "\n")


def find(config: PretrainingConfig, bert_config: BertConfig, paths: Sequence[str]) -> KeptVocabulary | None:
    """Finds the vocabulary that training is to copy into `output_dir`.

    Args:
      config: the flags.
      bert_config: the model's.
      paths: record files.

    Returns:
      The vocabulary of the flags, else the one that the records were created with, else the one of `init_checkpoint`;
      None if there is none, or if `output_dir` already has one.

    Raises:
      InputError: the vocabulary of the flags cannot be read, is too large for the model, or is not the one that the
        model in `output_dir` was trained with.
    """
    of_flags = VocabularyFile.from_flags(config.vocab_file, config.spm_model_file)
    if of_flags:
        check_vocab_size(of_flags.path, _vocab_size(of_flags), bert_config.vocab_size)
        tokenizer_options.check_same_vocabulary(config.output_dir, of_flags)
    if VocabularyFile.in_directory(config.output_dir):
        return None
    of_records = records_vocabulary.find(paths[0])
    if of_records and (of_flags is None or of_records.file.content() == of_flags.content()):
        vocabulary = KeptVocabulary(of_records.file, of_records.do_lower_case)
    elif of_flags:
        vocabulary = KeptVocabulary(of_flags)
    elif config.init_checkpoint:
        try:
            vocabulary = KeptVocabulary(pretrained.find_vocabulary(config.init_checkpoint))
        except InputError:  # it has none; only later commands need one
            return None
    else:
        return None
    try:
        check_vocab_size(vocabulary.file.path, _vocab_size(vocabulary.file), bert_config.vocab_size)
    except InputError as error:
        logger.warning("The vocabulary is not kept with the model: %s", error)
        return None
    options = config.tokenizer.over(vocabulary.file.options)
    return dataclasses.replace(vocabulary, file=dataclasses.replace(vocabulary.file, options=options))


def _vocab_size(vocabulary: VocabularyFile) -> int:
    return int(vocabulary.tokenizer(do_lower_case=False).is_continuation.size)
