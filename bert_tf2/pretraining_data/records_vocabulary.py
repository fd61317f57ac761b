"""The vocabulary that records were made with, according to their summary file; no TensorFlow."""

import dataclasses
import hashlib
import logging
import os
from typing import Any

from bert_tf2.configs.tokenizer import PLAIN, TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import file_system, json_files, run_files
from bert_tf2.tokenization.auto import VocabularyFile

logger = logging.getLogger(__name__)

_ENTRY = "vocabulary"


@dataclasses.dataclass(frozen=True)
class RecordsVocabulary:
    """The vocabulary of records.

    Attributes:
      file: the vocabulary, with the options of the tokenizer.
      do_lower_case: whether the text was lower-cased.
    """

    file: VocabularyFile
    do_lower_case: bool


def entry(vocabulary: VocabularyFile) -> dict[str, Any]:
    """The entry about the vocabulary in the summary of records, besides the flags.

    Raises:
      OSError: it cannot be read.
    """
    return {_ENTRY: {"file": file_system.absolute(vocabulary.path), "sha256": _digest(vocabulary)}}


def find(records: str) -> RecordsVocabulary | None:
    """The vocabulary of a record file, according to the summary next to it.

    None if there is no summary, or one of an older version or of other records; also if the vocabulary is gone or has
    changed, which is logged.

    Args:
      records: path of a file that `create_pretraining_data.py` wrote.
    """
    summary = _summary(records)
    if summary is None:
        return None
    try:
        flags, recorded = summary["config"], summary[_ENTRY]
        options = TokenizerConfig(**flags["tokenizer"]).over(PLAIN)
        vocabulary = VocabularyFile(str(recorded["file"]), flags["vocab_file"] is None, options)
        if _digest(vocabulary) == recorded["sha256"]:
            return RecordsVocabulary(vocabulary, bool(flags["do_lower_case"]))
        problem = "has changed since"
    except FileNotFoundError:
        problem = "is gone"
    except (OSError, EOFError, InputError, TypeError, KeyError, AttributeError):
        return None
    logger.info(
        "%s, with which %s was made, %s, so it is not kept with the model; give it as --vocab_file to keep it.",
        *(vocabulary.path, records, problem),
    )
    return None


def _summary(records: str) -> dict[str, Any] | None:
    """The summary next to a record file, if it has an entry about the vocabulary and is about this file.

    A run that was interrupted leaves the summary of an earlier one beside new records, which have other sizes.
    """
    directory, name = os.path.split(records)
    for path in (run_files.summary_of_records(records), os.path.join(directory, run_files.DATA_SUMMARY)):
        try:
            content = json_files.read(path) if file_system.isfile(path) else {}
            if _ENTRY in content and (name, file_system.getsize(records)) in _files(content):
                return dict(content)
        except (OSError, ValueError, TypeError, KeyError):  # it is the file of another program
            continue
    return None


def _files(summary: dict[str, Any]) -> list[tuple[str, int]]:
    """The names and sizes of the record files that a summary is about."""
    files = list(zip(summary["outputs"], summary["sizes"], strict=True))
    if "eval_output" in summary:
        files.append((summary["eval_output"], summary["eval_size"]))
    return [(os.path.basename(path), size) for path, size in files]


def _digest(vocabulary: VocabularyFile) -> str:
    return hashlib.sha256(vocabulary.content()).hexdigest()
