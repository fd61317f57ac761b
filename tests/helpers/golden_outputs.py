"""Compares outputs with the original's, on our own texts (`OWN`; golden/README.md) and, in real_data/, on others.

Each check is one function, which is used for both.
"""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import squad_answers, squad_windows
from reference.instances import read_documents

from bert_tf2.configs.model import BertConfig
from bert_tf2.io import files
from bert_tf2.pretraining_data.fast_instances import Corpus, InstanceArrays, Vocabulary, create_instances
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data
from bert_tf2.tasks.classification import glue, labels
from bert_tf2.tasks.classification.features import featurize
from bert_tf2.tasks.squad import answers, examples, logits, prediction_files, span_selection, tokenized_examples
from bert_tf2.tasks.squad.answers import AnswerParameters
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import make_windows
from bert_tf2.tasks.squad.words import split
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer, load_vocab
from helpers import tiny_classification, tiny_squad
from helpers.instance_columns import instance_columns
from helpers.repository import GOLDEN, TINY_CONFIG

OWN = GOLDEN / "own"
SQUAD_SIZES = FeatureParameters(max_seq_length=96, doc_stride=32, max_query_length=20)
Record = dict[str, list[float]]


def own_vocabulary(name: str) -> str:
    return str(OWN / f"vocab_{name}.txt")


def read_records(path: Path) -> list[dict[str, Any]]:
    """The decoded records of a .jsonl.gz file; those of several outputs have the number of their output."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def decoded(path: str | Path) -> list[Record]:
    """All records of a TFRecord file, decoded by TensorFlow alone."""
    rows = []
    for record in tf.data.TFRecordDataset(str(path)):
        values = tf.train.Example.FromString(record.numpy()).features.feature
        rows.append({name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in values.items()})
    return rows


def without_output(rows: list[dict[str, Any]]) -> list[Record]:
    return [{name: value for name, value in row.items() if name != "_output_file"} for row in rows]


# --- create_pretraining_data.py --------------------------------------------------------------------------------------

PRETRAINING_CASES = ["plain", "whole_word", "cased_short", "two_inputs_three_outputs", "tiny_windows"]


def own_pretraining_case(name: str) -> dict[str, Any]:
    """A case of the manifest: flags, paths of `inputs` and `vocab_file`, number of `outputs`, `expected` records."""
    directory = OWN / "pretraining_data"
    case = json.loads((directory / "manifest.json").read_text())[name]
    case["inputs"] = [str(directory / text) for text in case["inputs"]]
    case["vocab_file"] = own_vocabulary(case.pop("vocab"))
    return {**case, "expected": directory / f"{name}.jsonl.gz"}


def pretraining_flags(case: dict[str, Any], directory: Path) -> tuple[dict[str, Any], list[str]]:
    """The script's flags for a case, and its outputs in `directory`."""
    outputs = [str(directory / f"{number}.tfrecord") for number in range(case["outputs"])]
    others = {name: value for name, value in case.items() if name not in ("inputs", "outputs", "expected", "instances")}
    return {**others, "input_file": ",".join(case["inputs"]), "output_file": ",".join(outputs)}, outputs


def check_pretraining_records(case: dict[str, Any], outputs: list[str]) -> None:
    expected = read_records(case["expected"])
    assert len(expected) == case["instances"]
    for number, path in enumerate(outputs):
        output_rows = [row for row in expected if row["_output_file"] == number]
        assert decoded(path) == without_output(output_rows)


def check_pretraining_run(case: dict[str, Any], directory: Path) -> None:
    flags, outputs = pretraining_flags(case, directory)
    create_pretraining_data(PretrainingDataConfig(**flags))
    check_pretraining_records(case, outputs)


def check_instances(case: dict[str, Any]) -> None:
    """Checks the compiled code that creates instances, called as in the task."""
    tokenizer = FullTokenizer(case["vocab_file"], case["do_lower_case"])
    lines = [line for path in case["inputs"] for line in files.read_lines(path)]
    documents = read_documents(lines, tokenizer.tokenize)
    names = InstanceParameters.__dataclass_fields__.keys() & case.keys()
    parameters = InstanceParameters(**{name: case[name] for name in names})
    ids = [np.array([tokenizer.vocab[token] for token in segment]) for document in documents for segment in document]
    segments = np.cumsum([0, *map(len, ids)])
    corpus = Corpus(np.concatenate(ids).astype(np.int32), segments, np.cumsum([0, *map(len, documents)]))
    rng = random.Random(case["random_seed"])
    rows = instance_rows(create_instances(corpus, Vocabulary.of(tokenizer.vocab), parameters, rng))
    for number in range(case["outputs"]):
        output_rows = [row for row in read_records(case["expected"]) if row["_output_file"] == number]
        assert rows[number :: case["outputs"]] == without_output(output_rows)


def instance_rows(instances: InstanceArrays) -> list[Record]:
    columns = {name: column.tolist() for name, column in instance_columns(instances).items()}
    return [{name: column[row] for name, column in columns.items()} for row in range(len(instances))]


# --- run_classifier.py -----------------------------------------------------------------------------------------------


def check_classifier_features(directory: Path, vocab_file: str, key: str, tmp_path: Path) -> None:
    """Checks the records of one file of GLUE; `key` is a key of the manifest, such as "cola.train"."""
    manifest = json.loads((directory / "manifest.json").read_text())[key]
    task = glue.TASKS[manifest["task"]]
    rows = glue.read(task, str(directory / task.name), manifest["split"])
    encoded = labels.encode(rows, task.problem_type, task.labels)
    features = featurize(rows, encoded, FastTokenizer(vocab_file), manifest["max_seq_length"])
    assert len(features) == manifest["examples"]
    features.write(str(tmp_path / "a"))
    assert decoded(tmp_path / "a") == without_output(read_records(directory / f"{key}.jsonl.gz"))


def check_classifier_run(directory: Path, vocab_file: str, task: str, tmp_path: Path) -> None:
    """Checks the records and the files of results of a run of the entire script."""
    sizes = {"vocab_size": len(load_vocab(vocab_file)), "max_position_embeddings": 64}
    (tmp_path / "bert_config.json").write_text(BertConfig(**{**TINY_CONFIG, **sizes}).to_json_string())
    manifest = json.loads((directory / "manifest.json").read_text())
    results = tiny_classification.run(
        tmp_path,
        task_name=task,
        data_dir=str(directory / task),
        vocab_file=vocab_file,
        max_seq_length=manifest[f"{task}.train"]["max_seq_length"],
        do_train=True,
        do_eval=True,
        do_predict=True,
        num_train_epochs=0.0,
        eval_batch_size=8,
    )
    for split_name, name in (("train", "train"), ("dev", "eval"), ("test", "predict")):
        expected = without_output(read_records(directory / f"{task}.{split_name}.jsonl.gz"))
        assert decoded(tmp_path / "model" / f"{name}.tf_record") == expected
    values = dict(line.split(" = ") for line in (tmp_path / "model/eval_results.txt").read_text().splitlines())
    own_metric = {"cola": "eval_matthews", "mrpc": "eval_f1"}[task]
    assert list(values) == sorted({"eval_accuracy", own_metric, "eval_loss", "global_step", "loss"})
    assert values["global_step"] == "0"
    # The file has the shortest digits that give the same float32.
    assert {name: float(value) for name, value in values.items()} == pytest.approx(results, rel=1e-6, nan_ok=True)
    test_results = (tmp_path / "model/test_results.tsv").read_text().splitlines()
    assert len(test_results) == manifest[f"{task}.test"]["examples"]
    assert all(sum(map(float, line.split("\t"))) == pytest.approx(1, rel=1e-6) for line in test_results)
    submission = {"cola": "CoLA.tsv", "mrpc": "MRPC.tsv"}[task]
    assert len((tmp_path / "model" / submission).read_text().splitlines()) == len(test_results) + 1


# --- run_squad.py ----------------------------------------------------------------------------------------------------


def reference_predictions(questions, full, sizes, start_logits, end_logits, parameters, lower=True):
    """The answers by the reference implementation."""
    windows = list(squad_windows.windows(questions, full, sizes, False))
    predictions = []
    for index, example in enumerate(questions):
        rows = [row for row, window in enumerate(windows) if window.example_index == index]
        row_logits = ([values[row].tolist() for row in rows] for values in (start_logits, end_logits))
        predictions.append(
            squad_answers.predict(example, [windows[row] for row in rows], *row_logits, parameters, lower)
        )
    return predictions


def golden_logits(directory: Path, version: str) -> list[np.ndarray]:
    """The artificial start and end logits of each window, `[F, max_seq_length]`."""
    results = read_records(directory / f"{version}.logits.jsonl.gz")
    return [np.array([result[name] for result in results]) for name in ("start_logits", "end_logits")]


def check_squad_answers(
    directory: Path, vocab_file: str, version: str, sizes: FeatureParameters, tmp_path: Path
) -> None:
    """Checks the fast and the reference implementation against the original's prediction files for its logits."""
    data = examples.read(directory / f"{version}.json", training=False)
    values, parameters = golden_logits(directory, version), AnswerParameters(version_2_with_negative=version == "v2")
    plain = reference_predictions(data.examples, FullTokenizer(vocab_file), sizes, *values, parameters)
    windows = make_windows(tokenized_examples.tokenize(data.examples, FastTokenizer(vocab_file)), sizes, False)
    fast = span_selection.predict(windows, *values, parameters)
    assert fast == plain
    paths = prediction_files.write(tmp_path, fast)
    names = ["predictions.json", "nbest_predictions.json", *(["null_odds.json"] if version == "v2" else [])]
    assert [path.name for path in paths] == names
    for path in paths:
        assert path.read_bytes() == (directory / f"{version}.out" / path.name).read_bytes(), path.name
    for example, prediction in zip(data.examples, fast, strict=True):
        for entry in prediction.n_best:
            check_position(example, entry)


def check_position(example, entry):
    """Checks that an answer equals the context at its position, except for whitespace between words."""
    if entry.start is None:
        assert entry.text in ("", answers.NO_CANDIDATE)
        return
    quote = example.paragraph.text[entry.start : entry.end]
    if example.paragraph.verbatim:
        assert quote == entry.text
    assert split(quote, "en").words == split(entry.text, "en").words


def check_squad_run(
    directory: Path,
    vocab_file: str,
    version: str,
    sizes: FeatureParameters,
    expected: dict[str, list[Record]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checks a run of the script with the original's logits: its files, and the `expected` records of each mode."""
    start, end = golden_logits(directory, version)
    monkeypatch.setattr(logits, "compute", lambda *_: logits.Logits(np.arange(len(start)), start, end))
    shape = {"vocab_size": len(load_vocab(vocab_file)), "hidden_size": 2}
    config = BertConfig(**{**TINY_CONFIG, **shape, "max_position_embeddings": sizes.max_seq_length})
    (tmp_path / "bert_config.json").write_text(config.to_json_string())
    tiny_squad.run(
        tmp_path,
        train_file=str(directory / f"{version}.json"),
        predict_file=str(directory / f"{version}.json"),
        vocab_file=vocab_file,
        max_seq_length=sizes.max_seq_length,
        doc_stride=sizes.doc_stride,
        max_query_length=sizes.max_query_length,
        version_2_with_negative=version == "v2",
        do_train=True,
        do_predict=True,
        num_train_epochs=0.0,
    )
    for path in (directory / f"{version}.out").iterdir():
        assert (tmp_path / "model" / path.name).read_bytes() == path.read_bytes(), path.name
    for mode, name in (("train", "train"), ("predict", "eval")):
        assert decoded(tmp_path / "model" / f"{name}.tf_record") == expected[mode]


def own_squad_records(version: str) -> dict[str, list[Record]]:
    """The original's records of our own questions, in the order written."""
    names = {mode: OWN / "squad" / f"{version}.{mode}.features.jsonl.gz" for mode in ("train", "predict")}
    return {mode: without_output(read_records(path)) for mode, path in names.items()}
