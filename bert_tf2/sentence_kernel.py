"""Compiled code that masks the rows of `full_sentences`: `instances.mask_tokens` draw for draw, on ids."""

import random
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bert_tf2.compilation import compiled
from bert_tf2.mersenne_twister import State, random_float, random_int, shuffle, take_over

Array: TypeAlias = np.ndarray[Any, Any]

_NOT_CHOSEN = -1


class Rules(NamedTuple):
    """`InstanceParameters` and the vocabulary.

    Attributes:
      whole_words: mask all pieces of a word or none.
      wanted: int64 [max_seq_length + 1], how many tokens of a row of so many are to be masked.
      word_ids: int32 [words], what random replacements are drawn from.
      is_continuation: bool [ids], whether a token is a `##` piece.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      mask: id of `[MASK]`.
    """

    whole_words: bool
    wanted: Array
    word_ids: Array
    is_continuation: Array
    cls: int
    sep: int
    mask: int


class Predictions(NamedTuple):
    """Where to put what is masked in R rows.

    Attributes:
      counts: int32 [R], masked positions of each row.
      positions: int32 [R * most of a row], those of all rows one after the other, ascending in each.
      replacements: int32, as positions: what is shown there.
    """

    counts: Array
    positions: Array
    replacements: Array


def room_for(rows: int, most: int) -> Predictions:
    """Room for `rows` rows with up to `most` masked positions each."""
    return Predictions(np.empty(rows, np.int32), np.empty(rows * most, np.int32), np.empty(rows * most, np.int32))


@compiled
def mask_rows(token_ids: Array, starts: Array, lengths: Array, rules: Rules, out: Predictions, state: State) -> int:
    """Masks rows.

    Args:
      token_ids: int32.
      starts: int64 [R], where each row begins in token_ids, `[CLS]` and the last `[SEP]` not counted.
      lengths: int32 [R], tokens of each row, those two not counted.
      rules: see there.
      out: with room for R rows.
      state: of the random number generator.

    Returns:
      How many positions of all rows are masked.
    """
    longest = len(rules.wanted) - 1
    tokens, candidates = np.empty(longest, np.int32), np.empty(longest, np.int64)
    splits, shown = np.empty(longest + 1, np.int64), np.full(longest, _NOT_CHOSEN, np.int32)
    predictions = 0
    for row in range(len(starts)):
        length = lengths[row] + 2
        tokens[0], tokens[length - 1] = rules.cls, rules.sep
        tokens[1 : length - 1] = token_ids[starts[row] : starts[row] + length - 2]
        words = np.arange(_mask_candidates(tokens[:length], rules, candidates, splits))
        shuffle(state, words)
        wanted = rules.wanted[length]
        chosen = 0
        for word in words:
            if chosen >= wanted:
                break
            start, end = splits[word], splits[word + 1]
            if chosen + end - start > wanted:
                continue
            chosen += end - start
            for position in candidates[start:end]:
                shown[position] = _replacement(tokens[position], rules, state)
        out.counts[row] = chosen
        for position in range(length):
            if shown[position] != _NOT_CHOSEN:
                out.positions[predictions], out.replacements[predictions] = position, shown[position]
                predictions += 1
                shown[position] = _NOT_CHOSEN
    return predictions


@compiled
def _mask_candidates(tokens: Array, rules: Rules, candidates: Array, splits: Array) -> int:
    """Fills candidates, the positions that may be masked, and splits, the words into it; returns how many words."""
    words = found = 0
    for position, token in enumerate(tokens):
        if token == rules.cls or token == rules.sep:
            continue
        if not (rules.whole_words and words and rules.is_continuation[token]):
            splits[words] = found
            words += 1
        candidates[found] = position
        found += 1
    splits[words] = found
    return words


@compiled
def _replacement(token: int, rules: Rules, state: State) -> int:
    if random_float(state) < 0.8:
        return rules.mask
    if random_float(state) < 0.5:
        return token
    return rules.word_ids[random_int(state, 0, len(rules.word_ids) - 1)]


def try_out() -> None:
    """Compiles, or loads, all that `full_sentences` calls."""
    rules = Rules(False, np.ones(6, np.int64), np.zeros(1, np.int32), np.zeros(4, np.bool_), 1, 2, 3)
    row = np.zeros(1, np.int32), np.zeros(1, np.int64), np.ones(1, np.int32)
    mask_rows(*row, rules, room_for(1, 1), take_over(random.Random(0)))
