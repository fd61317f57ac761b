"""Text files to files of pre-training records, as create_pretraining_data.py of google-research/bert made them."""

import dataclasses
import itertools
import logging
import os
import random
import time
from collections.abc import Iterator, Sequence

from bert_tf2 import files, instances
from bert_tf2.errors import InputError
from bert_tf2.instances import Document, InstanceParameters, TrainingInstance
from bert_tf2.progress import Progress, duration
from bert_tf2.sequences import pad
from bert_tf2.tokenization import FullTokenizer

logger = logging.getLogger(__name__)

_INSTANCES_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class PretrainingDataConfig:
    """What create_pretraining_data.py is asked to do; the flags of the same names.

    Attributes:
      input_file: text files, one sentence a line and a blank line between documents: a comma-separated list of paths
        and globs.
      output_file: TFRecord files to write: a comma-separated list, over which the records are dealt round-robin.
      vocab_file: the vocabulary.
      do_lower_case: whether to lower-case the text.
      do_whole_word_mask: see `InstanceParameters`, as for all that follow but random_seed.
      max_seq_length: S.
      max_predictions_per_seq: P.
      random_seed: the same seed, input and flags give the same records.
      dupe_factor: rounds over the input.
      masked_lm_prob: share of masked tokens.
      short_seq_prob: share of documents that give shorter instances.

    Raises:
      InputError: a value that cannot work, an input that is missing, an output that would overwrite an input.
    """

    input_file: str
    output_file: str
    vocab_file: str
    do_lower_case: bool = True
    do_whole_word_mask: bool = False
    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    random_seed: int = 12345
    dupe_factor: int = 10
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1

    def __post_init__(self) -> None:
        _ = self.parameters
        outputs = self.outputs
        if not outputs:
            raise InputError("--output_file names no file; give a path or a comma-separated list of them.")
        sources = {os.path.realpath(path): "--input_file" for path in self.inputs}
        sources[os.path.realpath(self.vocab_file)] = "--vocab_file"
        seen: set[str] = set()
        for path in outputs:
            if os.path.isdir(path):
                raise InputError(f"--output_file: {path!r} is a folder; name a file in it.")
            real = os.path.realpath(path)
            if real in sources:
                raise InputError(f"--output_file: {path!r} is read by {sources[real]}; write to another file.")
            if real in seen:
                raise InputError(f"--output_file names {path!r} twice; name each file once.")
            seen.add(real)

    @property
    def parameters(self) -> InstanceParameters:
        """What concerns the making of instances."""
        names = [field.name for field in dataclasses.fields(InstanceParameters)]
        return InstanceParameters(**{name: getattr(self, name) for name in names})

    @property
    def inputs(self) -> list[str]:
        """The files to read, globs expanded, in order."""
        return files.expand(self.input_file, "--input_file")

    @property
    def outputs(self) -> list[str]:
        """The files to write, in order."""
        return [path.strip() for path in self.output_file.split(",") if path.strip()]


def create_pretraining_data(config: PretrainingDataConfig) -> None:
    """Reads text, makes masked and paired instances, writes them as records.

    The output files appear together, at the end. Documents and instances are held in memory.

    Raises:
      InputError: no usable text in the input, a file that cannot be read, a vocabulary that lacks a special token.
    """
    from bert_tf2 import records  # here, for TensorFlow comes with it and the config is to be checked without

    started = time.monotonic()
    parameters = config.parameters
    tokenizer = FullTokenizer(config.vocab_file, do_lower_case=config.do_lower_case)
    rng = random.Random(config.random_seed)
    # Opened first, so that an output that cannot be written is known before the work is done.
    with records.RecordWriter(config.outputs) as writer:
        documents = _read(config.inputs, tokenizer)
        _warn_of_odd_input(documents, parameters)
        with Progress("Making instances", len(documents) * parameters.dupe_factor, unit="document") as progress:
            made = instances.create_instances(
                documents, list(tokenizer.vocab), parameters, rng, after_document=progress.update
            )
        schema = records.pretraining(parameters.max_seq_length, parameters.max_predictions_per_seq)
        with Progress("Writing records", len(made), unit="record") as progress:
            for number, instance in enumerate(made):
                features = instance_features(instance, tokenizer, parameters)
                if number < _INSTANCES_SHOWN:
                    logger.debug("Instance %d: %s\n%s", number + 1, " ".join(instance.tokens), features)
                writer.write(schema.encode(features))
                progress.update()
    _report(config.outputs, writer.counts, made, documents, time.monotonic() - started)


def instance_features(
    instance: TrainingInstance, tokenizer: FullTokenizer, parameters: InstanceParameters
) -> dict[str, Sequence[float]]:
    """An instance as the values of `records.pretraining`: ids for tokens, padded with 0."""
    length, predictions = parameters.max_seq_length, parameters.max_predictions_per_seq
    labels = instance.masked_lm_labels
    return {
        "input_ids": pad(tokenizer.convert_tokens_to_ids(instance.tokens), length, 0),
        "input_mask": pad([1] * len(instance.tokens), length, 0),
        "segment_ids": pad(instance.segment_ids, length, 0),
        "masked_lm_positions": pad(instance.masked_lm_positions, predictions, 0),
        "masked_lm_ids": pad(tokenizer.convert_tokens_to_ids(labels), predictions, 0),
        "masked_lm_weights": pad([1.0] * len(labels), predictions, 0.0),
        "next_sentence_labels": [int(instance.is_random_next)],
    }


def _read(paths: list[str], tokenizer: FullTokenizer) -> list[Document]:
    size = sum(os.path.getsize(path) for path in paths)

    with Progress("Reading", size, unit="byte") as progress:

        def lines(path: str) -> Iterator[str]:
            logger.info("Reading %s", path)
            for line in files.read_lines(path):
                yield line
                progress.update(len(line.encode("utf-8")) + 1)

        text = itertools.chain.from_iterable(lines(path) for path in paths)
        documents = instances.read_documents(text, tokenizer.tokenize)
    if not documents:
        raise InputError(
            f"--input_file: no text in {', '.join(paths)}; give text with one sentence a line and a blank line between "
            "documents."
        )
    return documents


def _warn_of_odd_input(documents: list[Document], parameters: InstanceParameters) -> None:
    """Says what a form of the input that was probably not meant does to the instances."""
    if len(documents) == 1:
        logger.warning(
            "The input is a single document, so that random second sentences come from it, too; put a blank line "
            "between documents."
        )
    elif all(len(document) == 1 for document in documents):
        logger.warning(
            "Every document is a single line, so that every second sentence is a random one; put each sentence on a "
            "line of its own, and blank lines only between documents."
        )
    lengths = [len(segment) for document in documents for segment in document]
    too_long = sum(length > parameters.max_tokens for length in lengths)
    if too_long * 10 > len(lengths):
        logger.warning(
            "%s of %s lines have more than the %d tokens that fit into an instance, and what does not fit is dropped; "
            "put each sentence on a line of its own.",
            *(f"{too_long:,}", f"{len(lengths):,}", parameters.max_tokens),
        )


def _report(
    paths: list[str], counts: list[int], made: list[TrainingInstance], documents: list[Document], seconds: float
) -> None:
    for path, count in zip(paths, counts, strict=True):
        logger.info("Wrote %s: %s instances", path, f"{count:,}")
    if len(made) < len(paths):
        logger.warning("There are fewer instances than output files: %d files are empty.", counts.count(0))
    logger.info(
        "%s instances from %s documents in %s; %.0f %% have a random second sentence, %.1f tokens of each are masked",
        *(f"{len(made):,}", f"{len(documents):,}", duration(seconds)),
        100 * sum(instance.is_random_next for instance in made) / len(made),
        sum(len(instance.masked_lm_labels) for instance in made) / len(made),
    )
