"""Subword regularization: sampling the pieces of a text instead of taking the best ones, reproducibly.

The `sentencepiece` package also samples, but not reproducibly: with the same seed, its samples differ from process to
process (0.2.3), or it cannot be seeded again (earlier versions), so that records would differ from run to run. Here,
the samples depend only on the random numbers. Both functions follow the library in everything else.

- `sample_unigram`: Kudo, "Subword Regularization" (2018): a segmentation of the text is drawn with a probability
  proportional to its probability under the model to the power alpha, by forward filtering and backward sampling.
- `sample_bpe`: Provilkov et al., "BPE-Dropout" (2020): each merge is skipped with probability alpha.
"""

import heapq
import math
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

UNKNOWN_ID = -1
"""The id of a character that is in no piece."""

_UNKNOWN_PENALTY = 10.0  # less than the score of the worst piece
_USER_DEFINED_SCORE = -0.1  # almost certain; as in the library
_MAX_CACHED = 1 << 17


class Piece(NamedTuple):
    """A piece of the vocabulary.

    Attributes:
      piece_id: its id.
      score: its log probability (unigram), or minus the rank of its merge (BPE).
      user_defined: whether it is used wherever it occurs in the text (in samples of a unigram model: nearly always).
    """

    piece_id: int
    score: float
    user_defined: bool


Sampler = Callable[[str, random.Random], list[int]]
"""Converts a normalized word to ids, possibly with `UNKNOWN_ID`, by means of random numbers."""


def split_words(text: str) -> list[str]:
    """The words of a normalized text, each with its leading `▁`."""
    words = text.split("▁")
    return [*([words[0]] if words[0] else []), *(f"▁{word}" for word in words[1:])]


# --- Unigram ---------------------------------------------------------------------------------------------------------

# For each position in a word, the pieces that end there: begin, id, and cumulative probability.
_Lattice = list[list[tuple[int, int, float]]]


def sample_unigram(pieces: Mapping[str, Piece], alpha: float) -> Sampler:
    """A sampler for a unigram model.

    Args:
      pieces: the pieces by their text.
      alpha: the power of the probabilities; with large values, the best segmentation is almost certain.
    """
    longest = max(map(len, pieces), default=0)
    scores = [piece.score for piece in pieces.values() if not piece.user_defined]
    unknown_score = min(scores, default=0.0) - _UNKNOWN_PENALTY
    cache: dict[str, _Lattice] = {}

    def lattice(word: str) -> _Lattice:
        ending: list[list[tuple[int, int, float]]] = [[] for _ in range(len(word) + 1)]
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + longest) + 1):
                piece = pieces.get(word[start:end])
                if piece is not None:
                    score = _USER_DEFINED_SCORE if piece.user_defined else piece.score
                    ending[end].append((start, piece.piece_id, score))
                elif end == start + 1:
                    ending[end].append((start, UNKNOWN_ID, unknown_score))
        total = [0.0] * (len(word) + 1)  # log of the summed weights of all segmentations up to each position
        rows: _Lattice = [[]]
        for end in range(1, len(word) + 1):
            logs = [total[start] + alpha * score for start, _, score in ending[end]]
            top = max(logs)
            weights = [math.exp(log - top) for log in logs]
            sum_of_weights = math.fsum(weights)
            total[end] = top + math.log(sum_of_weights)
            cumulative, row = 0.0, []
            for (start, index, _), weight in zip(ending[end], weights, strict=True):
                cumulative += weight / sum_of_weights
                row.append((start, index, cumulative))
            rows.append(row)
        return rows

    def sample(word: str, rng: random.Random) -> list[int]:
        rows = cache.get(word)
        if rows is None:
            if len(cache) >= _MAX_CACHED:
                cache.clear()
            rows = cache[word] = lattice(word)
        ids: list[int] = []
        end = len(word)
        while end:
            row = rows[end]
            start, index, _ = row[-1]  # also if rounding leaves the sum below the draw
            if len(row) > 1:
                draw = rng.random()
                for start, index, cumulative in row:  # noqa: B007 (used after the loop)
                    if draw < cumulative:
                        break
            ids.append(index)
            end = start
        return ids[::-1]

    return sample


# --- Byte-pair encoding ----------------------------------------------------------------------------------------------


def sample_bpe(pieces: Mapping[str, Piece], alpha: float) -> Sampler:
    """A sampler for a byte-pair encoding.

    Args:
      pieces: the pieces by their text: single characters and results of merges.
      alpha: the probability of skipping a merge; with 0, the result is that of the model.
    """
    user_defined = sorted((text for text, piece in pieces.items() if piece.user_defined), key=len, reverse=True)

    def symbols(word: str) -> list[str]:
        result, start = [], 0
        while start < len(word):
            length = next((len(text) for text in user_defined if word.startswith(text, start)), 1)
            result.append(word[start : start + length])
            start += length
        return result

    def mergeable(left: str, right: str) -> Piece | None:
        if any(side in pieces and pieces[side].user_defined for side in (left, right)):
            return None
        return pieces.get(left + right)

    def sample(word: str, rng: random.Random) -> list[int]:
        parts = symbols(word)  # a part that was merged into the one before it is ""
        before = list(range(-1, len(parts) - 1))
        after = [*range(1, len(parts)), -1]
        candidates: list[tuple[float, int, str, str]] = []

        def consider(left: int, right: int) -> None:
            if left >= 0 and right >= 0:
                piece = mergeable(parts[left], parts[right])
                if piece is not None:
                    heapq.heappush(candidates, (-piece.score, left, parts[left], parts[right]))

        for left in range(len(parts) - 1):
            consider(left, left + 1)
        while candidates:
            _, left, left_part, right_part = heapq.heappop(candidates)
            right = after[left]
            if right < 0 or parts[left] != left_part or parts[right] != right_part:
                continue  # one of them has been merged with another
            if alpha and rng.random() < alpha:
                continue
            parts[left], parts[right] = left_part + right_part, ""
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
            consider(before[left], left)
            consider(left, after[left])
        return [pieces[part].piece_id if part in pieces else UNKNOWN_ID for part in parts if part]

    return sample
