"""Compiled code that creates masked, paired pre-training instances from documents, and rows of values from instances.

Follows create_pretraining_data.py of google-research/bert (commit eedf571), draw for draw: the same documents and the
same state of the random number generator give the same instances in the same order. What looks like an arbitrary order
of draws below is therefore part of the definition. (The tests have the same functions on strings and lists.)

A document is a range of segments, a segment (the tokens of a line) a range of `Text.token_ids`. The texts of a pair are
runs of one document each, so that an instance is two ranges and what its masked positions show. And work comes in
slices (`create_instances` fills its buffers and is called again), so that the caller can show progress and be
interrupted.
"""

import random
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined
from bert_tf2.pretraining_data._random_numba import State, random_float, random_int, shuffle, take_over

Array: TypeAlias = np.ndarray[Any, Any]

_NOT_CHOSEN = -1
_NEW_DOCUMENT = -1
BEGINS, CONTINUES, SPECIAL = range(3)
_MASK, _KEEP = -1, -2
NOT_THERE = -1
_ONE = 0x3F800000  # the bits of the float 1.0


class Text(NamedTuple):
    """A corpus.

    Attributes:
      token_ids: int32 [tokens].
      segment_splits: int64 [segments + 1], into token_ids.
      document_splits: int64 [documents + 1], into segments.
      order: int64 [documents]; "document i" below is the one at `order[i]`.
    """

    token_ids: Array
    segment_splits: Array
    document_splits: Array
    order: Array


class Rules(NamedTuple):
    """`InstanceParameters` and the vocabulary.

    Attributes:
      max_tokens: tokens of both texts together at most.
      short_seq_prob: see `InstanceParameters`.
      wanted: int64 [max_seq_length + 1], how many tokens of an instance of so many are to be masked.
      word_ids: int32 [words], what random replacements are drawn from.
      roles: uint8 [ids], whether a token BEGINS what is masked together, CONTINUES it, or is SPECIAL and never masked.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      mask: id of `[MASK]`.
    """

    max_tokens: int
    short_seq_prob: float
    wanted: Array
    word_ids: Array
    roles: Array
    cls: int
    sep: int
    mask: int


class Cursor(NamedTuple):
    """Where the next slice continues.

    Attributes:
      visits: documents done, over all rounds.
      start: the segment that begins the next chunk of the document that is not yet done, or -1.
      target: length aimed at in that document.
    """

    visits: int
    start: int
    target: int


FIRST_CURSOR = Cursor(0, _NEW_DOCUMENT, 0)


class Buffers(NamedTuple):
    """Arrays for at most C instances.

    Attributes:
      starts: int64 [C, 2], where each of the two texts begins in `Text.token_ids`.
      lengths: uint16 or int32 [C, 2], tokens of each text.
      is_random_next: bool [C].
      prediction_counts: int32 [C], masked positions of each instance.
      positions: as lengths, [C * most of them], the masked positions of all instances one after the other.
      replacements: int32, as positions: what is shown there.
    """

    starts: Array
    lengths: Array
    is_random_next: Array
    prediction_counts: Array
    positions: Array
    replacements: Array


class Scratch(NamedTuple):
    """The instance under construction.

    Attributes:
      tokens: int32 [max_seq_length].
      shown: int32 [max_seq_length], what takes a token's place, or -1; -1 everywhere between instances.
      words: int64 [max_seq_length + 1], positions.
    """

    tokens: Array
    shown: Array
    words: Array


class Instances(NamedTuple):
    """The arrays of `fast_instances.InstanceArrays` with these names."""

    token_ids: Array
    starts: Array
    lengths: Array
    is_random_next: Array
    prediction_splits: Array
    positions: Array
    replacements: Array


class Places(NamedTuple):
    """Where in a row of values each feature of `records.pretraining` begins; NOT_THERE where records do not have it.

    Without those of the predictions, tokens are shown as they are.
    """

    input_ids: int
    input_mask: int
    segment_ids: int
    masked_lm_positions: int = NOT_THERE
    masked_lm_ids: int = NOT_THERE
    masked_lm_weights: int = NOT_THERE
    next_sentence_labels: int = NOT_THERE


class Pair(NamedTuple):
    """Two texts as ranges of `Text.token_ids`; the ends are exclusive."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    is_random_next: bool


def scratch(max_seq_length: int) -> Scratch:
    """Room for an instance."""
    return Scratch(
        tokens=np.empty(max_seq_length, np.int32),
        shown=np.full(max_seq_length, _NOT_CHOSEN, np.int32),
        words=np.empty(max_seq_length + 1, np.int64),
    )


@compiled
def create_instances(
    text: Text, rules: Rules, visits: int, cursor: Cursor, scratch: Scratch, out: Buffers, state: State
) -> tuple[int, int, Cursor]:
    """Makes instances until there is no room for another or `visits` documents are done.

    Returns:
      How many instances, how many masked positions they have together, and where to go on.
    """
    done, start, target = cursor
    tokens, shown, words = scratch
    made = predictions = 0
    while done < visits and made < len(out.lengths):
        index = done % len(text.order)
        if start == _NEW_DOCUMENT:
            start = text.document_splits[text.order[index]]
            target = rules.max_tokens
            if random_float(state) < rules.short_seq_prob:
                target = random_int(state, 2, rules.max_tokens)
        pair, start = _next_pair(text, index, start, target, rules.max_tokens, state)
        length = _join_pair(text.token_ids, pair, rules.cls, rules.sep, tokens)
        masked = mask_tokens(tokens, length, rules.wanted[length], rules, words, shown, state)
        put_down(shown, length, words, out.positions, out.replacements, predictions)

        out.starts[made, 0], out.starts[made, 1] = pair.a_start, pair.b_start
        out.lengths[made, 0], out.lengths[made, 1] = pair.a_end - pair.a_start, pair.b_end - pair.b_start
        out.is_random_next[made] = pair.is_random_next
        out.prediction_counts[made] = masked
        made += 1
        predictions += masked
        if start == _document_end(text, index):
            done += 1
            start = _NEW_DOCUMENT
    return made, predictions, Cursor(done, start, target)


@inlined
def _document_end(text: Text, index: int) -> int:
    return text.document_splits[text.order[index] + 1]


@inlined
def _next_pair(text: Text, index: int, start: int, target: int, max_tokens: int, state: State) -> tuple[Pair, int]:
    """The pair that begins with segment `start`, and the segment that begins the next one.

    Together its texts have the target length, or what is left of the document: a is the segments up to a random one;
    b is the rest, or a random text, and then the rest begins the next pair.
    """
    at = text.segment_splits
    end = _chunk_end(text, start, _document_end(text, index), target)
    middle = start + 1
    if end - start >= 2:
        middle = start + random_int(state, 1, end - start - 1)
    is_random_next = end - start == 1 or random_float(state) < 0.5
    if is_random_next:
        b_from, b_to = _random_text(text, index, target - (at[middle] - at[start]), state)
        following = middle
    else:
        b_from, b_to = middle, end
        following = end
    pair = Pair(at[start], at[middle], at[b_from], at[b_to], is_random_next)
    return _truncate_pair(pair, max_tokens, state), following


@inlined
def _chunk_end(text: Text, start: int, document_end: int, target: int) -> int:
    """Where the shortest run of segments from `start` on that has `target` tokens ends; else the document's end."""
    for end in range(start + 1, document_end):
        if text.segment_splits[end] - text.segment_splits[start] >= target:
            return end
    return document_end


@inlined
def _random_text(text: Text, index: int, target: int, state: State) -> tuple[int, int]:
    """The segments of a random text, as a range: from a random place on, until `target` tokens or the document's end.

    The document is another one than `index`, unless ten draws in a row hit that one; they do where it is the only one.
    """
    other = index
    for _ in range(10):
        other = random_int(state, 0, len(text.order) - 1)
        if other != index:
            break
    document_start = text.document_splits[text.order[other]]
    document_end = _document_end(text, other)
    start = document_start + random_int(state, 0, document_end - document_start - 1)
    return start, _chunk_end(text, start, document_end, target)


@inlined
def _truncate_pair(pair: Pair, max_tokens: int, state: State) -> Pair:
    """The longer text, of equals b, loses a token at a random end until both fit."""
    a_start, a_end, b_start, b_end, is_random_next = pair
    for _ in range(a_end - a_start + b_end - b_start - max_tokens):
        # Sums instead of branches, which nobody could foresee.
        from_front = random_float(state) < 0.5
        if a_end - a_start > b_end - b_start:
            a_start += from_front
            a_end -= not from_front
        else:
            b_start += from_front
            b_end -= not from_front
    return Pair(a_start, a_end, b_start, b_end, is_random_next)


@inlined
def _join_pair(token_ids: Array, pair: Pair, cls: int, sep: int, tokens: Array) -> int:
    """Fills `tokens` with `[CLS] a [SEP] b [SEP]`; returns its length."""
    tokens[0] = cls
    b_first = _put_text(token_ids, pair.a_start, pair.a_end, sep, tokens, 1)
    return _put_text(token_ids, pair.b_start, pair.b_end, sep, tokens, b_first)


@inlined
def _put_text(token_ids: Array, start: int, end: int, sep: int, tokens: Array, first: int) -> int:
    """Puts a text and a `[SEP]` into `tokens`, from place `first` on; returns the place after them."""
    source, target = token_ids[start:end], tokens[first:]
    for at in range(end - start):
        target[at] = source[at]
    target[end - start] = sep
    return first + end - start + 1


@inlined
def mask_tokens(tokens: Array, length: int, wanted: int, rules: Rules, words: Array, shown: Array, state: State) -> int:
    """Chooses the masked positions and puts their replacements into `shown`; returns how many positions it chose.

    80 % are hidden by `[MASK]`, 10 % not at all, 10 % by a random word. A word that is too long for what is left is
    passed over, as a later, shorter one may fit: where all are too long, nothing is masked.
    """
    roles, word_ids, mask = rules.roles, rules.word_ids, rules.mask
    count = _mask_candidates(tokens, length, roles, words)
    shuffle(state, words[:count])
    chosen = 0
    for word in range(count):
        if chosen >= wanted:
            break
        start = words[word]
        end, pieces = _word_end(tokens, start, length, roles)
        if chosen + pieces > wanted:
            continue
        chosen += pieces
        for position in range(start, end):
            if roles[tokens[position]] == SPECIAL:
                continue
            drawn = _draw_replacement(len(word_ids), state)
            if drawn == _MASK:
                shown[position] = mask
            elif drawn == _KEEP:
                shown[position] = tokens[position]
            else:
                shown[position] = word_ids[drawn]
    return chosen


@inlined
def _mask_candidates(tokens: Array, length: int, roles: Array, words: Array) -> int:
    """Fills `words` with the first position of each; returns how many there are.

    With whole words masked, a `##` piece continues the word before it, also past a `[SEP]`: where truncation split a
    word at the front of the second text, its rest belongs to the last word of the first.
    """
    first = 0
    while first < length and roles[tokens[first]] == SPECIAL:
        first += 1
    words[0] = first
    count = 1 if first < length else 0
    for position in range(first + 1, length):
        words[count] = position
        count += roles[tokens[position]] == BEGINS
    return count


@inlined
def _word_end(tokens: Array, start: int, length: int, roles: Array) -> tuple[int, int]:
    """Where a word ends, special tokens in and after it included, and how many others it has."""
    pieces = 1
    end = start + 1
    while end < length and roles[tokens[end]] != BEGINS:
        pieces += roles[tokens[end]] == CONTINUES
        end += 1
    return end, pieces


@inlined
def put_down(shown: Array, length: int, words: Array, positions: Array, replacements: Array, first: int) -> None:
    """Empties `shown` into `positions` and `replacements`, from place `first` on; ascending, as positions are to be."""
    count = 0
    for position in range(length):
        words[count] = position
        count += shown[position] != _NOT_CHOSEN
    for at in range(count):
        positions[first + at] = words[at]
        replacements[first + at] = shown[words[at]]
        shown[words[at]] = _NOT_CHOSEN


@inlined
def _draw_replacement(words: int, state: State) -> int:
    """The index of a random word, or `_MASK` or `_KEEP`."""
    if random_float(state) < 0.8:
        return _MASK
    if random_float(state) < 0.5:
        return _KEEP
    return random_int(state, 0, words - 1)


@compiled
def write_rows(
    made: Instances,
    chosen: Array,
    places: Places,
    max_seq_length: int,
    predictions: int,
    cls: int,
    sep: int,
    out: Array,
) -> None:
    """Chosen instances as rows of values, the features of `records.pretraining`.

    Args:
      made: all instances.
      chosen: int64 [B], which of them.
      places: of the features in a row.
      max_seq_length: see `InstanceParameters`.
      predictions: its `max_predictions_per_seq`.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      out: int32 [B, values of a row], floats as their bits.
    """
    texts = made.starts.shape[1]
    for row in range(len(chosen)):
        instance, values = chosen[row], out[row]
        input_ids = values[places.input_ids : places.input_ids + max_seq_length]
        input_mask = values[places.input_mask : places.input_mask + max_seq_length]
        segment_ids = values[places.segment_ids : places.segment_ids + max_seq_length]
        input_ids[0] = cls
        length = b_first = 1
        for text in range(texts):
            start = made.starts[instance % len(made.starts), text]
            end = start + made.lengths[instance % len(made.starts), text]
            length = _put_text(made.token_ids, start, end, sep, input_ids, length)
            b_first = length if text == 0 else b_first
        for position in range(max_seq_length):
            input_mask[position] = position < length
            segment_ids[position] = (b_first <= position) & (position < length)
        for position in range(length, max_seq_length):
            input_ids[position] = 0
        if places.next_sentence_labels != NOT_THERE:
            values[places.next_sentence_labels] = made.is_random_next[instance]
        if places.masked_lm_positions != NOT_THERE:
            positions = values[places.masked_lm_positions : places.masked_lm_positions + predictions]
            labels = values[places.masked_lm_ids : places.masked_lm_ids + predictions]
            weights = values[places.masked_lm_weights : places.masked_lm_weights + predictions]
            first = made.prediction_splits[instance]
            count = made.prediction_splits[instance + 1] - first
            for at in range(count):
                position = made.positions[first + at]
                positions[at], labels[at], weights[at] = position, input_ids[position], _ONE
                input_ids[position] = made.replacements[first + at]
            for at in range(count, predictions):
                positions[at] = labels[at] = weights[at] = 0


def try_out() -> None:
    """Compiles, or loads, all that `fast_instances` calls."""
    state = take_over(random.Random(0))
    one = np.array([0, 1])
    order = np.zeros(1, np.int64)
    shuffle(state, order)
    text = Text(np.zeros(1, np.int32), one, one, order)
    rules = Rules(2, 0.5, np.ones(6, np.int64), np.zeros(1, np.int32), np.zeros(4, np.uint8), 1, 2, 3)
    lengths = np.zeros((1, 2), np.uint16)
    counts = np.zeros(1, np.int32)
    out = Buffers(np.zeros((1, 2), np.int64), lengths, np.zeros(1, np.bool_), counts, lengths[0], counts)
    create_instances(text, rules, 1, FIRST_CURSOR, scratch(5), out, state)
    made = Instances(text.token_ids, out.starts, lengths, out.is_random_next, one, lengths[0], counts)
    write_rows(made, order, Places(0, 5, 10, 15, 16, 17), 5, 1, rules.cls, rules.sep, np.zeros((1, 18), np.int32))
