"""The files that each script writes into a directory, named once; no TensorFlow.

Writers take their names from here, `--overwrite_output_dir` removes what is listed here, and the tables of
docs/data_formats.md are made from these. To add an output, add its name and a row in the table of its script; tests
find files that are in no table.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bert_tf2.errors import inflected
from bert_tf2.io import file_system

logger = logging.getLogger(__name__)

Stage = Literal["any", "training", "evaluation", "prediction"]

# Files of a model, which later runs need.
CHECKPOINT_LIST, CHECKPOINT_PREFIX = "checkpoint", "model.ckpt"
BERT_CONFIG, VOCABULARY, SENTENCEPIECE_MODEL = "bert_config.json", "vocab.txt", "spm.model"
TASK, LABELS, BEST, BEST_SCORE = "task.json", "labels.txt", "best", "score.json"
NULL_THRESHOLD = "null_score_diff_threshold.json"
# Files of a run.
LOCK, RUNS, EVAL_EVENTS, PROFILE, RECORD_INDEX = ".lock", "runs", "eval", "plugins", "record_index.json"
EVAL_RESULTS, EVAL_HISTORY, SEED_RESULTS, SEED_PREFIX = (
    "eval_results.txt",
    "eval_history.jsonl",
    "seed_results.json",
    "seed-",
)
FINISHED, SEARCH_RUNS, SEARCH_RESULTS, SEARCH_TABLE, SEARCH_REPORT = (
    "finished.json",
    "search",
    "search_results.json",
    "search_results.csv",
    "search.html",
)
TRACKING, WANDB, MLFLOW = "tracking.json", "wandb", "mlflow.db"
TRAIN_RECORDS, EVAL_RECORDS, PREDICT_RECORDS = "train.tf_record", "eval.tf_record", "predict.tf_record"
FILLED_MASKS, PREDICTION_LINES, PREDICTION_TABLE = "fill_mask.jsonl", "predictions.jsonl", "predictions.csv"
REPORT, EVAL_PREDICTION_LINES, EVAL_PREDICTION_TABLE = "report.html", "eval_predictions.jsonl", "eval_predictions.csv"
VALIDATION_SPLIT, TEACHER_LOGITS = "validation_split.json", "teacher_logits"
TEST_RESULTS, LABEL_REPORT, LABEL_PICTURE = "test_results.tsv", "label_report.json", "label_report.png"
PREDICTIONS, N_BEST, NULL_ODDS = "predictions.json", "nbest_predictions.json", "null_odds.json"
TAGGED, TAGGED_SPANS, SPAN_REPORT = "predictions.txt", "predicted_spans.jsonl", "span_report.json"
# Files of inspections.
ATTENTION_PAGE, ATTENTION_ARRAYS, INSPECTED, SCORES = (
    "attention.html",
    "attention.npz",
    "inspection.jsonl",
    "scores.jsonl",
)
# Files of records, conversions and exports.
DATA_SUMMARY = "summary.json"
CONVERTED_PREFIX, HF_CONFIG, HF_WEIGHTS = "bert_model.ckpt", "config.json", "model.safetensors"
HF_TOKENIZER, HF_TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
HF_ADDED_TOKENS, HF_SPECIAL_TOKENS = "added_tokens.json", "special_tokens_map.json"
SETTINGS, ONNX_MODEL, ONNX_INT8_MODEL = "settings.json", "model.onnx", "model.int8.onnx"


@dataclass(frozen=True)
class RunFile:
    """Files that a script writes.

    Attributes:
      names: names or glob patterns within the directory; those of directories end in a slash.
      what: a description for docs/data_formats.md.
      stage: the stage of a run that writes them.
      is_of_run: whether they are the results of a run, which `--overwrite_output_dir` removes.
    """

    names: tuple[str, ...]
    what: str
    stage: Stage = "any"
    is_of_run: bool = True

    @property
    def patterns(self) -> list[str]:
        """Glob patterns that match the files in their directory, also while they are unfinished."""
        names = [name.rstrip("/") for name in self.names]
        return [*names, *(f".{name}.unfinished*" for name in names)]


def summary_of(split: str) -> str:
    """The name of the summary that `run_squad.py` writes for a split: "train", "dev" or "predict"."""
    return f"{split}_summary.json"


def summary_of_records(path: str) -> str:
    """The path of the summary of a record file that `create_pretraining_data.py --output_file` names."""
    return f"{path}.{DATA_SUMMARY}"


Files = tuple[RunFile, ...]

_TRAINING: Files = (
    # The list is removed before the checkpoints that it names.
    RunFile(
        (CHECKPOINT_LIST, f"{CHECKPOINT_PREFIX}-*"),
        "the five latest checkpoints, weights and optimizer under Google's names",
        "training",
    ),
    RunFile((BERT_CONFIG,), "the model config", "training"),
    RunFile(
        (f"{RUNS}/",),
        "command, flags and versions of each run; `--config=model/runs/….json` runs it again",
        "training",
    ),
    RunFile(
        ("events.out.tfevents.*", f"{EVAL_EVENTS}/"),
        "losses, accuracies, learning rate, gradient norm, examples per second for TensorBoard",
    ),
    RunFile(
        (TRACKING, f"{WANDB}/", MLFLOW),
        "with `--report_to`, the ids of the runs in Weights & Biases and MLflow, and these runs",
        "training",
    ),
    RunFile((f"{PROFILE}/",), "the profile of `--profile_steps` for TensorBoard", "training"),
    RunFile((LOCK,), "says which process trains there", "training", is_of_run=False),
)

PRETRAINING: Files = (
    *_TRAINING,
    RunFile(
        (VOCABULARY, SENTENCEPIECE_MODEL, HF_TOKENIZER_CONFIG),
        "the vocabulary of the records, and how text becomes words, if not as in the original",
        "training",
    ),
    RunFile((EVAL_RESULTS,), "`global_step`, `loss`, accuracies and losses of both tasks, `perplexity`", "evaluation"),
    RunFile((RECORD_INDEX,), "how many records each file has, so that the next run starts sooner", "training"),
    RunFile((FILLED_MASKS,), "the top predictions for each `[MASK]`", "prediction"),
)
"""The files of `run_pretraining.py`, in `--output_dir`."""

FINETUNING: Files = (
    *_TRAINING,
    RunFile(
        (f"{BEST}/",),
        "the weights with the best score on the dev data; itself an `--init_checkpoint`",
        "training",
    ),
    RunFile((TASK, LABELS, VOCABULARY, SENTENCEPIECE_MODEL), "what prediction needs to know", "training"),
    RunFile((HF_TOKENIZER_CONFIG,), "how text becomes words, if not as in the original", "training"),
    RunFile((SEED_RESULTS,), "with `--seeds`, the scores of each, their means and standard deviations", "evaluation"),
    RunFile((f"{SEED_PREFIX}*/",), "with `--seeds`, the run of each", is_of_run=False),
    RunFile(
        (SEARCH_RESULTS, SEARCH_TABLE, SEARCH_REPORT),
        "with `--search`, the settings and scores of every run, the best one first in the table and in the page",
        "training",
    ),
    RunFile((f"{SEARCH_RUNS}/",), "with `--search`, a directory for each run", is_of_run=False),
    RunFile((FINISHED,), "in the run of a seed or of a search, its flags and scores once it is complete", "training"),
    RunFile((BEST_SCORE,), "in `best/`, the step and the score of its weights", "training"),
    RunFile((REPORT,), "a page with scores, learning curves, confusions and the worst errors", "evaluation"),
    RunFile(
        (EVAL_PREDICTION_LINES, EVAL_PREDICTION_TABLE),
        "true label, prediction and loss of each evaluated row",
        "evaluation",
    ),
)
"""The files of every fine-tuning task, in `--output_dir`; each task adds its own."""

GLUE_SUBMISSIONS = (
    *("CoLA.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "MRPC.tsv", "QNLI.tsv", "QQP.tsv", "RTE.tsv", "SST-2.tsv", "STS-B.tsv"),
    *("WNLI.tsv", "AX.tsv"),
)

CLASSIFICATION: Files = (
    *FINETUNING,
    RunFile((VALIDATION_SPLIT,), "with `--validation_split`, which rows of the training file are held out", "training"),
    RunFile(
        (f"{TEACHER_LOGITS}/",),
        "with `--teacher`, its logits for the rows; `--overwrite_output_dir` keeps them",
        "training",
        is_of_run=False,
    ),
    RunFile((EVAL_RESULTS, EVAL_HISTORY), "scores and their history", "evaluation"),
    RunFile((LABEL_REPORT, LABEL_PICTURE), "precision, recall and F1 of each label", "evaluation"),
    RunFile(
        (PREDICTION_LINES, PREDICTION_TABLE, TEST_RESULTS), "text, label and probabilities of each row", "prediction"
    ),
    RunFile(GLUE_SUBMISSIONS, "predictions for GLUE's server", "prediction"),
    RunFile((TRAIN_RECORDS, EVAL_RECORDS, PREDICT_RECORDS), "the rows as records, as the original writes them"),
)
"""The files of `run_classifier.py`, in `--output_dir`."""

SQUAD: Files = (
    *FINETUNING,
    RunFile(
        (EVAL_RESULTS, EVAL_HISTORY),
        "exact match and F1 as the official scripts count them, and their history",
        "evaluation",
    ),
    RunFile((PREDICTIONS, N_BEST, NULL_ODDS), "as the original writes them", "prediction"),
    RunFile((PREDICTION_LINES, PREDICTION_TABLE), "answers with probability and place in the context", "prediction"),
    RunFile(
        (NULL_THRESHOLD,),
        'by how much "no answer" must score higher, as found by `--do_eval`; predictions use it',
        "evaluation",
    ),
    RunFile(
        tuple(map(summary_of, ("train", "dev", "predict"))),
        "questions, windows, answers not found, truncated questions",
    ),
    RunFile((TRAIN_RECORDS, EVAL_RECORDS), "the windows as records, as the original writes them"),
)
"""The files of `run_squad.py`, in `--output_dir`."""

TAGGING: Files = (
    *FINETUNING,
    RunFile((EVAL_RESULTS, EVAL_HISTORY), "precision, recall and F1 of all spans, and their history", "evaluation"),
    RunFile(
        (SPAN_REPORT,),
        "precision, recall and F1 of spans as seqeval and conlleval define them, in all and of each type",
        "evaluation",
    ),
    RunFile((TAGGED,), "the file that was given, with the predicted tag as one more column", "prediction"),
    RunFile((PREDICTION_LINES,), "words, tags, probabilities and spans of each sentence", "prediction"),
    RunFile((PREDICTION_TABLE,), "the predicted spans, one in each row, with their probabilities", "prediction"),
    RunFile((TAGGED_SPANS,), "of texts with labelled spans: these rows with the predicted spans", "prediction"),
)
"""The files of `run_ner.py`, in `--output_dir`."""

MULTIPLE_CHOICE: Files = (
    *FINETUNING,
    RunFile((EVAL_RESULTS, EVAL_HISTORY), "accuracy and loss, and their history", "evaluation"),
    RunFile(
        (PREDICTION_LINES, PREDICTION_TABLE),
        "the choice for each question, and the probability of every choice",
        "prediction",
    ),
)
"""The files of `run_multiple_choice.py`, in `--output_dir`."""

PRETRAINING_DATA: Files = (
    RunFile(("part-*-of-*",), "records, a file for each shard of the text", is_of_run=False),
    RunFile((EVAL_RECORDS,), "with `--eval_fraction`, the records of what is held out", is_of_run=False),
    RunFile((DATA_SUMMARY,), "what went in and what came out", is_of_run=False),
)
"""The files of `create_pretraining_data.py` if `--output_file` is a directory."""

_MODEL: Files = (RunFile((VOCABULARY,), "the vocabulary", is_of_run=False),)

GOOGLE_MODEL: Files = (
    RunFile((f"{CONVERTED_PREFIX}.*", BERT_CONFIG), "weights and config", is_of_run=False),
    *_MODEL,
    RunFile(
        (TASK, LABELS, HF_TOKENIZER_CONFIG), "task, labels, case and other rules of the tokenizer", is_of_run=False
    ),
)
"""The files of `convert_checkpoint.py --output_format=google`, in `--output_dir`."""

HUGGING_FACE_MODEL: Files = (
    RunFile((HF_CONFIG, HF_WEIGHTS), "config and weights", is_of_run=False),
    *_MODEL,
    RunFile((HF_TOKENIZER_CONFIG, HF_SPECIAL_TOKENS, HF_ADDED_TOKENS, HF_TOKENIZER), "the tokenizer", is_of_run=False),
)
"""The files of `convert_checkpoint.py --output_format=huggingface`, in `--output_dir`."""

EXPORTED_ASSETS: Files = (
    RunFile((SETTINGS, LABELS), "what a client may want to know", is_of_run=False),
    RunFile((VOCABULARY, SENTENCEPIECE_MODEL, HF_TOKENIZER_CONFIG), "the vocabulary", is_of_run=False),
)
"""The files of `export_model.py` next to an ONNX model and in a SavedModel's `assets`."""

ONNX_EXPORT: Files = (RunFile((ONNX_MODEL, ONNX_INT8_MODEL), "the model", is_of_run=False), *EXPORTED_ASSETS)
"""The files of `export_model.py --format=onnx`, in `--export_dir`."""

INSPECTION: Files = (
    RunFile((ATTENTION_PAGE,), "the attention of every layer and head, as a page", is_of_run=False),
    RunFile((ATTENTION_ARRAYS,), "the same as arrays", is_of_run=False),
    RunFile((INSPECTED,), "pieces, predictions and labels of each text", is_of_run=False),
    RunFile((SCORES,), "with `--score`, the log-probability of each piece", is_of_run=False),
)
"""The files of `inspect_model.py`, in `--output_dir`."""


def remove_run(directory: str, files: Iterable[RunFile]) -> None:
    """Removes the files of an earlier run from a directory, and nothing else.

    Args:
      directory: `--output_dir`.
      files: the table of the script; only files with `is_of_run` are removed.
    """
    patterns = [pattern for file in files if file.is_of_run for pattern in file.patterns]
    # In the order of the patterns, so that the list of checkpoints is removed before them.
    paths = list(
        dict.fromkeys(path for pattern in patterns for path in sorted(file_system.path(directory).glob(pattern)))
    )
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            file_system.rmtree(path)
        else:
            path.unlink()
    if paths:
        what = inflected(len(paths), "file or directory", "files and directories")
        logger.info("--overwrite_output_dir: removed %d %s of %s.", len(paths), what, directory)
