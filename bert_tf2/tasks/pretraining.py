"""Pre-training: masked language model and next sentence; records -> batches -> model -> scores.

Shapes: `B` batch, `S` sequence, `P` predictions. Follows google-research/bert `run_pretraining.py`.
"""

import dataclasses
import functools
import logging
import os
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from bert_tf2 import batches, checkpoints, files, heads, modeling, optimization, records, training
from bert_tf2.config import BertConfig
from bert_tf2.distribution import DistributionConfig, make_strategy
from bert_tf2.errors import InputError

logger = logging.getLogger(__name__)

# The original divides the masked-LM loss by the sum of the weights plus this.
_MASKED_LM_WEIGHT_EPSILON = 1e-5
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
        if self.do_train and 0 < self.num_train_steps <= self.num_warmup_steps:
            logger.warning(
                "--num_warmup_steps=%d is not below --num_train_steps=%d: the learning rate will only rise and never "
                "reach %g. A tenth of the steps is usual.",
                self.num_warmup_steps,
                self.num_train_steps,
                self.learning_rate,
            )


class PretrainingModel:
    """The encoder with both heads, and their losses: a `training.Task`.

    Args:
      config: the encoder's sizes.
    """

    metric_names = ("masked_lm_loss", "masked_lm_accuracy", "next_sentence_loss", "next_sentence_accuracy")

    def __init__(self, config: BertConfig) -> None:
        self.bert = modeling.BertModel(config)
        self.masked_lm = heads.MaskedLMHead(config)
        self.next_sentence = heads.NextSentenceHead(config)

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names."""
        return {
            **self.bert.named_variables(),
            **self.masked_lm.named_variables(),
            **self.next_sentence.named_variables(),
        }

    def logits(self, batch: training.Batch, dropout_seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores of a batch with the features of `records.pretraining`.

        Returns:
          Masked-LM scores float32 `[B*P, V]` and next-sentence scores float32 `[B, 2]`.
        """
        outputs = self.bert(
            batch["input_ids"],
            batch["input_mask"],
            batch["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
        )
        table = tf.convert_to_tensor(self.bert.embedding_table)
        masked_lm = self.masked_lm(outputs.sequence_output, batch["masked_lm_positions"], table)
        return masked_lm, self.next_sentence(outputs.pooled_output)

    def loss_weights(self, batch: training.Batch) -> dict[str, tf.Tensor]:
        """Sum of the prediction weights, and number of examples."""
        return {
            "masked_lm": tf.reduce_sum(batch["masked_lm_weights"]),
            "next_sentence": tf.reduce_sum(_example_weights(batch)),
        }

    def loss(
        self, batch: training.Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, training.Weighted]]:
        """Masked-LM loss plus next-sentence loss; see `training.Task.loss`."""
        masked_lm_logits, next_sentence_logits = self.logits(batch, dropout_seed)
        masked_ids = tf.reshape(batch["masked_lm_ids"], [-1])  # [B*P]
        masked_weights = tf.reshape(batch["masked_lm_weights"], [-1])  # [B*P]
        next_labels = tf.reshape(batch["next_sentence_labels"], [-1])  # [B]
        example_weights = _example_weights(batch)  # [B]

        masked_lm = tf.reduce_sum(heads.cross_entropy(masked_lm_logits, masked_ids) * masked_weights)
        next_sentence = tf.reduce_sum(heads.cross_entropy(next_sentence_logits, next_labels) * example_weights)
        loss = masked_lm / (loss_weights["masked_lm"] + _MASKED_LM_WEIGHT_EPSILON)
        loss += next_sentence / loss_weights["next_sentence"]

        masked_right = tf.reduce_sum(heads.correct(masked_lm_logits, masked_ids) * masked_weights)
        next_right = tf.reduce_sum(heads.correct(next_sentence_logits, next_labels) * example_weights)
        masked_weight, examples = tf.reduce_sum(masked_weights), tf.reduce_sum(example_weights)
        return loss, {
            "masked_lm_loss": (masked_lm, masked_weight),
            "masked_lm_accuracy": (masked_right, masked_weight),
            "next_sentence_loss": (next_sentence, examples),
            "next_sentence_accuracy": (next_right, examples),
        }


def _example_weights(batch: training.Batch) -> tf.Tensor:
    """1 for a real example, 0 for a row that fills up a batch: float32 `[B]`."""
    if batches.EXAMPLE_WEIGHTS in batch:
        return batch[batches.EXAMPLE_WEIGHTS]
    return tf.ones(tf.shape(batch["input_ids"])[:1])


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
    schema = records.pretraining(config.max_seq_length, config.max_predictions_per_seq)
    paths = files.expand(config.input_file, "--input_file")
    records.check_lengths(paths, schema)
    _log_input(config, paths)

    keras.utils.set_random_seed(config.seed)
    strategy = make_strategy(config.distribution)
    with strategy.scope():
        model = PretrainingModel(bert_config)
    logger.info("%s", modeling.summary(bert_config, model.named_variables))
    try:
        if config.do_train:
            _train(config, bert_config, model, strategy, paths, schema)
        return _evaluate(config, model, strategy, paths, schema) if config.do_eval else None
    except tf.errors.DataLossError:
        raise InputError(records.locate_damage(paths) or "A record file changed while it was read.") from None
    except tf.errors.InvalidArgumentError as error:
        raise _explained(error, bert_config) from error


def _log_input(config: PretrainingConfig, paths: list[str]) -> None:
    """Says how much data there is, and refuses files that are cut short; large data is not read for that."""
    where = f"{len(paths)} file{'s' * (len(paths) > 1)}"
    size = sum(os.path.getsize(path) for path in paths)
    if size > _MOST_BYTES_COUNTED:
        logger.info("Input: %.1f GB in %s.", size / 1e9, where)
        return
    count = records.count_records(paths)
    epochs = config.num_train_steps * config.train_batch_size / count
    logger.info("Input: %s records in %s%s.", f"{count:,}", where, f", {epochs:.3g} epochs" if config.do_train else "")


def _train(
    config: PretrainingConfig,
    bert_config: BertConfig,
    model: PretrainingModel,
    strategy: tf.distribute.Strategy,
    paths: list[str],
    schema: records.Schema,
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
    trainer.train(
        lambda done: batches.training(paths, schema.parse, config.train_batch_size, config.seed, examples_done=done)
    )


def _initialise(model: PretrainingModel, checkpoint: str) -> checkpoints.LoadReport:
    return checkpoints.load({name: variable.value for name, variable in model.named_variables.items()}, checkpoint)


def _evaluate(
    config: PretrainingConfig,
    model: PretrainingModel,
    strategy: tf.distribute.Strategy,
    paths: list[str],
    schema: records.Schema,
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
    dataset = batches.evaluation(paths, schema.parse, config.eval_batch_size, steps)
    results = training.evaluate(model, strategy, dataset, steps)

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
