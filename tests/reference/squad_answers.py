"""Converts SQuAD's logits to answers: the reference for `squad.span_selection`.

Follows `write_predictions` of google-research/bert `run_squad.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from reference.squad_windows import WindowFeatures

from bert_tf2.tasks.squad.answers import (
    NO_WINDOW_SCORE,
    AnswerParameters,
    Candidate,
    Prediction,
    decide,
    detokenize,
)
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tokenization.wordpiece import BasicTokenizer


class _Span(NamedTuple):
    window: int
    start: int
    end: int
    start_logit: float
    end_logit: float


def predict(
    example: Example,
    windows: Sequence[WindowFeatures],
    start_logits: Sequence[Sequence[float]],
    end_logits: Sequence[Sequence[float]],
    parameters: AnswerParameters,
    do_lower_case: bool = True,
) -> Prediction:
    """The answer to one question.

    Args:
      example: the question.
      windows: its W windows.
      start_logits: `[W, S]`.
      end_logits: `[W, S]`.
      parameters: the parameters of the selection.
      do_lower_case: whether the tokenizer lower-cases text.
    """
    spans = []
    null = _Span(0, 0, 0, 0.0, 0.0)
    null_score = NO_WINDOW_SCORE
    for number, window in enumerate(windows):
        starts, ends = start_logits[number], end_logits[number]
        if starts[0] + ends[0] < null_score:
            null_score = starts[0] + ends[0]
            null = _Span(number, 0, 0, starts[0], ends[0])
        spans += [
            _Span(number, start, end, starts[start], ends[end])
            for start in best_indexes(starts, parameters.n_best_size)
            for end in best_indexes(ends, parameters.n_best_size)
            if window.token_is_max_context.get(start, False)
            and end in window.token_to_orig_map
            and 0 <= end - start < parameters.max_answer_length
        ]
    if parameters.version_2_with_negative:
        spans.append(null)
    spans.sort(key=lambda span: span.start_logit + span.end_logit, reverse=True)

    candidates: list[Candidate] = []
    seen = set()
    for span in spans:
        if len(candidates) >= parameters.n_best_size:
            break
        text, start, end = "", None, None
        if span.start > 0:
            text, start, end = _answer_text(example, windows[span.window], span, do_lower_case)
            if text in seen:
                continue
        seen.add(text)
        candidates.append((text, span.start_logit, span.end_logit, start, end))
    if parameters.version_2_with_negative and "" not in seen:
        candidates.append(("", null.start_logit, null.end_logit, None, None))
    return decide(example.id, candidates, null_score, parameters)


def best_indexes(logits: Sequence[float], count: int) -> list[int]:
    """The indices of the `count` highest logits, the highest first; on a tie, the first one first."""
    return sorted(range(len(logits)), key=lambda index: logits[index], reverse=True)[:count]


def _answer_text(
    example: Example, window: WindowFeatures, span: _Span, do_lower_case: bool
) -> tuple[str, int | None, int | None]:
    """The text of a span, and its start and end in the context."""
    first, last = window.token_to_orig_map[span.start], window.token_to_orig_map[span.end]
    paragraph = example.paragraph
    words = paragraph.words[first : last + 1]
    begin, end = align(detokenize(window.tokens[span.start : span.end + 1]), words, do_lower_case)
    starts = paragraph.starts[first : last + 1]
    positions = [start + offset for start, word in zip(starts, words, strict=True) for offset in range(len(word))]
    start, end = positions[begin], positions[end - 1] + 1
    return paragraph.quote(start, end), start, end


def align(predicted: str, words: Sequence[str], do_lower_case: bool) -> tuple[int, int]:
    """Finds the part of the words that corresponds to the predicted tokens.

    The words of a span may contain more than its tokens: of `Steve Smith's.`, only `steve smith` may be predicted, but
    the answer keeps case and accents. So the tokens are searched in the tokenized words; if these have as many
    characters as the words, not counting whitespace, the characters correspond one to one.

    Args:
      predicted: the tokens after `detokenize`.
      words: what the tokens are of.
      do_lower_case: whether the tokenizer lowers the case.

    Returns:
      Start and end of the part, as indices of the characters of the concatenated words; all of them if the
      correspondence cannot be found.
    """
    rules = BasicTokenizer(do_lower_case)
    tokenized = " ".join(token for word in words for token in rules.tokenize(word))
    characters = sum(map(len, words))
    begin = tokenized.find(predicted)
    last = begin + len(predicted) - 1
    number_of = {offset: number for number, offset in enumerate(p for p, char in enumerate(tokenized) if char != " ")}
    if begin == -1 or characters != len(number_of) or begin not in number_of or last not in number_of:
        return 0, characters
    return number_of[begin], number_of[last] + 1
