"""Creates files of pre-training records from text files, like create_pretraining_data.py of google-research/bert.

Input of any size: it is taken in groups (`text_shards`), each made as if it were the whole input, by one process or
several. What comes out depends on the input, the flags and the size of the groups alone.
"""

import contextlib
import dataclasses
import functools
import glob
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bert_tf2.configs.tokenizer import PLAIN
from bert_tf2.errors import InputError, counted, inflected
from bert_tf2.io import atomic, file_system, json_files, locks, run_files, text_shards
from bert_tf2.io.progress import Progress, duration
from bert_tf2.pretraining_data import records_vocabulary, shard
from bert_tf2.pretraining_data.chinese_words import read_word_list
from bert_tf2.pretraining_data.config import PretrainingDataConfig
from bert_tf2.pretraining_data.merge import JoinedOutputs, remove
from bert_tf2.pretraining_data.shard import Job, Summary
from bert_tf2.tokenization.auto import VocabularyFile
from bert_tf2.tokenization.sequences import SPECIAL_IN_TEXT
from bert_tf2.tokenization.vocab_case import warn_of_case

logger = logging.getLogger(__name__)

_UNKNOWN_SHARE = 0.05
_OUTPUTS_SHOWN = 8
_CHINESE_SHARE = 0.05
_LONG_WORDS = 4  # characters; Chinese words have fewer than two on average


Finished = Callable[[Job, Summary], None]
Runner = Callable[[list[Job], Finished], None]


def create_pretraining_data(config: PretrainingDataConfig, runner: Runner | None = None) -> Summary:
    """Reads text, creates masked and paired instances, and writes them as records.

    The output files that were named appear together, at the end; part files of a directory one by one, each when it is
    whole.

    Args:
      config: what to do.
      runner: makes jobs and reports each with its summary; this machine's processes by default.

    Returns:
      The sums over all groups.

    Raises:
      InputError: no usable text in the input, a file that cannot be read, a vocabulary that lacks a special token, a
        worker that died, another process that writes the same.
      OSError: an output cannot be written.
    """
    started = time.monotonic()
    _warn_of_vocabulary(config)
    if config.word_list:
        count = len(read_word_list(config.word_list).words)
        logger.info("%s has %s of several Chinese characters.", config.word_list, counted(count, "word"))
    groups = text_shards.plan(config.inputs, config.group_bytes, config.text_column, config.form)
    jobs = [_job(config, group, len(groups)) for group in groups]
    with _locked(config):
        return _create(config, jobs, runner, started)


@contextlib.contextmanager
def _locked(config: PretrainingDataConfig) -> Iterator[None]:
    """Inside, no other process can write the outputs."""
    locks_of = {output: _lock_of(output) for output in sorted(config.joined)}
    if folder := config.output_folder:
        locks_of = {config.outputs[0]: folder / run_files.LOCK, **locks_of}
    with contextlib.ExitStack() as stack:
        for output, path in locks_of.items():
            flag = "--eval_output_file" if output == config.eval_output else "--output_file"
            stack.enter_context(locks.held(path, f"writes {output}", f"give another {flag}", remove=True))
        yield


def _lock_of(path: str) -> Path:
    return file_system.path(path).with_name(f".{os.path.basename(path)}.lock")


def _create(config: PretrainingDataConfig, jobs: list[Job], runner: Runner | None, started: float) -> Summary:
    """`create_pretraining_data` once the jobs are known and the outputs locked."""
    _check_folder(config, jobs)
    if config.resume and (summary := _made_before(config, jobs)) is not None:
        _remove_groups(config)
        logger.info("Nothing to do: an earlier run of the same command finished %s.", config.output_file)
        return summary
    done = {job.group.index: summary for job in jobs if config.resume and (summary := job.finished()) is not None}
    left = [job for job in jobs if job.group.index not in done]
    remove(job.marker for job in left)
    _remove_unfinished(config, left)
    try:
        with _naming_outputs(config, jobs):
            _make(config, jobs, done, runner)
    except BaseException:
        if kept := sum(job.finished() is not None for job in jobs):
            shards = f"{counted(len(jobs), 'shard')} {inflected(kept, 'is', 'are')}"
            logger.info("%d of %s done; run the same command with --resume to continue.", kept, shards)
        raise
    finally:
        _remove_unfinished(config, left)
    summary = Summary.add(done.values())
    _remove_held_out_before(config)
    _report(config, jobs, summary, time.monotonic() - started)
    _remove_groups(config)
    return summary


@contextlib.contextmanager
def _naming_outputs(config: PretrainingDataConfig, jobs: list[Job]) -> Iterator[None]:
    """Makes errors name the outputs rather than the shards' hidden files."""
    try:
        yield
    except OSError as error:
        for job in jobs:
            outputs = (*(job.outputs if config.output_folder else ()), *config.joined)
            named = dict(zip((*job.files, job.marker), (*outputs, outputs[0]), strict=True))
            if error.filename in named:
                raise atomic.cannot_be_written(named[error.filename], error) from error
        raise


def _make(config: PretrainingDataConfig, jobs: list[Job], done: dict[int, Summary], runner: Runner | None) -> None:
    """Runs the jobs that are not in `done`, adds their summaries to it, and creates all outputs."""
    left = [job for job in jobs if job.group.index not in done]
    if done:
        logger.info("Found %d of %s from an earlier run.", len(done), counted(len(jobs), "shard"))
    elif len(jobs) > 1:
        logger.info("Processing %d shards of about %.3g MB each.", len(jobs), config.group_bytes / 1e6)
    size, size_left = (sum(job.group.size for job in some) for some in (jobs, left))
    shown = len(jobs) > 1 and runner is None
    with (
        JoinedOutputs(config.joined, jobs, done, functools.partial(_parts, config)) as outputs,
        Progress("Making records", size, unit="byte", initial=size - size_left, shown=shown) as progress,
    ):
        worked = 0.0

        def advance(size: float) -> None:
            nonlocal worked
            before, worked = worked, worked + size
            progress.update(round(worked) - round(before))

        def finished(job: Job, summary: Summary) -> None:
            done[job.group.index] = summary
            sums = Summary.add(done.values())
            progress.update(0, f"{counted(sums.documents, 'document')}, {counted(sums.instances, 'instance')}")
            outputs.add(job)

        if runner:
            runner(left, finished)
        elif config.num_workers > 1 and len(left) > 1:
            from bert_tf2.pretraining_data import local_runner

            local_runner.run(left, finished, advance, config.num_workers)
        else:
            for job in left:
                finished(job, shard.make(job, advance))
        if problem := _nothing_made(config, Summary.add(done.values())):
            remove(path for job in jobs for path in (*job.files, job.marker))
            raise InputError(problem)
        outputs.finish()


def _parts(config: PretrainingDataConfig, job: Job) -> tuple[str, ...]:
    """The files of a job that become parts of `config.joined`."""
    return job.files[len(job.files) - len(config.joined) :]


def _nothing_made(config: PretrainingDataConfig, summary: Summary) -> str | None:
    """The error message if there would be no records at all."""
    if not summary.documents:
        return (
            f"--input_file: no text in {', '.join(config.inputs)}; give text with one sentence per line and an empty "
            "line between documents."
        )
    if config.eval_output and summary.eval_documents in (0, summary.documents):
        return (
            f"--eval_fraction={config.eval_fraction} would hold out {summary.eval_documents:,} of "
            f"{counted(summary.documents, _unit(config))}; give another fraction, or more text."
        )
    return None


def _unit(config: PretrainingDataConfig) -> str:
    """What `Summary.documents` counts."""
    return "line" if config.layout == "lines" else "document"


def _made_before(config: PretrainingDataConfig, jobs: list[Job]) -> Summary | None:
    """The summary of an earlier run, if it had the same input and flags and all its output exists."""
    try:
        left = json_files.read(config.summary_file)
        if left["fingerprint"] != _fingerprint(jobs) or left["sizes"] != _sizes(_outputs(config, jobs)):
            return None
        if config.eval_output and left["eval_size"] != file_system.getsize(config.eval_output):
            return None
        return Summary(**{field.name: left[field.name] for field in dataclasses.fields(Summary)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fingerprint(jobs: list[Job]) -> str:
    return hashlib.sha256("".join(job.fingerprint for job in jobs).encode()).hexdigest()


def _sizes(paths: list[str]) -> list[int]:
    return [file_system.getsize(path) for path in paths]


def _outputs(config: PretrainingDataConfig, jobs: list[Job]) -> list[str]:
    return [output for job in jobs for output in job.outputs] if config.output_folder else config.outputs


def _remove_unfinished(config: PretrainingDataConfig, jobs: list[Job]) -> None:
    """Removes half-written outputs of an interrupted run."""
    paths = [path for job in jobs for path in (*job.files, job.marker)]
    remove(left for path in (*paths, *config.joined) for left in atomic.unfinished(path))


def _remove_groups(config: PretrainingDataConfig) -> None:
    """Removes the files that are only needed until all shards are finished, also those of runs with other shards."""
    if folder := config.output_folder:
        remove(folder.glob(".part-*-of-*.json"))
    for path in map(file_system.path, config.joined):
        remove(path.parent.glob(f".{glob.escape(path.name)}.group-*-of-*"))


def _remove_held_out_before(config: PretrainingDataConfig) -> None:
    """Removes the held-out records of an earlier run with the same outputs, which do not belong to the new ones.

    Only if its summary names them, and where they are unless a flag names another place.
    """
    usual = config.usual_eval_output
    if config.eval_output or not file_system.isfile(usual):
        return
    try:
        before = json_files.read(config.summary_file)
    except InputError:
        return
    if isinstance(before, dict) and os.path.basename(str(before.get("eval_output"))) == os.path.basename(usual):
        remove([file_system.path(usual)])
        logger.info("Removed %s: an earlier run held it out of other records.", usual)


def _job(config: PretrainingDataConfig, group: text_shards.Group, groups: int) -> Job:
    part = f"{group.index:05d}-of-{groups:05d}"
    if folder := config.output_folder:
        outputs = [folder / f"part-{part}"]
    else:
        outputs = [_of_group(path, part) for path in config.outputs]
    values = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in ("input_file", "num_workers", "resume", "group_bytes", "runner")
    }
    return Job(
        group=group,
        outputs=tuple(map(os.fspath, outputs)),
        eval_output=os.fspath(_of_group(config.eval_output, part)) if config.eval_output else None,
        marker=os.fspath(outputs[0].with_name(f".{outputs[0].name.lstrip('.')}.json")),
        vocabulary=_vocabulary(config),
        spm_alpha=config.spm_alpha,
        do_lower_case=config.do_lower_case,
        masking=config.masking,
        layout=config.layout,
        long_lines=config.long_lines,
        parameters=config.parameters,
        segmented_text=config.segmented_text,
        word_list=config.word_list,
        seed=config.random_seed + group.index,
        eval_fraction=config.eval_fraction,
        eval_seed=config.random_seed,
        compression=config.compression,
        fingerprint=shard.fingerprint(values, group, *config.files_read),
        is_whole_input=groups == 1,
    )


def _of_group(path: str, part: str) -> Path:
    """The path of a shard's part of a file until all are concatenated."""
    final = file_system.path(path)
    return final.with_name(f".{final.name}.group-{part}")


def _vocabulary(config: PretrainingDataConfig) -> VocabularyFile:
    return VocabularyFile(config.pieces_file, config.vocab_file is None, config.tokenizer.over(PLAIN))


def _check_folder(config: PretrainingDataConfig, jobs: list[Job]) -> None:
    """Rejects part files of another number of parts, which would be read together with the new ones."""
    if folder := config.output_folder:
        ours = {os.path.basename(job.outputs[0]) for job in jobs}
        others = [path.name for path in sorted(folder.glob("part-*-of-*")) if path.name not in ours]
        if others:
            raise InputError(
                f"--output_file: {folder} has {others[0]} of another run; remove it or give another directory."
            )


def _warn_of_vocabulary(config: PretrainingDataConfig) -> None:
    """Warns of a cased vocabulary with lower-casing, or vice versa, which leaves pieces unused."""
    vocabulary = _vocabulary(config)
    if vocabulary.is_sentencepiece:
        return
    vocab = shard.tokenizer_of(vocabulary, config.do_lower_case, 0.0, 0).vocab
    warn_of_case(vocab, config.do_lower_case, vocabulary.path)


def _warn_of_text(summary: Summary, config: PretrainingDataConfig) -> None:
    """Warns of input whose format is probably unintended, and of its effect on the instances."""
    if config.layout == "lines":
        _warn_of_long_lines(summary, config)
    else:
        _warn_of_documents(summary, config.parameters.max_tokens)
    if config.do_whole_word_mask:
        _warn_of_chinese(summary, config)
    if summary.unknown_tokens > _UNKNOWN_SHARE * summary.tokens:
        logger.warning(
            "%.1f %% of the tokens are [UNK]; does the vocabulary match the language and case of the text?",
            100 * summary.unknown_tokens / summary.tokens,
        )


def _warn_of_chinese(summary: Summary, config: PretrainingDataConfig) -> None:
    """Warns if whole-word masking does not have the intended effect on Chinese text."""
    tokens, words = summary.chinese_tokens, summary.chinese_words
    if config.segmented_text and tokens > _LONG_WORDS * words:
        logger.warning(
            "Words of %.1f Chinese characters on average: --segmented_text expects spaces between words; give text "
            "with such spaces, or --word_list.",
            tokens / max(words, 1),
        )
    elif (config.segmented_text or config.word_list) and tokens == words:
        logger.warning(
            "The text has no word of several Chinese characters; %s has no effect on it.",
            "--segmented_text" if config.segmented_text else "--word_list",
        )
    elif not (config.segmented_text or config.word_list) and tokens > _CHINESE_SHARE * summary.tokens:
        logger.warning(
            "--do_whole_word_mask does nothing on Chinese characters, which are %.0f %% of the tokens: each counts as "
            "a word. Give text with spaces between words and --segmented_text, or --word_list.",
            100 * tokens / summary.tokens,
        )


def _warn_of_long_lines(summary: Summary, config: PretrainingDataConfig) -> None:
    if summary.truncated_sentences and config.long_lines == "truncate":
        logger.warning(
            "Lines truncated to the %d tokens that fit into --max_seq_length=%d: %s of %s; --long_lines=split makes "
            "several examples of them instead.",
            *(config.max_seq_length - SPECIAL_IN_TEXT, config.max_seq_length),
            *(f"{summary.truncated_sentences:,}", f"{summary.sentences:,}"),
        )


def _warn_of_documents(summary: Summary, max_tokens: int) -> None:
    if summary.documents == 1:
        logger.warning(
            "The input has no empty lines and so is a single document: random second sentences come from it, too; put "
            "an empty line between documents."
        )
    elif summary.one_sentence_documents == summary.documents:
        logger.warning(
            "Every document is a single line, so every second sentence is a random one; put each sentence on a "
            "line of its own, and empty lines only between documents."
        )
    if summary.very_long_sentences:
        logger.warning(
            "Lines with more than %s tokens: %s. They look like whole documents on a line; put each sentence on a "
            "line of its own.",
            *(f"{shard.LONG_LINE:,}", f"{summary.very_long_sentences:,}"),
        )
    elif summary.truncated_sentences * 10 > summary.sentences:
        logger.warning(
            "Lines with more than the %d tokens that fit into an instance: %s of %s; what does not fit is dropped. Put "
            "each sentence on a line of its own.",
            *(max_tokens, f"{summary.truncated_sentences:,}", f"{summary.sentences:,}"),
        )


def _report(config: PretrainingDataConfig, jobs: list[Job], summary: Summary, seconds: float) -> None:
    """Logs warnings and a summary of the output, and writes the summary file."""
    _warn_of_text(summary, config)
    outputs = _outputs(config, jobs)
    if summary.instances < len(outputs):
        logger.warning("There are fewer instances than output files; some files are empty.")
    shares = {
        "unknown_rate": summary.unknown_tokens / summary.tokens,
        "padding_share": summary.padding / summary.positions,
        "random_next_share": summary.random_next / summary.instances,
        "masked_tokens_per_instance": summary.masked_tokens / summary.instances,
    }
    values = {**dataclasses.asdict(summary), **shares, "seconds": seconds, "groups": len(jobs)}
    values |= records_vocabulary.entry(_vocabulary(config))
    made = {"outputs": outputs, "sizes": _sizes(outputs), "fingerprint": _fingerprint(jobs)}
    if config.eval_output:
        made |= {"eval_output": config.eval_output, "eval_size": file_system.getsize(config.eval_output)}
    with atomic.replacing(config.summary_file) as file:
        json.dump({**values, "config": dataclasses.asdict(config), **made}, file, indent=2)
        file.write("\n")
    pairs = f"{shares['random_next_share']:.1%} with a random second sentence, " if config.layout == "pairs" else ""
    lines = [
        f"Read {_read(summary, config)}, {counted(summary.tokens, 'token')} ({shares['unknown_rate']:.2%} unknown, "
        f"{_long(summary, config)}).",
        f"Made {counted(summary.instances, 'instance')}: {pairs}{shares['masked_tokens_per_instance']:.1f} masked "
        f"tokens each, {shares['padding_share']:.1%} padding.",
        f"Took {duration(seconds)}, {summary.instances / seconds:,.0f} instances/s, "
        f"{summary.bytes / seconds / 1e6:.3g} MB of text/s.",
        *(f"Wrote {output}" for output in outputs[:_OUTPUTS_SHOWN]),
        *([f"  and {len(outputs) - _OUTPUTS_SHOWN} more"] if len(outputs) > _OUTPUTS_SHOWN else []),
        *([f"Wrote {config.eval_output}: {_held_out(summary, config)}"] if config.eval_output else []),
        f"Wrote {config.summary_file}",
    ]
    logger.info("%s", "\n".join(lines))


def _read(summary: Summary, config: PretrainingDataConfig) -> str:
    """What was read, in words."""
    if config.layout == "lines":
        return counted(summary.sentences, "line")
    return f"{counted(summary.documents, 'document')}, {counted(summary.sentences, 'sentence')}"


def _held_out(summary: Summary, config: PretrainingDataConfig) -> str:
    """What was held out, in words."""
    return f"{counted(summary.eval_instances, 'instance')} of {counted(summary.eval_documents, _unit(config))} held out"


def _long(summary: Summary, config: PretrainingDataConfig) -> str:
    """`Summary.truncated_sentences` in words."""
    if config.layout == "lines":
        fate = "split" if config.long_lines == "split" else "truncated"
        return f"{counted(summary.truncated_sentences, 'line')} {fate}"
    return f"{counted(summary.truncated_sentences, 'sentence')} too long for an instance"
