"""Compiled code that masks the rows of `full_sentences`, with the same rules and random draws as for pairs."""

import random
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled
from bert_tf2.pretraining_data._instances_numba import Rules, Scratch, mask_tokens, move_masks, scratch
from bert_tf2.pretraining_data._random_numba import State, take_over
from bert_tf2.tokenization.sequences import SPECIAL_IN_TEXT

Array: TypeAlias = np.ndarray[Any, Any]


class Predictions(NamedTuple):
    """Arrays for the masks of R rows.

    Attributes:
      counts: int32 [R], the number of masked positions of each row.
      positions: int32 [R * maximum of a row], the masked positions of all rows, concatenated, ascending in each row.
      replacements: int32, the ids that replace the tokens at `positions`.
    """

    counts: Array
    positions: Array
    replacements: Array


def room_for(rows: int, most: int) -> Predictions:
    """Memory for `rows` rows with up to `most` masked positions each."""
    return Predictions(np.empty(rows, np.int32), np.empty(rows * most, np.int32), np.empty(rows * most, np.int32))


@compiled
def mask_rows(
    token_ids: Array, starts: Array, lengths: Array, rules: Rules, scratch: Scratch, out: Predictions, state: State
) -> int:
    """Masks rows.

    Args:
      token_ids: int32, the tokens of all rows.
      starts: int64 [R], the start of each row in token_ids, without `[CLS]`.
      lengths: int32 [R], the number of tokens of each row, without `[CLS]` and the last `[SEP]`.
      rules: those of `_instances_numba`.
      scratch: memory for a row.
      out: memory for R rows.
      state: the state of the random number generator.

    Returns:
      The number of masked positions of all rows.
    """
    tokens, shown, words = scratch
    predictions = 0
    for row in range(len(starts)):
        length = lengths[row] + SPECIAL_IN_TEXT
        tokens[0], tokens[length - 1] = rules.cls, rules.sep
        tokens[1 : length - 1] = token_ids[starts[row] : starts[row] + lengths[row]]
        out.counts[row] = mask_tokens(tokens, length, rules.mask_counts[length], rules, words, shown, state)
        move_masks(shown, length, words, out.positions, out.replacements, predictions)
        predictions += out.counts[row]
    return predictions


def try_out() -> None:
    """Compiles, or loads, everything that `full_sentences` calls."""
    rules = Rules(2, 0.5, np.ones(6, np.int64), np.zeros(1, np.int32), np.zeros(4, np.uint8), 1, 2, 3)
    row = np.zeros(1, np.int32), np.zeros(1, np.int64), np.ones(1, np.int32)
    mask_rows(*row, rules, scratch(5), room_for(1, 1), take_over(random.Random(0)))
