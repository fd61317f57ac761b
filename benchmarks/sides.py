"""What benchmarks share: two sides, each in its own process, and how the sides of fine-tuning train and are timed."""

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

# With glibc's defaults, PyTorch returns its memory after each step and is several times slower.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "-1",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "1073741824",
}
WEIGHT_DECAY = 0.01
# Ours skips padding; the peer pads to the longest row of a batch, or to `max_seq_length`. The peer compiles nothing, so
# it needs few steps to warm up; with full padding all steps cost the same, so that few are enough.
TIMED_WAYS: dict[str, dict[str, Any]] = {
    "ours": {"side": "ours", "what": "training"},
    "transformers, max_seq_length": {
        "side": "peer", "what": "training", "full_padding": True, "warm_up": 2, "steps": 10
    },
    "transformers, dynamic padding": {"side": "peer", "what": "training", "warm_up": 4, "steps": 40},
}  # fmt: skip
FEW_ROWS = 500  # the smaller of the two predictions that `rate_of_difference` times
_DEFAULTS = {"full_padding": False, "seed": 1}
_WARM_UP = 0.1
_MICROBATCHES = 4


def number_of_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of all benchmarks that time training."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="a Python with torch and transformers")
    parser.add_argument("--results", help="name of the file in benchmarks/results that keeps the figures")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--warm_up", type=int, default=60, help="our first steps, not timed: XLA compiles")
    parser.add_argument("--steps", type=int, default=60, help="our timed steps")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ways", default="", help="regular expression of the ways to time besides the first one, ours")
    parser.add_argument("--threads", type=int, default=number_of_cores(), help="of each side; all cores if omitted")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def finetuning_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of all benchmarks that fine-tune a model and score it."""
    parser = options_parser(description)
    parser.add_argument("--model", help="directory of a BERT in Hugging Face's format")
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "bert"], help="of our side")
    parser.add_argument("--seeds", default="1,2,3", help="comma-separated")
    parser.add_argument("--speed_only", action="store_true", help="measure no scores")
    parser.add_argument("--scores_only", action="store_true", help="measure no speed")
    return parser


def start(program: str, options: argparse.Namespace, side: str, **changes: object) -> dict[str, Any]:
    """Runs a side of a benchmark in its own process, all but `ours` with the peer's Python, and returns its figures."""
    values = {**vars(options), "side": side, **changes}
    is_peer = side != "ours"
    python = options.peer if is_peer else sys.executable
    environment = {**os.environ, **(KEEP_MEMORY if is_peer else {}), "OMP_NUM_THREADS": str(options.threads)}
    command = [python, program, f"--worker={json.dumps(values)}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_worker(request: str, **sides: Callable[[argparse.Namespace], dict[str, Any]]) -> None:
    """Runs the side that `start` asked for in `--worker`, and prints what it measured."""
    values = argparse.Namespace(**{**_DEFAULTS, **json.loads(request)})
    print(json.dumps(sides[values.side](values)))


def show_scores(
    options: argparse.Namespace, title: str, scores: Mapping[str, Sequence[float]], unit: str = "%", decimals: int = 1
) -> None:
    """Prints each side's scores with their mean and deviation over the seeds, and keeps them in `options.results`."""
    for side, values in scores.items():
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        each = ", ".join(f"{value:.{decimals}f}" for value in values)
        print(f"{title} {unit} {side:15} {statistics.mean(values):.2f} +- {deviation:.2f}  ({each})", flush=True)
    if options.results:
        results.add(options.results, options.peer, title, unit, scores)


def measure_speed(program: str, options: argparse.Namespace, ways: Mapping[str, dict[str, Any]], title: str) -> None:
    """Runs each way, a side with changes, `options.repetitions` times in turns, and prints the medians of its figures.

    Ratios compare the first way, which is ours, with each. `options.results` names the file that keeps the figures.
    """
    first = next(iter(ways))
    figures: dict[str, list[dict[str, float]]] = {
        name: [] for name in ways if name == first or re.search(options.ways, name)
    }
    for _ in range(options.repetitions):
        for name, runs in figures.items():
            runs.append(start(program, options, **ways[name]))
    for key in figures[first][0]:
        unit = key.replace("_per_", "/")
        values = {name: [run[key] for run in runs] for name, runs in figures.items()}
        medians = {name: statistics.median(of_runs) for name, of_runs in values.items()}
        if options.results:
            results.add(options.results, options.peer, title, unit, values)
        for name, of_runs in values.items():
            each = ", ".join(f"{value:.1f}" for value in of_runs)
            ratio = medians[first] / medians[name]
            print(f"{title} {name:35} {medians[name]:7.1f} {unit}  ratio {ratio:.2f}x  ({each})", flush=True)


def use_threads(threads: int, predicts: bool = False) -> None:
    """Limits TensorFlow to a number of threads.

    Args:
      threads: their number.
      predicts: whether the process only predicts. Then, as the commands do, it computes a batch on each core, so its
        cores are limited too.
    """
    import tensorflow as tf

    if predicts:
        from bert_tf2.configs.training import DistributionConfig
        from bert_tf2.training import concurrency

        if threads < number_of_cores():
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        concurrency.use_a_core_a_batch(DistributionConfig())
        return
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def rate_of_difference(few: int, many: int, predict: Callable[[int], object]) -> float:
    """Predicted rows per second: how much longer `many` rows take than `few`, so that starting and loading cancel."""

    def seconds(rows: int) -> float:
        begin = time.perf_counter()
        predict(rows)
        return time.perf_counter() - begin

    seconds(few)
    start = seconds(few)
    return (many - few) / (seconds(many) - start)


def time_training(options: argparse.Namespace, run: Callable[[], object]) -> float:
    """Our rows per second: `run` trains, and is stopped after `options.warm_up` and `options.steps` timed steps."""
    from bert_tf2 import training

    last = options.warm_up + options.steps
    marks: list[float] = []

    class Clock:
        """Notes the time at two steps."""

        def next_after(self, step: int) -> int:
            return options.warm_up if step < options.warm_up else max(step + 1, last)

        def run(self, step: int) -> str | None:
            if step in (options.warm_up, last):
                marks.append(time.perf_counter())
            return "timed" if step >= last else None

    plain = training.Trainer.train
    training.Trainer.train = lambda self, data, hooks=(): plain(self, data, [*hooks, Clock()])
    run()
    if len(marks) != 2:
        sys.exit(f"Training ended before step {last}: give a smaller --warm_up or --steps, or more data.")
    return options.steps * options.batch_size / (marks[1] - marks[0])


def _torch_optimizer(model: Any, options: argparse.Namespace, steps: int) -> tuple[Any, Any]:
    """The peer's AdamW, without decay of biases and LayerNorm, and BERT's linear schedule with a warm-up of a tenth.

    transformers' own schedule decays from the end of the warm-up, BERT's from its start, so BERT's rates are lower.
    """
    import torch

    warm_up = int(steps * _WARM_UP)

    def factor(step: int) -> float:
        return step / warm_up if step < warm_up else max(1.0 - step / steps, 0.0)

    decayed = [p for n, p in model.named_parameters() if "bias" not in n and "LayerNorm" not in n]
    others = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def torch_train(
    model: Any,
    options: argparse.Namespace,
    rows: int,
    loss_of: Callable[[Any], Any],
    steps: int | None = None,
    lengths: Any = None,
) -> float:
    """Trains the peer's model for all steps of its schedule or, to time it, for a few.

    Args:
      model: of transformers.
      options: of the command; if `what` is `training`, `options.warm_up` and `options.steps` timed steps are taken.
      rows: the number of training rows.
      loss_of: computes the loss of a batch from the numbers of its rows.
      steps: of the schedule; if omitted, those of `options.epochs`.
      lengths: of the rows; if given, a step takes its batch in microbatches of similar length, which have less padding.

    Returns:
      Rows per second, without the warm-up of a timed training.
    """
    import numpy as np
    import torch

    if steps is None:
        steps = int(rows / options.batch_size * options.epochs)
    is_timed = options.what == "training"
    first, taken = (options.warm_up, options.warm_up + options.steps) if is_timed else (0, steps)
    if taken > steps:
        sys.exit(f"The data has {steps} steps, fewer than the {taken} to warm up and to time.")
    optimizer, schedule = _torch_optimizer(model, options, steps)
    rng = np.random.default_rng(options.seed)
    order = np.concatenate([rng.permutation(rows) for _ in range(int(options.epochs) + 1)])
    model.train()
    begin = time.perf_counter()
    for step in range(taken):
        if step == first:
            begin = time.perf_counter()
        chosen = order[step * options.batch_size : (step + 1) * options.batch_size]
        if lengths is None:
            loss_of(chosen).backward()
        else:
            for part in np.array_split(chosen[np.argsort(lengths[chosen])], _MICROBATCHES):
                (loss_of(part) * (len(part) / len(chosen))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return (taken - first) * options.batch_size / (time.perf_counter() - begin)


def torch_batch(tokenizer: Any, rows: list[dict], pad_to: int | None) -> Any:
    """A batch of rows, padded to a length; if that is None, to the longest of them."""
    padding = {"padding": "max_length", "max_length": pad_to} if pad_to else {"padding": "longest"}
    return tokenizer.pad(rows, return_tensors="pt", **padding)
