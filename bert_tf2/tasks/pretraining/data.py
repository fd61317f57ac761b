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
from bert_tf2.records.schema import CONTINUES_WORD
from bert_tf2.records.shuffled import RecordSource
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tokenization.auto import VocabularyFile, check_vocab_size

logger = logging.getLogger(__name__)

_MOST_BYTES_COUNTED = 64 * 10**6
_CHINESE_SHARE = 0.25  # of the pieces of a vocabulary; a third of those of Google's Chinese one
_FRAME = 16  # bytes around a record in a file


@dataclasses.dataclass(frozen=True)
class PretrainingData:
    """The records as batches, masked on the fly unless they are already masked.

    Attributes:
      config: the flags.
      paths: record files.
      vocabulary: for dynamic masking, else None.
      source: reads the files.
      fixed_shapes: whether all batches have `max_seq_length` columns; else columns of padding alone are cut off.
      eval_paths: record files to evaluate on; if there are none, `paths`.
    """

    config: PretrainingConfig
    paths: list[str]
    vocabulary: Vocabulary | None
    fixed_shapes: bool
    source: RecordSource = dataclasses.field(default_factory=RecordSource)
    eval_paths: list[str] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def schema(self) -> records.Schema:
        """Of the records."""
        config = self.config
        return records.pretraining(
            config.max_seq_length,
            config.max_predictions_per_seq,
            masked=config.masking == "static",
            next_sentence=config.use_nsp,
            marks_words=self._knows_words,
        )

    @functools.cached_property
    def _knows_words(self) -> bool:
        """Whether records that are to be masked by whole words say which Chinese characters make one."""
        config = self.config
        if config.masking == "static" or not config.do_whole_word_mask or self.vocabulary is None:
            return False
        return reader.has_feature([*self.paths, *self.eval_paths], CONTINUES_WORD)

    def training(self, position: int, share: record_batches.Share) -> tf.data.Dataset:
        """Endless; goes on after that many examples, or after the packed batch of that `INPUT_POSITION`."""
        config, share = self.config, dataclasses.replace(share, by_files=self.config.shard_input == "files")
        if config.pack_sequences:
            return self._packed(position, share)
        dataset = record_batches.training(
            self.paths,
            self.schema.parse,
            config.train_batch_size,
            config.seed,
            position,
            share=share,
            source=self.source,
        )
        return self._prepared(dataset, config.train_batch_size, config.seed, position, share)

    def _packed(self, position: int, share: record_batches.Share) -> tf.data.Dataset:
        config, done = self.config, sequence_packing.examples_done(position)
        examples = record_batches.training(
            self.paths, self.schema.parse, sequence_packing.WINDOW, config.seed, done, source=self.source
        )
        examples = self._masked(examples, config.seed, lambda window: done + window * sequence_packing.WINDOW)
        rows = sequence_packing.packed(examples, config.train_batch_size, config.seed, position)
        return share.of(rows, config.train_batch_size).prefetch(tf.data.AUTOTUNE)

    def evaluation(self, steps: int | None, share: record_batches.Share) -> tf.data.Dataset:
        """See `record_batches.evaluation`; the masks are the same each time."""
        size = self.config.eval_batch_size
        paths = self.eval_paths or self.paths
        dataset = record_batches.evaluation(paths, self.schema.parse, size, steps, share, self.source)
        return self._prepared(dataset, size, dynamic_masking.EVALUATION_SEED, 0, share)

    def _prepared(
        self, dataset: tf.data.Dataset, batch_size: int, seed: int, examples_done: int, share: record_batches.Share
    ) -> tf.data.Dataset:
        dataset = self._masked(dataset, seed, lambda piece: examples_done + share.first_row(piece, batch_size))
        return (dataset if self.fixed_shapes else record_batches.trimmed(dataset)).prefetch(tf.data.AUTOTUNE)

    def _masked(
        self, dataset: tf.data.Dataset, seed: int, first_example: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.data.Dataset:
        """Masked, if the records are not."""
        if self.vocabulary is None:
            return dataset
        return dynamic_masking.masked(dataset, self.vocabulary, self.config.parameters, seed, first_example)


def vocabulary_for(config: PretrainingConfig, bert_config: BertConfig, paths: list[str]) -> Vocabulary | None:
    """What dynamic masking of the records in `paths` has to know about the vocabulary."""
    file = VocabularyFile.given(config.vocab_file, config.spm_model_file)
    if config.masking == "static" or file is None:
        return None
    tokenizer = file.tokenizer(do_lower_case=False)
    check_vocab_size(file.path, tokenizer.is_continuation.size, bert_config.vocab_size)
    is_chinese = chinese_pieces(tokenizer.vocab).mean() > _CHINESE_SHARE
    if config.do_whole_word_mask and is_chinese and not reader.has_feature(paths, CONTINUES_WORD):
        logger.warning(
            "--do_whole_word_mask takes each Chinese character for a word: the records do not say which make one; "
            "create_pretraining_data.py --do_whole_word_mask with --segmented_text, or --word_list, makes such that do."
        )
    return Vocabulary.of(tokenizer.vocab, tokenizer.is_continuation)


def log_input(data: PretrainingData) -> None:
    """Logs the amount of data, by its size if it is large; small files are checked for corruption."""
    if data.paths:
        _log_files("Input", data.config, data.paths, data.source, data.config.do_train)
    if data.eval_paths:
        _log_files("Evaluation input", data.config, data.eval_paths, data.source, trains=False)


def _log_files(name: str, config: PretrainingConfig, paths: list[str], source: RecordSource, trains: bool) -> None:
    where = counted(len(paths), "file")
    size = sum(file_system.getsize(path) for path in paths)
    known = [source.index.of(path).records for path in paths]
    if all(count is not None for count in known) or size <= _MOST_BYTES_COUNTED:
        count = sum(source.count(path) for path in paths)
        found = counted(count, "record")
    else:
        packed = any(files.compression(path) for path in paths)
        count = 0 if packed else size // (reader.first_size(paths) + _FRAME)
        found = f"{size / 1e9:.1f} GB" + f", about {counted(count, 'record')}" * (count > 0)
    epochs = config.num_train_steps * config.train_batch_size / count if count else 0
    shown = f", {counted(float(f'{epochs:.3g}'), 'epoch')}" if trains and count else ""
    logger.info("%s: %s in %s%s.", name, found, where, shown)


def explained(error: tf.errors.InvalidArgumentError, config: BertConfig) -> Exception:
    """A sentence for what records can do wrong in the graph; the error itself where it is something else."""
    message = str(error.message)
    if dynamic_masking.OTHER_VOCABULARY in message:
        return InputError(
            "A record does not begin with the [CLS] of --vocab_file: the records were created with another vocabulary; "
            "give that one."
        )
    if "is not in [0, " in message:
        return InputError(
            "A record holds a number that is out of range for the model (piece ids must be below vocab_size="
            f"{config.vocab_size}, segment ids below {config.type_vocab_size}): the records were created with another "
            "vocabulary than that of the model's config."
        )
    if "parse" in message and "example" in message.lower():
        return InputError(
            "A record does not have the features or lengths of the first one of its file "
            f"({message.strip().splitlines()[0][:200]}); make the records again with one --max_seq_length and one "
            "--max_predictions_per_seq."
        )
    return error
