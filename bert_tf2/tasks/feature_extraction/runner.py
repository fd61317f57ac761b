"""Extracts a model's vectors for lines of text: lines -> ids -> encoder -> file.

Follows google-research/bert `extract_features.py`.
"""

import contextlib
import dataclasses
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf2 import checkpoints, modeling
from bert_tf2.checkpoints import pretrained
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.long_texts import WINDOWS
from bert_tf2.configs.training import PrecisionConfig
from bert_tf2.errors import InputError, counted, inflected, proportion
from bert_tf2.io import atomic, file_system, standard_output, text_lines
from bert_tf2.io.progress import Progress
from bert_tf2.io.resumable_output import UnfinishedOutput, unfinished_directory
from bert_tf2.io.text_lines import STANDARD_INPUT
from bert_tf2.tasks.feature_extraction import data, encoder, outputs, windows, words
from bert_tf2.tasks.feature_extraction.config import (
    CLS,
    CONCAT,
    MAX,
    MEAN,
    PIECE,
    POOLER,
    STANDARD_OUTPUT,
    WORD,
    FeatureConfig,
)
from bert_tf2.tasks.feature_extraction.data import Array, Sequences
from bert_tf2.tasks.feature_extraction.encoder import Encoder
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.training.distribution import make_strategy
from bert_tf2.training.precision import policy, resolved

logger = logging.getLogger(__name__)

_POOLER_WEIGHTS = "bert/pooler/"
_BLOCK_BYTES = 1 << 27  # maximum bytes of vectors held at a time


def run(config: FeatureConfig) -> int:
    """Writes the vectors of all lines.

    Returns:
      The number of lines.

    Raises:
      InputError: input, config, checkpoint and flags do not match.
      OSError: the output cannot be written.

    Examples:
      >>> from pathlib import Path
      >>> from bert_tf2 import BertConfig, BertModel, FullTokenizer
      >>> from bert_tf2.tasks import feature_extraction
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\ngood\\nbad\\nfilm\\n")
      >>> config = BertConfig(8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> BertModel(config).save_pretrained("tiny", tokenizer=FullTokenizer("vocab.txt"))
      >>> _ = Path("lines.txt").write_text("good film\\nbad film\\n")
      >>> feature_extraction.run(
      ...     feature_extraction.FeatureConfig(
      ...         input_file="lines.txt",
      ...         output_file="vectors.npy",
      ...         init_checkpoint="tiny",
      ...         output_format="npy",
      ...         pooling="mean",
      ...         layers="-1",
      ...     )
      ... )
      2
    """
    paths = text_lines.find(config.input_file)
    _check_files(config, paths)
    strategy = make_strategy(config.distribution)
    precision = resolved(config.precision)
    foundation = _find_foundation(config)
    extraction = _Extraction(config, paths, foundation, strategy, precision)
    with contextlib.ExitStack() as opened:
        if config.output_file == STANDARD_OUTPUT:
            return extraction.run_to_standard_output()
        names = outputs.file_names(config.output_format, config.unit if config.of_tokens else None)
        output = opened.enter_context(UnfinishedOutput(config.output_file, names, extraction.settings()))
        lines = extraction.run(extraction.writer(output, names), output)
    logger.info("Wrote %s: the vectors of %s.", config.output_file, counted(lines, "line"))
    return lines


def _check_files(config: FeatureConfig, paths: list[str]) -> None:
    if config.output_file == STANDARD_OUTPUT:
        return
    atomic.check_writable(os.path.dirname(config.output_file) or ".")
    if file_system.isdir(config.output_file):
        raise InputError(f"--output_file={config.output_file} is a directory; give the name of a file.")
    atomic.check_output(config.output_file)
    for path in paths:
        if (
            path != STANDARD_INPUT
            and file_system.exists(config.output_file)
            and file_system.samefile(path, config.output_file)
        ):
            raise InputError(f"--output_file={config.output_file} is an input as well; give another one.")


def _find_foundation(config: FeatureConfig) -> Pretrained:
    """Config and vocabulary: from the flags, else from the checkpoint's directory."""
    best_weights.log_if_better(config.init_checkpoint, "used", "--init_checkpoint={best}")
    foundation = pretrained.find(
        config.init_checkpoint,
        bert_config_file=config.bert_config_file,
        vocab_file=config.vocab_file,
        spm_model_file=config.spm_model_file,
        do_lower_case=config.do_lower_case,
        num_hidden_layers=config.num_hidden_layers,
        tokenizer=config.tokenizer,
    )
    foundation.check_sequences(config.max_seq_length, segments=1)
    count = foundation.bert_config.num_hidden_layers
    for number in config.layer_numbers:
        if not -count <= number < count:
            raise InputError(
                f"--layers={_join(config.layer_numbers)}: there is no layer {number}; the model has {count}, 0 to "
                f"{count - 1} from below or -1 to -{count} from above."
            )
    return foundation


def _describe_vectors(config: FeatureConfig, size: int) -> str:
    """A description of the vectors, for the log."""
    layers = config.layer_numbers
    if len(layers) < 2:
        source = f"layer {_join(layers)}" if layers else "the pooler's output"
    elif config.combine == CONCAT:
        source = f"layers {_join(layers)}, {size // len(layers):,} each"
    else:
        source = f"the {config.combine} of layers {_join(layers)}"
    pooled = {MEAN: ", the mean over its tokens", MAX: ", the maximum over its tokens", CLS: ", at its first token"}
    unit = ("token" if config.unit == PIECE else "word") if config.of_tokens else "line"
    normalized = ", divided by its length" if config.normalize else ""
    numbers = counted(size, "number")
    return f"A vector of {numbers} for each {unit}: {source}{pooled.get(config.pooling, '')}{normalized}."


def _join(layers: Sequence[int]) -> str:
    return ",".join(map(str, layers))


@dataclasses.dataclass
class _LengthCounts:
    """Counts lines that are longer than the limit, and words without pieces."""

    lines: int = 0
    long: int = 0
    truncated: int = 0
    longest: int = 0
    words_without_pieces: int = 0

    def add(self, sequences: Sequences, limit: int) -> None:
        """Counts encoded lines."""
        whole_lengths = np.asarray(sequences.whole_lengths)
        self.lines += len(sequences)
        self.long += int(np.count_nonzero(whole_lengths > limit))
        self.truncated += int(np.count_nonzero(whole_lengths > sequences.lengths))
        self.longest = max(self.longest, int(whole_lengths.max(initial=0)))
        self.words_without_pieces += sequences.words.without_pieces if sequences.words else 0

    def sentence(self, config: FeatureConfig) -> str:
        """A sentence about long lines, for the log."""
        limit, longest = f"max_seq_length={config.max_seq_length}", counted(self.longest, "token")
        if not self.long and self.lines == 1:
            return f"The line fits into {limit}; it has {longest}."
        if not self.long:
            return f"All {self.lines:,} lines fit into {limit}; the longest has {longest}."
        long, were = proportion(self.long, self.lines, "line"), inflected(self.long, "was", "were")
        if config.long_text != WINDOWS:
            return f"{long} {were} truncated to {limit} ({config.long_text}); the longest had {longest}."
        text = f"{long} did not fit into {limit} and {were} split; the longest has {longest}."
        if self.truncated:
            text += f" Of {self.truncated:,} the second text was truncated, to leave half of each window to the first."
        return text


class _Extraction:
    """Computes the vectors of all lines with a model, and writes them."""

    def __init__(
        self,
        config: FeatureConfig,
        paths: list[str],
        foundation: Pretrained,
        strategy: tf.distribute.Strategy,
        precision: PrecisionConfig,
    ) -> None:
        self._config, self._paths, self._foundation, self._precision = config, paths, foundation, precision
        self._tokenizer = foundation.tokenizer(foundation.do_lower_case)
        bert_config, numbers = foundation.bert_config, config.layer_numbers
        with strategy.scope(), policy(precision):
            model = modeling.BertModel(bert_config)
        variables = checkpoints.tf_variables(model.named_variables())
        report = pretrained.load(variables, config.init_checkpoint, num_hidden_layers=config.num_hidden_layers)
        if config.pooling == POOLER and any(name.startswith(_POOLER_WEIGHTS) for name in report.missing):
            raise InputError(f"--pooling=pooler: {report.prefix} has no pooler; give --pooling=mean, max or cls.")
        logger.info("Using the weights of %s.", report.prefix)
        self._weights = report.prefix
        self._size = bert_config.hidden_size * (max(1, len(numbers)) if config.combine == CONCAT else 1)
        logger.info("%s", _describe_vectors(config, self._size))
        self._max_vectors = max(1, _BLOCK_BYTES // (4 * self._size))  # held at a time
        self._counts = _LengthCounts()
        self._encoder = Encoder(
            encoder.features_of(model, numbers, config.pooling, config.combine),
            self._size,
            of_tokens=config.of_tokens,
            batch_size=config.batch_size,
            max_seq_length=config.max_seq_length,
            strategy=strategy,
            compiles=precision.compiles,
        )

    def settings(self) -> dict[str, Any]:
        """The settings that, besides the lines, determine the output."""
        config, foundation = self._config, self._foundation
        sequence_names = ("max_seq_length", "long_text", "window_stride", "output_format")
        names = (*sequence_names, "pooling", "combine", "unit", "normalize")
        vocabulary = hashlib.sha256(foundation.vocabulary.content()).hexdigest()
        weights = next(path for path in (self._weights, f"{self._weights}.index") if file_system.isfile(path))
        return {
            **{name: getattr(config, name) for name in names},
            "layers": config.layer_numbers,
            "precision": self._precision.precision,
            "do_lower_case": foundation.do_lower_case,
            "vocabulary": vocabulary,
            **dataclasses.asdict(foundation.vocabulary.options),
            "bert_config": foundation.bert_config.to_dict(),
            "weights": [
                file_system.realpath(weights),
                file_system.getsize(weights),
                file_system.stat(weights).st_mtime_ns,
            ],
        }

    def _json_lines(self) -> outputs.JsonLines:
        config = self._config
        pieces = (self._tokenizer.inv_vocab if config.unit == PIECE else {}) if config.of_tokens else None
        return outputs.JsonLines(pieces, config.layer_numbers if config.lists_layers else ())

    def writer(self, output: UnfinishedOutput, names: Sequence[str]) -> outputs.Vectors:
        """Creates the writer of an output that was opened with these names."""
        config = self._config
        if config.output_format == "json":
            return outputs.JsonFile(self._json_lines(), output)
        pieces = self._tokenizer.inv_vocab if config.of_tokens and config.unit == PIECE else None
        metadata = {"layers": config.layer_numbers} | ({} if config.combine == CONCAT else {"combine": config.combine})
        return outputs.ArrayFile(config.output_format, output, names, self._size, pieces, metadata)

    def run_to_standard_output(self) -> int:
        """Writes to standard output until the input ends or the reader is gone; returns the number of lines."""
        stream = outputs.JsonStream(self._json_lines(), sys.stdout.buffer)
        try:
            return self.run(stream, None)
        except BrokenPipeError:
            logger.info("The reader of standard output is gone; stopping.")
            standard_output.discard()
            return 0

    def run(self, vectors: outputs.Vectors, output: UnfinishedOutput | None) -> int:
        """Writes the vectors of all lines that the output does not have yet; returns the number of lines."""
        state = output.done if output else {}
        done = state.get("lines", 0)
        lines = written = 0  # lines and units
        digest = hashlib.sha256()  # of the lines so far, to check that a resumed run reads the same ones
        preparing = "compiling the model" if self._precision.compiles else ""
        total = text_lines.count(self._paths)
        with Progress("Extracting", total, unit="line", initial=done, preparing=preparing) as progress:
            for text, sequences in self._blocks():
                units = outputs.Units.of(sequences)
                skipped = min(len(text), max(0, done - lines))
                if skipped:
                    lines, written = lines + skipped, written + int(units.row_splits[skipped])
                    digest.update(_bytes(text[:skipped]))
                    if lines == done and digest.hexdigest() != state["digest"]:
                        raise self._changed_input(done)
                    text, sequences = text[skipped:], sequences.part(skipped, len(sequences))
                    units = outputs.Units.of(sequences)
                if not text:
                    continue
                vectors.add(lines, units, self._vectors(sequences, progress.update))
                digest.update(_bytes(text))
                lines, written = lines + len(text), written + int(units.row_splits[-1])
                if output:
                    output.commit({"lines": lines, "units": written, "digest": digest.hexdigest()})
        if lines < done:
            raise self._changed_input(done)
        if output:
            output.commit(output.done, at_once=True)
        vectors.finish()
        logger.info("%s", self._counts.sentence(self._config))
        if count := self._counts.words_without_pieces:
            logger.warning("%s without a vector: the tokenizer removes all their characters.", counted(count, "word"))
        return lines

    def _vectors(self, sequences: Sequences, report: Callable[[int], None]) -> Array:
        """The vectors of the lines, their tokens or their words."""
        config = self._config
        if config.long_text != WINDOWS:
            vectors = self._encoder.vectors(sequences, report)
        else:
            lengths = config.max_seq_length, config.window_stride
            vectors = windows.vectors(self._encoder, sequences, *lengths, config.pooling, self._max_vectors, report)
        if sequences.words is not None:
            vectors = words.means(vectors, sequences.words)
        if config.normalize:
            norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            vectors /= np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
        return vectors

    def _blocks(self) -> Iterator[tuple[list[str], Sequences]]:
        """Yields all lines in blocks whose vectors can be held; the same blocks in each run, for the same bits."""
        lines = 0
        for block in text_lines.read(self._paths):
            limit, long_text = self._config.max_seq_length, self._config.long_text
            encode = words.encode if self._config.unit == WORD else data.encode
            sequences = encode(block, self._tokenizer, limit, long_text)
            self._counts.add(sequences, limit)
            self._check_segments(sequences, lines)
            lines += len(block)
            ranges = [(0, len(block))]
            if self._config.of_tokens:
                ranges = list(outputs.ranges(sequences.row_splits, self._max_vectors))
            for first, end in ranges:
                yield block[first:end], sequences.part(first, end)

    def _check_segments(self, sequences: Sequences, before: int) -> None:
        if self._foundation.bert_config.type_vocab_size < 2 and sequences.segment_ids.any():
            first = int(np.searchsorted(sequences.row_splits, np.argmax(sequences.segment_ids), side="right"))
            raise InputError(
                f"{self._config.input_file}, line {before + first}: a pair (a ||| b), but the model has only one "
                "segment type (type_vocab_size)."
            )

    def _changed_input(self, done: int) -> InputError:
        config = self._config
        return InputError(
            f"{config.output_file} was started by an earlier run with other input: lines 1 to {done:,} of "
            f"--input_file={config.input_file} differ. To start over, remove the directory "
            f"{unfinished_directory(config.output_file)}."
        )


def _bytes(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
