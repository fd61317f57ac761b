"""Scores of texts by a masked language model: the probability of each piece when it alone is masked.

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

from bert_tf2.inspection.pieces import TextPieces, scored
from bert_tf2.metrics.finite import check_finite
from bert_tf2.modeling import heads
from bert_tf2.modeling.pretraining import PretrainingModel

_BATCH = [tf.TensorSpec([None, None], tf.int32)] * 4


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of a text.

    Attributes:
      pieces: the text.
      positions: those of its pieces that are text.
      log_probabilities: of the piece at each of them, natural logarithms.
    """

    pieces: TextPieces
    positions: tuple[int, ...]
    log_probabilities: tuple[float, ...]

    @property
    def pseudo_log_likelihood(self) -> float:
        """The sum of the log-probabilities; 0 of a text without pieces."""
        return math.fsum(self.log_probabilities)

    @property
    def pseudo_perplexity(self) -> float | None:
        """`exp(-mean log-probability)`, infinite beyond what a float holds; None of a text without pieces."""
        return perplexity(self.pseudo_log_likelihood, len(self.positions)) if self.positions else None

    @property
    def tokens(self) -> tuple[str, ...]:
        """The pieces that are scored."""
        return tuple(self.pieces.pieces[place].token for place in self.positions)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        mean = self.pseudo_perplexity
        return {
            "text": self.pieces.text,
            **({} if self.pieces.text_b is None else {"text_b": self.pieces.text_b}),
            "tokens": list(self.tokens),
            "log_probabilities": [round(value, 6) for value in self.log_probabilities],
            "pseudo_log_likelihood": round(self.pseudo_log_likelihood, 6),
            "pseudo_perplexity": round(mean, 6) if mean is not None and math.isfinite(mean) else None,
        }

    def to_table(self) -> str:
        """The text, and a row for each piece."""
        mean = self.pseudo_perplexity
        shown = "no pieces" if mean is None else f"pseudo-perplexity {mean:,.2f}"
        text = self.pieces.text if self.pieces.text_b is None else f"{self.pieces.text} ||| {self.pieces.text_b}"
        rows = [
            f"  {value:9.4f}  {math.exp(value):8.2%}  {token}"
            for value, token in zip(self.log_probabilities, self.tokens, strict=True)
        ]
        title = f"{text}\n  pseudo-log-likelihood {self.pseudo_log_likelihood:,.4f}, {shown}"
        return "\n".join([title, *rows])


def perplexity(log_likelihood: float, count: int) -> float:
    """`exp(-log_likelihood / count)`, infinite beyond what a float holds.

    Args:
      log_likelihood: sum of the log-probabilities of pieces.
      count: how many pieces.
    """
    try:
        return math.exp(-log_likelihood / count)
    except OverflowError:
        return math.inf


class Scorer:
    """Scores texts by a model with its masked-LM head.

    Args:
      model: with weights.
      mask: id of `[MASK]`.
    """

    def __init__(self, model: PretrainingModel, mask: int) -> None:
        self._mask = mask

        @tf.function(input_signature=_BATCH)
        def log_probabilities(ids: tf.Tensor, mask: tf.Tensor, segments: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
            labels = tf.gather(ids, positions, batch_dims=1)  # [B, 1]
            masked = tf.tensor_scatter_nd_update(
                ids,
                tf.stack([tf.range(tf.shape(ids)[0]), positions[:, 0]], axis=1),
                tf.fill(tf.shape(positions)[:1], self._mask),
            )
            batch = {"input_ids": masked, "input_mask": mask, "segment_ids": segments, "masked_lm_positions": positions}
            logits, _ = model.logits(batch)  # [B, V]
            return -heads.cross_entropy(logits, labels[:, 0])

        self._log_probabilities = log_probabilities

    def score(
        self, texts: Sequence[TextPieces], batch_size: int, report: Callable[[int], None] = lambda rows: None
    ) -> list[Score]:
        """Scores texts, the pieces of all of them in common batches.

        Args:
          texts: `T` of them, none longer than the model.
          batch_size: sequences that the model gets at a time, `B`.
          report: called with the number of pieces of each batch that is done.

        Returns:
          A score for each text, in their order.

        Raises:
          InputError: a logit is not finite.
        """
        places = [scored(text) for text in texts]
        lengths = np.array([len(text.pieces) for text in texts], np.int64)  # [T]
        order = np.argsort(lengths, kind="stable")  # similar lengths together, for little padding
        owners = np.repeat(order, [len(places[text]) for text in order])  # [R]
        positions = np.concatenate([np.empty(0, np.int32), *(places[text] for text in order)])  # [R]
        starts = np.cumsum(lengths) - lengths  # [T]
        ids, segments = (
            np.concatenate([np.empty(0, np.int32), *(getattr(text, name) for text in texts)])
            for name in ("ids", "segments")
        )
        values = np.empty(len(owners), np.float32)  # [R]
        for first in range(0, len(owners), batch_size):
            rows = slice(first, first + batch_size)
            columns = np.arange(lengths[owners[rows]].max(initial=0))
            mask = columns < lengths[owners[rows], None]  # [B, S]
            sources = (starts[owners[rows], None] + columns)[mask]
            batch = [_filled(mask, part) for part in (ids[sources], 1, segments[sources])]
            values[rows] = self._log_probabilities(*batch, positions[rows, None]).numpy()
            check_finite({"logits": values[rows]})
            report(len(positions[rows]))
        return _by_text(texts, places, order, values)


def _filled(mask: NDArray[np.bool_], values: NDArray[np.int32] | int) -> NDArray[np.int32]:
    batch = np.zeros(mask.shape, np.int32)
    batch[mask] = values
    return batch


def _by_text(
    texts: Sequence[TextPieces],
    places: Sequence[NDArray[np.int32]],
    order: NDArray[np.int64],
    values: NDArray[np.float32],
) -> list[Score]:
    """The values of each text, which follow each other in `order`."""
    ends = np.cumsum([len(places[text]) for text in order])
    parts = dict(zip(order.tolist(), np.split(values, ends[:-1]), strict=True)) if len(order) else {}
    return [
        Score(text, tuple(places[number].tolist()), tuple(parts[number].tolist())) for number, text in enumerate(texts)
    ]
