"""Fills `[MASK]` with a pre-trained model: the quickest way to inspect it.

Shapes: `B` batch, `S` sequence, `P` maximum masks of a line, `V` vocabulary.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained as initialization
from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, run_files, text_lines
from bert_tf2.metrics.finite import check_finite
from bert_tf2.modeling.pretraining import PretrainingModel
from bert_tf2.tasks.feature_extraction.data import split_line
from bert_tf2.tasks.finetuning.foundation import load_averages
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.sequences import MASK, PAD, join_pair, pad
from bert_tf2.training.precision import policy, resolved

logger = logging.getLogger(__name__)

_CANDIDATES = 5
_HEAD = "cls/predictions/"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A piece and its probability."""

    token: str
    probability: float


@dataclasses.dataclass(frozen=True)
class FilledLine:
    """A line and its predictions.

    Attributes:
      line: its number in the input, from 1.
      text: of the line.
      masks: for each `[MASK]` the top pieces, the most probable first.
    """

    line: int
    text: str
    masks: tuple[tuple[Candidate, ...], ...]

    def to_json(self) -> str:
        """One line of JSON."""
        masks = [
            [{"token": candidate.token, "probability": round(candidate.probability, 6)} for candidate in candidates]
            for candidates in self.masks
        ]
        return json.dumps({"line": self.line, "text": self.text, "masks": masks}, ensure_ascii=False)

    def to_table(self) -> str:
        """The text, and a row for each mask, as lines for the terminal."""
        rows = [
            "   ".join(f"{candidate.token} {candidate.probability:.1%}" for candidate in candidates)
            for candidates in self.masks
        ]
        return "\n".join([self.text, *(f"  {MASK} {number}: {row}" for number, row in enumerate(rows, 1))])


def run(config: PretrainingConfig) -> list[FilledLine]:
    """Fills the masks of all lines of `predict_file`, prints them, and writes `fill_mask.jsonl` into `output_dir`.

    Empty lines are skipped. A pair of texts is `a ||| b`.

    Raises:
      InputError: the lines, the model and the vocabulary do not match.
      OSError: the output cannot be written.
    """
    paths = text_lines.find(config.predict_file, "--predict_file")
    atomic.check_writable(config.output_dir)
    filler = MaskFiller.load(config)
    path = os.path.join(config.output_dir, run_files.FILLED_MASKS)
    filled_lines = []
    with atomic.replacing(path) as file:
        for lines in _numbered_lines(paths):
            for filled in filler.fill(lines, config.eval_batch_size):
                print(filled.to_table(), flush=True)
                file.write(f"{filled.to_json()}\n")
                filled_lines.append(filled)
    logger.info("Wrote %s, %s.", path, counted(len(filled_lines), "line"))
    return filled_lines


def check(config: PretrainingConfig) -> None:
    """Does everything in `run` that can fail before the first prediction, but writes nothing.

    Standard input is not read. If the model is still to be trained, only the paths are checked.

    Raises:
      InputError, OSError: see `run`.
    """
    paths = text_lines.find(config.predict_file, "--predict_file")
    atomic.check_writable(config.output_dir)
    if config.do_train:
        return
    filler = MaskFiller.load(config)
    if config.predict_file != text_lines.STANDARD_INPUT:
        for lines in _numbered_lines(paths):
            filler.check(lines)


def _numbered_lines(paths: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Number and text of the lines that are not empty, in blocks."""
    number = 0
    for block in text_lines.read(paths):
        yield [(number + row, line.strip()) for row, line in enumerate(block, 1) if line.strip()]
        number += len(block)


class MaskFiller:
    """A model with its masked-LM head, and its tokenizer.

    Args:
      model: with weights.
      tokenizer: the model's.
      max_seq_length: maximum tokens of a line.
      source: the name of the input in error messages.
      top_k: the number of pieces for each mask.
    """

    def __init__(
        self,
        model: PretrainingModel,
        tokenizer: Tokenizer,
        max_seq_length: int,
        source: str,
        top_k: int = _CANDIDATES,
    ) -> None:
        self._tokenizer, self._max_seq_length, self._source = tokenizer, max_seq_length, source
        # A model may have more rows than the vocabulary has pieces; these are not candidates.
        is_piece = np.zeros(model.bert.config.vocab_size, bool)
        is_piece[list(tokenizer.inv_vocab)] = True
        is_candidate = tf.constant(is_piece)

        @tf.function(reduce_retracing=True)
        def predict(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            logits, _ = model.logits(batch)  # [B*P, V]
            sums = tf.reduce_sum(tf.cast(logits, tf.float32), -1)  # [B*P], not finite if a logit is not
            probabilities = tf.where(is_candidate, tf.nn.softmax(logits), 0.0)
            # [B*P, top_k] each
            return *tf.math.top_k(probabilities, min(top_k, len(tokenizer.inv_vocab))), sums

        self._predict = predict

    @classmethod
    def load(cls, config: PretrainingConfig) -> "MaskFiller":
        """Loads the newest checkpoint of `output_dir`, else `init_checkpoint`.

        Raises:
          InputError: there is no checkpoint, it has no masked-LM head, or its config or vocabulary cannot be found.
        """
        newest = checkpoints.latest(config.output_dir)
        checkpoint = newest or config.init_checkpoint
        if checkpoint is None:
            raise InputError(
                f"--do_predict: {config.output_dir} has no checkpoint; train first, or give --init_checkpoint."
            )
        pretrained = initialization.find(
            config.init_checkpoint,
            config.output_dir,
            bert_config_file=config.bert_config_file or None,
            vocab_file=config.vocab_file,
            spm_model_file=config.spm_model_file,
            num_hidden_layers=config.num_hidden_layers,
            tokenizer=config.tokenizer,
            infer_case=True,  # there is no --do_lower_case
        )
        bert_config, tokenizer = pretrained.bert_config, pretrained.tokenizer(pretrained.do_lower_case)
        with policy(resolved(config.precision)):
            model = PretrainingModel(bert_config, with_next_sentence=False)
        variables = checkpoints.tf_variables(model.named_variables)
        report = initialization.load(variables, checkpoint, num_hidden_layers=config.num_hidden_layers)
        if missing := [name for name in (*report.missing, *report.mismatched) if name.startswith(_HEAD)]:
            raise InputError(
                f"--do_predict: {report.prefix} has no masked-LM head (it lacks {missing[0]}): it was fine-tuned for "
                "another task, or never had one."
            )
        if newest and config.optimizer.ema_decay:
            load_averages(variables, newest)
        logger.info("Filling masks with %s.", report.prefix)
        length = min(config.max_seq_length, bert_config.max_position_embeddings)
        return cls(model, tokenizer, length, "standard input" if config.predict_file == "-" else config.predict_file)

    def check(self, lines: Sequence[tuple[int, str]]) -> None:
        """Tokenizes lines (see `fill`), and warns of those without a mask.

        Raises:
          InputError: a line is too long.
        """
        for line in lines:
            self._encode(*line)

    def fill(self, lines: Sequence[tuple[int, str]], batch_size: int) -> Iterator[FilledLine]:
        """Yields the lines with their predictions, in order.

        Args:
          lines: number and text of each.
          batch_size: lines per batch.

        Raises:
          InputError: a line is too long, or the logits are not finite.
        """
        for first in range(0, len(lines), batch_size):
            batch = lines[first : first + batch_size]
            candidates = self.candidates([self._encode(*line) for line in batch])
            yield from map(FilledLine, *zip(*batch, strict=True), candidates)

    def _encode(self, number: int, text: str) -> tuple[list[str], list[int]]:
        """Tokens and segments of a line."""
        first, second = map(self._tokens, split_line(text))
        tokens, segments = join_pair(first, second or None)
        if MASK not in tokens:
            logger.warning("%s, line %d has no %s to fill.", self._source, number, MASK)
        if len(tokens) > self._max_seq_length:
            raise InputError(
                f"{self._source}, line {number}: {len(tokens)} tokens with [CLS] and [SEP], but at most "
                f"{self._max_seq_length} are allowed; shorten it, or give a larger --max_seq_length if the model has "
                "so many positions."
            )
        return tokens, segments

    def _tokens(self, text: str) -> list[str]:
        """The tokens of a text in which `[MASK]` stands for the special token."""
        first, *others = map(self._tokenizer.tokenize, text.split(MASK))
        return [*first, *(token for other in others for token in (MASK, *other))]

    def candidates(
        self, sequences: Sequence[tuple[Sequence[str], Sequence[int]]]
    ) -> list[tuple[tuple[Candidate, ...], ...]]:
        """The top pieces for each mask of some sequences, the most probable first.

        Args:
          sequences: tokens and segments of each; at least one.

        Raises:
          InputError: the logits are not finite.
        """
        positions = [[position for position, token in enumerate(tokens) if token == MASK] for tokens, _ in sequences]
        columns, max_masks = max(len(tokens) for tokens, _ in sequences), max(1, *map(len, positions))
        batch = {
            "input_ids": [self._tokenizer.convert_tokens_to_ids(pad(tokens, columns, PAD)) for tokens, _ in sequences],
            "input_mask": [pad([1] * len(tokens), columns, 0) for tokens, _ in sequences],
            "segment_ids": [pad(segments, columns, 0) for _, segments in sequences],
            "masked_lm_positions": [pad(row, max_masks, 0) for row in positions],
        }
        tensors = {name: tf.constant(rows, tf.int32) for name, rows in batch.items()}
        probabilities, ids, sums = self._predict(tensors)
        check_finite({"logits": sums.numpy()})
        shape = (len(sequences), max_masks, -1)
        rows = zip(probabilities.numpy().reshape(shape).tolist(), ids.numpy().reshape(shape).tolist(), strict=True)
        return [
            tuple(map(self._to_candidates, row_probabilities[: len(masks)], row_ids))
            for (row_probabilities, row_ids), masks in zip(rows, positions, strict=True)
        ]

    def _to_candidates(self, probabilities: list[float], ids: list[int]) -> tuple[Candidate, ...]:
        pieces = self._tokenizer.convert_ids_to_tokens(ids)
        return tuple(Candidate(*pair) for pair in zip(pieces, probabilities, strict=True))
