"""The original's outputs on other people's texts: GLUE's, SQuAD's and the sample of its own repository."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from helpers import golden_outputs
from helpers.golden_outputs import read_records
from reference import squad_windows

from bert_tf2.tasks.squad import examples
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tokenization.wordpiece import FullTokenizer

SIZES = FeatureParameters(max_seq_length=160, doc_stride=48, max_query_length=24)


def vocabulary(real_data: Path, name: str = "bert_uncased") -> str:
    return str(real_data / "data/vocab" / f"{name}.txt")


# --- create_pretraining_data.py --------------------------------------------------------------------------------------

PRETRAINING_CASES = pytest.mark.parametrize("name", ["readme", "whole_word", "cased_short", "two_inputs_three_outputs"])


def pretraining_case(real_data: Path, name: str) -> dict[str, Any]:
    golden = real_data / "golden/pretraining_data"
    case = json.loads((golden / "manifest.json").read_text())[name]
    flags = case["flags"]
    return {
        "inputs": [
            str(real_data / "data/text/google_bert_sample_text.txt") for _ in flags.pop("input_file").split(",")
        ],
        "outputs": flags.pop("num_output_files"),
        "vocab_file": vocabulary(real_data, flags.pop("vocab")),
        "instances": case["instances"],
        "expected": golden / f"{name}.jsonl.gz",
        **flags,
    }


@PRETRAINING_CASES
def test_pretraining_data(real_data: Path, name: str, tmp_path: Path) -> None:
    golden_outputs.check_pretraining_run(pretraining_case(real_data, name), tmp_path)


@PRETRAINING_CASES
def test_instances(real_data: Path, name: str) -> None:
    golden_outputs.check_instances(pretraining_case(real_data, name))


# --- run_classifier.py -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["cola.train", "cola.dev", "cola.test", "mrpc.train", "mrpc.dev", "mrpc.test"])
def test_classifier_features(real_data: Path, key: str, tmp_path: Path) -> None:
    golden_outputs.check_classifier_features(real_data / "golden/classifier", vocabulary(real_data), key, tmp_path)


@pytest.mark.parametrize("task", ["cola", "mrpc"])
def test_classifier_run(real_data: Path, task: str, tmp_path: Path) -> None:
    golden_outputs.check_classifier_run(real_data / "golden/classifier", vocabulary(real_data), task, tmp_path)


# --- run_squad.py ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["predict", "train"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_squad_windows(real_data: Path, version: str, mode: str) -> None:
    """What the original knows about a window besides its record: tokens, words, contexts."""
    golden = real_data / "golden/squad"
    training = mode == "train"
    data = examples.read(golden / f"{version}.json", training=training, version_2_with_negative=version == "v2")
    expected = read_records(golden / f"{version}.{mode}.features.jsonl.gz")
    full = FullTokenizer(vocabulary(real_data))
    found = [
        {
            **{name: getattr(window, name) for name in expected[0]},
            "input_ids": window.input_ids[: len(window.tokens)],
            "segment_ids": window.segment_ids[: len(window.tokens)],
            "token_to_orig_map": [list(pair) for pair in window.token_to_orig_map.items()],
            "token_is_max_context": [place for place, is_max in window.token_is_max_context.items() if is_max],
        }
        for window in squad_windows.windows(data.examples, full, SIZES, training)
    ]
    assert found == expected


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_squad_answers(real_data: Path, version: str, tmp_path: Path) -> None:
    golden_outputs.check_squad_answers(real_data / "golden/squad", vocabulary(real_data), version, SIZES, tmp_path)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_squad_run(real_data: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = real_data / "golden/squad"
    records = {mode: squad_records(golden, version, mode) for mode in ("train", "predict")}
    golden_outputs.check_squad_run(golden, vocabulary(real_data), version, SIZES, records, tmp_path, monkeypatch)


def squad_records(golden: Path, version: str, mode: str) -> list[golden_outputs.Record]:
    """The records of the golden windows, which are not padded and stand in the order of the file."""
    windows = read_records(golden / f"{version}.{mode}.features.jsonl.gz")
    if mode == "train":
        order = list(range(1 + max(window["example_index"] for window in windows)))
        random.Random(12345).shuffle(order)
        windows.sort(key=lambda window: order.index(window["example_index"]))
    records = []
    for row, window in enumerate(windows):
        tokens = len(window["input_ids"])
        padding = [0] * (SIZES.max_seq_length - tokens)
        record = {
            "unique_ids": [1_000_000_000 + row],
            "input_ids": window["input_ids"] + padding,
            "input_mask": [1] * tokens + padding,
            "segment_ids": window["segment_ids"] + padding,
        }
        if mode == "train":
            record["start_positions"], record["end_positions"] = [window["start_position"]], [window["end_position"]]
            record["is_impossible"] = [int(window["is_impossible"])]
        records.append(record)
    return records
