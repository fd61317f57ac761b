"""A converted model as a folder, in Google's format or in Hugging Face's."""

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2 import checkpoints, files, huggingface, initialization
from bert_tf2.huggingface_config import TOKENIZER_FILES, FolderConfig, pieces_of_tokenizer_json
from bert_tf2.metrics import ProblemType
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.conversion_source import PROBLEM_TYPES
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tokenization import load_vocab

CHECKPOINT = "bert_model.ckpt"
_MAX_SEQ_LENGTH = 128


@dataclasses.dataclass(frozen=True)
class Output:
    """What is to be written.

    Attributes:
      format: "google" or "huggingface".
      config: sizes, architecture, labels, kind of problem.
      variables: by Google's names.
      vocab_file: the vocabulary to copy, or a `tokenizer.json` to take it from; None where there is none.
      do_lower_case: of the tokenizer.
      more_pieces: added tokens, whose ids follow those of the vocabulary; they are written behind it.
      tokenizer_folder: a Hugging Face folder whose tokenizer's settings are kept as they are, for the same format.
    """

    format: str
    config: FolderConfig
    variables: Mapping[str, NDArray[Any]]
    vocab_file: str | None
    do_lower_case: bool
    more_pieces: Sequence[str] = ()
    tokenizer_folder: str | None = None


def vocabulary(vocab_file: str) -> dict[str, int]:
    """The id of each piece of a `vocab.txt` or a `tokenizer.json`."""
    if vocab_file.endswith(".json"):
        return {piece: index for index, piece in enumerate(pieces_of_tokenizer_json(vocab_file))}
    return load_vocab(vocab_file)


def write(output_dir: str, output: Output) -> list[str]:
    """Writes the folder of a model. It appears under its name when everything is in it.

    Args:
      output_dir: a path that is free, or an empty folder.
      output: the model.

    Returns:
      The names of the files.

    Raises:
      OSError: the disk is full, or the like.
    """
    final = Path(output_dir)
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = files.beside(final)
    unfinished.mkdir()
    try:
        if output.format == "huggingface":
            _write_hugging_face(unfinished, output)
        else:
            _write_google(unfinished, output)
        if output.vocab_file:
            _copy_vocabulary(output.vocab_file, unfinished / initialization.VOCAB_FILE)
            _append(unfinished / initialization.VOCAB_FILE, output.more_pieces)
        os.replace(unfinished, final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return sorted(path.name for path in final.iterdir())


def _write_hugging_face(folder: Path, output: Output) -> None:
    pad = vocabulary(output.vocab_file).get("[PAD]", 0) if output.vocab_file else 0
    huggingface.write_folder(
        folder, output.config, output.variables, do_lower_case=output.do_lower_case, pad_token_id=pad
    )
    for name in TOKENIZER_FILES if output.tokenizer_folder else ():
        if (file := Path(str(output.tokenizer_folder), name)).is_file():
            shutil.copyfile(file, folder / name)


def _write_google(folder: Path, output: Output) -> None:
    """As Google's releases are; with a classifier's or tagger's labels and kind, as fine-tuning here leaves them."""
    try:
        checkpoints.write(os.fspath(folder / CHECKPOINT), output.variables)
    except tf.errors.OpError as error:
        raise OSError(f"Cannot write the checkpoint: {str(error.message).splitlines()[0][:300]}.") from None
    (folder / initialization.CONFIG_FILE).write_text(output.config.bert.to_json_string(), encoding="utf-8")
    config = output.config
    if config.architecture == "BertForTokenClassification":
        TaggingDescription(
            labels=config.labels,
            max_seq_length=min(_MAX_SEQ_LENGTH, config.bert.max_position_embeddings),
            do_lower_case=output.do_lower_case,
        ).save(os.fspath(folder))
    elif config.architecture == "BertForSequenceClassification":
        kind = cast(ProblemType, PROBLEM_TYPES[str(config.problem_type)])
        TaskDescription(
            name="converted",
            problem_type=kind,
            labels=() if kind == "regression" else config.labels,
            max_seq_length=min(_MAX_SEQ_LENGTH, config.bert.max_position_embeddings),
            do_lower_case=output.do_lower_case,
        ).save(os.fspath(folder))


def _copy_vocabulary(source: str, destination: Path) -> None:
    with open(destination, "wb") as file:
        if source.endswith(".json"):
            file.writelines(f"{piece}\n".encode() for piece in pieces_of_tokenizer_json(source))
        else:
            with files.open_bytes(source) as original:
                shutil.copyfileobj(original, file)


def _append(vocab_file: Path, pieces: Sequence[str]) -> None:
    if not pieces:
        return
    content = vocab_file.read_bytes().rstrip(b"\r\n") + b"\n"
    vocab_file.write_bytes(content + "".join(f"{piece}\n" for piece in pieces).encode("utf-8"))
