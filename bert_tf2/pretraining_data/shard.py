"""Creates the record files of one shard of text, which is the work of a worker."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import records
from bert_tf2.configs.choices import Compression
from bert_tf2.io import atomic, file_system, json_files, text_shards
from bert_tf2.io.progress import Progress
from bert_tf2.io.text_shards import Group
from bert_tf2.pretraining_data import full_sentences, held_out, line_by_line
from bert_tf2.pretraining_data.chinese_words import WordMarker, chinese_pieces, read_word_list
from bert_tf2.pretraining_data.fast_instances import Corpus, InstanceArrays, Vocabulary, create_instances
from bert_tf2.pretraining_data.growing_array import GrowingArray
from bert_tf2.pretraining_data.instances import InstanceParameters, Layout
from bert_tf2.records.writer import BlockWriter
from bert_tf2.tokenization.auto import Tokenizer, VocabularyFile
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sequences import SPECIAL_IN_PAIR, SPECIAL_IN_TEXT
from bert_tf2.tokenization.wordpiece import UNKNOWN

LONG_LINE = 1000  # tokens
_RECORDS_AT_ONCE = 2048  # they fit into the processor's cache
_STAGES = ("seconds_tokenizing", "seconds_instances", "seconds_records")
_READING, _CREATING, _WRITING = 0.2, 0.25, 0.55  # approximate fractions of a group's time

Advance = Callable[[float], None]
"""Called with the progress since the last call, in bytes of text."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """Statistics of input and output, as sums, so that those of shards can be added.

    Attributes:
      bytes: bytes of text read from disk.
      documents: documents with at least one sentence.
      sentences: lines with at least one token.
      tokens: pieces of all sentences.
      unknown_tokens: pieces that are `[UNK]`.
      truncated_sentences: sentences that do not fit into an instance.
      very_long_sentences: sentences of more than `LONG_LINE` tokens.
      one_sentence_documents: documents with a single sentence.
      instances: records written.
      random_next: instances whose second segment is random.
      masked_tokens: masked positions of all instances.
      positions: positions of all instances, including padding.
      padding: positions that are padding.
      chinese_tokens: with whole-word masking, pieces of all sentences that are Chinese characters.
      chinese_words: Chinese words, if they are known.
      eval_documents: held-out documents; their instances count only in `eval_instances`.
      eval_instances: records written from held-out documents.
      seconds_tokenizing: time spent reading and tokenizing, over all processes.
      seconds_instances: time spent creating instances.
      seconds_records: time spent encoding and writing records.
    """

    bytes: int = 0
    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    truncated_sentences: int = 0
    very_long_sentences: int = 0
    one_sentence_documents: int = 0
    instances: int = 0
    random_next: int = 0
    masked_tokens: int = 0
    positions: int = 0
    padding: int = 0
    chinese_tokens: int = 0
    chinese_words: int = 0
    eval_documents: int = 0
    eval_instances: int = 0
    seconds_tokenizing: float = 0.0
    seconds_instances: float = 0.0
    seconds_records: float = 0.0

    @classmethod
    def add(cls, summaries: Iterable[Self]) -> Self:
        """The sum of several summaries."""
        values = [dataclasses.astuple(summary) for summary in summaries]
        return cls(*(sum(column) for column in zip(*values, strict=True))) if values else cls()


@dataclasses.dataclass(frozen=True)
class Job:
    """A shard and how to process it.

    Attributes:
      group: the text.
      outputs: record files to write, over which the instances are distributed in turn.
      eval_output: record file for held-out documents; None if none are held out.
      marker: file that is written when the outputs are complete.
      vocabulary: the vocabulary of the tokenizer.
      spm_alpha: see `SentencePieceTokenizer`.
      do_lower_case: whether to lower-case the text.
      masking: "static", or "dynamic" for records without masks.
      layout: the content of an instance.
      long_lines: one of `LONG_LINES`.
      parameters: the parameters of the instances.
      segmented_text: whether spaces separate Chinese words.
      word_list: a file of Chinese words; without it and `segmented_text`, Chinese words are unknown.
      seed: the seed of this group.
      eval_fraction: the approximate fraction of documents to hold out.
      eval_seed: the seed for choosing them; the same for all groups.
      compression: compression of the outputs, "none" or "gzip".
      fingerprint: identifies input and flags; a marker with another fingerprint comes from another run.
      is_whole_input: whether this is the only group; its progress bars are then shown.
    """

    group: Group
    outputs: tuple[str, ...]
    eval_output: str | None
    marker: str
    vocabulary: VocabularyFile
    spm_alpha: float
    do_lower_case: bool
    masking: str
    layout: Layout
    long_lines: str
    parameters: InstanceParameters
    segmented_text: bool
    word_list: str | None
    seed: int
    eval_fraction: float
    eval_seed: int
    compression: Compression
    fingerprint: str
    is_whole_input: bool

    @property
    def marks_words(self) -> bool:
        """Whether it is known which Chinese characters form words."""
        return self.segmented_text or bool(self.word_list)

    @property
    def files(self) -> tuple[str, ...]:
        """All record files to write."""
        return (*self.outputs, self.eval_output) if self.eval_output else self.outputs

    def finished(self) -> Summary | None:
        """The summary of an earlier run, if its outputs are complete and from the same text and flags."""
        try:
            marker = json_files.read(self.marker)
            if marker["fingerprint"] != self.fingerprint:
                return None
            if [file_system.getsize(path) for path in self.files] != marker["sizes"]:
                return None
            return Summary(**marker["summary"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def fingerprint(values: dict[str, Any], group: Group, *paths: str) -> str:
    """A digest of flags, of a group, and of the sizes and times of `paths` and the group's files."""
    stats = [file_system.stat(path) for path in (*paths, *(span.path for span in group.spans))]
    content = [values, dataclasses.asdict(group), [(stat.st_size, stat.st_mtime_ns) for stat in stats]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _ignore(_: float) -> None:
    pass


def make(job: Job, advance: Advance = _ignore) -> Summary:
    """Creates the records of a shard.

    Args:
      job: the shard and how to process it.
      advance: called from time to time; the amounts add up to the group's size.

    Raises:
      OSError: an output cannot be written.
    """
    times = [time.perf_counter()]
    # The seed, which differs between groups, is only used if it matters, so that otherwise all groups share a
    # tokenizer.
    seed = job.seed if job.spm_alpha else 0
    tokenizer = tokenizer_of(job.vocabulary, job.do_lower_case, job.spm_alpha, seed)
    corpus, summary = _read(job, tokenizer, advance)
    vocabulary = Vocabulary.of(tokenizer.vocab, tokenizer.is_continuation)
    if job.marks_words:
        vocabulary = vocabulary.with_marks()
    times.append(time.perf_counter())
    if job.eval_output:
        corpus, evaluation = held_out.split(corpus, job.eval_fraction, job.eval_seed, job.is_whole_input)
        summary = dataclasses.replace(summary, **_make_evaluation(job, vocabulary, evaluation))
    instances = _create(job, vocabulary, corpus, random.Random(job.seed), advance)
    times.append(time.perf_counter())
    _write(job, instances, advance)
    times.append(time.perf_counter())
    seconds: dict[str, Any] = dict(zip(_STAGES, np.diff(times).tolist(), strict=True))
    summary = dataclasses.replace(summary, **_counts(instances, job), **seconds)
    marker = {
        "fingerprint": job.fingerprint,
        "sizes": [file_system.getsize(path) for path in job.files],
        "summary": dataclasses.asdict(summary),
    }
    with atomic.replacing(job.marker) as file:
        json.dump(marker, file)
    return summary


def _make_evaluation(job: Job, vocabulary: Vocabulary, corpus: Corpus) -> dict[str, Any]:
    """Creates the records of held-out documents, whose random second texts are also held out; one pass."""
    assert job.eval_output is not None
    parameters = dataclasses.replace(job.parameters, dupe_factor=1)
    job = dataclasses.replace(job, outputs=(job.eval_output,), parameters=parameters)
    instances = _create(job, vocabulary, corpus, random.Random(f"evaluation {job.seed}"), _ignore)
    _write(job, instances, _ignore)
    return {"eval_documents": len(corpus), "eval_instances": len(instances)}


@functools.lru_cache(maxsize=1)  # a worker processes many groups with one tokenizer
def tokenizer_of(vocabulary: VocabularyFile, do_lower_case: bool, spm_alpha: float, seed: int) -> Tokenizer:
    """The tokenizer of a job; the arguments are its fields of these names."""
    return vocabulary.tokenizer(do_lower_case, spm_alpha, seed)


@contextlib.contextmanager
def _stage(
    job: Job, description: str, total: int | None, unit: str, fraction: float, advance: Advance
) -> Iterator[Callable[[int], None]]:
    """Shows the progress of a stage if the job is the whole input; in any case, reports it to `advance`.

    Args:
      job: the job.
      description: the name of the stage.
      total: the amount of work; None if unknown.
      unit: the unit of `total`.
      fraction: the fraction of the group's time that the stage takes.
      advance: see `make`.
    """
    reported = 0.0

    def update(amount: int) -> None:
        nonlocal reported
        progress.update(amount)
        if total:
            advance(fraction * job.group.size * amount / total)
            reported += amount / total

    with Progress(description, total, unit=unit, shown=job.is_whole_input and advance is not _ignore) as progress:
        yield update
        advance(fraction * job.group.size * (1 - reported))


def _read(job: Job, tokenizer: Tokenizer, advance: Advance) -> tuple[Corpus, Summary]:
    """The documents of a shard as token ids.

    Each line is a sentence. An empty line ends a document, the end of a file does not. If each line is an instance, it
    is also a document.
    """
    ids, lengths, is_end = GrowingArray((), np.int32), GrowingArray((), np.int64), GrowingArray((), np.bool_)
    if isinstance(tokenizer, FastTokenizer):
        tokenizer.expect(job.group.size)
    marker = _marker(job, tokenizer)
    bytes_read = 0
    with _stage(job, "Reading", job.group.size, "byte", _READING, advance) as update:
        for lines, size in text_shards.read_lines(job.group, whole_rows=job.layout == "lines"):
            encoded, fraction = tokenizer.encode_batch(lines), bytes_read / job.group.size
            ids.append(marker.mark(lines, encoded) if marker else encoded.values, fraction)
            lengths.append(np.diff(encoded.row_splits), fraction)
            is_end.append(_ends_document(lines, job.layout), fraction)
            bytes_read += size
            update(size)
    corpus = _corpus(ids.filled(), lengths.filled(), is_end.filled())
    sentences = np.diff(corpus.segment_splits)
    room = job.parameters.max_seq_length - (SPECIAL_IN_PAIR if job.layout == "pairs" else SPECIAL_IN_TEXT)
    return corpus, Summary(
        bytes=job.group.size,
        documents=len(corpus),
        sentences=sentences.size,
        tokens=corpus.token_ids.size,
        unknown_tokens=_count(corpus, tokenizer.vocab[UNKNOWN], marker),
        truncated_sentences=int(np.count_nonzero(sentences > room)),
        very_long_sentences=int(np.count_nonzero(sentences > LONG_LINE)),
        one_sentence_documents=int(np.count_nonzero(np.diff(corpus.document_splits) == 1)),
        **_chinese(job, tokenizer, corpus, marker),
    )


def _marker(job: Job, tokenizer: Tokenizer) -> WordMarker | None:
    if not job.marks_words:
        return None
    assert isinstance(tokenizer, FastTokenizer)
    return WordMarker(tokenizer, read_word_list(job.word_list) if job.word_list else None)


def _count(corpus: Corpus, token: int, marker: WordMarker | None) -> int:
    """The number of occurrences of a token in a corpus, marked or not."""
    count = np.count_nonzero(corpus.token_ids == token)
    return int(count + (np.count_nonzero(corpus.token_ids == token + marker.shift) if marker else 0))


def _chinese(job: Job, tokenizer: Tokenizer, corpus: Corpus, marker: WordMarker | None) -> dict[str, int]:
    """The entries of the summary about Chinese characters."""
    if not job.parameters.do_whole_word_mask or not isinstance(tokenizer, FastTokenizer):
        return {}
    if marker:
        return {"chinese_tokens": marker.characters, "chinese_words": marker.characters - marker.marked}
    return {"chinese_tokens": int(np.count_nonzero(chinese_pieces(tokenizer.vocab)[corpus.token_ids]))}


def _ends_document(lines: list[str], layout: Layout) -> NDArray[np.bool_]:
    if layout == "lines":
        return np.ones(len(lines), np.bool_)
    return np.fromiter((not line.strip() for line in lines), np.bool_, len(lines))


def _corpus(token_ids: NDArray[np.int32], lengths: NDArray[np.int64], is_end: NDArray[np.bool_]) -> Corpus:
    """Groups lines into documents; drops lines without tokens and documents without lines.

    Args:
      token_ids: int32 [tokens], of all lines.
      lengths: int64 [lines], the number of tokens of each line.
      is_end: bool [lines], whether a line ends a document.
    """
    is_segment = lengths > 0
    document = np.cumsum(is_end)[is_segment]  # of each segment; numbers of empty documents are skipped
    first = np.flatnonzero(np.diff(document, prepend=-1))
    return Corpus(
        token_ids=token_ids,
        segment_splits=np.concatenate([[0], np.cumsum(lengths[is_segment])]),
        document_splits=np.append(first, document.size) if document.size else np.zeros(1, np.int64),
    )


def _counts(instances: InstanceArrays, job: Job) -> dict[str, int]:
    """The entries of the summary about instances."""
    return {
        "instances": len(instances),
        "random_next": int(np.count_nonzero(instances.is_random_next)),
        "masked_tokens": instances.positions.size if job.masking == "static" else 0,
        "positions": len(instances) * job.parameters.max_seq_length,
        "padding": instances.padding,
    }


def _create(job: Job, vocabulary: Vocabulary, corpus: Corpus, rng: random.Random, advance: Advance) -> InstanceArrays:
    rounds = job.parameters.dupe_factor * len(corpus)
    if job.layout == "lines":
        with _stage(job, "Making rows", None, "row", _CREATING, advance) as update:
            masked = job.masking == "static"
            return line_by_line.pack(corpus, vocabulary, job.parameters, rng, masked, job.long_lines, update)
    if job.layout == "sentences":
        with _stage(job, "Making rows", None, "row", _CREATING, advance) as update:
            return full_sentences.pack(corpus, vocabulary, job.parameters, rng, job.masking == "static", update)
    with _stage(job, "Making instances", rounds, "document", _CREATING, advance) as update:
        return create_instances(corpus, vocabulary, job.parameters, rng, update)


def _write(job: Job, instances: InstanceArrays, advance: Advance) -> None:
    schema = records.pretraining(
        job.parameters.max_seq_length,
        job.parameters.max_predictions_per_seq,
        masked=job.masking == "static",
        next_sentence=job.layout == "pairs",
        marks_words=job.masking == "dynamic" and job.marks_words,
    )
    with (
        BlockWriter(job.outputs, schema, job.compression) as writer,
        _stage(job, "Writing records", len(instances), "record", _WRITING, advance) as update,
    ):
        for start in range(0, len(instances), _RECORDS_AT_ONCE):
            stop = min(start + _RECORDS_AT_ONCE, len(instances))
            writer.write_rows(instances.rows(schema, start, stop))
            update(stop - start)
