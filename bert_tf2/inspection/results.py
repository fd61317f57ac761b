"""The results of inspecting a text; no TensorFlow.

Shapes: `L` layers, `N` heads, `S` pieces of a sequence.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.inspection.pieces import TextPieces
from bert_tf2.tokenization.sequences import MASK

if TYPE_CHECKING:  # the module imports TensorFlow
    from bert_tf2.tasks.pretraining.fill_mask import Candidate


@dataclasses.dataclass(frozen=True)
class MaskPrediction:
    """The predictions for a `[MASK]`.

    Attributes:
      position: the position of the `[MASK]` among the pieces.
      candidates: pieces with their probabilities, the most probable first.
    """

    position: int
    candidates: "tuple[Candidate, ...]"


@dataclasses.dataclass(frozen=True)
class LabelProbability:
    """The probability of a label.

    Attributes:
      label: the name of the label.
      probability: its probability; the sum over all labels is 1, unless a text can have several labels.
    """

    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Tag:
    """The tag of a word.

    Attributes:
      word: index into `TextPieces.words`.
      label: the most probable label of the word's first piece.
      probability: the probability of that label.
    """

    word: int
    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """A possible answer to a question.

    Attributes:
      text: the answer; "" for no answer.
      probability: its probability among the best answers.
      start: the offset of its first character in the context; None for no answer.
      end: the offset after its last character, likewise.
    """

    text: str
    probability: float
    start: int | None
    end: int | None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A text, and the predictions of the model's heads; those of heads that it does not have are empty or None.

    Attributes:
      pieces: the text.
      masks: the predictions for each `[MASK]`.
      follows: for a pair, the probability that the second text follows the first.
      labels: the probabilities of a classifier's labels, in the order of their ids.
      value: the value of a regression.
      tags: the tags of a tagger, one for each word.
      answers: the answers of a question-answering model to a pair of a question and its context, the best first.
    """

    pieces: TextPieces
    masks: tuple[MaskPrediction, ...] = ()
    follows: float | None = None
    labels: tuple[LabelProbability, ...] = ()
    value: float | None = None
    tags: tuple[Tag, ...] = ()
    answers: tuple[Answer, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = self.pieces.to_dict()
        if self.masks:
            values["masks"] = [
                {
                    "position": mask.position,
                    "candidates": [
                        {"token": each.token, "probability": round(each.probability, 6)} for each in mask.candidates
                    ],
                }
                for mask in self.masks
            ]
        if self.follows is not None:
            values["follows"] = round(self.follows, 6)
        if self.labels:
            values["labels"] = {each.label: round(each.probability, 6) for each in self.labels}
        if self.value is not None:
            values["value"] = round(self.value, 6)
        if self.tags:
            values["tags"] = [
                {"word": tag.word, "label": tag.label, "probability": round(tag.probability, 6)} for tag in self.tags
            ]
        if self.answers:
            values["answers"] = [
                {**dataclasses.asdict(answer), "probability": round(answer.probability, 6)} for answer in self.answers
            ]
        return values

    def to_table(self) -> str:
        """The text, a row for each piece, and the predictions."""
        pieces, text_b = self.pieces, self.pieces.text_b
        lines = [pieces.text if text_b is None else f"{pieces.text} ||| {text_b}"]
        tags = {tag.word: tag for tag in self.tags}
        width = max(5, *(len(piece.token) for piece in pieces.pieces))
        lines.append(f"{'':>5}  {'piece':<{width}}  {'id':>7}  segment  word")
        previous: int | None = None
        for position, piece in enumerate(pieces.pieces):
            word = "" if piece.word is None or piece.word == previous else pieces.words[piece.word]
            if piece.is_unknown:
                word += "  (not in the vocabulary)"
            elif piece.word in tags and piece.word != previous:
                word += f"  {tags[piece.word].label} {tags[piece.word].probability:.1%}"
            previous = piece.word
            lines.append(f"{position:>5}  {piece.token:<{width}}  {piece.id:>7}  {piece.segment:>7}  {word}".rstrip())
        for mask in self.masks:
            shown = "   ".join(f"{each.token} {each.probability:.1%}" for each in mask.candidates)
            lines.append(f"{MASK} at {mask.position}: {shown}")
        if self.follows is not None:
            lines.append(f"the second text follows the first: {self.follows:.1%}")
        if self.labels:
            ranked = sorted(self.labels, key=lambda each: -each.probability)
            lines.append("labels: " + "   ".join(f"{each.label} {each.probability:.1%}" for each in ranked))
        if self.value is not None:
            lines.append(f"value: {self.value:.4f}")
        if self.answers:
            lines.append("answers:")
        for answer in self.answers:
            lines.append(f"{answer.probability:>7.1%}  {' '.join(answer.text.split()) or '(no answer)'}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Attention:
    """What each head of each layer attends to in a text.

    Attributes:
      pieces: the text, `S` pieces.
      probabilities: float32 `[L, N, S, S]`: how much each piece (next to last axis) attends to each (last axis). Each
        row sums to 1.
    """

    pieces: TextPieces
    probabilities: NDArray[np.float32]

    def to_arrays(self, suffix: str = "") -> dict[str, NDArray[Any]]:
        """The arrays of `attention.npz`.

        Args:
          suffix: a suffix of the arrays' names.

        Returns:
          `attention`, float32 `[L, N, S, S]`; `tokens`, strings `[S]`; `input_ids` and `segment_ids`, int32 `[S]`.
        """
        return {
            f"attention{suffix}": self.probabilities,
            f"tokens{suffix}": np.array(self.pieces.tokens),
            f"input_ids{suffix}": self.pieces.ids,
            f"segment_ids{suffix}": self.pieces.segments,
        }
