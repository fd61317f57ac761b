"""Pre-training: masked language model and next sentence; records -> batches -> model -> scores.

Shapes: `B` batch, `S` sequence, `P` predictions. Follows google-research/bert `run_pretraining.py`.
"""

import dataclasses
import functools
import logging
import os

import keras
import numpy as np
import tensorflow as tf

from bert_tf2 import batches, checkpoints, files, masking, modeling, optimization, record_files, records, training
from bert_tf2.config import BertConfig
from bert_tf2.distribution import DistributionConfig, make_strategy
from bert_tf2.errors import InputError
from bert_tf2.fast_instances import Vocabulary
from bert_tf2.instances import InstanceParameters
from bert_tf2.sentencepiece_tokenizer import SentencePieceTokenizer
from bert_tf2.tasks.pretraining_groups import vocabulary_of
from bert_tf2.tasks.pretraining_model import PretrainingModel
from bert_tf2.tokenization import load_vocab

logger = logging.getLogger(__name__)

MASKINGS = ("static", "dynamic")
_MOST_BYTES_COUNTED = 4 * 10**9


@dataclasses.dataclass(frozen=True)
class PretrainingConfig:
    """What `run_pretraining.py` was asked to do; names and defaults are the original's flags.

    Attributes:
      bert_config_file: Google's JSON of the model's sizes.
      input_file: comma-separated record files or globs.
      output_dir: folder of checkpoints, `eval_results.txt` and TensorBoard events.
      init_checkpoint: what to start from where `output_dir` has no checkpoint yet.
      max_seq_length: `S` of the records.
      max_predictions_per_seq: `P` of the records.
      masking: "static", the records are masked; "dynamic", they are not, and are masked anew in each epoch.
      vocab_file: the vocabulary of the records, for dynamic masking; or
      spm_model_file: their SentencePiece model.
      masked_lm_prob: share of the tokens that dynamic masking masks.
      do_whole_word_mask: whether dynamic masking masks all pieces of a word or none.
      use_nsp: whether there is a next-sentence task.
      do_train: whether to train.
      do_eval: whether to evaluate.
      train_batch_size: examples in a step, over all devices.
      eval_batch_size: examples in an evaluation batch, over all devices.
      learning_rate: highest rate of the schedule.
      num_train_steps: steps in all.
      num_warmup_steps: steps of the linear warm-up.
      save_checkpoints_steps: steps between checkpoints.
      iterations_per_loop: most steps in one call of the compiled loop.
      max_eval_steps: batches of an evaluation, records repeated where they do not suffice; 0: each record once.
      log_steps: steps between TensorBoard events.
      seed: what weights, dropout and the order of data follow from.
      distribution: devices.

    Raises:
      InputError: a value is impossible, or nothing is to be done.
    """

    bert_config_file: str
    input_file: str
    output_dir: str
    init_checkpoint: str | None = None
    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masking: str = "static"
    vocab_file: str | None = None
    spm_model_file: str | None = None
    masked_lm_prob: float = 0.15
    do_whole_word_mask: bool = False
    use_nsp: bool = True
    do_train: bool = False
    do_eval: bool = False
    train_batch_size: int = 32
    eval_batch_size: int = 8
    learning_rate: float = 5e-5
    num_train_steps: int = 100_000
    num_warmup_steps: int = 10_000
    save_checkpoints_steps: int = 1000
    iterations_per_loop: int = 1000
    max_eval_steps: int = 100
    log_steps: int = 100
    seed: int = 12345
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def __post_init__(self) -> None:
        if not (self.do_train or self.do_eval):
            raise InputError("Nothing to do: give --do_train, --do_eval or both.")
        least = {"num_train_steps": 0, "num_warmup_steps": 0, "max_eval_steps": 0, "seed": 0}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and value < least.get(field.name, 1):
                raise InputError(f"--{field.name}={value}; it has to be at least {least.get(field.name, 1)}.")
        if not self.learning_rate > 0:
            raise InputError(f"--learning_rate={self.learning_rate}; it has to be above 0.")
        if self.masking not in MASKINGS:
            raise InputError(f"Unknown --masking {self.masking!r}; choose one of {', '.join(MASKINGS)}.")
        if self.masking == "dynamic":
            if (self.vocab_file is None) == (self.spm_model_file is None):
                raise InputError(
                    "--masking=dynamic needs --vocab_file (or --spm_model_file): what the records were made with."
                )
            _ = self.parameters
        elif self.do_whole_word_mask or self.masked_lm_prob != type(self).masked_lm_prob:
            raise InputError(
                "--do_whole_word_mask and --masked_lm_prob have no effect on records that are masked already; leave "
                "them away, or give --masking=dynamic and records made with it."
            )
        if self.do_train and 0 < self.num_train_steps <= self.num_warmup_steps:
            logger.warning(
                "--num_warmup_steps=%d is not below --num_train_steps=%d: the learning rate will only rise and never "
                "reach %g. A tenth of the steps is usual.",
                self.num_warmup_steps,
                self.num_train_steps,
                self.learning_rate,
            )

    @property
    def parameters(self) -> InstanceParameters:
        """What dynamic masking follows."""
        return InstanceParameters(
            max_seq_length=self.max_seq_length,
            max_predictions_per_seq=self.max_predictions_per_seq,
            masked_lm_prob=self.masked_lm_prob,
            do_whole_word_mask=self.do_whole_word_mask,
        )


@dataclasses.dataclass(frozen=True)
class _Data:
    """The records as batches, masked on the way where they are not masked already.

    Attributes:
      config: the flags.
      paths: record files.
      vocabulary: for dynamic masking, else None.
    """

    config: PretrainingConfig
    paths: list[str]
    vocabulary: Vocabulary | None

    @functools.cached_property
    def schema(self) -> records.Schema:
        config = self.config
        return records.pretraining(
            config.max_seq_length,
            config.max_predictions_per_seq,
            masked=config.masking == "static",
            next_sentence=config.use_nsp,
        )

    def training(self, examples_done: int) -> tf.data.Dataset:
        """Endless; goes on after that many examples."""
        config = self.config
        dataset = batches.training(
            self.paths, self.schema.parse, config.train_batch_size, config.seed, examples_done=examples_done
        )
        return self._masked(dataset, config.seed, examples_done)

    def evaluation(self, steps: int | None) -> tf.data.Dataset:
        """See `batches.evaluation`; the masks are the same each time."""
        dataset = batches.evaluation(self.paths, self.schema.parse, self.config.eval_batch_size, steps)
        return self._masked(dataset, masking.EVALUATION_SEED)

    def _masked(self, dataset: tf.data.Dataset, seed: int, examples_done: int = 0) -> tf.data.Dataset:
        if self.vocabulary is None:
            return dataset
        return masking.masked(dataset, self.vocabulary, self.config.parameters, seed, examples_done)


def run(config: PretrainingConfig) -> dict[str, float] | None:
    """Trains and evaluates as the config says.

    Returns:
      The evaluation's results, None where there was none.

    Raises:
      InputError: records, config, checkpoint and flags do not fit together, or the training diverged.
      OSError: something cannot be written.
    """
    bert_config = BertConfig.from_json_file(config.bert_config_file)
    if config.max_seq_length > bert_config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={config.max_seq_length} but {config.bert_config_file} has max_position_embeddings="
            f"{bert_config.max_position_embeddings}; make records with at most that many tokens."
        )
    paths = files.expand(config.input_file, "--input_file")
    data = _Data(config, paths, _vocabulary(config, bert_config))
    record_files.check_lengths(paths, data.schema)
    _log_input(config, paths)

    keras.utils.set_random_seed(config.seed)
    strategy = make_strategy(config.distribution)
    with strategy.scope():
        model = PretrainingModel(bert_config, with_next_sentence=config.use_nsp)
    logger.info("%s", modeling.summary(bert_config, model.named_variables))
    try:
        if config.do_train:
            _train(config, bert_config, model, strategy, data)
        return _evaluate(config, model, strategy, data) if config.do_eval else None
    except tf.errors.DataLossError:
        raise InputError(record_files.locate_damage(paths) or "A record file changed while it was read.") from None
    except tf.errors.InvalidArgumentError as error:
        raise _explained(error, bert_config) from error


def _vocabulary(config: PretrainingConfig, bert_config: BertConfig) -> Vocabulary | None:
    """What dynamic masking has to know about the vocabulary."""
    if config.masking == "static":
        return None
    if config.spm_model_file:
        vocabulary = vocabulary_of(SentencePieceTokenizer(config.spm_model_file))
    else:
        vocabulary = Vocabulary.of(load_vocab(str(config.vocab_file)))
    pieces = vocabulary.is_continuation.size
    if pieces > bert_config.vocab_size:
        raise InputError(
            f"{config.vocab_file or config.spm_model_file} has {pieces:,} pieces, but vocab_size is "
            f"{bert_config.vocab_size:,} in {config.bert_config_file}; give the vocabulary and the config of one model."
        )
    return vocabulary


def _log_input(config: PretrainingConfig, paths: list[str]) -> None:
    """Says how much data there is, and refuses files that are cut short; large data is not read for that."""
    where = f"{len(paths)} file{'s' * (len(paths) > 1)}"
    size = sum(os.path.getsize(path) for path in paths)
    if size > _MOST_BYTES_COUNTED:
        logger.info("Input: %.1f GB in %s.", size / 1e9, where)
        return
    count = record_files.count_records(paths)
    epochs = config.num_train_steps * config.train_batch_size / count
    logger.info("Input: %s records in %s%s.", f"{count:,}", where, f", {epochs:.3g} epochs" if config.do_train else "")


def _train(
    config: PretrainingConfig,
    bert_config: BertConfig,
    model: PretrainingModel,
    strategy: tf.distribute.Strategy,
    data: _Data,
) -> None:
    schedule = optimization.linear_schedule(config.learning_rate, config.num_train_steps, config.num_warmup_steps)
    trainer = training.Trainer.create(
        model,
        schedule,
        strategy,
        training.TrainingConfig(
            output_dir=config.output_dir,
            num_train_steps=config.num_train_steps,
            batch_size=config.train_batch_size,
            save_checkpoints_steps=config.save_checkpoints_steps,
            iterations_per_loop=config.iterations_per_loop,
            log_steps=config.log_steps,
            seed=config.seed,
        ),
    )
    resumed = trainer.resume()
    if resumed:
        logger.info("Resuming from %s, step %d.", resumed, int(trainer.global_step.numpy()))
    elif config.init_checkpoint:
        logger.info("%s", _initialise(model, config.init_checkpoint))
    else:
        logger.info("Starting from random weights (seed %d).", config.seed)
    with files.replacing(os.path.join(config.output_dir, "bert_config.json")) as file:
        file.write(bert_config.to_json_string())
    trainer.train(data.training)


def _initialise(model: PretrainingModel, checkpoint: str) -> checkpoints.LoadReport:
    return checkpoints.load({name: variable.value for name, variable in model.named_variables.items()}, checkpoint)


def _evaluate(
    config: PretrainingConfig,
    model: PretrainingModel,
    strategy: tf.distribute.Strategy,
    data: _Data,
) -> dict[str, float]:
    prefix = checkpoints.latest(config.output_dir)
    step = checkpoints.step_of(prefix) if prefix else 0
    if prefix is None and config.init_checkpoint is None:
        raise InputError(f"--do_eval: {config.output_dir} has no checkpoint; train first, or give --init_checkpoint.")
    if prefix is None:
        logger.info("%s", _initialise(model, str(config.init_checkpoint)))
    elif not config.do_train:  # else the weights are already those of the newest checkpoint
        _initialise(model, prefix)
    logger.info("Evaluating %s.", prefix or config.init_checkpoint)
    steps = config.max_eval_steps or None
    results = training.evaluate(model, strategy, data.evaluation(steps), steps)

    path = os.path.join(config.output_dir, "eval_results.txt")
    text = {"global_step": str(step), **{name: str(np.float32(value)) for name, value in results.items()}}
    lines = [f"{name} = {text[name]}" for name in sorted(text)]
    with files.replacing(path) as file:
        file.writelines(f"{line}\n" for line in lines)
    with tf.summary.create_file_writer(os.path.join(config.output_dir, "eval")).as_default():
        training.write_scalars(step, results)
    logger.info("\n".join(["***** Eval results *****", *(f"  {line}" for line in lines), f"Wrote {path}."]))
    return {"global_step": float(step), **results}


def _explained(error: tf.errors.InvalidArgumentError, config: BertConfig) -> Exception:
    """A sentence for what records can do wrong in the graph; the error itself where it is something else."""
    message = str(error.message)
    if masking.OTHER_VOCABULARY in message:
        return InputError(
            "A record does not begin with the [CLS] of --vocab_file: the records were made with another vocabulary; "
            "give that one."
        )
    if "is not in [0, " in message:
        return InputError(
            "A record holds a number that is out of range for the model (piece ids have to be below vocab_size="
            f"{config.vocab_size}, segment ids below {config.type_vocab_size}): the records were made with another "
            "vocabulary than the one of --bert_config_file."
        )
    if "parse" in message and "example" in message.lower():
        return InputError(
            "A record does not have the features or lengths of the first one of its file "
            f"({message.strip().splitlines()[0][:200]}); make the records again with one --max_seq_length and one "
            "--max_predictions_per_seq."
        )
    return error
