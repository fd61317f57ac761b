"""Splits SQuAD's questions into windows: the reference for `squad.windows`.

Follows `convert_examples_to_features` of google-research/bert `run_squad.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bert_tf2.tasks.squad.examples import Answer, Example
from bert_tf2.tasks.squad.window_parameters import FIRST_UNIQUE_ID, FeatureParameters
from bert_tf2.tokenization.sequences import SPECIAL_IN_PAIR, join_pair, pad


class Tokenizer(Protocol):
    """The common interface of `FullTokenizer` and `FastTokenizer`."""

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text."""

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of pieces."""


class Span(NamedTuple):
    """A range of the context: `length` tokens from `start` on."""

    start: int
    length: int


@dataclass(frozen=True)
class WindowFeatures:
    """One window, S = `max_seq_length`; positions count tokens of the window from 0.

    Attributes:
      unique_id: the id of the window, from `FIRST_UNIQUE_ID` on.
      example_index: the index of the question.
      doc_span_index: the index of the window among those of the question.
      tokens: the tokens, without padding.
      token_to_orig_map: for each position of the context, the index of the token's word in the paragraph.
      token_is_max_context: for each position of the context, whether no other window has more context around the token.
      input_ids: [S].
      input_mask: [S], 1 for tokens, 0 for padding.
      segment_ids: [S], 0 for the question, 1 for the context, 0 for padding.
      start_position: first token of the answer, 0 if it is not in this window; None for prediction.
      end_position: last token of the answer, 0 if it is not in this window; None for prediction.
      is_impossible: whether the question has no answer at all.
    """

    unique_id: int
    example_index: int
    doc_span_index: int
    tokens: list[str]
    token_to_orig_map: dict[int, int]
    token_is_max_context: dict[int, bool]
    input_ids: list[int]
    input_mask: list[int]
    segment_ids: list[int]
    start_position: int | None
    end_position: int | None
    is_impossible: bool

    def record(self) -> dict[str, list[int]]:
        """The values of `records.squad`, with positions if the window has them."""
        values = {
            "unique_ids": [self.unique_id],
            "input_ids": self.input_ids,
            "input_mask": self.input_mask,
            "segment_ids": self.segment_ids,
        }
        if self.start_position is not None and self.end_position is not None:
            values["start_positions"] = [self.start_position]
            values["end_positions"] = [self.end_position]
            values["is_impossible"] = [int(self.is_impossible)]
        return values


def windows(
    examples: Iterable[Example], tokenizer: Tokenizer, parameters: FeatureParameters, training: bool
) -> Iterator[WindowFeatures]:
    """The windows of all questions, in their order; a context without tokens has none.

    Args:
      examples: the questions, read for training if `training` is set.
      tokenizer: the tokenizer of the model.
      parameters: the sizes of windows.
      training: whether to add positions of answers.
    """
    unique_id = FIRST_UNIQUE_ID
    for example_index, example in enumerate(examples):
        query = tokenizer.tokenize(example.question)[: parameters.max_query_length]
        document: list[str] = []
        word_of_token: list[int] = []
        first_token: list[int] = []  # of each word
        for number, word in enumerate(example.paragraph.words):
            pieces = tokenizer.tokenize(word)
            first_token.append(len(document))
            document += pieces
            word_of_token += [number] * len(pieces)
        answer = _answer_tokens(example.answer, document, first_token, tokenizer) if example.answer else None

        spans = document_spans(
            len(document), parameters.max_seq_length - len(query) - SPECIAL_IN_PAIR, parameters.doc_stride
        )
        offset = len(query) + 2  # the start of the context in a window
        for span_index, span in enumerate(spans):
            positions = range(span.start, span.start + span.length)
            tokens, segment_ids = join_pair(query, [document[position] for position in positions])
            length = parameters.max_seq_length
            start, end = _positions(answer, span, offset)
            yield WindowFeatures(
                unique_id=unique_id,
                example_index=example_index,
                doc_span_index=span_index,
                tokens=tokens,
                token_to_orig_map=dict(enumerate((word_of_token[position] for position in positions), offset)),
                token_is_max_context=dict(
                    enumerate((is_max_context(spans, span_index, position) for position in positions), offset)
                ),
                input_ids=pad(tokenizer.convert_tokens_to_ids(tokens), length, 0),
                input_mask=pad([1] * len(tokens), length, 0),
                segment_ids=pad(segment_ids, length, 0),
                start_position=start if training else None,
                end_position=end if training else None,
                is_impossible=example.is_impossible,
            )
            unique_id += 1


def document_spans(tokens: int, max_tokens: int, doc_stride: int) -> list[Span]:
    """The spans into which a context is split.

    Args:
      tokens: the number of tokens of the context.
      max_tokens: the maximum length of a span, at least 1.
      doc_stride: the distance of consecutive spans; limited to their length, so that no token is skipped.
    """
    spans: list[Span] = []
    start = 0
    while start < tokens:
        spans.append(Span(start, min(tokens - start, max_tokens)))
        if start + spans[-1].length == tokens:
            break
        start += min(spans[-1].length, doc_stride)
    return spans


def is_max_context(spans: Sequence[Span], index: int, position: int) -> bool:
    """Whether span `index` is the first one with the most context around a token of the document.

    The context is the smaller of the numbers of tokens to the left and to the right, with a small bonus for longer
    spans.
    """
    best, best_context = None, 0.0
    for number, span in enumerate(spans):
        left = position - span.start
        right = span.start + span.length - 1 - position
        if min(left, right) < 0:
            continue
        context = min(left, right) + 0.01 * span.length
        if best is None or context > best_context:
            best, best_context = number, context
    return best == index


def improved_answer(document: Sequence[str], first: int, last: int, answer: Sequence[str]) -> tuple[int, int]:
    """The first range within tokens `first` to `last` that equals the answer, or the entire range if there is none.

    Words may contain more than the answer: in `(1895-1943).`, the answer may be `1895`.

    Args:
      document: the tokens of the context.
      first: the first token of the answer's words.
      last: their last token.
      answer: the tokens of the answer.

    Returns:
      First and last token of the range.
    """
    for start in range(first, last + 1):
        for end in range(last, start - 1, -1):
            if " ".join(document[start : end + 1]) == " ".join(answer):
                return start, end
    return first, last


def _answer_tokens(
    answer: Answer, document: Sequence[str], first_token: Sequence[int], tokenizer: Tokenizer
) -> tuple[int, int]:
    """First and last token of the answer in the context."""
    is_last = answer.last_word == len(first_token) - 1
    last = len(document) - 1 if is_last else first_token[answer.last_word + 1] - 1
    return improved_answer(document, first_token[answer.first_word], last, tokenizer.tokenize(answer.text))


def _positions(answer: tuple[int, int] | None, span: Span, offset: int) -> tuple[int, int]:
    """The answer's first and last position in a window; 0, 0 (at [CLS]) if it is not completely in it."""
    if answer is None or answer[0] < span.start or answer[1] > span.start + span.length - 1:
        return 0, 0
    return answer[0] - span.start + offset, answer[1] - span.start + offset
