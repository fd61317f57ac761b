"""Converts logits to answers, for all questions; no TensorFlow.

Follows `write_predictions` of google-research/bert `run_squad.py`. Arrays find the best spans of all windows of a block
at once, without sorting whole rows, and where they stand in the text. What is left to do for each span is to cut the
text, and to align those whose place is not sure.

`F` windows, `B` windows of a block, `N` `n_best_size`, `S` `max_seq_length`, `C` spans.
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
    detokenized,
)
from bert_tf2.tasks.squad.tokenized_examples import Ints, TokenizedExamples
from bert_tf2.tasks.squad.windows import Windows
from bert_tf2.tasks.squad.words import Paragraph
from bert_tf2.tokenization.wordpiece import UNKNOWN, BasicTokenizer

Floats = NDArray[np.float64]

_PAIRS = 1 << 19  # of a start and an end, in all windows of a block
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
      start_logits: `[F, S]`, of any float type; what is beyond a window's tokens may be -inf.
      end_logits: likewise.
      parameters: how to choose.
      is_shown: whether to show progress.

    Raises:
      InputError: a logit is NaN or infinite.
      ValueError: there are not as many logits as positions.
    """
    shape = (len(windows), windows.parameters.max_seq_length)
    for logits in (start_logits, end_logits):
        if logits.shape != shape:
            raise ValueError(f"The logits have the shape {logits.shape}, expected {shape}.")
    tokenized = windows.tokenized
    texts = _Texts(tokenized)
    predictions: list[Prediction] = []
    with Progress("Choosing answers", len(tokenized.examples), unit="question", shown=is_shown) as progress:
        for first, last in _blocks(windows, _PAIRS // parameters.n_best_size**2):
            spans = _best_spans(windows, start_logits, end_logits, parameters, first, last)
            columns = [*texts.columns(spans.first, spans.last), spans.start_logits, spans.end_logits]
            for number, example in enumerate(tokenized.examples[first:last]):
                rows = _rows(columns, *spans.bounds[number : number + 2])
                null_score, null = spans.nulls[number]
                candidates = _candidates(rows, null, texts, example.paragraph, parameters)
                predictions.append(decide(example.id, candidates, null_score, parameters))
            progress.update(last - first)
    return predictions


def best_indexes(logits: NDArray[Any], count: int) -> Ints:
    """Where the `count` highest logits of each row are, the highest first; of equal ones, the first comes first.

    Args:
      logits: `[B, S]`.
      count: how many.

    Returns:
      `[B, min(count, S)]`.
    """
    rows, size = logits.shape
    if count >= size:
        return np.argsort(-logits, axis=1, kind="stable")
    least = -np.partition(-logits, count - 1, axis=1)[:, count - 1 : count]  # the last that is still among the best
    chosen = logits >= least
    if np.count_nonzero(chosen) > rows * count:  # several are as good as the last one; the first of them are chosen
        above = logits > least
        room = count - np.count_nonzero(above, axis=1)[:, None]
        equal = chosen & ~above
        chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
    found = np.nonzero(chosen)[1].reshape(rows, count)  # ascending
    order = np.argsort(-np.take_along_axis(logits, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


class _Spans(NamedTuple):
    """The spans that may be answers to the questions of a block, those of a question together, the best first.

    Attributes:
      first: `[C]`, the first token of a span, counted over all documents.
      last: `[C]`, its last token.
      start_logits: `[C]`, of the first token.
      end_logits: `[C]`, of the last token.
      bounds: where the spans of each question begin, and C.
      nulls: for each question the score of "no answer", in the window where it is least, and that answer.
    """

    first: Ints
    last: Ints
    start_logits: Floats
    end_logits: Floats
    bounds: list[int]
    nulls: list[tuple[float, Candidate]]


def _blocks(windows: Windows, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of examples, each with at most so many windows, or a single example."""
    first, total = 0, len(windows.tokenized.examples)
    while first < total:
        beyond = int(np.searchsorted(windows.splits, windows.splits[first] + most, side="right"))
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
    """The spans of examples `first` to `last` (not included)."""
    rows = slice(*windows.splits[[first, last]].tolist())
    start_logits = _checked(all_start_logits[rows], windows.lengths[rows])  # [B, S]
    end_logits = _checked(all_end_logits[rows], windows.lengths[rows])
    starts = best_indexes(start_logits, parameters.n_best_size)  # [B, N]
    ends = best_indexes(end_logits, parameters.n_best_size)
    start_fits = np.take_along_axis(windows.is_max_context(rows.start, rows.stop), starts, axis=1)
    end_fits = ends < windows.lengths[rows, None] - 1  # and after the start, and so in the context
    length = ends[:, None, :] - starts[:, :, None]  # [B, N, N], less 1
    fits = start_fits[:, :, None] & end_fits[:, None, :] & (length >= 0) & (length < parameters.max_answer_length)

    window, start, end = np.nonzero(fits)  # [C], in the order in which the original meets them
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
    """The least score of "no answer", and that answer, from the logits at [CLS] of a question's windows."""
    if not logits:
        return NO_WINDOW_SCORE, ("", 0.0, 0.0, None, None)
    start, end = min(logits, key=lambda pair: pair[0] + pair[1])  # the first of several
    return start + end, ("", start, end, None, None)


def _checked(logits: NDArray[Any], lengths: Ints) -> NDArray[Any]:
    """The logits as float32 or float64, `[B, S]`."""
    if logits.dtype not in (np.float32, np.float64):
        logits = logits.astype(np.float32)
    if not np.isfinite(logits).all():
        may_be_infinite = np.isneginf(logits) & (np.arange(logits.shape[1]) >= lengths[:, None])
        check_finite({"logits": logits[~may_be_infinite]})
    return logits


def _rows(columns: list[NDArray[Any]], first: int, last: int) -> Iterator[tuple[Any, ...]]:
    """Rows `first` to `last` (not included) of a table, one by one; only the first few of many are asked for."""
    for begin in range(first, last, _SPANS_AT_ONCE):
        part = slice(begin, min(begin + _SPANS_AT_ONCE, last))
        yield from zip(*[column[part].tolist() for column in columns], strict=True)


def _candidates(
    rows: Iterator[tuple[Any, ...]],
    null: Candidate,
    texts: "_Texts",
    paragraph: Paragraph,
    parameters: AnswerParameters,
) -> list[Candidate]:
    """The best spans of different texts, in order, and "" among them on 2.0."""
    candidates: list[Candidate] = []
    seen = set()
    _, null_start, null_end, _, _ = null
    null_sum = null_start + null_end
    waits_for_null = parameters.version_2_with_negative
    most = parameters.n_best_size
    for first, last, start, end, is_sure, start_logit, end_logit in rows:
        if waits_for_null and start_logit + end_logit < null_sum:
            candidates.append(null)
            waits_for_null = False
        if len(candidates) >= most:
            break
        if not is_sure:
            start, end = texts.aligned(paragraph, first, last)
        text = paragraph.quote(start, end)
        if text not in seen:
            seen.add(text)
            candidates.append((text, start_logit, end_logit, start, end))
    return [*candidates, null] if waits_for_null else candidates


class _BasicWords(dict[str, str]):
    """The output of `BasicTokenizer` for a word, joined by spaces; cached."""

    def __init__(self, do_lower_case: bool, options: TokenizerOptions) -> None:
        super().__init__()
        self._rules = BasicTokenizer.of(do_lower_case, options)

    def __missing__(self, word: str) -> str:
        if word.isascii() and word.isalnum() and not self._rules.options.never_split:
            basic = word.lower() if self._rules.do_lower_case else word
        else:
            basic = " ".join(self._rules.tokenize(word))
        self[word] = basic
        return basic


class _Texts:
    """From spans of tokens to characters of contexts; tokens are counted over all documents, T of them.

    Where no piece of a word is `[UNK]` and its pieces have as many characters as it, each piece has its place in the
    word, and the place of a span is that of its first and last piece. That is what `aligned` finds as well, unless the
    same characters occur in the words before: they would have to begin in the first word, before the span.
    """

    def __init__(self, tokenized: TokenizedExamples) -> None:
        self._words = tokenized.words
        self._ids = tokenized.documents.values
        self._piece = tokenized.tokenizer.inv_vocab.__getitem__
        self._basic = _BasicWords(tokenized.tokenizer.do_lower_case, tokenized.tokenizer.options)
        paragraphs = tokenized.paragraphs
        first_word = np.cumsum([0, *(len(paragraph.words) for paragraph in paragraphs)])
        starts = _joined(np.asarray(paragraph.starts) for paragraph in paragraphs)
        lengths = _joined(paragraph.words.lengths for paragraph in paragraphs)

        word = np.repeat(first_word[:-1], np.diff(tokenized.documents.row_splits)) + self._words  # [T]
        self._is_first = np.diff(word, prepend=-1) > 0
        self._is_last = np.diff(word, append=len(starts)) > 0
        self._word_starts, self._word_ends = starts[word], (starts + lengths)[word]

        vocab = tokenized.tokenizer.vocab
        sizes_of_pieces = np.zeros(max(vocab.values()) + 1, np.int64)
        sizes_of_pieces[list(vocab.values())] = [len(piece.removeprefix("##")) for piece in vocab]
        sizes = sizes_of_pieces[self._ids]  # [T]
        ends = np.cumsum(sizes)
        before_word = (ends - sizes)[self._is_first][np.cumsum(self._is_first) - 1]  # [T], characters of all pieces
        self._starts = self._word_starts + ends - sizes - before_word
        self._ends = self._word_starts + ends - before_word
        is_unknown = self._ids == vocab[UNKNOWN]  # it stands for any number of characters
        fits = np.bincount(word, sizes, len(lengths)) == lengths
        fits &= np.bincount(word, is_unknown, len(lengths)) == 0
        self._misfits = np.cumsum(~fits)[word]  # [T]
        self._is_misfit = ~fits[word]
        self._is_fresh = self._begins_afresh()

    def _begins_afresh(self) -> NDArray[np.bool_]:
        """Whether the first character of a piece is not in the pieces before it in the same word, `[T]`."""
        afresh = np.ones(len(self._ids), np.bool_)
        before = ""
        end = -1  # of what `before` holds
        places = np.flatnonzero(~self._is_first)
        for place, id_before, own_id in zip(
            places.tolist(), self._ids[places - 1].tolist(), self._ids[places].tolist(), strict=True
        ):
            last = self._piece(id_before).removeprefix("##")
            before = before + last if place - 1 == end else last
            afresh[place] = self._piece(own_id).removeprefix("##")[0] not in before
            end = place
        return afresh

    def columns(self, first: Ints, last: Ints) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]:
        """Where spans are.

        Args:
          first: `[C]`, the first token of each span.
          last: `[C]`, the last one.

        Returns:
          first: as given.
          last: as given.
          starts: the character of the context where it begins.
          ends: the character after its end.
          is_sure: whether `aligned` finds the same.
        """
        is_whole = self._is_first[first] & self._is_last[last]  # all tokens of the words: aligned, these words again
        fits = ~self._is_misfit[first] & (self._misfits[first] == self._misfits[last])
        starts = np.where(is_whole, self._word_starts[first], self._starts[first])
        ends = np.where(is_whole, self._word_ends[last], self._ends[last])
        return first, last, starts, ends, is_whole | (fits & self._is_fresh[first])

    def aligned(self, paragraph: Paragraph, first: int, last: int) -> tuple[int, int]:
        """Finds the part of a span's words that became its pieces.

        The words hold more than the span: of `Steve Smith's.` only `steve smith` may be meant, and with case and
        accents. So its pieces are sought in what the tokenizer makes of the words; where that has as many characters as
        the words, whitespace aside, characters correspond one to one.

        Args:
          paragraph: the context.
          first: the first token of the span.
          last: its last token.

        Returns:
          From which to which character of the context (not included) the part goes; all of the words where the
          correspondence cannot be found.
        """
        predicted = detokenized([self._piece(index) for index in self._ids[first : last + 1].tolist()])
        first, last = int(self._words[first]), int(self._words[last])
        words = paragraph.words[first : last + 1]
        basic = " ".join([basic for word in words if (basic := self._basic[word])])
        begin = basic.find(predicted)
        characters = len("".join(words))
        if begin == -1 or not predicted or characters != len(basic) - basic.count(" "):
            return paragraph.span(first, last)
        end = begin + len(predicted)
        # From here on characters are counted without spaces.
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


def _joined(arrays: Iterable[NDArray[Any]]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *arrays])
