"""Compiled code that creates masked, paired pre-training instances from documents, and rows of values from instances.

It follows create_pretraining_data.py of google-research/bert (commit eedf571), draw for draw: the same documents and
the same state of the random number generator give the same instances in the same order. The order of the draws below
may look arbitrary, but is part of the definition. (The tests have the same functions for strings and lists.)

A document is a range of segments, a segment (the tokens of a line) a range of `Text.token_ids`. Each text of a pair is
a run of segments of one document, so that an instance consists of two ranges and the replacements at its masked
positions. The work is done in slices (`create_instances` fills its buffers and is called again), so that the caller can
show progress and be interrupted.
"""

import random
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined
from bert_tf2.pretraining_data._random_numba import State, random_float, random_int, shuffle, take_over

Array: TypeAlias = np.ndarray[Any, Any]

_NOT_MASKED = -1
_NEW_DOCUMENT = -1
BEGINS, CONTINUES, SPECIAL = range(3)
_MASK, _KEEP = -1, -2
MISSING = -1
_ONE = 0x3F800000  # the bits of the float 1.0


class Text(NamedTuple):
    """A corpus.

    Attributes:
      token_ids: int32 [tokens].
      segment_splits: int64 [segments + 1], splits of token_ids.
      document_splits: int64 [documents + 1], splits of the segments.
      order: int64 [documents]; "document i" below is document `order[i]`.
    """

    token_ids: Array
    segment_splits: Array
    document_splits: Array
    order: Array


class Rules(NamedTuple):
    """`InstanceParameters` and the vocabulary.

    Attributes:
      max_tokens: maximum number of tokens of both texts together.
      short_seq_prob: see `InstanceParameters`.
      mask_counts: int64 [max_seq_length + 1], the number of tokens to mask in an instance of each length.
      word_ids: int32 [words], from which random replacements are drawn.
      roles: uint8 [ids], whether a token BEGINS a run that is masked together, CONTINUES it, or is SPECIAL and never
        masked.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      mask: id of `[MASK]`.
    """

    max_tokens: int
    short_seq_prob: float
    mask_counts: Array
    word_ids: Array
    roles: Array
    cls: int
    sep: int
    mask: int


class Cursor(NamedTuple):
    """Where the next slice continues.

    Attributes:
      visits: the number of documents that are done, over all passes.
      start: the first segment of the next chunk of the current document, or -1 if a new one begins.
      target: the target length of instances in that document.
    """

    visits: int
    start: int
    target: int


FIRST_CURSOR = Cursor(0, _NEW_DOCUMENT, 0)


class Buffers(NamedTuple):
    """Arrays for at most C instances.

    Attributes:
      starts: int64 [C, 2], the start of each of the two texts in `Text.token_ids`.
      lengths: uint16 or int32 [C, 2], the number of tokens of each text.
      is_random_next: bool [C], whether the second text is random.
      prediction_counts: int32 [C], the number of masked positions of each instance.
      positions: uint16 or int32 [C * maximum of these], the masked positions of all instances, concatenated.
      replacements: int32, the ids that replace the tokens at `positions`.
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
      tokens: int32 [max_seq_length], its tokens.
      shown: int32 [max_seq_length], the replacement of each token, or -1; all -1 between instances.
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


class Columns(NamedTuple):
    """The first column of each feature of `records.pretraining` in a row of values; MISSING if records do not have it.

    Without the features of predictions, tokens are not masked.
    """

    input_ids: int
    input_mask: int
    segment_ids: int
    masked_lm_positions: int = MISSING
    masked_lm_ids: int = MISSING
    masked_lm_weights: int = MISSING
    next_sentence_labels: int = MISSING


class Pair(NamedTuple):
    """Two texts as ranges of `Text.token_ids`; the ends are exclusive."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    is_random_next: bool


def scratch(max_seq_length: int) -> Scratch:
    """Memory for an instance."""
    return Scratch(
        tokens=np.empty(max_seq_length, np.int32),
        shown=np.full(max_seq_length, _NOT_MASKED, np.int32),
        words=np.empty(max_seq_length + 1, np.int64),
    )


@compiled
def create_instances(
    text: Text, rules: Rules, visits: int, cursor: Cursor, scratch: Scratch, out: Buffers, state: State
) -> tuple[int, int, Cursor]:
    """Creates instances until the buffers are full or `visits` documents are done.

    Returns:
      The number of instances, the number of their masked positions, and where to continue.
    """
    done, start, target = cursor
    tokens, shown, words = scratch
    instances = predictions = 0
    while done < visits and instances < len(out.lengths):
        index = done % len(text.order)
        if start == _NEW_DOCUMENT:
            start = text.document_splits[text.order[index]]
            target = rules.max_tokens
            if random_float(state) < rules.short_seq_prob:
                target = random_int(state, 2, rules.max_tokens)
        pair, start = _next_pair(text, index, start, target, rules.max_tokens, state)
        length = _join_pair(text.token_ids, pair, rules.cls, rules.sep, tokens)
        masked = mask_tokens(tokens, length, rules.mask_counts[length], rules, words, shown, state)
        move_masks(shown, length, words, out.positions, out.replacements, predictions)

        out.starts[instances, 0], out.starts[instances, 1] = pair.a_start, pair.b_start
        out.lengths[instances, 0], out.lengths[instances, 1] = pair.a_end - pair.a_start, pair.b_end - pair.b_start
        out.is_random_next[instances] = pair.is_random_next
        out.prediction_counts[instances] = masked
        instances += 1
        predictions += masked
        if start == _document_end(text, index):
            done += 1
            start = _NEW_DOCUMENT
    return instances, predictions, Cursor(done, start, target)


@inlined
def _document_end(text: Text, index: int) -> int:
    return text.document_splits[text.order[index] + 1]


@inlined
def _next_pair(text: Text, index: int, start: int, target: int, max_tokens: int, state: State) -> tuple[Pair, int]:
    """The pair that begins with segment `start`, and the first segment of the next pair.

    Its texts together have the target length, or extend to the end of the document: a consists of the segments up to a
    random one; b is the rest, or a random text, in which case the rest begins the next pair.
    """
    splits = text.segment_splits
    end = _chunk_end(text, start, _document_end(text, index), target)
    middle = start + 1
    if end - start >= 2:
        middle = start + random_int(state, 1, end - start - 1)
    is_random_next = end - start == 1 or random_float(state) < 0.5
    if is_random_next:
        b_from, b_to = _random_text(text, index, target - (splits[middle] - splits[start]), state)
        following = middle
    else:
        b_from, b_to = middle, end
        following = end
    pair = Pair(splits[start], splits[middle], splits[b_from], splits[b_to], is_random_next)
    return _truncate_pair(pair, max_tokens, state), following


@inlined
def _chunk_end(text: Text, start: int, document_end: int, target: int) -> int:
    """The end of the shortest run of segments from `start` on with at least `target` tokens; or the document's end."""
    for end in range(start + 1, document_end):
        if text.segment_splits[end] - text.segment_splits[start] >= target:
            return end
    return document_end


@inlined
def _random_text(text: Text, index: int, target: int, state: State) -> tuple[int, int]:
    """The range of segments of a random text: from a random segment on, until `target` tokens or the document's end.

    Its document is not `index`, unless ten draws in a row are `index`, as in a corpus of a single document.
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
    """Removes tokens at random ends of the longer text, or of b if they are equally long, until both fit."""
    a_start, a_end, b_start, b_end, is_random_next = pair
    for _ in range(a_end - a_start + b_end - b_start - max_tokens):
        # Sums instead of branches, which would be unpredictable.
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
    """Copies a text and a `[SEP]` into `tokens` from position `first` on; returns the position after them."""
    source, target = token_ids[start:end], tokens[first:]
    for index in range(end - start):
        target[index] = source[index]
    target[end - start] = sep
    return first + end - start + 1


@inlined
def mask_tokens(tokens: Array, length: int, limit: int, rules: Rules, words: Array, shown: Array, state: State) -> int:
    """Chooses at most `limit` positions and puts their replacements into `shown`; returns the number of positions.

    80 % are replaced by `[MASK]`, 10 % by themselves, 10 % by a random word. Words that would exceed the limit are
    skipped, as a later, shorter one may fit: if all are too long, nothing is masked.
    """
    roles, word_ids, mask = rules.roles, rules.word_ids, rules.mask
    count = _mask_candidates(tokens, length, roles, words)
    shuffle(state, words[:count])
    chosen = 0
    for word in range(count):
        if chosen >= limit:
            break
        start = words[word]
        end, pieces = _word_end(tokens, start, length, roles)
        if chosen + pieces > limit:
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
    """Fills `words` with the first position of each word; returns the number of words.

    With whole-word masking, a `##` piece continues the word before it, even across a `[SEP]`: if truncation split a
    word at the beginning of the second text, its rest belongs to the last word of the first.
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
    """The end of a word, including special tokens in and after it, and the number of its other tokens."""
    pieces = 1
    end = start + 1
    while end < length and roles[tokens[end]] != BEGINS:
        pieces += roles[tokens[end]] == CONTINUES
        end += 1
    return end, pieces


@inlined
def move_masks(shown: Array, length: int, words: Array, positions: Array, replacements: Array, first: int) -> None:
    """Moves the contents of `shown` to `positions` (ascending) and `replacements`, from index `first` on."""
    count = 0
    for position in range(length):
        words[count] = position
        count += shown[position] != _NOT_MASKED
    for index in range(count):
        positions[first + index] = words[index]
        replacements[first + index] = shown[words[index]]
        shown[words[index]] = _NOT_MASKED


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
    instances: Instances,
    selected: Array,
    columns: Columns,
    max_seq_length: int,
    predictions: int,
    cls: int,
    sep: int,
    out: Array,
) -> None:
    """Writes selected instances as rows of values, the features of `records.pretraining`.

    Args:
      instances: all instances.
      selected: int64 [B], the indices of those to write.
      columns: the columns of the features in a row.
      max_seq_length: see `InstanceParameters`.
      predictions: `max_predictions_per_seq` of `InstanceParameters`.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      out: int32 [B, values of a row], with the bits of floats.
    """
    texts = instances.starts.shape[1]
    for row in range(len(selected)):
        instance, values = selected[row], out[row]
        input_ids = values[columns.input_ids : columns.input_ids + max_seq_length]
        input_mask = values[columns.input_mask : columns.input_mask + max_seq_length]
        segment_ids = values[columns.segment_ids : columns.segment_ids + max_seq_length]
        input_ids[0] = cls
        length = b_first = 1
        for text in range(texts):
            start = instances.starts[instance % len(instances.starts), text]
            end = start + instances.lengths[instance % len(instances.starts), text]
            length = _put_text(instances.token_ids, start, end, sep, input_ids, length)
            b_first = length if text == 0 else b_first
        for position in range(max_seq_length):
            input_mask[position] = position < length
            segment_ids[position] = (b_first <= position) & (position < length)
        for position in range(length, max_seq_length):
            input_ids[position] = 0
        if columns.next_sentence_labels != MISSING:
            values[columns.next_sentence_labels] = instances.is_random_next[instance]
        if columns.masked_lm_positions != MISSING:
            positions = values[columns.masked_lm_positions : columns.masked_lm_positions + predictions]
            labels = values[columns.masked_lm_ids : columns.masked_lm_ids + predictions]
            weights = values[columns.masked_lm_weights : columns.masked_lm_weights + predictions]
            first = instances.prediction_splits[instance]
            count = instances.prediction_splits[instance + 1] - first
            for index in range(count):
                position = instances.positions[first + index]
                positions[index], labels[index], weights[index] = position, input_ids[position], _ONE
                input_ids[position] = instances.replacements[first + index]
            for index in range(count, predictions):
                positions[index] = labels[index] = weights[index] = 0


def try_out() -> None:
    """Compiles, or loads, everything that `fast_instances` calls."""
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
    instances = Instances(text.token_ids, out.starts, lengths, out.is_random_next, one, lengths[0], counts)
    write_rows(instances, order, Columns(0, 5, 10, 15, 16, 17), 5, 1, rules.cls, rules.sep, np.zeros((1, 18), np.int32))
