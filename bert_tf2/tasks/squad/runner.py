"""Question answering: files -> windows -> batches -> model -> answers, scores and files.

Follows google-research/bert `run_squad.py`.
"""

import dataclasses
import functools
import logging
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bert_tf2.io import atomic, run_files
from bert_tf2.io.spilled import SpilledSequence, directory_for_spilling
from bert_tf2.metrics import squad
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.question_answering import SpanModel
from bert_tf2.tasks.finetuning import evaluation_files
from bert_tf2.tasks.finetuning.foundation import find_foundation
from bert_tf2.tasks.finetuning.runner import Finetuning, TrainingData
from bert_tf2.tasks.finetuning.seeds import run_seeds
from bert_tf2.tasks.squad import logits, prediction_files, span_selection
from bert_tf2.tasks.squad.answers import Prediction, with_threshold
from bert_tf2.tasks.squad.config import SquadConfig
from bert_tf2.tasks.squad.data import Questions, Split, encode, open_data
from bert_tf2.tasks.squad.examples import SquadData
from bert_tf2.tasks.squad.task_description import TaskDescription
from bert_tf2.tasks.squad.windows import write_records
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.training.distribution import Workers, make_strategy

__all__ = ["SquadConfig", "run"]

logger = logging.getLogger(__name__)

_RECORDS: Mapping[Split, str] = {"train": run_files.TRAIN_RECORDS, "predict": run_files.EVAL_RECORDS}
_CHARACTERS_AT_ONCE = 1 << 22  # of contexts whose answers are chosen together


def run(config: SquadConfig) -> dict[str, float] | None:
    """Trains, evaluates and predicts as the config says.

    Returns:
      The evaluation's results, with several seeds their means; None where there was none.

    Raises:
      InputError: data, model, checkpoint and flags do not fit together, or the training diverged.
      OSError: something cannot be written.
      Stopped: SIGTERM or Ctrl-C came while it trained; a checkpoint has been written.
    """
    strategy = make_strategy(config.distribution)
    return run_seeds(config, lambda config: _run(config, strategy), Workers.of(strategy).is_chief)


def _run(config: SquadConfig, strategy: tf.distribute.Strategy) -> dict[str, float] | None:
    foundation = find_foundation(config)
    description, read = open_data(config, foundation)
    foundation.check_sequences(description.max_seq_length, segments=2)
    tokenizer = foundation.tokenizer(description.do_lower_case)

    def make_model(skip_padding: bool) -> SpanModel:
        over_padding = config.trains_at_full_length
        return SpanModel(foundation.bert_config, config.recompute, over_padding=over_padding, skip_padding=skip_padding)

    finetuning = Finetuning.create(config, foundation, make_model, strategy, run_files.SQUAD, POOLER_VARIABLES)
    return finetuning.run(_Job(config, description, read, tokenizer, finetuning))


@dataclasses.dataclass
class _Job:
    """A model with its questions on the devices."""

    config: SquadConfig
    description: TaskDescription
    read: Mapping[Split, SquadData]
    tokenizer: Tokenizer
    finetuning: Finetuning
    encoded: dict[Split, Questions] = dataclasses.field(default_factory=dict)
    # The latest answers, and the step of the model.
    known: tuple[Questions, int, SpilledSequence[Prediction]] | None = None
    best_threshold: tuple[float, str] | None = None  # of the latest evaluation, and what tells the weights

    @functools.cached_property
    def outputs(self) -> Any:
        model: Any = self.finetuning.model
        size, with_padding = self.description.max_seq_length, self.config.predicts_at_full_length
        return self.finetuning.compiled(functools.partial(model.outputs, size=size, with_padding=with_padding))

    # --- Training ----------------------------------------------------------------------------------------------------

    def train(self) -> None:
        questions = len(self.read["train"].examples)  # of which there may be more windows; steps are counted by these
        trainer = self.finetuning.trainer(questions)
        windows = self.questions("train").arrays
        if not self.config.do_eval:
            self.finetuning.train(trainer, TrainingData(windows, self.keep))
            return
        names = self._result_names()
        best = "best_f1" if self.description.version_2_with_negative else "f1"
        _ = self.questions("dev")
        data = TrainingData(windows, self.keep, names, self._scores_at, best, epoch=questions)
        self.finetuning.train(trainer, data)

    def keep(self, folder: str) -> None:
        """Writes what a prediction has to know into a model's folder."""
        self.description.save(folder)
        self._keep_threshold(folder)

    def _keep_threshold(self, folder: str) -> None:
        if self.best_threshold:
            prediction_files.write_threshold(os.path.join(folder, prediction_files.THRESHOLD), *self.best_threshold)

    def check(self) -> None:
        """Does all that can go wrong before the first step, and writes nothing."""
        if self.config.do_train:
            atomic.check_writable(self.config.output_dir)
            trainer = self.finetuning.trainer(len(self.read["train"].examples))
            trainer.check(self.finetuning.batches(self.questions("train").arrays))
        else:
            self.finetuning.load(is_trained=False)
        if self.config.do_eval:
            self._result_names()
        for split in self.read:
            self.questions(split)
        logger.info("Dry run: all is well, and nothing was written.")

    def questions(self, split: Split) -> Questions:
        """A file's questions as windows, which are also written as the original's records."""
        data = self.read[split]
        if split == "dev" and data is self.read.get("predict"):
            split = "predict"
        if split not in self.encoded:
            self.encoded[split] = self._encode(split, data)
        return self.encoded[split]

    def _encode(self, split: Split, data: SquadData) -> Questions:
        config = self.config
        path = {"train": config.train_file, "dev": config.evaluated_file, "predict": config.predict_file}[split]
        if self.finetuning.is_chief and not config.dry_run:
            os.makedirs(config.output_dir, exist_ok=True)
        directory = directory_for_spilling(config.output_dir)
        made = encode(data, str(path), self.tokenizer, self.description, split == "train", directory)
        if config.verbose_logging:
            for identity in data.summary.not_found:
                logger.info("Left out of the training, as the answer is not in the context: %s.", identity)
        if self.finetuning.is_chief and not config.dry_run:
            if split in _RECORDS:
                write_records(made.windows, os.path.join(config.output_dir, _RECORDS[split]))
            made.save_summary(os.path.join(config.output_dir, run_files.summary_of(split)))
        return made

    # --- Evaluation and prediction -----------------------------------------------------------------------------------

    def evaluate(self, step: int) -> dict[str, float]:
        folder, is_chief = self.config.output_dir, self.finetuning.is_chief
        unfinished = os.path.join(folder, run_files.EVAL_RESULTS)
        found = {"global_step": step, **self._scores_at(step, unfinished if is_chief else None)}
        if is_chief:
            evaluation_files.report(folder, found, with_events=not self.config.do_train)
            self._keep_threshold(folder)
            logits.discard(unfinished)
        return found

    def predict(self, step: int) -> None:
        folder, is_chief = self.config.output_dir, self.finetuning.is_chief
        unfinished = os.path.join(folder, prediction_files.PREDICTIONS)
        threshold = self._threshold()  # now, for a damaged file is to be known before the work is done
        questions, size = self.questions("predict"), self.config.predict_batch_size
        found = self._predictions(questions, step, size, unfinished if is_chief else None)
        if not is_chief:
            return
        paths = list(map(str, prediction_files.write(folder, found, threshold)))
        paths.append(os.path.join(folder, prediction_files.JSON_LINES))
        decided = (with_threshold(prediction, threshold) for prediction in found)
        prediction_files.write_json_lines(paths[-1], questions.data.examples, decided)
        logits.discard(unfinished)
        logger.info("Predicted %s answers. Wrote %s.", f"{len(found):,}", ", ".join(paths))

    def _threshold(self) -> float:
        """The one that was given, else the one that an evaluation with the same weights has found, else 0."""
        given = self.config.null_score_diff_threshold
        path = os.path.join(self.config.output_dir, prediction_files.THRESHOLD)
        if given is not None or not self.description.version_2_with_negative or not os.path.exists(path):
            return given or 0.0
        found, weights = prediction_files.read_threshold(path)
        if weights != logits.fingerprint(self.finetuning.model):
            logger.info("%s was found with other weights: --null_score_diff_threshold=0.", path)
            return 0.0
        logger.info("--null_score_diff_threshold=%g, as %s says.", found, path)
        return found

    def _result_names(self) -> list[str]:
        """What an evaluation comes to, by name; also checks that the file can be scored at all."""
        gold = self.read["dev"].gold
        nothing = dict.fromkeys(gold, "")
        return list(self._evaluate(nothing, dict.fromkeys(gold, 0.0), nothing))

    def _scores_at(self, step: int, output_file: str | None = None) -> dict[str, float]:
        """Scores of the model as it is, which is at a step."""
        texts, null_odds, best_texts = {}, {}, {}
        for one in self._predictions(self.questions("dev"), step, self.config.eval_batch_size, output_file):
            texts[one.id] = one.answer.text
            best_texts[one.id] = one.best.text if one.best else ""
            if one.null_odds is not None:
                null_odds[one.id] = one.null_odds
        found = self._evaluate(texts, null_odds, best_texts)
        if self.description.version_2_with_negative:
            self.best_threshold = found["best_f1_thresh"], logits.fingerprint(self.finetuning.model)
        return found

    def _evaluate(
        self, texts: Mapping[str, str], null_odds: Mapping[str, float], best_texts: Mapping[str, str]
    ) -> dict[str, float]:
        """See `squad.evaluate`."""
        data, version_2 = self.read["dev"], self.description.version_2_with_negative
        return squad.evaluate(
            data.gold,
            texts,
            version_2_with_negative=version_2,
            language=data.language,
            null_odds=null_odds if version_2 else None,
            best_texts=best_texts if version_2 else None,
        )

    def _predictions(
        self, questions: Questions, step: int, batch_size: int, output_file: str | None
    ) -> SpilledSequence[Prediction]:
        """The answers to all questions; the latest ones are not computed again."""
        if self.known is None or self.known[0] is not questions or self.known[1] != step:
            directory = questions.directory
            scores = logits.compute(self.finetuning, self.outputs, questions.arrays, batch_size, output_file, directory)
            parameters = self.config.answers(self.description.version_2_with_negative)
            found: SpilledSequence[Prediction] = SpilledSequence(directory)
            done = 0
            for part in questions.windows.parts(_CHARACTERS_AT_ONCE):
                found.extend(span_selection.predict(part, *scores.part(done, done + len(part)), parameters))
                done += len(part)
            self.known = questions, step, found
        return self.known[2]
