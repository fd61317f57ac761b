"""Question answering without the model: windows, records and answers, compiled code against the plain definitions.

    python benchmarks/squad_features.py --squad=dev-v1.1.json --vocab=bert_uncased.txt [--version_2] [--questions=2000]

Both do the same work in one process, in turns, on one core. The definitions (`tests/reference`) follow the original's
algorithm with this project's `FullTokenizer` and Python's `json`. The logits are synthetic: noise, and in each window a
hill around some position, so that there are about as many spans to choose from as with a trained model.

Printed are the median seconds and their ratios; the outputs of both are compared in every repetition.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections import OrderedDict
from itertools import groupby
from pathlib import Path

import numpy as np

from bert_tf2 import records
from bert_tf2.tasks.squad import (
    answers,
    examples,
    prediction_files,
    span_selection,
    tokenized_examples,
)
from bert_tf2.tasks.squad import windows as fast_features
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from reference import squad_answers, squad_windows

_SEED = 12345


def timed(seconds: dict[str, list[float]], name: str, call):
    gc.collect()
    gc.freeze()  # keeps the garbage collector from scanning the other side's objects
    begin = time.perf_counter()
    result = call()
    seconds.setdefault(name, []).append(time.perf_counter() - begin)
    gc.unfreeze()
    return result


def synthetic_logits(windows: fast_features.Windows) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(_SEED)
    shape = (len(windows), windows.parameters.max_seq_length)
    places = np.arange(shape[1])
    start = rng.integers(0, windows.lengths)[:, None]
    hills = [10 * np.exp(-0.5 * ((places - centre) / 4) ** 2) for centre in (start, start + 3)]
    start_logits, end_logits = ((rng.normal(-5, 2, shape) + hill).astype(np.float32) for hill in hills)
    return start_logits, end_logits


def write_plainly(made: list[squad_windows.WindowFeatures], parameters: FeatureParameters, path: str) -> None:
    schema = records.squad(parameters.max_seq_length, training=False)
    with records.RecordWriter([path]) as writer:
        for window in made:
            writer.write(schema.encode(window.record()))


def predict_plainly(questions, made, logits, parameters, lower) -> list[answers.Prediction]:
    # The windows are grouped by question, as in the original.
    windows = {index: list(group) for index, group in groupby(made, key=lambda window: window.example_index)}
    start_logits, end_logits = logits
    predictions, done = [], 0
    for index, question in enumerate(questions):
        here = windows.get(index, [])
        rows = slice(done, done + len(here))
        done += len(here)
        predictions.append(
            squad_answers.predict(
                question, here, start_logits[rows].tolist(), end_logits[rows].tolist(), parameters, lower
            )
        )
    return predictions


def dump_plainly(predictions: list[answers.Prediction], folder: str) -> None:
    names = ("text", "probability", "start_logit", "end_logit")
    contents = {
        prediction_files.PREDICTIONS: OrderedDict((each.id, each.answer.text) for each in predictions),
        prediction_files.N_BEST: OrderedDict(
            (each.id, [OrderedDict(zip(names, entry[:4], strict=True)) for entry in each.n_best])
            for each in predictions
        ),
        prediction_files.NULL_ODDS: OrderedDict((each.id, each.null_odds) for each in predictions),
    }
    for name, content in contents.items():
        Path(folder, name).write_text(json.dumps(content, indent=4) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", required=True, help="questions in SQuAD's format")
    parser.add_argument("--vocab", required=True, help="vocabulary of the text")
    parser.add_argument("--cased", action="store_true")
    parser.add_argument("--language", default="en")
    parser.add_argument("--version_2", action="store_true")
    parser.add_argument("--max_seq_length", type=int, default=384)
    parser.add_argument("--doc_stride", type=int, default=128)
    parser.add_argument("--max_query_length", type=int, default=64)
    parser.add_argument("--questions", type=int, help="number of questions; all if omitted")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])

    parameters = FeatureParameters(options.max_seq_length, options.doc_stride, options.max_query_length)
    choice = answers.AnswerParameters(version_2_with_negative=options.version_2)
    full, fast = (kind(options.vocab, not options.cased) for kind in (FullTokenizer, FastTokenizer))
    start: dict[str, list[float]] = {}
    timed(start, "start", lambda: fast.encode_batch([" " * 10_000_000]))  # enough to load the compiled code
    records.squad(8, training=False).encode(
        dict.fromkeys(("input_ids", "input_mask", "segment_ids"), [0] * 8) | {"unique_ids": [0]}
    )
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("plain", "fast")]
        for _ in range(options.repetitions):
            data = timed(
                seconds, "reading", lambda: examples.read(options.squad, training=False, language=options.language)
            )
            questions = data.examples[: options.questions]
            plain = timed(
                seconds, "windows, plain", lambda q=questions: list(squad_windows.windows(q, full, parameters, False))
            )
            timed(seconds, "records, plain", lambda made=plain: write_plainly(made, parameters, paths[0]))
            windows = timed(
                seconds,
                "windows, fast",
                lambda q=questions: fast_features.make_windows(tokenized_examples.tokenize(q, fast), parameters, False),
            )
            timed(seconds, "records, fast", lambda made=windows: fast_features.write_records(made, paths[1]))
            assert Path(paths[0]).read_bytes() == Path(paths[1]).read_bytes()

            logits = synthetic_logits(windows)
            chosen = timed(
                seconds,
                "answers, plain",
                lambda q=questions, made=plain, logits=logits: predict_plainly(
                    q, made, logits, choice, not options.cased
                ),
            )
            same = timed(
                seconds,
                "answers, fast",
                lambda made=windows, logits=logits: span_selection.predict(made, *logits, choice),
            )
            assert chosen == same
            timed(seconds, "files, plain", lambda made=chosen: dump_plainly(made, folder))
            before = {path.name: path.read_bytes() for path in Path(folder).glob("*.json")}
            for path in timed(seconds, "files, fast", lambda made=same: prediction_files.write(folder, made)):
                assert path.read_bytes() == before[path.name]
            del plain, chosen
    print(f"{len(questions):,} questions, {len(windows):,} windows; identical outputs in every repetition")
    reading = statistics.median(seconds.pop("reading"))
    print(f"reading {reading:.2f} s; compiled code and its tables {start['start'][0]:.2f} s, once")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for stages in (("windows",), ("records",), ("windows", "records"), ("answers",), ("files",), ("answers", "files")):
        slow, quick = (sum(medians[f"{stage}, {way}"] for stage in stages) for way in ("plain", "fast"))
        print(f"{' and '.join(stages):20} plain {slow:8.2f} s  fast {quick:7.3f} s  {slow / quick:7.1f}x")


if __name__ == "__main__":
    main()
