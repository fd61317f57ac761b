"""The data of question answering: files and flags -> description of the task -> windows -> arrays."""

import dataclasses
import functools
import logging
from collections.abc import Mapping

import numpy as np

from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.errors import InputError
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io import atomic, file_kinds, file_system, json_files
from bert_tf2.io.spilled import SpilledArray
from bert_tf2.modeling.question_answering import END_POSITIONS, START_POSITIONS
from bert_tf2.tasks.finetuning.description import Split
from bert_tf2.tasks.squad import examples, tokenized_examples, words
from bert_tf2.tasks.squad.config import SquadConfig
from bert_tf2.tasks.squad.examples import SquadData
from bert_tf2.tasks.squad.task_description import TaskDescription
from bert_tf2.tasks.squad.windows import Windows, make_windows
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

logger = logging.getLogger(__name__)

_WINDOWS_PER_BLOCK = 2048  # whose padding is in memory at once


@dataclasses.dataclass(frozen=True)
class Questions:
    """A file's questions as model inputs.

    Attributes:
      path: the path of the file.
      data: the questions that were read from it.
      windows: in the order of `data.examples`; for training, in that of `examples.training_order`.
      directory: the directory for data that exceeds memory, see `spilled`.
    """

    path: str
    data: SquadData
    windows: Windows
    directory: str | None = None

    @functools.cached_property
    def arrays(self) -> ExampleArrays:
        """The windows without their padding."""
        windows = self.windows
        tokens = {name: SpilledArray((), np.int32, self.directory) for name in ("input_ids", "segment_ids")}
        for first in range(0, len(windows), _WINDOWS_PER_BLOCK):
            block = windows.columns(first, min(first + _WINDOWS_PER_BLOCK, len(windows)))
            is_token = block["input_mask"] > 0
            for name, values in tokens.items():
                values.append(block[name][is_token])
        columns = {}
        if windows.training:
            columns = dict(
                zip((START_POSITIONS, END_POSITIONS), windows.answer_positions.T.astype(np.int32), strict=True)
            )
        return ExampleArrays(
            row_splits=np.concatenate([[0], np.cumsum(windows.lengths)]),
            tokens={name: values.finish() for name, values in tokens.items()},
            columns=columns,
            max_length=windows.parameters.max_seq_length,
        )

    def save_summary(self, path: str) -> None:
        """Writes statistics of what was read, left out, truncated and created, as JSON.

        Raises:
          OSError: it cannot be written.
        """
        summary = {
            "file": self.path,
            "language": self.data.language,
            "read": dataclasses.asdict(self.data.summary),
            "windows": dataclasses.asdict(self.windows.summary),
        }
        with atomic.replacing(path) as file:
            file.write(json_files.line(summary, indent=1))


def open_data(config: SquadConfig, foundation: Pretrained) -> tuple[TaskDescription, dict[Split, SquadData]]:
    """Reads the files named by the flags.

    Settings of omitted flags are those of the model in `output_dir`; else, without training, those of the model of
    `init_checkpoint`; else the original's defaults. A file that is both evaluated and predicted is read once.

    Returns:
      The description of the task, and the questions of each file that the command needs.

    Raises:
      InputError: a file cannot be read, or the flags do not fit the model in `output_dir`.
    """
    saved, model_dir = TaskDescription.of_model(config)
    description = _describe(config, foundation, saved)
    read: dict[Split, SquadData] = {}
    paths = files_of(config)
    is_requested: Mapping[Split, bool] = {"train": config.do_train, "dev": config.do_eval, "test": config.do_predict}
    splits = [split for split, requested in is_requested.items() if requested]
    kinds = (file_kinds.kind_of(str(paths[split])) for split in splits)
    config.check_form(kinds, ("csv", "tsv"), "is for .csv and .tsv files, and others must be UTF-8; omit it")
    for split in splits:
        path = str(paths[split])
        if split == "test" and "dev" in read and file_system.realpath(path) == file_system.realpath(str(paths["dev"])):
            read[split] = read["dev"]
            continue
        read[split] = examples.read(
            path,
            training=split == "train",
            version_2_with_negative=description.version_2_with_negative,
            language=description.language,
            options=foundation.vocabulary.options,
            form=config.form,
        )
        description = dataclasses.replace(description, language=read[split].language)
        if config.language is None and saved is None:
            _warn_if_chinese(path, read[split])
    if "dev" in read:
        _ = read["dev"].gold  # reports missing answers before training starts
    if saved:
        names = ("do_lower_case", "version_2_with_negative", "language") if config.do_train else ("do_lower_case",)
        description.check_same_model(saved, model_dir, names)
    return description, read


def files_of(config: SquadConfig) -> dict[Split, str | None]:
    """The path of the file of each split; None if it is not set."""
    return {"train": config.train_file, "dev": config.evaluated_file, "test": config.predict_file}


def encode(
    data: SquadData,
    path: str,
    tokenizer: Tokenizer,
    description: TaskDescription,
    training: bool = False,
    directory: str | None = None,
) -> Questions:
    """Splits questions into windows.

    Args:
      data: the questions, read for training if `training` is set.
      path: the path of their file.
      tokenizer: the tokenizer of the model.
      description: the description of the task, which has the sizes of windows.
      training: whether to train with the questions.
      directory: the directory for data that exceeds memory, see `spilled`.

    Raises:
      InputError: the tokenizer is not a WordPiece tokenizer, or no window is left to train with.
    """
    if not isinstance(tokenizer, FastTokenizer):
        raise InputError(
            "The model has a SentencePiece vocabulary, but question answering needs a WordPiece tokenizer; give a "
            "model with a vocab.txt."
        )
    ordered = examples.training_order(data.examples) if training else data.examples
    tokens = tokenized_examples.tokenize(ordered, tokenizer, directory=directory)
    windows = make_windows(tokens, description.windows, training)
    if training and not len(windows):
        raise InputError(f"{path}: no context has any text to learn from.")
    return Questions(path, data, windows, directory)


def _describe(config: SquadConfig, foundation: Pretrained, saved: TaskDescription | None) -> TaskDescription:
    fields = TaskDescription.remembered(config, foundation, saved)
    if saved and config.language == "auto":
        fields["language"] = saved.language  # so that training and prediction split contexts into the same words
    return TaskDescription(**fields)


def _warn_if_chinese(path: str, data: SquadData) -> None:
    contexts = {id(example.paragraph): example.paragraph.text for example in data.examples}
    if words.detect_language(contexts.values()) == "zh":
        logger.warning(
            "The contexts of %s look Chinese, where words are not separated by whitespace: give --language=zh, or "
            "answers will be whole sentences.",
            path,
        )
