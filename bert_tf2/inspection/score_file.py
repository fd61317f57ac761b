"""Scores the lines of a file, a few hundred at a time, into an output that can be resumed after a kill."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_tf2.errors import InputError, counted
from bert_tf2.inspection import scoring
from bert_tf2.inspection.config import InspectionConfig
from bert_tf2.inspection.inspector import Inspector
from bert_tf2.inspection.pieces import TextPieces
from bert_tf2.inspection.scoring import Score
from bert_tf2.io import run_files, text_lines
from bert_tf2.io.progress import Progress
from bert_tf2.io.resumable_output import UnfinishedOutput, unfinished_directory
from bert_tf2.tasks.feature_extraction.data import split_line
from bert_tf2.tokenization.sequences import MASK

logger = logging.getLogger(__name__)

_LINES_AT_ONCE = 256  # enough for batches of similar lengths, few enough for scores to appear soon


@dataclasses.dataclass
class Totals:
    """Totals of the texts scored so far.

    Attributes:
      texts: the number of texts.
      pieces: the number of their pieces.
      log_likelihood: the sum of the log-probabilities of the pieces.
    """

    texts: int = 0
    pieces: int = 0
    log_likelihood: float = 0.0

    def add(self, score: Score) -> None:
        """Adds the score of a text."""
        self.texts += 1
        self.pieces += len(score.positions)
        self.log_likelihood += score.pseudo_log_likelihood


def source_name(config: InspectionConfig) -> str:
    """The name of `--text_file` in errors."""
    return "standard input" if config.text_file == text_lines.STANDARD_INPUT else str(config.text_file)


def numbered(
    lines: Sequence[str], lines_before: int, source: str, inspector: Inspector
) -> Iterator[tuple[int, TextPieces]]:
    """The line number and the pieces of each line that is not empty.

    Args:
      lines: lines with a text, or with a pair separated by ` ||| `.
      lines_before: the number of lines before them in the file.
      source: the name of the file in errors.
      inspector: the model.

    Raises:
      InputError: a text is too long for the model.
    """
    for number, line in enumerate(lines, lines_before + 1):
        first, second = split_line(line)
        if first or second:
            yield number, inspector.pieces(first, second or None, f"{source}, line {number}")


def check_no_mask(pieces: TextPieces, where: str) -> None:
    """Checks that a text to be scored has no `[MASK]`.

    Raises:
      InputError: the text has one.
    """
    if pieces.masks:
        raise InputError(
            f"{where} has a {MASK}; --score masks each piece in turn by itself, so give the text without it, or omit "
            "--score."
        )


def run(config: InspectionConfig, inspector: Inspector, paths: Sequence[str]) -> Totals:
    """Scores all lines; prints each score, and, if there is an `output_dir`, writes it to a file.

    Scores that an interrupted run has already written are kept, and not printed again.

    Returns:
      The totals of all lines, including those of the interrupted run.

    Raises:
      InputError: a line cannot be scored, or differs from that in the interrupted run.
      OSError: the output cannot be written.
    """
    with contextlib.ExitStack() as stack:
        output = None
        if config.output_dir is not None:
            path = os.path.join(config.output_dir, run_files.SCORES)
            settings = {"inspector": inspector.identity()}
            output = stack.enter_context(UnfinishedOutput(path, (run_files.SCORES,), settings))
        return _run(config, inspector, paths, output)


def _run(
    config: InspectionConfig, inspector: Inspector, paths: Sequence[str], output: UnfinishedOutput | None
) -> Totals:
    earlier: Mapping[str, Any] = output.done if output else {}
    done, lines = int(earlier.get("lines", 0)), 0
    totals, digest = Totals(**earlier.get("totals", {})), hashlib.sha256()  # of the lines so far
    with Progress("Scoring", text_lines.count(paths), unit="line", initial=done) as progress:
        for block in _blocks(paths):
            skipped = min(len(block), max(0, done - lines))
            digest.update(_encode(block[:skipped]))
            lines += skipped
            if skipped and lines == done and digest.hexdigest() != earlier["digest"]:
                raise _changed_lines_error(config, done)
            if skipped == len(block):
                continue
            for number, score in _scores(config, inspector, block[skipped:], lines):
                row = {"line": number, **score.to_dict()}
                text = json.dumps(row, ensure_ascii=False)
                print(text if config.json else _row(number, score), flush=True)
                totals.add(score)
                if output:
                    output.append(run_files.SCORES, f"{text}\n".encode())
            digest.update(_encode(block[skipped:]))
            lines += len(block) - skipped
            progress.update(len(block) - skipped)
            if output:
                state = {"lines": lines, "digest": digest.hexdigest(), "totals": dataclasses.asdict(totals)}
                output.commit(state)
    if lines < done:
        raise _changed_lines_error(config, done)
    if not totals.texts:
        raise InputError(f"--text_file={config.text_file} has no text; expected one text per line.")
    if output:
        output.commit(output.done, at_once=True)
        output.finish(run_files.SCORES)
        logger.info("Wrote %s, %s.", output.output_file, counted(totals.texts, "text"))
    return totals


def _blocks(paths: Sequence[str]) -> Iterator[list[str]]:
    for block in text_lines.read(paths):
        for first in range(0, len(block), _LINES_AT_ONCE):
            yield block[first : first + _LINES_AT_ONCE]


def _scores(
    config: InspectionConfig, inspector: Inspector, lines: Sequence[str], lines_before: int
) -> Iterator[tuple[int, Score]]:
    texts = list(numbered(lines, lines_before, source_name(config), inspector))
    for number, pieces in texts:
        check_no_mask(pieces, f"{source_name(config)}, line {number}")
    scores = inspector.score([pieces for _, pieces in texts], config.batch_size)
    return zip([number for number, _ in texts], scores, strict=True)


def _row(number: int, score: Score) -> str:
    """The score of a line as a row of the printed table."""
    perplexity = score.pseudo_perplexity
    shown = "none" if perplexity is None else f"{perplexity:,.2f}"
    text_b = "" if score.pieces.text_b is None else f" ||| {score.pieces.text_b}"
    return f"{number:>7}  {score.pseudo_log_likelihood:>12,.4f}  {shown:>12}  {score.pieces.text}{text_b}"


def report(totals: Totals) -> None:
    """Logs the pseudo-perplexity of all texts together, if there are several."""
    if totals.texts > 1 and totals.pieces:
        perplexity = scoring.perplexity(totals.log_likelihood, totals.pieces)
        counts = counted(totals.texts, "text"), counted(totals.pieces, "piece")
        logger.info("%s, %s: pseudo-perplexity %s.", *counts, f"{perplexity:,.4f}")


def _changed_lines_error(config: InspectionConfig, done: int) -> InputError:
    path = os.path.join(str(config.output_dir), run_files.SCORES)
    return InputError(
        f"{path} was started by an earlier run with other texts: lines 1 to {done:,} of {source_name(config)} differ. "
        f"To start over, remove the directory {unfinished_directory(path)}."
    )


def _encode(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")
