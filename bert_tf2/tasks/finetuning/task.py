"""The interface of a fine-tuning task. `runner` does everything else and calls the task, never vice versa.

    class SentimentTask(FinetuningTask[Config, EncodedExamples, Arrays]): ...

    runner.run(SentimentTask, config)

`docs/own_task.md` has one from nothing. The order of the calls: the constructor reads the files; `encode` makes
features of each; `make_model`; then, batch by batch, `outputs` of the model, which `gather` puts together and `score`
turns into numbers; what is to be written is written by the methods that begin with `write`.
"""

import abc
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io import run_files
from bert_tf2.io.spilled import directory_for_spilling
from bert_tf2.modeling.task_model import Batch, Task
from bert_tf2.reports.page import Section
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.description import Description, Split
from bert_tf2.tasks.finetuning.evaluation_hook import Results
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.sequences import CLS, SEP, join_rows, ranges

if TYPE_CHECKING:
    from bert_tf2.tasks.finetuning.loop import Finetuning

__all__ = ["EncodedExamples", "Evaluation", "FinetuningTask", "Split"]


Beside = Callable[[Pretrained, Callable[[bool], Task]], "Finetuning"]
"""Creates another model on the devices of a run, see `loop.Finetuning.beside`."""


class Encoded(Protocol):
    """Examples as model inputs, with further data that the task needs."""

    @property
    def arrays(self) -> ExampleArrays:
        """What becomes batches."""


@dataclasses.dataclass(frozen=True)
class EncodedExamples:
    """`Encoded` for tasks that need nothing else.

    Attributes:
      arrays: see `Encoded`.
    """

    arrays: ExampleArrays

    @classmethod
    def of_texts(
        cls,
        tokenizer: Tokenizer,
        max_seq_length: int,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        **columns: NDArray[Any],
    ) -> Self:
        """Texts or pairs in BERT's form, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.

        Args:
          tokenizer: of the model.
          max_seq_length: tokens of an example at most; longer ones are truncated, the longer text of a pair first.
          texts: N of them.
          pairs: the second texts.
          **columns: what else the model takes of each example, [N, ...]: labels.
        """
        second = None if pairs is None else tokenizer.encode_batch(pairs)
        special = tokenizer.vocab[CLS], tokenizer.vocab[SEP]
        rows = join_rows(tokenizer.encode_batch(texts), second, max_seq_length, *special)
        lengths = np.diff(rows.input_ids.row_splits)
        segment_ids = (ranges(0, lengths) >= np.repeat(rows.first_lengths, lengths)).astype(np.int32)
        tokens = {"input_ids": rows.input_ids.values, "segment_ids": segment_ids}
        return cls(ExampleArrays(rows.input_ids.row_splits, tokens, columns, max_seq_length))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
      results: by `FinetuningTask.result_names`, for `eval_results.txt` and the choice of the best weights.
      details: what `FinetuningTask.write_evaluation` needs beside.
    """

    results: Results
    details: Any = None


Config = TypeVar("Config", bound=FinetuningConfig)
EncodedT = TypeVar("EncodedT", bound=Encoded)
FoundT = TypeVar("FoundT")


class FinetuningTask(abc.ABC, Generic[Config, EncodedT, FoundT]):
    """A task with its data, given by the flags; see the module.

    Attributes:
      files: what it writes into `output_dir`.
      dispensable: names of variables that evaluation and prediction do without.
      head: what `output_weights` is in the model, if it is a `classifier`, `tagger` or `multiple_choice`; the head of
        another of these is not taken from `--init_checkpoint`.
      prediction_file: the name of a file of predictions beside which outputs are kept while they are computed, if
        `gather` does that; see `OutputBatches.output_file`.
      scores_are_percentages: whether scores such as F1 are between 0 and 100 instead of 0 and 1.
      segments: how many segments a sequence has.
      config: the flags.
      foundation: model config, vocabulary and case.
      description: what `task.json` remembers.
      tokenizer: of the model; there from `encode` on.
      model: what `make_model` made; there from `outputs` on.
    """

    files: ClassVar[run_files.Files]
    dispensable: ClassVar[Collection[str]] = ()
    head: ClassVar[str | None] = None
    prediction_file: ClassVar[str | None] = None
    scores_are_percentages: ClassVar[bool] = False

    segments: int = 1
    description: Description
    tokenizer: Tokenizer
    model: Any

    def __init__(self, config: Config, foundation: Pretrained) -> None:
        """A task's constructor reads the given files and creates `description`.

        Raises:
          InputError: a file cannot be read, or does not fit the flags or the model of `output_dir`.
        """
        self.config, self.foundation = config, foundation

    @property
    def directory(self) -> str | None:
        """The directory for data that exceeds memory, see `spilled`."""
        return directory_for_spilling(self.config.output_dir)

    # --- Data and model ----------------------------------------------------------------------------------------------

    @property
    def train_count(self) -> int | None:
        """The number of examples per epoch; None: that of the encoded training data."""
        return None

    @abc.abstractmethod
    def encode(self, split: Split) -> EncodedT:
        """The examples of a file as model inputs. Writes nothing.

        Raises:
          InputError: they do not fit the model.
        """

    def complete_training(self, encoded: EncodedT, beside: Beside) -> EncodedT:
        """Adds the outputs of another model, a teacher, to the training examples; by default returns them unchanged.

        Called once, after all data has been checked. A dry run must not compute anything slow here.

        Args:
          encoded: the result of `encode("train")`.
          beside: creates the other model.

        Raises:
          InputError: that model cannot be used.
        """
        return encoded

    def write_encoded(self, split: Split, encoded: EncodedT) -> None:
        """Writes files about the encoded examples into `output_dir`; by default nothing."""

    @abc.abstractmethod
    def make_model(self, skip_padding: bool) -> Task:
        """Creates a model.

        Args:
          skip_padding: see `encoder.BertModel.call`.
        """

    def keep(self, folder: str) -> None:
        """Writes what later evaluations and predictions need into a model's directory."""
        self.description.save(folder)

    # --- Evaluation and prediction -----------------------------------------------------------------------------------

    @abc.abstractmethod
    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The required outputs of the model for a batch, each `[B, ...]`; traced once."""

    @abc.abstractmethod
    def gather(self, encoded: EncodedT, outputs: OutputBatches) -> FoundT:
        """The model's outputs for the examples, for `score` and `write_predictions`; often `outputs.in_order()`."""

    @property
    @abc.abstractmethod
    def best_metric(self) -> str:
        """The task's default for `--metric_for_best`."""

    @abc.abstractmethod
    def result_names(self) -> Sequence[str]:
        """The names of the results of an evaluation.

        Raises:
          InputError: the file cannot be evaluated.
        """

    @abc.abstractmethod
    def score(self, encoded: EncodedT, found: FoundT) -> Evaluation:
        """Scores the model's outputs."""

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """Writes results of an evaluation other than `eval_results.txt`; by default nothing."""

    def evaluation_rows(self, encoded: EncodedT, found: FoundT) -> Iterable[Mapping[str, Any]] | None:
        """The rows of `eval_predictions.jsonl` and `.csv`, in the order of the file; see `write_rows`.

        By default None: the files are not written.
        """

    def score_intervals(self, encoded: EncodedT, found: FoundT) -> Mapping[str, tuple[float, float]]:
        """95 % intervals for `report.html`: low and high by names of results; by default none."""
        return {}

    def report_sections(self, encoded: EncodedT, found: FoundT, evaluation: Evaluation) -> Sequence[Section]:
        """The sections of `report.html` specific to the task, between learning curves and lengths."""
        return ()

    def length_section(self, encoded: EncodedT, found: FoundT) -> Section | None:
        """The section of `report.html` about lengths; by default None: the lengths of the model's inputs."""

    def before_prediction(self) -> None:
        """Reads and checks what a prediction needs, before it starts; by default nothing."""

    @abc.abstractmethod
    def write_predictions(self, encoded: EncodedT, found: FoundT) -> tuple[str, list[str]]:
        """Writes the files of a prediction.

        Returns:
          What was predicted, for the log ("1,000 rows"), and the paths.
        """
