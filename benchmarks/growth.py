"""Time and memory as the data grows, on synthetic data of any size.

    python benchmarks/growth.py records --megabytes=1000
    python benchmarks/growth.py labels --rows=200000 --labels=1000
    python benchmarks/growth.py scores --rows=100000 --labels=1000
    python benchmarks/growth.py classes --rows=100000 --labels=10000
    python benchmarks/growth.py rows --rows=20000 --characters=100000
    python benchmarks/growth.py predictions --rows=1000000 --file=tsv
    python benchmarks/growth.py words --rows=100000
    python benchmarks/growth.py contexts --questions=2000 --characters=10000

Run it with two sizes to see what grows. Each measurement runs in its own process with a tiny model, so that only the
data counts:

* records: `run_pretraining.py` for one step (`start`), and the first batch of a training that resumes after a twentieth
  of its first epoch (`early resume`) and at three quarters of its second epoch (`resume`), knowing nothing of the
  files, and the latter once more (`resume again`);
* labels: `run_classifier.py --do_train --dry_run` on rows with three of many labels each;
* scores: `run_classifier.py --do_eval` on such rows;
* classes: `run_classifier.py --do_eval` on rows with one of many labels each;
* rows: the dry run on long texts;
* predictions: `run_classifier.py --do_predict`, one of two labels each;
* words: `run_ner.py --do_eval --do_predict`, rows of 15 words;
* contexts: `run_squad.py --do_predict`, each question with a context of its own.

Seconds are those of the work itself, without the start of Python and TensorFlow; processor seconds, of all threads
together, vary less if other work shares the machine. Memory is the highest sampled anonymous memory of the process
(`RssAnon` of Linux); `peak` is all resident memory, including pages of mapped files, which the system reclaims when
needed.
"""

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_CONFIG = {
    "vocab_size": 1000,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 512,
}
_SEQUENCE, _PREDICTIONS = 128, 20
_SECONDS_BETWEEN_SAMPLES = 0.02


class Memory:
    """The highest anonymous memory of this process, in MB, while it is open."""

    def __init__(self) -> None:
        self.highest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN_SAMPLES):
            self.highest = max(self.highest, _status("RssAnon"))

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1000


# --- Data ------------------------------------------------------------------------------------------------------------


def make_model(folder: Path) -> None:
    (folder / "bert_config.json").write_text(json.dumps(_CONFIG))
    words = [f"word{number}" for number in range(_CONFIG["vocab_size"] - 5)]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")


def _words(rng: random.Random, characters: int) -> str:
    return " ".join(f"word{rng.randrange(995)}" for _ in range(characters // 8 + 1))


def make_records(folder: Path, options: argparse.Namespace) -> None:
    import numpy as np

    from bert_tf2 import records
    from bert_tf2.records import writer as fast_records

    schema = records.pretraining(_SEQUENCE, _PREDICTIONS)
    paths = [str(folder / f"part-{number:05}.tfrecord") for number in range(options.files)]
    rng, rows = np.random.default_rng(1), 4096
    encoder, written = fast_records.Encoder(schema), 0
    with fast_records.BlockWriter(paths, schema) as writer:
        while written < options.megabytes * 1e6:
            columns = {feature.name: np.ones((rows, *feature.shape), np.int32) for feature in schema.features}
            columns["input_ids"] = rng.integers(5, 995, (rows, _SEQUENCE), np.int32)
            columns["masked_lm_positions"] = rng.integers(1, _SEQUENCE, (rows, _PREDICTIONS), np.int32)
            columns["masked_lm_ids"] = rng.integers(5, 995, (rows, _PREDICTIONS), np.int32)
            columns["masked_lm_weights"] = np.ones((rows, _PREDICTIONS), np.float32)
            columns["next_sentence_labels"] = rng.integers(0, 2, (rows, 1), np.int32)
            block = encoder.rows(columns)
            written += len(encoder.encode(block)[0])
            writer.write_rows(block)


def make_rows(folder: Path, options: argparse.Namespace) -> None:
    """`rows.jsonl`, `rows.csv` or `rows.tsv`: three labels per row, one for `classes` and `predictions`."""
    rng = random.Random(1)
    text = _words(rng, 2 * options.characters + (1 << 16))
    several = options.what not in ("classes", "predictions")
    with open(folder / f"rows.{options.file}", "w", encoding="utf-8") as file:
        separator = {"jsonl": "", "csv": ",", "tsv": "\t"}[options.file]
        if separator:
            file.write(f"text{separator}label\n")
        for _ in range(options.rows):
            names = [f"label{rng.randrange(options.labels)}" for _ in range(3 if several else 1)]
            begin = rng.randrange(len(text) - options.characters + 1)
            row = {"text": text[begin : begin + options.characters], "label": names if several else names[0]}
            file.write((f"{row['text']}{separator}{'|'.join(names)}" if separator else json.dumps(row)) + "\n")


def make_words(path: Path, options: argparse.Namespace) -> None:
    rng = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(options.rows):
            file.writelines(f"word{rng.randrange(995)}\t{rng.choice(('O', 'O', 'B-x', 'B-y'))}\n" for _ in range(15))
            file.write("\n")


def make_questions(path: Path, options: argparse.Namespace) -> None:
    rng = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"version": "1", "data": [')
        for number in range(options.questions):
            question = {"id": str(number), "question": _words(rng, 40), "answers": []}
            paragraph = {"context": _words(rng, options.characters), "qas": [question]}
            file.write(("," if number else "") + json.dumps({"title": "", "paragraphs": [paragraph]}))
        file.write("]}")


# --- Measurements, each in its own process ---------------------------------------------------------------------------


def start(folder: Path, options: argparse.Namespace) -> None:
    from bert_tf2.tasks.pretraining import runner as pretraining

    pretraining.run(_pretraining(folder, do_train=True, num_train_steps=1, num_warmup_steps=0))


def resume_early(folder: Path, options: argparse.Namespace) -> None:
    _first_batch(folder, int(0.05 * options.records), "resumed early")


def resume(folder: Path, options: argparse.Namespace) -> None:
    _first_batch(folder, int(1.75 * options.records), "resumed")


def _first_batch(folder: Path, done: int, output_dir: str) -> None:
    from bert_tf2.input_pipeline.record_batches import Share
    from bert_tf2.records import index, shuffled
    from bert_tf2.tasks.pretraining.data import PretrainingData

    config = _pretraining(folder, do_train=True)
    paths = sorted(map(str, (folder / "records").iterdir()))
    (folder / output_dir).mkdir(exist_ok=True)
    source = shuffled.RecordSource(str(folder / output_dir / index.INDEX_FILE))
    batches = iter(PretrainingData(config, paths, None, True, source).training(done, Share()))
    next(batches)


def _pretraining(folder: Path, **values: Any) -> Any:
    from bert_tf2.tasks.pretraining.config import PretrainingConfig

    return PretrainingConfig(
        bert_config_file=str(folder / "bert_config.json"),
        input_file=str(folder / "records" / "*"),
        output_dir=str(folder / "out"),
        max_seq_length=_SEQUENCE,
        max_predictions_per_seq=_PREDICTIONS,
        **values,
    )


def classify(folder: Path, options: argparse.Namespace) -> None:
    from bert_tf2.tasks.classification import runner

    runner.run(_classification(folder, train_file=_rows_file(folder, options), do_train=True, dry_run=True))


def evaluate(folder: Path, options: argparse.Namespace) -> None:
    from bert_tf2.tasks.classification import runner

    _make_classifier(folder, options.labels, "single_label" if options.what == "classes" else "multi_label")
    runner.run(_classification(folder, dev_file=_rows_file(folder, options), eval_batch_size=256, do_eval=True))


def predict(folder: Path, options: argparse.Namespace) -> None:
    from bert_tf2.tasks.classification import runner

    _make_classifier(folder, options.labels, "single_label")
    file = _rows_file(folder, options)
    runner.run(_classification(folder, predict_file=file, predict_batch_size=256, do_predict=True))


def _rows_file(folder: Path, options: argparse.Namespace) -> str:
    return str(folder / f"rows.{options.file}")


def _classification(folder: Path, **values: Any) -> Any:
    from bert_tf2.tasks.classification.runner import ClassificationConfig

    return ClassificationConfig(
        bert_config_file=str(folder / "bert_config.json"),
        vocab_file=str(folder / "vocab.txt"),
        output_dir=str(folder / "out"),
        **values,
    )


def _make_classifier(folder: Path, count: int, kind: Any) -> None:
    from bert_tf2 import checkpoints
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.modeling.classifier import ClassificationModel
    from bert_tf2.tasks.classification.task_description import TaskDescription

    model = ClassificationModel(BertConfig.from_json_file(str(folder / "bert_config.json")), count, kind)
    variables = {name: variable.value for name, variable in model.named_variables.items()}
    labels = tuple(f"label{number}" for number in range(count))
    (folder / "out").mkdir()
    TaskDescription("labels", kind, labels, text_column="text", label_column="label").save(str(folder / "out"))
    checkpoints.save(str(folder / "out"), 0, variables, keep=1)


def tag(folder: Path, options: argparse.Namespace) -> None:
    from bert_tf2 import checkpoints
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.modeling.tagger import TaggingModel
    from bert_tf2.tasks.tagging import runner

    labels = ("O", "B-x", "I-x", "B-y", "I-y")
    model = TaggingModel(BertConfig.from_json_file(str(folder / "bert_config.json")), len(labels))
    checkpoints.save(str(folder / "model"), 0, checkpoints.tf_variables(model.named_variables), keep=1)
    (folder / "labels.txt").write_text("\n".join(labels) + "\n")
    (folder / "out").mkdir()
    config = runner.TaggingConfig(
        bert_config_file=str(folder / "bert_config.json"),
        vocab_file=str(folder / "vocab.txt"),
        labels_file=str(folder / "labels.txt"),
        init_checkpoint=str(checkpoints.latest(str(folder / "model"))),
        output_dir=str(folder / "out"),
        dev_file=str(folder / "words.tsv"),
        predict_file=str(folder / "words.tsv"),
        eval_batch_size=256,
        predict_batch_size=256,
        do_eval=True,
        do_predict=True,
    )
    runner.run(config)


def answer(folder: Path, options: argparse.Namespace) -> None:
    from bert_tf2 import checkpoints
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.modeling.question_answering import SpanModel
    from bert_tf2.tasks.squad import runner

    model = SpanModel(BertConfig.from_json_file(str(folder / "bert_config.json")))
    variables = checkpoints.tf_variables(model.named_variables)
    checkpoints.save(str(folder / "model"), 0, variables, keep=1)
    config = runner.SquadConfig(
        bert_config_file=str(folder / "bert_config.json"),
        vocab_file=str(folder / "vocab.txt"),
        init_checkpoint=str(checkpoints.latest(str(folder / "model"))),
        output_dir=str(folder / "out"),
        predict_file=str(folder / "questions.json"),
        max_seq_length=384,
        do_predict=True,
    )
    runner.run(config)


_MEASUREMENTS = {
    "start": start,
    "early resume": resume_early,
    "resume": resume,
    "resume again": resume,
    "dry run": classify,
    "evaluate": evaluate,
    "predict": predict,
    "tag": tag,
    "answer": answer,
}


def measure(name: str, folder: Path, options: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.INFO if options.verbose else logging.ERROR)
    import tensorflow as tf

    from bert_tf2.numba_support import kernel

    tf.random.normal([1])
    for module in ("records._tfrecord_numba", "tokenization._wordpiece_numba"):
        kernel(f"bert_tf2.{module}")
    before, began, cpu_before = _status("RssAnon"), time.perf_counter(), time.process_time()
    with Memory() as memory:
        _MEASUREMENTS[name](folder, options)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_before
    print(f"{name:14} {seconds:8.1f} s, {cpu_seconds:,.1f} processor seconds", end="   ")
    print(f"memory {memory.highest:8,.0f} MB, {before:,.0f} of it at the start;", end=" ")
    print(f"peak {_status('VmHWM'):,.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", choices=["records", "labels", "scores", "classes", "rows", "predictions", "words", "contexts"]
    )
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the records")
    parser.add_argument("--files", type=int, default=8, help="number of record files")
    parser.add_argument("--rows", type=int, default=200_000, help="number of rows, or of sentences")
    parser.add_argument("--labels", type=int, help="number of labels; if omitted, 2 for predictions, otherwise 1000")
    parser.add_argument("--file", choices=["jsonl", "csv", "tsv"], default="jsonl", help="format of the rows")
    parser.add_argument("--questions", type=int, default=2000, help="questions, with a context each")
    parser.add_argument(
        "--characters", type=int, help="length of a text, 100 if omitted, or of a context, 10000 if omitted"
    )
    parser.add_argument("--folder", help="directory for data and outputs; if omitted, a temporary one")
    parser.add_argument("--verbose", action="store_true", help="show the log")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--records", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.characters is None:
        options.characters = 10_000 if options.what == "contexts" else 100
    if options.labels is None:
        options.labels = 2 if options.what == "predictions" else 1000
    if options.measure:
        measure(options.measure, Path(options.folder), options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        make_model(folder)
        names = {
            "records": ["start", "early resume", "resume", "resume again"],
            "contexts": ["answer"],
            "words": ["tag"],
            "scores": ["evaluate"],
            "classes": ["evaluate"],
            "predictions": ["predict"],
        }.get(options.what, ["dry run"])
        extra = []
        if options.what == "records":
            from bert_tf2.records.reader import count_records

            (folder / "records").mkdir()
            make_records(folder / "records", options)
            extra = [f"--records={count_records((folder / 'records').iterdir())}"]
        elif options.what == "contexts":
            make_questions(folder / "questions.json", options)
        elif options.what == "words":
            make_words(folder / "words.tsv", options)
        else:
            make_rows(folder, options)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        print(f"{options.what}: {size:,.0f} MB", flush=True)
        for name in names:
            command = [sys.executable, __file__, *sys.argv[1:], f"--folder={folder}", f"--measure={name}", *extra]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
