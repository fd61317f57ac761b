"""What a model is, and what it does with texts: the work of `inspect_model.py`."""

import io
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

import numpy as np

from bert_tf2.errors import InputError, counted, inflected
from bert_tf2.inspection import attention_page, score_file
from bert_tf2.inspection.config import InspectionConfig
from bert_tf2.inspection.description import MULTIPLE_CHOICE, SPAN
from bert_tf2.inspection.inspector import Inspector
from bert_tf2.inspection.pieces import TextPieces
from bert_tf2.inspection.results import Attention
from bert_tf2.io import atomic, run_files, text_lines
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tokenization.sequences import MASK

logger = logging.getLogger(__name__)

_Numbered = tuple[int | None, TextPieces]


def run(config: InspectionConfig) -> None:
    """Prints what the config asks for, and writes its files.

    Raises:
      InputError: the model or a text cannot be read, or the model cannot do what is asked.
      OSError: an output cannot be written.
    """
    paths = text_lines.find(config.text_file, "--text_file") if config.text_file else []
    if config.output_dir is not None:
        atomic.check_writable(config.output_dir)
    inspector = _open(config)
    if config.score:
        inspector.check_scores()
    if config.nearest is not None:
        neighbors = inspector.nearest(config.nearest, config.top_k)
        _print(config, neighbors.to_table(), neighbors.to_dict())
    if config.score:
        _score(config, inspector, paths)
    elif config.has_texts:
        _inspect(config, inspector, paths)
    elif config.nearest is None:
        _print(config, inspector.description.to_table(), inspector.description.to_dict())


def _open(config: InspectionConfig) -> Inspector:
    best_weights.say_if_better(config.init_checkpoint, "inspected", "--init_checkpoint={best}")
    return Inspector.open(
        config.init_checkpoint,
        bert_config_file=config.bert_config_file,
        vocab_file=config.vocab_file,
        spm_model_file=config.spm_model_file,
        do_lower_case=config.do_lower_case,
        tokenizer=config.tokenizer,
        num_hidden_layers=config.num_hidden_layers,
        top_k=config.top_k,
    )


def _print(config: InspectionConfig, table: str, values: Mapping[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False) if config.json else table, flush=True)


def _texts(config: InspectionConfig, inspector: Inspector, paths: Sequence[str]) -> Iterator[_Numbered]:
    """The texts, each with the number of its line, or None of `--text`."""
    if config.text is not None:
        yield None, inspector.pieces(config.text, config.text_b, "--text")
        return
    before = 0
    for block in text_lines.read(paths):
        yield from score_file.numbered(block, before, score_file.source_of(config), inspector)
        before += len(block)


def _of_line(number: int | None, values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(values) if number is None else {"line": number, **values}


def _output(config: InspectionConfig, name: str, opened: ExitStack) -> IO[str] | None:
    """A file of JSON Lines that appears once it is complete; None without `--output_dir`."""
    if config.output_dir is None:
        return None
    return opened.enter_context(atomic.replacing(os.path.join(config.output_dir, name)))


def _write(file: IO[str] | None, values: Mapping[str, Any]) -> None:
    if file is not None:
        file.write(f"{json.dumps(values, ensure_ascii=False)}\n")


# --- Texts -----------------------------------------------------------------------------------------------------------


def _inspect(config: InspectionConfig, inspector: Inspector, paths: Sequence[str]) -> None:
    attentions: list[tuple[int | None, Attention]] = []
    count = weights = 0
    with ExitStack() as opened:
        rows = None
        for number, pieces in _texts(config, inspector, paths):
            inspection = inspector.inspect(pieces)
            rows = rows or _output(config, run_files.INSPECTED, opened)
            if not count and not config.json:
                print(f"{inspector.description.title()}\n", flush=True)
            if not count:
                _say_what_is_not_shown(inspector, pieces)
            values = _of_line(number, inspection.to_dict())
            _print(config, f"{inspection.to_table()}\n", values)
            _write(rows, values)
            if pieces.masks and not inspection.masks:
                where = "--text" if number is None else f"{score_file.source_of(config)}, line {number}"
                logger.warning("%s has a %s, but the model has no masked-LM head to fill it.", where, MASK)
            count += 1
            is_shown = not attentions or weights <= attention_page.MOST_WEIGHTS
            if config.output_dir is not None and is_shown:
                attentions.append((number, inspector.attention(pieces)))
                weights += attentions[-1][1].probabilities.size
        if not count:
            raise InputError(f"--text_file={config.text_file} has no text; expected one text per line.")
        if config.output_dir is not None:
            _write_attention(config.output_dir, inspector, attentions, count)
    if config.output_dir is None:
        logger.info("For attention as a page and as arrays, give --output_dir.")


def _say_what_is_not_shown(inspector: Inspector, pieces: TextPieces) -> None:
    """Logs why a model with a head says nothing of a text."""
    heads = inspector.description.heads
    if MULTIPLE_CHOICE in heads:
        logger.info(
            "A multiple-choice model compares the choices of a question: of a single text, pieces and attention are "
            "shown, but no prediction."
        )
    if SPAN in heads and pieces.text_b is None:
        logger.warning(
            "A question-answering model needs a question and its context: give the context by --text_b, or after ||| "
            "in --text_file."
        )


def _short_name(checkpoint: str) -> str:
    """What a page calls a model: its name, or the end of its path, without the directories of this machine."""
    return "/".join(part for part in checkpoint.split("/")[-2:] if part)


def _write_attention(
    output_dir: str, inspector: Inspector, attentions: Sequence[tuple[int | None, Attention]], count: int
) -> None:
    """Writes the page and the arrays of as many texts as a page has room for."""
    fitting = attention_page.fitting([attention for _, attention in attentions])
    shown = attentions[:fitting]
    page = attention_page.render(_short_name(inspector.checkpoint), [attention for _, attention in shown])
    arrays: dict[str, Any] = {}
    for number, attention in shown:
        arrays |= attention.to_arrays("" if number is None else f"_{number}")
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    paths = [os.path.join(output_dir, name) for name in (run_files.ATTENTION_PAGE, run_files.ATTENTION_ARRAYS)]
    with atomic.replacing(paths[1], "wb") as file:
        file.write(packed.getbuffer())
    with atomic.replacing(paths[0]) as file:
        file.write(page)
    shown_texts = inflected(fitting, "the first", f"the first {fitting:,}")
    first = f" of {shown_texts} of {count:,} texts" if fitting < count else ""
    logger.info("Wrote %s and %s: attention%s.", *paths, first)
    for number, attention in shown:
        layers, heads, pieces, _ = attention.probabilities.shape
        most = attention_page.shown_pieces(layers, heads, pieces)
        if most < pieces:
            where = "the text" if number is None else f"line {number}"
            logger.warning(
                "%s has %s; the page shows the first %d of %s, the arrays have all.",
                *(where[0].upper() + where[1:], counted(pieces, "piece"), most, counted(layers * heads, "head")),
            )


# --- Scores ----------------------------------------------------------------------------------------------------------


def _score(config: InspectionConfig, inspector: Inspector, paths: Sequence[str]) -> None:
    if config.text is None:
        score_file.report(score_file.run(config, inspector, paths))
        return
    pieces = inspector.pieces(config.text, config.text_b, "--text")
    score_file.check_no_mask(pieces, "--text")
    (score,) = inspector.score([pieces], config.batch_size)
    _print(config, score.to_table(), score.to_dict())
    if config.output_dir is not None:
        path = os.path.join(config.output_dir, run_files.SCORES)
        with atomic.replacing(path) as file:
            _write(file, score.to_dict())
        logger.info("Wrote %s.", path)
