"""Scores of texts by a masked language model: the probability of each piece when only that piece is masked.

Pseudo-log-likelihood and pseudo-perplexity as in Salazar et al. 2020, "Masked Language Model Scoring"
(arXiv:1910.14659).

Shapes: `T` texts, `S` pieces of a sequence, `R` pieces to score in all texts, `B` rows of a batch, `V` vocabulary.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.inspection.pieces import TextPieces, text_positions
from bert_tf2.metrics.finite import check_finite
from bert_tf2.modeling import heads
from bert_tf2.modeling.pretraining import PretrainingModel

_BATCH = [tf.TensorSpec([None, None], tf.int32)] * 4


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of a text.

    Attributes:
      pieces: the text.
      positions: the positions of the scored pieces: all but `[CLS]` and `[SEP]`.
      log_probabilities: the natural logarithms of the scored pieces' probabilities.
    """

    pieces: TextPieces
    positions: tuple[int, ...]
    log_probabilities: tuple[float, ...]

    @property
    def pseudo_log_likelihood(self) -> float:
        """The sum of the log-probabilities; 0 for a text without pieces."""
        return math.fsum(self.log_probabilities)

    @property
    def pseudo_perplexity(self) -> float | None:
        """`exp(-mean log-probability)`, infinity if that overflows; None for a text without pieces."""
        return perplexity(self.pseudo_log_likelihood, len(self.positions)) if self.positions else None

    @property
    def tokens(self) -> tuple[str, ...]:
        """The scored pieces."""
        return tuple(self.pieces.pieces[position].token for position in self.positions)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        perplexity = self.pseudo_perplexity
        is_finite = perplexity is not None and math.isfinite(perplexity)
        return {
            "text": self.pieces.text,
            **({} if self.pieces.text_b is None else {"text_b": self.pieces.text_b}),
            "tokens": list(self.tokens),
            "log_probabilities": [round(value, 6) for value in self.log_probabilities],
            "pseudo_log_likelihood": round(self.pseudo_log_likelihood, 6),
            "pseudo_perplexity": round(perplexity, 6) if perplexity is not None and is_finite else None,
        }

    def to_table(self) -> str:
        """The text, and a row for each piece."""
        perplexity = self.pseudo_perplexity
        shown = "no pieces" if perplexity is None else f"pseudo-perplexity {perplexity:,.2f}"
        text = self.pieces.text if self.pieces.text_b is None else f"{self.pieces.text} ||| {self.pieces.text_b}"
        rows = [
            f"  {value:9.4f}  {math.exp(value):8.2%}  {token}"
            for value, token in zip(self.log_probabilities, self.tokens, strict=True)
        ]
        title = f"{text}\n  pseudo-log-likelihood {self.pseudo_log_likelihood:,.4f}, {shown}"
        return "\n".join([title, *rows])


def perplexity(log_likelihood: float, count: int) -> float:
    """`exp(-log_likelihood / count)`, infinity if that overflows.

    Args:
      log_likelihood: the sum of the log-probabilities of pieces.
      count: the number of pieces.
    """
    try:
        return math.exp(-log_likelihood / count)
    except OverflowError:
        return math.inf


class Scorer:
    """Scores texts by a masked language model.

    Args:
      model: the model, with its weights.
      mask_id: the id of `[MASK]`.
    """

    def __init__(self, model: PretrainingModel, mask_id: int) -> None:

        @tf.function(input_signature=_BATCH)
        def log_probabilities(ids: tf.Tensor, mask: tf.Tensor, segments: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
            labels = tf.gather(ids, positions, batch_dims=1)  # [B, 1]
            masked = tf.tensor_scatter_nd_update(
                ids,
                tf.stack([tf.range(tf.shape(ids)[0]), positions[:, 0]], axis=1),
                tf.fill(tf.shape(positions)[:1], mask_id),
            )
            batch = {"input_ids": masked, "input_mask": mask, "segment_ids": segments, "masked_lm_positions": positions}
            logits, _ = model.logits(batch)  # [B, V]
            return -heads.cross_entropy(logits, labels[:, 0])

        self._log_probabilities = log_probabilities

    def score(
        self, texts: Sequence[TextPieces], batch_size: int, report: Callable[[int], None] = lambda rows: None
    ) -> list[Score]:
        """Scores texts, in batches with pieces of any of them.

        Args:
          texts: `T` texts, none longer than the model's positions.
          batch_size: the number of sequences in a batch, `B`.
          report: called after each batch with its number of pieces.

        Returns:
          The score of each text, in the order of the texts.

        Raises:
          InputError: a logit is not finite.
        """
        positions_by_text = [text_positions(text) for text in texts]
        lengths = np.array([len(text.pieces) for text in texts], np.int64)  # [T]
        order = np.argsort(lengths, kind="stable")  # so that batches have similar lengths, and little padding
        text_indices = np.repeat(order, [len(positions_by_text[text]) for text in order])  # [R]
        positions = np.concatenate([np.empty(0, np.int32), *(positions_by_text[text] for text in order)])  # [R]
        starts = np.cumsum(lengths) - lengths  # [T]
        ids, segments = (
            np.concatenate([np.empty(0, np.int32), *(getattr(text, name) for text in texts)])
            for name in ("ids", "segments")
        )
        log_probabilities = np.empty(len(text_indices), np.float32)  # [R]
        for first in range(0, len(text_indices), batch_size):
            rows = slice(first, first + batch_size)
            columns = np.arange(lengths[text_indices[rows]].max(initial=0))
            mask = columns < lengths[text_indices[rows], None]  # [B, S]
            indices = (starts[text_indices[rows], None] + columns)[mask]
            batch = [_pad(mask, values) for values in (ids[indices], 1, segments[indices])]
            log_probabilities[rows] = self._log_probabilities(*batch, positions[rows, None]).numpy()
            check_finite({"logits": log_probabilities[rows]})
            report(len(positions[rows]))
        return _by_text(texts, positions_by_text, order, log_probabilities)


def _pad(mask: NDArray[np.bool_], values: NDArray[np.int32] | int) -> NDArray[np.int32]:
    batch = np.zeros(mask.shape, np.int32)
    batch[mask] = values
    return batch


def _by_text(
    texts: Sequence[TextPieces],
    positions_by_text: Sequence[NDArray[np.int32]],
    order: NDArray[np.int64],
    log_probabilities: NDArray[np.float32],
) -> list[Score]:
    """The score of each text, from the log-probabilities of all texts, concatenated in `order`."""
    ends = np.cumsum([len(positions_by_text[text]) for text in order])
    by_text = dict(zip(order.tolist(), np.split(log_probabilities, ends[:-1]), strict=True)) if len(order) else {}
    return [
        Score(text, tuple(positions_by_text[index].tolist()), tuple(by_text[index].tolist()))
        for index, text in enumerate(texts)
    ]
