"""Converts logits to answers, for all questions; no TensorFlow.

Follows `write_predictions` of google-research/bert `run_squad.py`. The best spans of all windows of a block, and their
character offsets, are computed as arrays, without sorting whole rows. What remains for each span is to slice the text,
and to align the span if its offsets are uncertain.

Shapes: `F` windows, `B` windows of a block, `N` `n_best_size`, `S` `max_seq_length`, `C` spans, `T` tokens of all
documents.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.io.progress import Progress
from bert_tf2.metrics.finite import check_finite
from bert_tf2.tasks.squad.answers import (
    NO_WINDOW_SCORE,
    AnswerParameters,
    Candidate,
    Prediction,
    decide,
    detokenize,
)
from bert_tf2.tasks.squad.tokenized_examples import Ints, TokenizedExamples
from bert_tf2.tasks.squad.windows import Windows
from bert_tf2.tasks.squad.words import Paragraph
from bert_tf2.tokenization.wordpiece import UNKNOWN, BasicTokenizer

Floats = NDArray[np.float64]

_PAIRS = 1 << 19  # of start and end positions, in all windows of a block
_SPANS_AT_ONCE = 32


def predict(
    windows: Windows,
    start_logits: NDArray[Any],
    end_logits: NDArray[Any],
    parameters: AnswerParameters,
    *,
    is_shown: bool = True,
) -> list[Prediction]:
    """The answers to all questions, in their order.

    Args:
      windows: F windows.
      start_logits: `[F, S]`, of any float type; those of padding may be -inf.
      end_logits: likewise.
      parameters: how to choose answers.
      is_shown: whether to show progress.

    Raises:
      InputError: a logit is NaN or infinite.
      ValueError: the logits have another shape.
    """
    shape = (len(windows), windows.parameters.max_seq_length)
    for logits in (start_logits, end_logits):
        if logits.shape != shape:
            raise ValueError(f"The logits have the shape {logits.shape}, expected {shape}.")
    tokenized = windows.tokenized
    aligner = _SpanAligner(tokenized)
    predictions: list[Prediction] = []
    with Progress("Choosing answers", len(tokenized.examples), unit="question", shown=is_shown) as progress:
        for first, last in _blocks(windows, _PAIRS // parameters.n_best_size**2):
            spans = _best_spans(windows, start_logits, end_logits, parameters, first, last)
            columns = [*aligner.locate(spans.first, spans.last), spans.start_logits, spans.end_logits]
            for number, example in enumerate(tokenized.examples[first:last]):
                rows = _rows(columns, *spans.bounds[number : number + 2])
                null_score, null = spans.nulls[number]
                candidates = _candidates(rows, null, aligner, example.paragraph, parameters)
                predictions.append(decide(example.id, candidates, null_score, parameters))
            progress.update(last - first)
    return predictions


def best_indexes(logits: NDArray[Any], count: int) -> Ints:
    """The positions of the `count` highest logits of each row, highest first; of equal logits, the first comes first.

    Args:
      logits: `[B, S]`.
      count: the number of positions.

    Returns:
      `[B, min(count, S)]`.
    """
    rows, size = logits.shape
    if count >= size:
        return np.argsort(-logits, axis=1, kind="stable")
    threshold = -np.partition(-logits, count - 1, axis=1)[:, count - 1 : count]  # the lowest of the highest logits
    is_chosen = logits >= threshold
    if np.count_nonzero(is_chosen) > rows * count:  # several equal the threshold: take the first ones
        is_above = logits > threshold
        remaining = count - np.count_nonzero(is_above, axis=1)[:, None]
        is_tied = is_chosen & ~is_above
        is_chosen = is_above | (is_tied & (np.cumsum(is_tied, axis=1) <= remaining))
    positions = np.nonzero(is_chosen)[1].reshape(rows, count)  # ascending
    order = np.argsort(-np.take_along_axis(logits, positions, axis=1), axis=1, kind="stable")
    return np.take_along_axis(positions, order, axis=1)


class _Spans(NamedTuple):
    """The spans that may be answers to the questions of a block, grouped by question, best first.

    Attributes:
      first: `[C]`, the index of the first token of a span among the tokens of all documents.
      last: `[C]`, that of its last token.
      start_logits: `[C]`, the start logit of the first token.
      end_logits: `[C]`, the end logit of the last token.
      bounds: the spans of question `i` are `bounds[i]` to `bounds[i + 1]` (exclusive).
      nulls: for each question, the lowest score of "no answer" in any window, and that answer.
    """

    first: Ints
    last: Ints
    start_logits: Floats
    end_logits: Floats
    bounds: list[int]
    nulls: list[tuple[float, Candidate]]


def _blocks(windows: Windows, max_windows: int) -> Iterator[tuple[int, int]]:
    """Ranges of examples with at most `max_windows` windows, or of a single example."""
    first, total = 0, len(windows.tokenized.examples)
    while first < total:
        beyond = int(np.searchsorted(windows.splits, windows.splits[first] + max_windows, side="right"))
        last = min(max(beyond - 1, first + 1), total)
        yield first, last
        first = last


def _best_spans(
    windows: Windows,
    all_start_logits: NDArray[Any],
    all_end_logits: NDArray[Any],
    parameters: AnswerParameters,
    first: int,
    last: int,
) -> _Spans:
    """The spans of examples `first` to `last` (exclusive)."""
    rows = slice(*windows.splits[[first, last]].tolist())
    start_logits = _validate(all_start_logits[rows], windows.lengths[rows])  # [B, S]
    end_logits = _validate(all_end_logits[rows], windows.lengths[rows])
    starts = best_indexes(start_logits, parameters.n_best_size)  # [B, N]
    ends = best_indexes(end_logits, parameters.n_best_size)
    start_fits = np.take_along_axis(windows.is_max_context(rows.start, rows.stop), starts, axis=1)
    end_fits = ends < windows.lengths[rows, None] - 1  # with `length >= 0`, also in the context
    length = ends[:, None, :] - starts[:, :, None]  # [B, N, N], minus 1
    fits = start_fits[:, :, None] & end_fits[:, None, :] & (length >= 0) & (length < parameters.max_answer_length)

    window, start, end = np.nonzero(fits)  # [C], in the order of the original
    start, end = starts[window, start], ends[window, end]
    example = windows.example[rows][window] - first
    start_logit, end_logit = (
        values.astype(np.float64) for values in (start_logits[window, start], end_logits[window, end])
    )
    order = np.lexsort((-(start_logit + end_logit), example))  # stable
    window, start, end = window[order], start[order], end[order]
    begin = (windows.document_start[rows] - windows.offset[rows])[window]

    null_logits = list(zip(start_logits[:, 0].tolist(), end_logits[:, 0].tolist(), strict=True))
    splits = (windows.splits[first : last + 1] - rows.start).tolist()
    return _Spans(
        first=begin + start,
        last=begin + end,
        start_logits=start_logit[order],
        end_logits=end_logit[order],
        bounds=np.searchsorted(example, np.arange(last - first + 1)).tolist(),
        nulls=[_null(null_logits[splits[number] : splits[number + 1]]) for number in range(last - first)],
    )


def _null(logits: list[tuple[float, float]]) -> tuple[float, Candidate]:
    """The lowest score of "no answer", and that answer, from the logits at [CLS] in the windows of a question."""
    if not logits:
        return NO_WINDOW_SCORE, ("", 0.0, 0.0, None, None)
    start, end = min(logits, key=lambda pair: pair[0] + pair[1])  # ties go to the first window
    return start + end, ("", start, end, None, None)


def _validate(logits: NDArray[Any], lengths: Ints) -> NDArray[Any]:
    """The logits as float32 or float64, `[B, S]`; checks that those of tokens are finite."""
    if logits.dtype not in (np.float32, np.float64):
        logits = logits.astype(np.float32)
    if not np.isfinite(logits).all():
        may_be_infinite = np.isneginf(logits) & (np.arange(logits.shape[1]) >= lengths[:, None])
        check_finite({"logits": logits[~may_be_infinite]})
    return logits


def _rows(columns: list[NDArray[Any]], first: int, last: int) -> Iterator[tuple[Any, ...]]:
    """Rows `first` to `last` (exclusive) of a table, converted a few at a time, as often only the first are needed."""
    for begin in range(first, last, _SPANS_AT_ONCE):
        block = slice(begin, min(begin + _SPANS_AT_ONCE, last))
        yield from zip(*[column[block].tolist() for column in columns], strict=True)


def _candidates(
    rows: Iterator[tuple[Any, ...]],
    null: Candidate,
    aligner: "_SpanAligner",
    paragraph: Paragraph,
    parameters: AnswerParameters,
) -> list[Candidate]:
    """The best spans with distinct texts, best first; on SQuAD 2.0, "" is one of them."""
    candidates: list[Candidate] = []
    seen_texts = set()
    _, null_start, null_end, _, _ = null
    null_sum = null_start + null_end
    needs_null = parameters.version_2_with_negative
    max_count = parameters.n_best_size
    for first, last, start, end, is_sure, start_logit, end_logit in rows:
        if needs_null and start_logit + end_logit < null_sum:
            candidates.append(null)
            needs_null = False
        if len(candidates) >= max_count:
            break
        if not is_sure:
            start, end = aligner.align(paragraph, first, last)
        text = paragraph.quote(start, end)
        if text not in seen_texts:
            seen_texts.add(text)
            candidates.append((text, start_logit, end_logit, start, end))
    return [*candidates, null] if needs_null else candidates


class _BasicWords(dict[str, str]):
    """The output of `BasicTokenizer` for a word, joined by spaces; cached."""

    def __init__(self, do_lower_case: bool, options: TokenizerOptions) -> None:
        super().__init__()
        self._tokenizer = BasicTokenizer.of(do_lower_case, options)

    def __missing__(self, word: str) -> str:
        if word.isascii() and word.isalnum() and not self._tokenizer.options.never_split:
            basic = word.lower() if self._tokenizer.do_lower_case else word
        else:
            basic = " ".join(self._tokenizer.tokenize(word))
        self[word] = basic
        return basic


class _SpanAligner:
    """Maps spans of tokens to character offsets in contexts; tokens are indexed over all documents.

    If no piece of a word is `[UNK]` and its pieces have as many characters as the word, the offsets of each piece in
    the word are known, and those of a span follow from its first and last piece. `align` returns the same offsets,
    unless the characters of the span also occur earlier in its words; they would have to begin in the first word.
    """

    def __init__(self, tokenized: TokenizedExamples) -> None:
        self._words = tokenized.words
        self._ids = tokenized.documents.values
        self._piece_of = tokenized.tokenizer.inv_vocab.__getitem__
        self._basic_words = _BasicWords(tokenized.tokenizer.do_lower_case, tokenized.tokenizer.options)
        paragraphs = tokenized.paragraphs
        first_word = np.cumsum([0, *(len(paragraph.words) for paragraph in paragraphs)])
        starts = _concatenate(np.asarray(paragraph.starts) for paragraph in paragraphs)
        lengths = _concatenate(paragraph.words.lengths for paragraph in paragraphs)

        word = np.repeat(first_word[:-1], np.diff(tokenized.documents.row_splits)) + self._words  # [T]
        self._is_first = np.diff(word, prepend=-1) > 0
        self._is_last = np.diff(word, append=len(starts)) > 0
        self._word_starts, self._word_ends = starts[word], (starts + lengths)[word]

        vocab = tokenized.tokenizer.vocab
        piece_lengths = np.zeros(max(vocab.values()) + 1, np.int64)
        piece_lengths[list(vocab.values())] = [len(piece.removeprefix("##")) for piece in vocab]
        sizes = piece_lengths[self._ids]  # [T]
        ends = np.cumsum(sizes)
        before_word = (ends - sizes)[self._is_first][np.cumsum(self._is_first) - 1]  # [T], characters of earlier pieces
        self._starts = self._word_starts + ends - sizes - before_word
        self._ends = self._word_starts + ends - before_word
        is_unknown = self._ids == vocab[UNKNOWN]  # which may replace any number of characters
        fits = np.bincount(word, sizes, len(lengths)) == lengths
        fits &= np.bincount(word, is_unknown, len(lengths)) == 0
        self._misfit_count = np.cumsum(~fits)[word]  # [T], words up to the token's word that do not fit
        self._is_misfit = ~fits[word]
        self._has_new_start = self._begins_with_new_character()

    def _begins_with_new_character(self) -> NDArray[np.bool_]:
        """Whether the first character of a token does not occur in the tokens before it in its word, `[T]`."""
        is_new = np.ones(len(self._ids), np.bool_)
        before = ""
        end = -1  # the token after those in `before`
        continuations = np.flatnonzero(~self._is_first)
        for token, previous_id, own_id in zip(
            continuations.tolist(),
            self._ids[continuations - 1].tolist(),
            self._ids[continuations].tolist(),
            strict=True,
        ):
            previous = self._piece_of(previous_id).removeprefix("##")
            before = before + previous if token - 1 == end else previous
            is_new[token] = self._piece_of(own_id).removeprefix("##")[0] not in before
            end = token
        return is_new

    def locate(self, first: Ints, last: Ints) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]:
        """Computes the character offsets of spans.

        Args:
          first: `[C]`, the first token of each span.
          last: `[C]`, the last token.

        Returns:
          first: unchanged.
          last: unchanged.
          starts: `[C]`, the offset in the context of the first character.
          ends: `[C]`, the offset after the last character.
          is_sure: `[C]`, whether `align` would return the same offsets.
        """
        is_whole = self._is_first[first] & self._is_last[last]  # whole words: `align` returns all their characters
        fits = ~self._is_misfit[first] & (self._misfit_count[first] == self._misfit_count[last])
        starts = np.where(is_whole, self._word_starts[first], self._starts[first])
        ends = np.where(is_whole, self._word_ends[last], self._ends[last])
        return first, last, starts, ends, is_whole | (fits & self._has_new_start[first])

    def align(self, paragraph: Paragraph, first: int, last: int) -> tuple[int, int]:
        """Finds the characters of a span's words that its pieces are tokenized from.

        The words may contain more than the span, such as `Steve Smith's.` for `steve smith`, and they have case and
        accents. The pieces are therefore looked up in the tokenizer's output for the words; if that has as many
        characters as the words, excluding whitespace, the characters correspond one to one.

        Args:
          paragraph: the context.
          first: the first token of the span.
          last: its last token.

        Returns:
          The offsets in the context of the first character and after the last one; those of the whole words if the
          characters do not correspond.
        """
        predicted = detokenize([self._piece_of(index) for index in self._ids[first : last + 1].tolist()])
        first, last = int(self._words[first]), int(self._words[last])
        words = paragraph.words[first : last + 1]
        basic = " ".join([basic for word in words if (basic := self._basic_words[word])])
        begin = basic.find(predicted)
        characters = len("".join(words))
        if begin == -1 or not predicted or characters != len(basic) - basic.count(" "):
            return paragraph.span(first, last)
        end = begin + len(predicted)
        # The numbers of characters below exclude spaces.
        before = begin - basic.count(" ", 0, begin)
        after = characters - (end - basic.count(" ", 0, end))
        while before >= len(paragraph.words[first]):
            before -= len(paragraph.words[first])
            first += 1
        while after >= len(paragraph.words[last]):
            after -= len(paragraph.words[last])
            last -= 1
        start, end = paragraph.span(first, last)
        return start + before, end - after


def _concatenate(arrays: Iterable[NDArray[Any]]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *arrays])
