"""Prediction files: the original's, byte for byte, and our own; no TensorFlow.

`predictions.json`, `nbest_predictions.json` and, on SQuAD 2.0, `null_odds.json` are what `json.dumps(..., indent=4)`
makes of dicts from question ids to answers, n-best answers and odds. Because `json` is slow at indenting, the text is
formatted here.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, json_files, run_files
from bert_tf2.tasks.squad.answers import NBestEntry, Prediction, with_threshold
from bert_tf2.tasks.squad.examples import Example

logger = logging.getLogger(__name__)

PREDICTIONS, N_BEST, NULL_ODDS = run_files.PREDICTIONS, run_files.N_BEST, run_files.NULL_ODDS
THRESHOLD = run_files.NULL_THRESHOLD

_THRESHOLD, _WEIGHTS = "null_score_diff_threshold", "weights"
_THRESHOLD_ADVICE = f'expected {{"{_THRESHOLD}": a number, "{_WEIGHTS}": a string}}; remove it, or evaluate again'

_quoted = json.JSONEncoder().encode


class Predictions(Protocol):
    """A list of predictions, or a `spilled.SpilledSequence`."""

    def __iter__(self) -> Iterator[Prediction]: ...

    def __getitem__(self, index: int, /) -> Prediction: ...


def write(
    directory: str | os.PathLike[str], predictions: Predictions, null_score_diff_threshold: float | None = None
) -> list[Path]:
    """Writes the original's files of predictions.

    Args:
      directory: the directory to write them into.
      predictions: one for each question. If several have the same id, the last one is written.
      null_score_diff_threshold: replaces the threshold of the predictions, see `answers.with_threshold`.

    Returns:
      The paths: two for SQuAD 1.1, three for 2.0.

    Raises:
      OSError: a file cannot be written.
    """
    last_index: dict[str, int] = {}  # by question id
    names = [PREDICTIONS, N_BEST]
    for number, prediction in enumerate(predictions):
        last_index[prediction.id] = number
        if prediction.null_odds is not None and NULL_ODDS not in names:
            names.append(NULL_ODDS)
    paths = [file_system.path(directory) / name for name in names]
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(atomic.replacing(path)) for path in paths]
        separator = "{\n"
        for question_id, number in last_index.items():
            prediction = predictions[number]
            if null_score_diff_threshold is not None:
                prediction = with_threshold(prediction, null_score_diff_threshold)
            values = (_quoted(prediction.answer.text), _n_best_json(prediction.n_best), repr(prediction.null_odds))
            for file, value in zip(opened, values, strict=False):
                file.write(f"{separator}    {_quoted(question_id)}: {value}")
            separator = ",\n"
        for file in opened:
            file.write("{}\n" if separator == "{\n" else "\n}\n")
    return paths


def rows(
    examples: Sequence[Example], predictions: Iterable[Prediction], min_confidence: float = 0.0
) -> Iterator[dict[str, Any]]:
    """The rows of `predictions.jsonl`: question, answer, its probability and position.

    A row is `{"id", "question", "answer", "probability", "start", "end"}`; `context[start:end]` is the answer, except
    for whitespace between its words. "No answer" is "", and its position None. If the file has true answers, they
    follow the question as `truth`.

    Args:
      examples: the questions.
      predictions: the prediction for each question.
      min_confidence: an answer with a lower probability becomes None, as does its position.
    """
    has_truths = any(example.gold is not None for example in examples)
    for example, prediction in zip(examples, predictions, strict=True):
        answer = prediction.answer
        is_sure = answer.probability >= min_confidence
        text = "" if answer.start is None else answer.text
        yield {
            "id": example.id,
            "question": example.question,
            **({"truth": None if example.gold is None else list(example.gold)} if has_truths else {}),
            "answer": text if is_sure else None,
            "probability": answer.probability,
            "start": answer.start if is_sure else None,
            "end": answer.end if is_sure else None,
        }


def write_threshold(path: str | os.PathLike[str], null_score_diff_threshold: float, weights: str) -> None:
    """Saves a threshold that was found on one file, for predictions on others.

    Args:
      path: the file to write.
      null_score_diff_threshold: the threshold.
      weights: the fingerprint of the weights that it was found with.

    Raises:
      OSError: the file cannot be written.
    """
    with atomic.replacing(path) as file:
        file.write(json.dumps({_THRESHOLD: null_score_diff_threshold, _WEIGHTS: weights}) + "\n")


def find_threshold(directory: str, fingerprint: Callable[[], str]) -> float:
    """The threshold that an evaluation with the same weights saved in a model's directory; 0 if there is none.

    Args:
      directory: the directory of the model.
      fingerprint: computes the fingerprint of the weights; called only if there is a threshold.

    Raises:
      InputError: the file is invalid.
    """
    path = os.path.join(directory, THRESHOLD)
    if not file_system.exists(path):
        return 0.0
    threshold, weights = read_threshold(path)
    if weights != fingerprint():
        logger.info("%s was found with other weights: using --null_score_diff_threshold=0.", path)
        return 0.0
    logger.info("Using --null_score_diff_threshold=%g, from %s.", threshold, path)
    return threshold


def read_threshold(path: str | os.PathLike[str]) -> tuple[float, str]:
    """Reads the file of `write_threshold`.

    Returns:
      The threshold, and the fingerprint of the weights that it was found with.

    Raises:
      InputError: the file is missing or invalid.
    """
    try:
        values = json_files.read_object(path, _THRESHOLD_ADVICE)
        return float(values[_THRESHOLD]), str(values[_WEIGHTS])
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError):
        raise InputError(f"{os.fspath(path)} has no threshold; {_THRESHOLD_ADVICE}.") from None


def _n_best_json(entries: Sequence[NBestEntry]) -> str:
    items = [
        f'        {{\n            "text": {_quoted(text)},\n'
        f'            "probability": {probability!r},\n'
        f'            "start_logit": {start_logit!r},\n'
        f'            "end_logit": {end_logit!r}\n        }}'
        for text, probability, start_logit, end_logit, _, _ in entries
    ]
    return "[\n" + ",\n".join(items) + "\n    ]"
