"""Batches of pre-training records, and error messages for invalid ones.

Shapes: `B` batch, `S` sequence, `P` predictions.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable

import tensorflow as tf

from bert_tf2 import records
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError, counted
from bert_tf2.input_pipeline import dynamic_masking, record_batches, sequence_packing
from bert_tf2.io import file_system, files
from bert_tf2.pretraining_data.chinese_words import chinese_pieces
from bert_tf2.pretraining_data.fast_instances import Vocabulary
from bert_tf2.records import reader
from bert_tf2.records.schema import CONTINUES_WORD, MASKED_LM
from bert_tf2.records.shuffled import RecordSource
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tokenization.auto import VocabularyFile, check_vocab_size

logger = logging.getLogger(__name__)

_MAX_BYTES_COUNTED = 64 * 10**6  # of files whose records are counted
_CHINESE_FRACTION = 0.25  # of the pieces of a vocabulary; a third of the fraction in Google's Chinese one
_FRAME = 16  # bytes around a record in a file
_LARGE_ID = "A piece id is not below vocab_size."


@dataclasses.dataclass(frozen=True)
class PretrainingData:
    """The records as batches, masked on the fly unless they are already masked.

    Attributes:
      config: the flags.
      paths: record files.
      vocabulary: for dynamic masking; None for static masking.
      fixed_shapes: whether all batches have `max_seq_length` columns; else columns with only padding are removed.
      source: reads the files.
      eval_paths: record files to evaluate on; if empty, `paths`.
      vocab_size: of the model; all ids of the records must be below it. None: ids are not checked.
    """

    config: PretrainingConfig
    paths: list[str]
    vocabulary: Vocabulary | None
    fixed_shapes: bool
    source: RecordSource = dataclasses.field(default_factory=RecordSource)
    eval_paths: list[str] = dataclasses.field(default_factory=list)
    vocab_size: int | None = None

    @functools.cached_property
    def schema(self) -> records.Schema:
        """The schema of the records."""
        config = self.config
        return records.pretraining(
            config.max_seq_length,
            config.max_predictions_per_seq,
            masked=config.masking == "static",
            next_sentence=config.use_nsp,
            marks_words=self._marks_words,
        )

    @functools.cached_property
    def _marks_words(self) -> bool:
        """Whether whole words are to be masked and the records mark the Chinese characters that continue one."""
        config = self.config
        if config.masking == "static" or not config.do_whole_word_mask or self.vocabulary is None:
            return False
        return reader.has_feature([*self.paths, *self.eval_paths], CONTINUES_WORD)

    def _parse(self, serialized: tf.Tensor) -> record_batches.Batch:
        """Parses records and checks their ids: for one that is too large, XLA and GPUs read an arbitrary embedding."""
        batch: record_batches.Batch = self.schema.parse(serialized)
        for name in ("input_ids", MASKED_LM[1]):
            if self.vocab_size is not None and name in batch:
                tf.debugging.assert_less(tf.reduce_max(batch[name]), self.vocab_size, _LARGE_ID)
        return batch

    def training(self, position: int, share: record_batches.Share) -> tf.data.Dataset:
        """An endless dataset of training batches.

        Args:
          position: the number of examples that an earlier run has already taken; with `pack_sequences`,
            `INPUT_POSITION` of its last batch.
          share: which part of each batch to create.
        """
        config, share = self.config, dataclasses.replace(share, by_files=self.config.shard_input == "files")
        if config.pack_sequences:
            return self._packed(position, share)
        dataset = record_batches.training(
            self.paths,
            self._parse,
            config.train_batch_size,
            config.seed,
            position,
            share=share,
            source=self.source,
        )
        return self._mask_and_trim(dataset, config.train_batch_size, config.seed, position, share)

    def _packed(self, position: int, share: record_batches.Share) -> tf.data.Dataset:
        config, done = self.config, sequence_packing.examples_done(position)
        examples = record_batches.training(
            self.paths, self._parse, sequence_packing.WINDOW, config.seed, done, source=self.source
        )
        examples = self._mask(examples, config.seed, lambda window: done + window * sequence_packing.WINDOW)
        rows = sequence_packing.pack_dataset(examples, config.train_batch_size, config.seed, position)
        return share.of(rows, config.train_batch_size).prefetch(tf.data.AUTOTUNE)

    def evaluation(self, steps: int | None, share: record_batches.Share) -> tf.data.Dataset:
        """Batches for an evaluation, see `record_batches.evaluation`; dynamic masks are the same each time.

        Args:
          steps: number of batches; None: each record once.
          share: which part of each batch to create; batches have `eval_batch_size` rows, rounded up to a multiple of
            the number of devices.
        """
        devices = share.workers * share.devices
        size = -(-self.config.eval_batch_size // devices) * devices
        paths = self.eval_paths or self.paths
        dataset = record_batches.evaluation(paths, self._parse, size, steps, share, self.source)
        return self._mask_and_trim(dataset, size, dynamic_masking.EVALUATION_SEED, 0, share)

    def _mask_and_trim(
        self, dataset: tf.data.Dataset, batch_size: int, seed: int, examples_done: int, share: record_batches.Share
    ) -> tf.data.Dataset:
        dataset = self._mask(dataset, seed, lambda piece: examples_done + share.first_row(piece, batch_size))
        return (dataset if self.fixed_shapes else record_batches.trim(dataset)).prefetch(tf.data.AUTOTUNE)

    def _mask(
        self, dataset: tf.data.Dataset, seed: int, first_example: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.data.Dataset:
        """Masks the batches unless the records are already masked."""
        if self.vocabulary is None:
            return dataset
        return dynamic_masking.mask_dataset(dataset, self.vocabulary, self.config.parameters, seed, first_example)


def vocabulary_for(config: PretrainingConfig, bert_config: BertConfig, paths: list[str]) -> Vocabulary | None:
    """The vocabulary as dynamic masking needs it; None for static masking.

    Args:
      config: the flags.
      bert_config: the model's.
      paths: the record files.

    Raises:
      InputError: the vocabulary cannot be read, or is too large for the model.
    """
    file = VocabularyFile.from_flags(config.vocab_file, config.spm_model_file)
    if config.masking == "static" or file is None:
        return None
    tokenizer = file.tokenizer(do_lower_case=False)
    check_vocab_size(file.path, tokenizer.is_continuation.size, bert_config.vocab_size)
    is_chinese = chinese_pieces(tokenizer.vocab).mean() > _CHINESE_FRACTION
    if config.do_whole_word_mask and is_chinese and not reader.has_feature(paths, CONTINUES_WORD):
        logger.warning(
            "--do_whole_word_mask takes each Chinese character for a word: the records do not say which make one; "
            "create_pretraining_data.py --do_whole_word_mask with --segmented_text, or --word_list, makes such that do."
        )
    return Vocabulary.of(tokenizer.vocab, tokenizer.is_continuation)


def log_input(data: PretrainingData) -> None:
    """Logs the amount of data: the number of records, or for large files only the size.

    Raises:
      InputError: small files, whose records are counted, are corrupt.
    """
    if data.paths:
        _log_files("Input", data.config, data.paths, data.source, data.config.do_train)
    if data.eval_paths:
        _log_files("Evaluation input", data.config, data.eval_paths, data.source, trains=False)


def _log_files(name: str, config: PretrainingConfig, paths: list[str], source: RecordSource, trains: bool) -> None:
    file_count = counted(len(paths), "file")
    size = sum(file_system.getsize(path) for path in paths)
    known_counts = [source.index.of(path).records for path in paths]
    if all(count is not None for count in known_counts) or size <= _MAX_BYTES_COUNTED:
        count = sum(source.count(path) for path in paths)
        amount = counted(count, "record")
    else:
        packed = any(files.compression(path) for path in paths)
        count = 0 if packed else size // (reader.first_size(paths) + _FRAME)
        amount = f"{size / 1e9:.1f} GB" + f", about {counted(count, 'record')}" * (count > 0)
    epochs = config.num_train_steps * config.train_batch_size / count if count else 0
    epoch_count = f", {counted(float(f'{epochs:.3g}'), 'epoch')}" if trains and count else ""
    logger.info("%s: %s in %s%s.", name, amount, file_count, epoch_count)


def explain_error(error: tf.errors.InvalidArgumentError, config: BertConfig) -> Exception:
    """Converts the errors that invalid records cause in the graph to `InputError`; returns any other unchanged."""
    message = str(error.message)
    if dynamic_masking.OTHER_VOCABULARY in message:
        return InputError(
            "A record does not begin with the [CLS] of --vocab_file: the records were created with another vocabulary; "
            "give that one."
        )
    if _LARGE_ID in message or "is not in [0, " in message:
        return InputError(
            "A record holds a number that is out of range for the model (piece ids must be below vocab_size="
            f"{config.vocab_size}): the records were created with another vocabulary than that of the model's config."
        )
    if "parse" in message and "example" in message.lower():
        return InputError(
            "A record does not have the features or lengths of the first one of its file "
            f"({message.strip().splitlines()[0][:200]}); make the records again with one --max_seq_length and one "
            "--max_predictions_per_seq."
        )
    return error
