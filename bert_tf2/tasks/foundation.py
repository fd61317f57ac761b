"""What a fine-tuned model is built on: config and vocabulary, found, checked and kept with the model."""

import dataclasses
import filecmp
import logging
import os
import shutil
from collections.abc import Sequence

from bert_tf2 import files, initialization, tokenization
from bert_tf2.config import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.fast_tokenizer import FastTokenizer
from bert_tf2.io import run_files
from bert_tf2.sentencepiece_tokenizer import SentencePieceTokenizer
from bert_tf2.tasks import task_files
from bert_tf2.tasks.finetuning_config import FinetuningConfig
from bert_tf2.vocabulary_case import warn_of_case

logger = logging.getLogger(__name__)

SENTENCEPIECE_FILE = run_files.SENTENCEPIECE_MODEL
_DEFAULT_CASE = True
_ROUNDED_UP = 1024  # rows that tables have beyond their vocabulary at most, to be of a size that devices like
_STATE = "checkpoint"  # TensorFlow's list of a folder's checkpoints

Tokenizer = FastTokenizer | SentencePieceTokenizer


@dataclasses.dataclass(frozen=True)
class Foundation:
    """Config and vocabulary of a model.

    Attributes:
      bert_config: the encoder's sizes.
      vocab_file: the WordPiece vocabulary, or
      spm_model_file: the SentencePiece model.
      do_lower_case: whether case and accents are stripped, where nobody has decided otherwise.
      init_checkpoint: what the model starts from, if anything.
    """

    bert_config: BertConfig
    vocab_file: str | None
    spm_model_file: str | None
    do_lower_case: bool
    init_checkpoint: str | None

    @classmethod
    def find(cls, config: FinetuningConfig) -> "Foundation":
        """What the flags say, else what `output_dir` keeps of an earlier training, else what is beside the checkpoint.

        Raises:
          InputError: there is no model at all, something is missing or cannot be read, or it is not what the earlier
            training had.
        """
        if not (config.do_train or config.init_checkpoint or os.path.exists(os.path.join(config.output_dir, _STATE))):
            raise InputError(f"{config.output_dir} has no checkpoint; train first, or give --init_checkpoint.")
        is_trained = os.path.isfile(os.path.join(config.output_dir, initialization.CONFIG_FILE))
        kept = config.output_dir if is_trained and not config.overwrite_output_dir else None
        vocab_file, spm_model_file = config.vocab_file, config.spm_model_file
        if vocab_file is None and spm_model_file is None:
            start = config.init_checkpoint or (None if config.do_train else config.output_dir)
            vocab_file, spm_model_file = _find_vocabulary(kept, start)
        elif kept:
            check_kept(kept, vocab_file, spm_model_file)
        return cls(
            bert_config=initialization.find_bert_config(kept or config.init_checkpoint, config.bert_config_file),
            vocab_file=vocab_file,
            spm_model_file=spm_model_file,
            do_lower_case=_find_case(config),
            init_checkpoint=config.init_checkpoint,
        )

    @property
    def vocabulary_file(self) -> str:
        """Whichever of the two there is."""
        return str(self.vocab_file or self.spm_model_file)

    def tokenizer(self, do_lower_case: bool) -> Tokenizer:
        """The tokenizer.

        Raises:
          InputError: the vocabulary cannot be read, is larger than the model's, or the case is certainly wrong.
        """
        tokenization.validate_case_matches_checkpoint(do_lower_case, self.init_checkpoint)
        tokenizer: Tokenizer
        if self.spm_model_file:
            tokenizer = SentencePieceTokenizer(self.spm_model_file, do_lower_case)
        else:
            tokenizer = FastTokenizer(str(self.vocab_file), do_lower_case)
        if len(tokenizer.vocab) > self.bert_config.vocab_size:
            raise InputError(
                f"{self.vocabulary_file} has {len(tokenizer.vocab):,} pieces, but the model's vocab_size is "
                f"{self.bert_config.vocab_size:,}; give the vocabulary and the config of one model, or make room for "
                "more pieces with convert_checkpoint.py --grow_vocab."
            )
        self._warn_of_vocabulary(tokenizer, do_lower_case)
        return tokenizer

    def _warn_of_vocabulary(self, tokenizer: Tokenizer, do_lower_case: bool) -> None:
        """Says where a vocabulary is hardly the model's: nothing fails then, but results are worthless."""
        if self.bert_config.vocab_size - len(tokenizer.vocab) >= _ROUNDED_UP:
            logger.warning(
                "%s has %s pieces, the model's vocab_size is %s: is it the vocabulary of this model?",
                *(self.vocabulary_file, f"{len(tokenizer.vocab):,}", f"{self.bert_config.vocab_size:,}"),
            )
        if self.vocab_file:
            warn_of_case(tokenizer.vocab, do_lower_case, self.vocab_file)

    def check_sequences(self, max_seq_length: int, segments: int) -> None:
        """Checks that the model has positions and segment types enough.

        Raises:
          InputError: it has not; with the numbers.
        """
        positions, types = self.bert_config.max_position_embeddings, self.bert_config.type_vocab_size
        if max_seq_length > positions:
            raise InputError(
                f"--max_seq_length={max_seq_length}, but the model has only {positions} positions "
                f"(max_position_embeddings); give --max_seq_length={positions} or less."
            )
        if segments > types:
            raise InputError(
                f"Pairs of texts need {segments} segment types, but the model has only {types} (type_vocab_size)."
            )

    def keep(self, folder: str) -> None:
        """Writes config and vocabulary into a model's folder, so that it needs nothing else.

        Raises:
          OSError: they cannot be written.
        """
        with files.replacing(os.path.join(folder, initialization.CONFIG_FILE)) as file:
            file.write(self.bert_config.to_json_string())
        name = SENTENCEPIECE_FILE if self.spm_model_file else initialization.VOCAB_FILE
        target = os.path.join(folder, name)
        if os.path.exists(target) and os.path.samefile(target, self.vocabulary_file):
            return
        with files.open_bytes(self.vocabulary_file) as source, files.replacing(target, "wb") as file:
            shutil.copyfileobj(source, file)


def _find_vocabulary(kept: str | None, init_checkpoint: str | None) -> tuple[str | None, str | None]:
    folders = [kept] if kept else []
    if init_checkpoint:
        folders.append(initialization.folder_of(init_checkpoint))
    for folder in folders:
        vocab_file, spm_model_file = _vocabularies_of(folder)
        if os.path.isfile(vocab_file):
            return vocab_file, None
        if os.path.isfile(spm_model_file):
            return None, spm_model_file
    return initialization.find_vocab_file(init_checkpoint), None  # which says what is missing


def _vocabularies_of(folder: str) -> tuple[str, str]:
    return os.path.join(folder, initialization.VOCAB_FILE), os.path.join(folder, SENTENCEPIECE_FILE)


def check_kept(folder: str, vocab_file: str | None, spm_model_file: str | None) -> None:
    """Refuses another vocabulary than that of the model that has been trained in a directory.

    Args:
      folder: the directory.
      vocab_file: the flag; or
      spm_model_file: the flag.

    Raises:
      InputError: it is not the one that was trained with.
    """
    for given, kept, flag in zip(
        (vocab_file, spm_model_file), _vocabularies_of(folder), ("vocab_file", "spm_model_file"), strict=True
    ):
        if given and os.path.isfile(given) and os.path.isfile(kept) and not filecmp.cmp(given, kept, shallow=False):
            raise InputError(
                f"--{flag}={given} is not the vocabulary that the model in {folder} was trained with ({kept}); leave "
                "the flag away, or give another --output_dir."
            )


def _find_case(config: FinetuningConfig) -> bool:
    """The flag, else what the folder to start from says, else lower case."""
    found = initialization.find_do_lower_case(config.init_checkpoint, config.do_lower_case)
    if found is None and config.init_checkpoint is not None:
        found = task_files.setting(initialization.folder_of(config.init_checkpoint), "do_lower_case", bool)
    if found is None:
        return _DEFAULT_CASE
    if found != _DEFAULT_CASE and config.do_lower_case is None:
        logger.info("--do_lower_case=%s, as the folder of --init_checkpoint says.", str(found).lower())
    return found


def check_not_inside(output_dir: str, paths: Sequence[str | None]) -> None:
    """Refuses to remove what is about to be read.

    Args:
      output_dir: the folder that is going to be emptied.
      paths: what is read; None is nothing.

    Raises:
      InputError: one of them is in it.
    """
    folder = os.path.realpath(output_dir)
    for path in filter(None, paths):
        if os.path.commonpath([folder, os.path.realpath(path)]) == folder:
            raise InputError(
                f"{path} is in {output_dir}, which --overwrite_output_dir empties; give another --output_dir."
            )
