"""Vectors of lines of text, mean over their tokens: this project and transformers on PyTorch with the same model.

    python benchmarks/features.py --model=all-MiniLM-L6-v2 --text=en_novels.txt [--lines=5000] [--peer=PYTHON]

`--model` is a Hugging Face directory. Both sides get the same lines in memory and return their vectors in memory, from
tokenizing to pooling. PyTorch runs in its own process, in inference mode, on the lines sorted by length and padded to
the longest of a batch; all cores compute one batch. Its glibc settings keep its memory, without which it is several
times slower. Ours limits its batches to 384 tokens on a CPU, whatever the batch size, and computes one on each core.

The lines are processed in rounds, part by part, batch size by batch size, side by side, so that a busy moment of the
machine affects both. Printed are sentences per second by batch size, from the median and the fastest of the rounds of
each part; the ratio of each side's best; the same for the bare matmuls of the layers' six kernels on as many rows
(`matmuls`), whose best no program with these matmuls exceeds; and the largest difference between two numbers.

`--peer` is a Python with torch and transformers; if omitted, the one that runs this.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import results
from sides import KEEP_MEMORY

MAX_SEQ_LENGTH = 128
BATCH_SIZES = (8, 16, 32, 64)
Vectors = Callable[[list[str], int], np.ndarray[Any, Any]]


def pytorch(folder: str) -> Vectors:
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def vectors(lines: list[str], batch_size: int) -> np.ndarray[Any, Any]:
        encoded = tokenizer(lines, truncation=True, max_length=MAX_SEQ_LENGTH)
        order = np.argsort([-len(ids) for ids in encoded["input_ids"]], kind="stable")
        found = np.empty((len(lines), model.config.hidden_size), np.float32)
        for first in range(0, len(lines), batch_size):
            rows = order[first : first + batch_size]
            part = {name: [encoded[name][row] for row in rows] for name in ("input_ids", "attention_mask")}
            batch = tokenizer.pad(part, return_tensors="pt")
            mask = batch["attention_mask"][..., None].float()
            found[rows] = ((model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)).numpy()
        return found

    return vectors


def tokenizer_of(folder: str) -> Any:
    from bert_tf2.checkpoints import pretrained

    return pretrained.find_vocabulary(folder).tokenizer(pretrained.find_do_lower_case(folder))


def ours(folder: str) -> Vectors:
    from bert_tf2 import cli

    cli.import_tensorflow()
    import tensorflow as tf

    from bert_tf2 import checkpoints, modeling
    from bert_tf2.checkpoints import pretrained
    from bert_tf2.configs.training import DistributionConfig
    from bert_tf2.tasks.feature_extraction import config, data, encoder
    from bert_tf2.training import concurrency

    concurrency.use_a_core_a_batch(DistributionConfig())
    model = modeling.BertModel(pretrained.find_bert_config(folder))
    pretrained.load(checkpoints.tf_variables(model.named_variables()), folder)
    tokenizer = tokenizer_of(folder)
    encoders = {
        size: encoder.Encoder(
            encoder.features_of(model, (-1,), config.MEAN),
            model.config.hidden_size,
            of_tokens=False,
            batch_size=size,
            max_seq_length=MAX_SEQ_LENGTH,
            strategy=tf.distribute.get_strategy(),
            compiles=False,
        )
        for size in BATCH_SIZES
    }

    def vectors(lines: list[str], batch_size: int) -> np.ndarray[Any, Any]:
        sequences = data.encode(lines, tokenizer, MAX_SEQ_LENGTH)
        return encoders[batch_size].vectors(sequences, lambda _: None)

    return vectors


def matmuls(folder: str) -> Vectors:
    from concurrent.futures import ThreadPoolExecutor

    from bert_tf2 import cli

    cli.import_tensorflow()
    import tensorflow as tf

    from bert_tf2.checkpoints import pretrained
    from bert_tf2.configs.training import DistributionConfig
    from bert_tf2.tasks.feature_extraction import data
    from bert_tf2.training import concurrency

    concurrency.use_a_core_a_batch(DistributionConfig())
    config = pretrained.find_bert_config(folder)
    hidden, inner = config.hidden_size, config.intermediate_size
    tokenizer = tokenizer_of(folder)
    shapes = [*[(hidden, hidden)] * 4, (hidden, inner), (inner, hidden)] * config.num_hidden_layers
    kernels = [tf.random.normal(shape, stddev=shape[0] ** -0.5) for shape in shapes]

    @tf.function(input_signature=[tf.TensorSpec([None, hidden])])
    def run(x: tf.Tensor) -> tf.Tensor:
        for kernel in kernels:
            x = tf.matmul(x, kernel)
        return x

    def vectors(lines: list[str], batch_size: int) -> np.ndarray[Any, Any]:
        lengths = -np.sort(-data.encode(lines, tokenizer, MAX_SEQ_LENGTH).lengths)
        batches = [lengths[first : first + batch_size] for first in range(0, len(lengths), batch_size)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # in parallel, as ours are
            list(pool.map(lambda batch: run(tf.ones([len(batch) * int(batch.max()), hidden])), batches))
        return np.zeros(0, np.float32)

    return vectors


SIDES = {"ours": ours, "pytorch": pytorch, "matmuls": matmuls}


def serve(vectors: Vectors) -> None:
    """Answers requests, one JSON object per line of standard input, with the seconds that they took."""
    for request in map(json.loads, sys.stdin):
        begin = time.perf_counter()
        found = vectors(request["lines"], request["batch_size"])
        seconds = time.perf_counter() - begin
        np.save(request["output"], found)
        print(json.dumps(seconds), flush=True)


def parts(lines: list[str], size: int) -> Iterator[list[str]]:
    return (lines[first : first + size] for first in range(0, len(lines), size))


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of a BERT in Hugging Face's format")
    parser.add_argument("--text", help="text with a sentence on each line")
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", type=int, default=500, help="lines per part")
    parser.add_argument("--peer", default=sys.executable, help="a Python with torch and transformers")
    parser.add_argument("--results", help="name of the file in benchmarks/results that keeps the figures")
    parser.add_argument("--serve", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="/tmp", help="directory for temporary files")
    options = parser.parse_args()
    if options.serve:
        serve(SIDES[options.serve](options.model))
        return

    with open(options.text, encoding="utf-8") as file:
        text = sorted({line.strip() for line in file} - {""})
    lines = random.Random(12345).sample(text, options.lines)
    sides: dict[str, Any] = {}
    for side in SIDES:
        is_peer = side == "pytorch"
        python, environment = (options.peer, KEEP_MEMORY) if is_peer else (sys.executable, {})
        command = [python, __file__, f"--model={options.model}", f"--serve={side}"]
        sides[side] = subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment}
        )
    seconds: dict[tuple[str, int], list[list[float]]] = {}
    difference = 0.0
    for number in range(options.rounds + 1):
        for part in list(parts(lines, options.part))[: None if number else 1]:  # first one part, to warm up
            for size in BATCH_SIZES:
                found = {}
                for side, process in sides.items():
                    output = os.path.join(options.folder, f"features-{os.getpid()}-{side}.npy")
                    request = {"lines": part, "batch_size": size, "output": output}
                    process.stdin.write(json.dumps(request) + "\n")
                    process.stdin.flush()
                    took = json.loads(process.stdout.readline())
                    found[side] = np.load(output)
                    os.remove(output)
                    if number:
                        rounds = seconds.setdefault((side, size), [[] for _ in range(options.rounds)])
                        rounds[number - 1].append(took)
                difference = max(difference, float(np.abs(found["ours"] - found["pytorch"]).max()))
    for process in sides.values():
        process.stdin.close()
        process.wait()

    for kind, choose in (("median of the rounds", statistics.median), ("fastest of the rounds", min)):
        print(f"{kind:24}" + "".join(f"{f'batch {size}':>12}" for size in BATCH_SIZES))
        best, best_size = {}, {}
        for side in sides:
            # By part, so that a busy moment affects only one part of one round.
            totals = [sum(map(choose, zip(*seconds[side, size], strict=True))) for size in BATCH_SIZES]
            best[side] = len(lines) / min(totals)
            best_size[side] = BATCH_SIZES[totals.index(min(totals))]
            print(f"{side:24}" + "".join(f"{len(lines) / total:12.1f}" for total in totals))
        print(f"best against best: {best['ours'] / best['pytorch']:.2f}x")
        if options.results and choose is statistics.median:
            names = {"ours": "ours", "pytorch": "transformers", "matmuls": "matmuls alone"}
            rates = {
                f"{names[side]}, batches of {size}": [len(lines) / sum(took) for took in seconds[side, size]]
                for side, size in best_size.items()
            }
            results.add(options.results, options.peer, "features, mean vectors", "sentences/second", rates)
    print(f"largest difference: {difference:.1e}")


if __name__ == "__main__":
    main()
