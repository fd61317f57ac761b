"""The interface of a fine-tuning task. `runner` does everything else and calls the task, never vice versa.

    class SentimentTask(FinetuningTask[Config, EncodedExamples, Arrays]): ...

    runner.run(SentimentTask, config)

`docs/own_task.md` has a complete example. The calls in order: the constructor reads the files; `encode` turns the
examples of each split into features; `make_model` creates the model; `outputs` computes its outputs batch by batch,
`gather` collects them, and `score` turns them into numbers. Methods whose names begin with `write` write files.
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


CreateCompanion = Callable[[Pretrained, Callable[[bool], Task]], "Finetuning"]
"""Creates another model on the devices of a run, see `loop.Finetuning.create_companion`."""


class Encoded(Protocol):
    """Examples as model inputs, with further data that the task needs."""

    @property
    def arrays(self) -> ExampleArrays:
        """The examples to be batched."""


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
        """Encodes texts or text pairs in BERT's form, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.

        Args:
          tokenizer: the model's tokenizer.
          max_seq_length: maximum tokens per example; longer ones are truncated, the longer text of a pair first.
          texts: the `N` texts.
          pairs: the second text of each example; None: there are none.
          **columns: further inputs of the model, `[N, ...]`, such as labels.
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
      details: further data for `FinetuningTask.write_evaluation`.
    """

    results: Results
    details: Any = None


Config = TypeVar("Config", bound=FinetuningConfig)
EncodedT = TypeVar("EncodedT", bound=Encoded)
GatheredT = TypeVar("GatheredT")


class FinetuningTask(abc.ABC, Generic[Config, EncodedT, GatheredT]):
    """A task and its data, as set by the flags; the module's docstring has the order of the calls.

    In all methods, `encoded` is the result of `encode`, and `gathered` that of `gather` for the same examples.

    Attributes:
      files: the files that the task writes into `output_dir`.
      dispensable: names of variables that evaluation and prediction do not need.
      head: the kind of head that the model's `output_weights` belong to: `classifier`, `tagger`, `multiple_choice`, or
        None for any other. A head of another of these kinds is not loaded from `--init_checkpoint`.
      prediction_file: name of the prediction file next to which `gather` saves outputs while they are computed, see
        `OutputBatches.output_file`; None: it does not save them.
      scores_are_percentages: whether scores such as F1 are between 0 and 100 instead of 0 and 1.
      segments: number of segments per sequence.
      config: the flags.
      foundation: model config, vocabulary and case.
      description: the content of `task.json`.
      tokenizer: the model's tokenizer; set before `encode` is called.
      model: the result of `make_model`; set before `outputs` is called.
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
        """Stores the arguments; a task's constructor also reads the files of the flags and creates `description`.

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
        """Encodes the examples of a split as model inputs; writes nothing.

        Raises:
          InputError: they do not fit the model.
        """

    def complete_training(self, encoded: EncodedT, create_companion: CreateCompanion) -> EncodedT:
        """Adds the outputs of another model, a teacher, to the training examples; by default returns them unchanged.

        Called once, after all data has been checked. A dry run must not compute anything slow here.

        Args:
          encoded: the result of `encode("train")`.
          create_companion: creates the other model.

        Raises:
          InputError: the other model cannot be used.
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

    def save_assets(self, directory: str) -> None:
        """Writes the files that later evaluations and predictions need into a model's directory."""
        self.description.save(directory)

    # --- Evaluation and prediction -----------------------------------------------------------------------------------

    @abc.abstractmethod
    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the model's outputs for a batch, each `[B, ...]`, by name; traced once."""

    @abc.abstractmethod
    def gather(self, encoded: EncodedT, outputs: OutputBatches) -> GatheredT:
        """Collects the model's outputs for all examples, for `score` and other methods; often `outputs.in_order()`."""

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
    def score(self, encoded: EncodedT, gathered: GatheredT) -> Evaluation:
        """Scores the model's outputs."""

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """Writes results of an evaluation other than `eval_results.txt`; by default nothing."""

    def evaluation_rows(self, encoded: EncodedT, gathered: GatheredT) -> Iterable[Mapping[str, Any]] | None:
        """The rows of `eval_predictions.jsonl` and `.csv`, in the order of the evaluated file; see `write_rows`.

        By default None: the files are not written.
        """

    def score_intervals(self, encoded: EncodedT, gathered: GatheredT) -> Mapping[str, tuple[float, float]]:
        """95 % intervals for `report.html`: lower and upper bound by name of the result; by default none."""
        return {}

    def report_sections(self, encoded: EncodedT, gathered: GatheredT, evaluation: Evaluation) -> Sequence[Section]:
        """The sections of `report.html` specific to the task, between learning curves and lengths."""
        return ()

    def length_section(self, encoded: EncodedT, gathered: GatheredT) -> Section | None:
        """The section of `report.html` about lengths; by default None: the lengths of the model's inputs."""

    def before_prediction(self) -> None:
        """Reads and checks what a prediction needs, before it starts; by default nothing."""

    @abc.abstractmethod
    def write_predictions(self, encoded: EncodedT, gathered: GatheredT) -> tuple[str, list[str]]:
        """Writes the files of a prediction.

        Returns:
          What was predicted, for the log ("1,000 rows"), and the paths.
        """
