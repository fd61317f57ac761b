"""What benchmarks share: two sides, each in a process of its own, and how those of fine-tuning train and are timed."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import results

# PyTorch with glibc's own settings gives its memory back after each step, and is several times slower.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "-1",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "1073741824",
}
WEIGHT_DECAY = 0.01
# Ours leaves padding out; the peer pads to the longest row of a batch, or to `max_seq_length`. Nothing is compiled
# there, so that few steps warm it up, and padded in full a few steps say enough.
TIMED_WAYS: dict[str, dict[str, Any]] = {
    "ours": {"side": "ours", "what": "training"},
    "transformers, max_seq_length": {
        "side": "peer", "what": "training", "full_padding": True, "warm_up": 2, "steps": 10
    },
    "transformers, dynamic padding": {"side": "peer", "what": "training", "warm_up": 4, "steps": 40},
}  # fmt: skip
_WARM_UP = 0.1
_PARTS = 4


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks of fine-tuning have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="Hugging Face directory")
    parser.add_argument("--peer", default=sys.executable, help="Python with torch and transformers")
    parser.add_argument("--results", help="name of a file of benchmarks/results that keeps the figures")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "bert"], help="of ours")
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--warm_up", type=int, default=60, help="steps of ours before the timed ones: XLA compiles")
    parser.add_argument("--steps", type=int, default=60, help="timed steps of ours")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ways", default="", help="regular expression: which of the ways to time, all by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--speed_only", action="store_true")
    parser.add_argument("--scores_only", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def start(program: str, options: argparse.Namespace, side: str, **changes: object) -> dict[str, Any]:
    """Runs a side, `ours` or `peer`, of a benchmark's file in a process of its own and returns what it found."""
    values = {**vars(options), "side": side, **changes}
    python = options.peer if side == "peer" else sys.executable
    environment = {**os.environ, **(KEEP_MEMORY if side == "peer" else {}), "OMP_NUM_THREADS": str(options.threads)}
    command = [python, program, f"--worker={json.dumps(values)}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def show_scores(
    options: argparse.Namespace, title: str, scores: Mapping[str, Sequence[float]], unit: str = "%", decimals: int = 1
) -> None:
    """Prints mean, deviation and each of the scores of several seeds, by side, and keeps them in `options.results`."""
    for side, values in scores.items():
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        each = ", ".join(f"{value:.{decimals}f}" for value in values)
        print(f"{title} {unit} {side:15} {statistics.mean(values):.2f} +- {deviation:.2f}  ({each})", flush=True)
    if options.results:
        results.add(options.results, options.peer, title, unit, scores)


def measure_speed(program: str, options: argparse.Namespace, ways: Mapping[str, dict[str, Any]], title: str) -> None:
    """Runs each way, a side with changes, `options.repetitions` times in turns, and prints medians of what they found.

    Ratios are those of the first way, which is ours, to each. `options.results` names the file that keeps the figures.
    """
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ways if re.search(options.ways, name)}
    for _ in range(options.repetitions):
        for name, runs in figures.items():
            runs.append(start(program, options, **ways[name]))
    first = next(iter(figures))
    for unit in figures[first][0]:
        medians = {name: statistics.median(one[unit] for one in values) for name, values in figures.items()}
        if options.results:
            of_unit = {name: [one[unit] for one in values] for name, values in figures.items()}
            results.add(options.results, options.peer, title.strip(), unit.replace("_per_", "/"), of_unit)
        for name, values in figures.items():
            each = ", ".join(f"{one[unit]:.1f}" for one in values)
            shown = f"{title}{name:35} {medians[name]:7.1f} {unit.replace('_per_', '/')}"
            print(f"{shown}  ours is {medians[first] / medians[name]:.2f}x  ({each})", flush=True)


def use_threads(threads: int, predicts: bool = False) -> None:
    """Lets TensorFlow use so many; a process that only predicts uses them as the commands do, a core a batch."""
    import tensorflow as tf

    if predicts and threads == os.cpu_count():
        from bert_tf2.configs.training import DistributionConfig
        from bert_tf2.training import concurrency

        concurrency.use_a_core_a_batch(DistributionConfig())
        return
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def rate_of_difference(few: int, many: int, predict: Callable[[int], object]) -> float:
    """Rows a second of a prediction, by how much longer `many` rows take than `few`: start and loading do not count."""

    def seconds(rows: int) -> float:
        begin = time.perf_counter()
        predict(rows)
        return time.perf_counter() - begin

    seconds(few)
    start = seconds(few)
    return (many - few) / (seconds(many) - start)


def time_training(options: argparse.Namespace, run: Callable[[], object]) -> float:
    """Rows a second of ours: `run` trains, and is ended after `options.warm_up` and `options.steps` timed steps."""
    from bert_tf2 import training

    last = options.warm_up + options.steps
    marks: list[tuple[int, float]] = []

    class Clock:
        """Notes the time at two steps."""

        def next_after(self, step: int) -> int:
            return options.warm_up if step < options.warm_up else max(step + 1, last)

        def run(self, step: int) -> str | None:
            if step in (options.warm_up, last):
                marks.append((step, time.perf_counter()))
            return "timed" if step >= last else None

    plain = training.Trainer.train
    training.Trainer.train = lambda self, data, hooks=(): plain(self, data, [*hooks, Clock()])
    run()
    (first, begin), (last, end) = marks
    return (last - first) * options.batch_size / (end - begin)


def _torch_optimizer(model: Any, options: argparse.Namespace, steps: int) -> tuple[Any, Any]:
    """The peer's AdamW, without decay of biases and LayerNorm, and BERT's linear schedule with a warm-up of a tenth.

    transformers' own decays from the end of the warm-up on, BERT's from its start, so that its rates are lower.
    """
    import torch

    warm_up = int(steps * _WARM_UP)

    def share(step: int) -> float:
        return step / warm_up if step < warm_up else max(1.0 - step / steps, 0.0)

    decayed = [p for n, p in model.named_parameters() if "bias" not in n and "LayerNorm" not in n]
    others = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def torch_train(
    model: Any,
    options: argparse.Namespace,
    rows: int,
    steps: int,
    taken: int,
    loss_of: Callable[[Any], Any],
    lengths: Any = None,
) -> float:
    """Trains the peer's model, and returns the rows a second after `options.warm_up` steps.

    Args:
      model: of transformers.
      options: of the command.
      rows: how many there are.
      steps: of the schedule.
      taken: steps to take.
      loss_of: from the numbers of the rows of a batch to the loss.
      lengths: of the rows; given, a step takes its batch in parts of like length, for less padding.
    """
    import numpy as np
    import torch

    optimizer, schedule = _torch_optimizer(model, options, steps)
    rng = np.random.default_rng(options.seed)
    order = np.concatenate([rng.permutation(rows) for _ in range(int(options.epochs) + 1)])
    model.train()
    begin = time.perf_counter()
    for step in range(taken):
        if step == options.warm_up:
            begin = time.perf_counter()
        chosen = order[step * options.batch_size : (step + 1) * options.batch_size]
        if lengths is None:
            loss_of(chosen).backward()
        else:
            for part in np.array_split(chosen[np.argsort(lengths[chosen])], _PARTS):
                (loss_of(part) * (len(part) / len(chosen))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return options.steps * options.batch_size / (time.perf_counter() - begin)


def torch_batch(tokenizer: Any, rows: list[dict], pad_to: int | None) -> Any:
    """Rows padded to a length, else to the longest of them."""
    padding = {"padding": "max_length", "max_length": pad_to} if pad_to else {"padding": "longest"}
    return tokenizer.pad(rows, return_tensors="pt", **padding)
