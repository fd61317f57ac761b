"""What a model does with a text, as typed results; no TensorFlow.

Shapes: `L` layers, `N` heads, `S` pieces of a sequence.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.inspection.pieces import TextPieces
from bert_tf2.tokenization.sequences import MASK

if TYPE_CHECKING:  # it imports TensorFlow
    from bert_tf2.tasks.pretraining.fill_mask import Candidate


@dataclasses.dataclass(frozen=True)
class MaskPrediction:
    """What the model predicts for a `[MASK]`.

    Attributes:
      position: of the `[MASK]` among the pieces.
      candidates: pieces with their probabilities, the most probable first.
    """

    position: int
    candidates: "tuple[Candidate, ...]"


@dataclasses.dataclass(frozen=True)
class LabelProbability:
    """The probability of a label.

    Attributes:
      label: its name.
      probability: among all labels, or by itself where a text can have several.
    """

    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Tag:
    """What a tagger says of a word.

    Attributes:
      word: index into `TextPieces.words`.
      label: the most probable label of its first piece.
      probability: of that label.
    """

    word: int
    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """A possible answer to a question.

    Attributes:
      text: the answer; "" stands for none.
      probability: among the best answers.
      start: the character of the context where it begins; None if there is no answer.
      end: the character after its end, likewise.
    """

    text: str
    probability: float
    start: int | None
    end: int | None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A text, and what the model says of it; what its heads cannot say is empty or None.

    Attributes:
      pieces: the text.
      masks: predictions for each `[MASK]`.
      follows: of a pair, the probability that the second text follows the first.
      labels: of a classifier, all labels in the order of their ids.
      value: of a regression.
      tags: of a tagger, one for each word.
      answers: of a question-answering model, if the pair is a question and its context; the best one first.
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
        """The text, a row for each piece, and what the model says of it."""
        pieces, text_b = self.pieces, self.pieces.text_b
        lines = [pieces.text if text_b is None else f"{pieces.text} ||| {text_b}"]
        tags = {tag.word: tag for tag in self.tags}
        wide = max(5, *(len(piece.token) for piece in pieces.pieces))
        lines.append(f"{'':>5}  {'piece':<{wide}}  {'id':>7}  segment  word")
        before: int | None = None
        for place, piece in enumerate(pieces.pieces):
            word = "" if piece.word is None or piece.word == before else pieces.words[piece.word]
            if piece.is_unknown:
                word += "  (not in the vocabulary)"
            elif piece.word in tags and piece.word != before:
                word += f"  {tags[piece.word].label} {tags[piece.word].probability:.1%}"
            before = piece.word
            lines.append(f"{place:>5}  {piece.token:<{wide}}  {piece.id:>7}  {piece.segment:>7}  {word}".rstrip())
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
          suffix: of their names.

        Returns:
          `attention`, float32 `[L, N, S, S]`; `tokens`, text `[S]`; `input_ids` and `segment_ids`, int32 `[S]`.
        """
        return {
            f"attention{suffix}": self.probabilities,
            f"tokens{suffix}": np.array(self.pieces.tokens),
            f"input_ids{suffix}": self.pieces.ids,
            f"segment_ids{suffix}": self.pieces.segments,
        }
