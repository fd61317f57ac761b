"""Nearest neighbors in the table of word embeddings; no TensorFlow.

Shapes: `V` vocabulary, `H` hidden.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.wordpiece import UNKNOWN


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """A piece near a query.

    Attributes:
      token: the piece.
      id: its id.
      similarity: the cosine of the angle between its embedding and the query's, from -1 to 1.
    """

    token: str
    id: int
    similarity: float


@dataclasses.dataclass(frozen=True)
class Neighbors:
    """The nearest neighbors of a piece or a word.

    Attributes:
      query: the piece or word.
      tokens: the pieces of the query; if there are several, the mean of their embeddings is compared.
      neighbors: its neighbors, the nearest first, without `tokens`.
    """

    query: str
    tokens: tuple[str, ...]
    neighbors: tuple[Neighbor, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "query": self.query,
            "tokens": list(self.tokens),
            "nearest": [
                {"token": each.token, "id": each.id, "similarity": round(each.similarity, 6)} for each in self.neighbors
            ],
        }

    def to_table(self) -> str:
        """A title, and a row for each neighbor."""
        title = f"Nearest to {self.query}"
        if len(self.tokens) > 1:
            title += f" (mean of the embeddings of {' '.join(self.tokens)})"
        elif self.tokens[0] != self.query:
            title += f" ({self.tokens[0]})"
        return "\n".join([title, *(f"  {each.similarity:6.3f}  {each.token}" for each in self.neighbors)])


def find(table: NDArray[np.float32], tokenizer: Tokenizer, query: str, count: int = 10) -> Neighbors:
    """The pieces nearest to a query by the cosine of their word embeddings.

    Args:
      table: the word embeddings, float32 `[V, H]`.
      tokenizer: the model's tokenizer.
      query: a piece in the vocabulary, such as `##ing`; any other text is split into pieces.
      count: the number of neighbors.

    Raises:
      InputError: the vocabulary has no piece for the query.
    """
    tokens = [query] if query in tokenizer.vocab else tokenizer.tokenize(query)
    if not tokens or (UNKNOWN in tokens and query != UNKNOWN):
        raise InputError(
            f"--nearest={query!r:.60}: the vocabulary has no piece for it{' ([UNK])' if tokens else ''}; give another "
            "word, or a piece as the vocabulary has it."
        )
    ids = tokenizer.convert_tokens_to_ids(tokens)
    piece_ids = np.array(sorted(tokenizer.inv_vocab))
    lengths = np.linalg.norm(table, axis=1)
    vector = table[ids].mean(0)
    cosines = table @ vector / np.maximum(lengths * np.linalg.norm(vector), np.finfo(np.float32).tiny)  # [V]
    candidates = piece_ids[~np.isin(piece_ids, ids)]
    best = candidates[np.argsort(-cosines[candidates], kind="stable")[:count]]
    neighbors = (Neighbor(tokenizer.inv_vocab[index], index, float(cosines[index])) for index in best.tolist())
    return Neighbors(query, tuple(tokens), tuple(neighbors))
