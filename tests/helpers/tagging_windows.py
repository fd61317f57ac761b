"""Sentences of random lengths, split into windows."""

import numpy as np
from hypothesis import strategies as st

from bert_tf2.tasks.tagging.windows import Windows, divide


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[int]], int, int]:
    """The numbers of pieces of each sentence's words, the room of a window, and the context."""
    room = draw(st.integers(1, 12))
    words = st.integers(0, draw(st.integers(1, room)))
    sentences = draw(st.lists(st.lists(words, min_size=1, max_size=40), min_size=1, max_size=4))
    return sentences, room, draw(st.integers(0, (room - 1) // 2))


def divided(sentences: list[list[int]], room: int, context: int) -> Windows:
    splits = np.cumsum([0, *map(len, sentences)])
    return divide(np.array([count for words in sentences for count in words]), splits, room, context)
