"""Fine-tuning a real model on GLUE tasks and predicting with it, next to transformers and Keras Hub.

    python benchmarks/classification.py --glue=glue --model=all-MiniLM-L6-v2 [--peer=PYTHON] [--seeds=1,2,3]

`--glue` is a directory with `SST-2/`, `CoLA/`, `STS-B/` and `RTE/` in GLUE's format, `--model` a Hugging Face directory
of a BERT. All sides start from that model and learn the same rows (the first `--rows` of SST-2 and CoLA, all of the
others) with the same batch size, peak learning rate, epochs and schedule (BERT's, with a warm-up of a tenth), in
float32 with dropout:

* ours: the function behind `run_classifier.py`, which skips padding;
* transformers, padded to `max_seq_length`, as its `run_glue.py` does;
* transformers, padded to the longest row of the batch (its dynamic padding);
* with `--keras_hub`, on SST-2 and CoLA, Keras Hub: `fit` of its `BertTextClassifier` with its own preprocessor, which
  pads to `max_seq_length`. Only its speed is measured, on a model of the same size with random weights and a constant
  learning rate.

The optimizer is AdamW everywhere, with a weight decay of 0.01 (`--optimizer=bert` uses BERT's own on our side, which
omits the bias correction and so takes larger steps at first). transformers' loop is a plain one around its model. Only
Keras Hub tokenizes during the timed steps; the others have tokenized before. PyTorch is run with glibc settings that
keep its memory, without which it is several times slower.

Speed is measured `--repetitions` times in turns with the same number of threads:

* training: examples per second after a few steps to warm up. Ours gets more of them (`--warm_up`), as XLA compiles
  during the first ones; what that costs is part of the whole programs' time, below;
* with `--predict=ROWS`, prediction of that many rows of SST-2: from a file to a file on our side, from texts to
  probabilities on the other, sorted by length on both. transformers is timed with each of four batch sizes and computes
  a batch on all cores; ours computes a batch on each core. Each side predicts a few rows and all of them; the
  difference gives the examples per second, so that starting and loading cancel.

Then, unless `--speed_only`, scores: for each seed one complete fine-tuning of ours and one of transformers with dynamic
padding, scored on the whole dev set by accuracy, CoLA by Matthews' and STS-B by Pearson's correlation, times 100, and
the seconds that the whole programs took.

`--peer` is a Python with torch, transformers and (for `--keras_hub`) keras-hub.
"""

import argparse
import csv
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@dataclasses.dataclass(frozen=True)
class Task:
    """The format of a task's files; `columns` names the columns of files without a header."""

    name: str
    texts: tuple[str, ...]
    label: str = "label"
    columns: tuple[str, ...] = ()
    metric: str = "eval_accuracy"
    epochs: float = 3.0
    is_whole: bool = True  # otherwise its first `--rows`


_TASKS = {
    "SST-2": Task("sst-2", ("sentence",), epochs=1.0, is_whole=False),
    "CoLA": Task(
        "cola", ("sentence",), columns=("source", "label", "mark", "sentence"), metric="eval_matthews", is_whole=False
    ),
    "STS-B": Task("sts-b", ("sentence1", "sentence2"), label="score", metric="eval_pearson"),
    "RTE": Task("rte", ("sentence1", "sentence2")),
}


def read(options: argparse.Namespace, split: str) -> tuple[list[list[str]], list[float]]:
    """The texts of each row, column by column, and the labels; label names become numbers."""
    task = _TASKS[options.task]
    with Path(options.data, f"{split}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, task.columns or None, delimiter="\t", quoting=csv.QUOTE_NONE))
    labels = [row[task.label] for row in rows]
    if task.label == "score":
        numbers = list(map(float, labels))
    else:
        names = sorted(set(labels))
        numbers = [float(names.index(label)) for label in labels]
    return [[row[column] for row in rows] for column in task.texts], numbers


# --- Ours, in its own process ----------------------------------------------------------------------------------------


def ours(options: argparse.Namespace) -> dict[str, float]:
    from bert_tf2.configs.training import OptimizerConfig
    from bert_tf2.tasks.classification import runner

    sides.use_threads(options.threads, predicts=options.what == "prediction")
    is_timed = options.what != "score"
    with tempfile.TemporaryDirectory() as directory:
        config = runner.ClassificationConfig(
            output_dir=directory,
            init_checkpoint=options.model,
            task_name=_TASKS[options.task].name,
            data_dir=options.data,
            max_seq_length=options.max_seq_length,
            train_batch_size=options.batch_size,
            eval_batch_size=32,
            learning_rate=options.learning_rate,
            num_train_epochs=options.epochs,
            do_train=True,
            do_eval=not is_timed,
            eval_every_steps=0 if is_timed else 1_000_000,
            seed=options.seed,
            optimizer=OptimizerConfig(optimizer=options.optimizer, weight_decay=sides.WEIGHT_DECAY),
            log_steps=10**6,
            save_checkpoints_steps=10**6,
        )
        if options.what == "training":
            return {"examples_per_second": sides.time_training(options, lambda: runner.run(config))}
        if options.what == "prediction":
            return {"examples_per_second": _predict(options, config, Path(directory))}
        results = runner.run(config) or {}
        return {"score": 100 * results[_TASKS[options.task].metric]}


def _predict(options: argparse.Namespace, config: Any, directory: Path) -> float:
    from bert_tf2.tasks.classification import runner

    runner.run(dataclasses.replace(config, num_train_epochs=0.0))

    def predict(rows: int) -> None:
        path = directory / f"first_{rows}.tsv"
        texts = read(options, "train")[0][0][:rows]
        path.write_text("\n".join(["text", *texts, ""]), encoding="utf-8")
        changes = {"do_train": False, "do_eval": False, "do_predict": True, "data_dir": None, "task_name": None}
        runner.run(dataclasses.replace(config, predict_file=str(path), **changes))

    return sides.rate_of_difference(sides.FEW_ROWS, options.predict, predict)


# --- transformers, in its own process --------------------------------------------------------------------------------


def peer(options: argparse.Namespace) -> dict[str, float]:
    import numpy as np
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    is_regression = options.task == "STS-B"
    model = BertForSequenceClassification.from_pretrained(options.model, num_labels=1 if is_regression else 2)

    def encode(texts: list[list[str]]) -> list[dict]:
        encoded = tokenizer(*texts, truncation=True, max_length=options.max_seq_length)
        return [{key: encoded[key][row] for key in encoded} for row in range(len(texts[0]))]

    def logits(rows: list[dict], batch_size: int) -> Any:
        """The logits of all rows, computed for rows of similar length together."""
        model.eval()
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
        outputs = np.empty((len(rows), model.num_labels), np.float32)
        with torch.inference_mode():
            for first in range(0, len(rows), batch_size):
                part = order[first : first + batch_size]
                outputs[part] = model(**sides.torch_batch(tokenizer, [rows[row] for row in part], None)).logits
        return outputs

    texts, labels = read(options, "train")
    if options.what == "prediction":

        def predict(rows: int) -> None:
            encoded = encode([texts[0][:rows]])
            torch.softmax(torch.tensor(logits(encoded, options.predict_batch_size)), 1).tolist()

        return {"examples_per_second": sides.rate_of_difference(sides.FEW_ROWS, options.predict, predict)}

    rows = encode(texts)
    pad_to = options.max_seq_length if options.full_padding else None
    kind = torch.float32 if is_regression else torch.int64

    def loss_of(chosen: Any) -> Any:
        inputs = sides.torch_batch(tokenizer, [rows[row] for row in chosen], pad_to)
        return model(**inputs, labels=torch.tensor([labels[row] for row in chosen], dtype=kind)).loss

    speed = sides.torch_train(model, options, len(rows), loss_of)
    if options.what == "training":
        return {"examples_per_second": speed}
    texts, labels = read(options, "dev")
    outputs = logits(encode(texts), 32)
    if options.task in ("CoLA", "STS-B"):  # with two labels, Pearson's correlation is Matthews'
        values = outputs[:, 0] if is_regression else outputs.argmax(1)
        return {"score": 100 * float(np.nan_to_num(np.corrcoef(labels, values)[0, 1]))}
    return {"score": 100 * float(np.mean(np.equal(labels, outputs.argmax(1))))}


# --- Keras Hub, in its own process -----------------------------------------------------------------------------------


def keras_hub(options: argparse.Namespace) -> dict[str, float]:
    import keras
    import keras_hub
    import numpy as np

    sides.use_threads(options.threads)
    config = json.loads(Path(options.model, "config.json").read_text(encoding="utf-8"))
    vocabulary = str(Path(options.model, "vocab.txt"))
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=config["intermediate_size"],
        max_sequence_length=config["max_position_embeddings"],
        dropout=0.1,
    )
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(
        keras_hub.models.BertTokenizer(vocabulary=vocabulary, lowercase=True), sequence_length=options.max_seq_length
    )
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=preprocessor, dropout=0.1)
    model.compile(
        keras.optimizers.AdamW(options.learning_rate, weight_decay=sides.WEIGHT_DECAY, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=options.compiled,
    )
    marks: dict[int, float] = {}

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            marks[batch + 1] = time.perf_counter()

    texts, labels = read(options, "train")
    rows = (options.warm_up + options.steps) * options.batch_size
    model.fit(np.array(texts[0][:rows]), np.array(labels[:rows]), options.batch_size, verbose=0, callbacks=[Clock()])
    taken = marks[options.warm_up + options.steps] - marks[options.warm_up]
    return {"examples_per_second": options.steps * options.batch_size / taken}


_KERAS_HUB_WAYS = {
    f"Keras Hub, {name}": {
        "side": "keras_hub", "compiled": compiled, "warm_up": 3, "steps": 12
    }
    for name, compiled in (("plain", False), ("XLA", True))
}  # fmt: skip

# --- All together ----------------------------------------------------------------------------------------------------


def copy_rows(source: Path, target: Path, task: Task, rows: int) -> str:
    target.mkdir(parents=True)
    for name in ("train.tsv", "dev.tsv"):
        lines = (source / name).read_text(encoding="utf-8").splitlines(keepends=True)
        header = 0 if task.columns else 1
        kept = lines if name == "dev.tsv" or task.is_whole else lines[: rows + header]
        (target / name).write_text("".join(kept), encoding="utf-8")
    return str(target)


def measure_training(options: argparse.Namespace) -> None:
    ways = dict(sides.TIMED_WAYS)
    if options.keras_hub and len(_TASKS[options.task].texts) == 1:
        ways |= _KERAS_HUB_WAYS
    sides.measure_speed(__file__, options, ways, f"{options.task}, training")


def measure_prediction(options: argparse.Namespace) -> None:
    ways: dict[str, dict[str, Any]] = {"ours": {"side": "ours", "what": "prediction"}}
    for size in (8, 16, 32, 64):
        ways[f"transformers, batches of {size}"] = {"side": "peer", "what": "prediction", "predict_batch_size": size}
    sides.measure_speed(__file__, options, ways, f"{options.task}, prediction")


def measure_scores(options: argparse.Namespace, seeds: list[int]) -> None:
    scores: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in seeds:
        for name, side in (("ours", "ours"), ("transformers", "peer")):
            begin = time.perf_counter()
            scores.setdefault(name, []).append(sides.start(__file__, options, side, what="score", seed=seed)["score"])
            seconds.setdefault(name, []).append(time.perf_counter() - begin)
    sides.show_scores(options, f"{options.task}, dev score", scores)
    sides.show_scores(options, f"{options.task}, whole program", seconds, "seconds")


def main() -> None:
    parser = sides.finetuning_parser(__doc__)
    parser.add_argument("--glue", help="directory with SST-2, CoLA, STS-B and RTE")
    parser.add_argument("--tasks", default="SST-2,CoLA", help="comma-separated")
    parser.add_argument("--rows", type=int, default=6000, help="training rows of SST-2 and CoLA")
    parser.add_argument("--epochs", type=float, help="if omitted, 1 for SST-2 and 3 for the others")
    parser.add_argument("--predict", type=int, default=0, metavar="ROWS", help="rows of SST-2 or CoLA to predict")
    parser.add_argument("--no_training", action="store_true", help="do not time training")
    parser.add_argument("--keras_hub", action="store_true", help="time Keras Hub, too, on SST-2 and CoLA")
    options = parser.parse_args()
    if options.worker:
        sides.run_worker(options.worker, ours=ours, peer=peer, keras_hub=keras_hub)
        return
    seeds = list(map(int, options.seeds.split(",")))
    with tempfile.TemporaryDirectory() as directory:
        for name in options.tasks.split(","):
            task = _TASKS[name]
            source = Path(options.glue, name)
            data = copy_rows(source, Path(directory, name), task, options.rows)
            epochs = options.epochs or task.epochs
            part = argparse.Namespace(**{**vars(options), "task": name, "data": data, "epochs": epochs})
            if not options.scores_only and not options.no_training:
                measure_training(part)
            if not options.scores_only and options.predict:
                part.data = copy_rows(source, Path(directory, f"{name} to predict"), task, options.predict)
                measure_prediction(part)
                part.data = data
            if not options.speed_only:
                measure_scores(part, seeds)


if __name__ == "__main__":
    main()
