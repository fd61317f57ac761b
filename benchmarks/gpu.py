"""Everything that only a GPU can show, in one command of at most eight minutes; with `--toy`, small enough for a CPU.

    python benchmarks/gpu.py [--peer=PYTHON] [--only=REGEX] [--seconds=480]

In this order, each part in its own processes, so that a failure leaves the others intact:

- `devices`: card, driver and versions; the rate of matmuls in float32, TF32 and bfloat16.
- `numbers`: the golden forward pass and the original's 20 training steps in float32 without TF32, against the bounds of
  the CPU's tests, without and with XLA; the same in bfloat16.
- `resume`: six steps at once, against three, a checkpoint, a new trainer, and three more.
- `speed`: steps of BERT-Base and BERT-Large, sequences of 128 and 512, float32 and bfloat16, with and without XLA,
  packed, next to transformers on PyTorch (`sdpa`, bfloat16, compiled and not): sequences and tokens per second, model
  FLOPs as a fraction of the matmul rate measured in the same process, and the peak device memory.

`--peer` is a Python with torch and transformers; if omitted, the one that runs this. The sides are those of
`training_step.py`. The sides of a group of `speed` are built and compiled in parallel, then timed one at a time, while
the next group is being built. Most of our time before the first step is XLA's: on sixteen cores, five sides in
parallel, it took 190 to 240 s for BERT-Base. So eight minutes are enough for two groups; `--only` chooses, `--seconds`
gives more.
"""

import argparse
import json
import os
import re
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import training_step
from training_step import Work

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "tiny"
BOUNDS = {"forward": 2e-5, "losses": 1e-4, "weights": 5e-5}  # absolute, those of the tests

BASE_128 = Work(768, 12, 12, 3072, 256, 128, False)
BASE_512 = Work(768, 12, 12, 3072, 64, 512, False)
LARGE_128 = Work(1024, 24, 16, 4096, 128, 128, False)
LARGE_512 = Work(1024, 24, 16, 4096, 32, 512, False)


class Side(NamedTuple):
    """What one process of `speed` measures; `change` as in `training_step.py`."""

    name: str
    side: str
    work: Work
    precision: str
    change: str = ""


# The sides of a group, and the next group while it is being built, fit into the memory of one card together.
GROUPS = [
    [
        Side("Base 512 x 64, XLA", "ours", BASE_512, "bfloat16"),
        Side("Base 512 x 64, transformers sdpa compiled", "transformers", BASE_512, "bfloat16", "sdpa compiled"),
        Side("Base 128 x 256, XLA", "ours", BASE_128, "bfloat16"),
        Side("Base 128 x 256, transformers sdpa compiled", "transformers", BASE_128, "bfloat16", "sdpa compiled"),
    ],
    [
        Side("Large 512 x 32, XLA", "ours", LARGE_512, "bfloat16"),
        Side("Large 512 x 32, transformers sdpa compiled", "transformers", LARGE_512, "bfloat16", "sdpa compiled"),
        Side("Base 512 x 64, no XLA", "ours", BASE_512, "bfloat16", "no XLA"),
        Side("Base 512 x 64, packed, XLA", "ours", BASE_512, "bfloat16", "packed"),
    ],
    [
        Side("Base 128 x 256, float32, XLA", "ours", BASE_128, "float32"),
        Side("Base 128 x 256, float32, no XLA", "ours", BASE_128, "float32", "no XLA"),
        Side("Base 128 x 256, no XLA", "ours", BASE_128, "bfloat16", "no XLA"),
        Side("Base 512 x 64, update apart, XLA", "ours", BASE_512, "bfloat16", "update apart"),
        Side("Base 512 x 64, transformers sdpa", "transformers", BASE_512, "bfloat16", "sdpa"),
    ],
    [
        Side("Large 128 x 128, XLA", "ours", LARGE_128, "bfloat16"),
        Side("Large 128 x 128, transformers sdpa compiled", "transformers", LARGE_128, "bfloat16", "sdpa compiled"),
    ],
]
TOY = Work(128, 2, 2, 256, 4, 32, False)


# --- Parts, each in its own process -----------------------------------------------------------------------------------


def devices() -> None:
    import keras
    import numpy as np
    import tensorflow as tf

    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, NumPy {np.__version__}, Python {sys.version[:7]}")
    build = tf.sysconfig.get_build_info()
    print("built for", {name: build.get(name) for name in ("cuda_version", "cudnn_version")})
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        print(device.name, details)
    for name, dtype, tf32 in (
        ("float32", tf.float32, False),
        ("TF32", tf.float32, True),
        ("bfloat16", tf.bfloat16, True),
    ):
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
        print(f"matmuls in {name}: {matmul_rate(dtype) / 1e12:.1f} TFLOP/s", flush=True)


def matmul_rate(dtype: Any) -> float:
    """FLOP/s of TensorFlow's matmuls of random square matrices."""
    import tensorflow as tf

    size = 8192 if tf.config.list_physical_devices("GPU") else 512
    x = tf.cast(tf.random.normal([size, size]), dtype)
    y = tf.cast(tf.random.normal([size, size]) / size**0.5, dtype)
    return product_rate(x, y, lambda z: z[0, 0].numpy())


def torch_matmul_rate(precision: str) -> float:
    """FLOP/s of PyTorch's matmuls of random square matrices."""
    import torch

    device, size = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 512)
    x = torch.randn(size, size, device=device).to(getattr(torch, precision))
    y = (torch.randn(size, size, device=device) / size**0.5).to(x.dtype)
    return product_rate(x, y, lambda z: z[0, 0].item())


def product_rate(x: Any, y: Any, wait: Callable[[Any], object]) -> float:
    """FLOP/s of products of square matrices; `wait` waits for one."""

    def time_products(count: int) -> float:
        begin = time.perf_counter()
        z = x
        for _ in range(count):
            z = z @ y
        wait(z)
        return time.perf_counter() - begin

    time_products(2)
    return 10 * 2 * x.shape[0] ** 3 / statistics.median(time_products(10) for _ in range(3))


def _golden_model(precision: str) -> tuple[Any, dict[str, Any]]:
    """The pre-training model with the weights of the golden checkpoint, without dropout, and its variables by name."""
    from bert_tf2 import checkpoints
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.configs.training import PrecisionConfig
    from bert_tf2.modeling.pretraining import PretrainingModel
    from bert_tf2.training.precision import policy

    sizes = BertConfig.from_json_file(GOLDEN / "bert_config.json").to_dict()
    config = BertConfig(**{**sizes, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    with policy(PrecisionConfig(precision, "off")):
        model = PretrainingModel(config)
    variables = checkpoints.tf_variables(model.named_variables)
    checkpoints.load(variables, str(GOLDEN / "bert_model.ckpt"))
    return model, variables


def numbers() -> None:
    import numpy as np
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    golden = np.load(GOLDEN / "forward.npz")
    batch = {name.removeprefix("in_"): tf.constant(golden[name]) for name in golden.files if name.startswith("in_")}
    for precision in ("float32", "bfloat16"):
        model, _ = _golden_model(precision)
        for compiles in (False, True):

            @tf.function(jit_compile=compiles, autograph=False)
            def forward(model: Any = model) -> dict[str, tf.Tensor]:
                outputs = model.bert(batch["input_ids"], batch["input_mask"], batch["segment_ids"])
                masked_lm, next_sentence = model.logits(batch)
                loss, _ = model.loss(batch, model.loss_weights(batch), None)
                layers = {f"layer_{index}": layer for index, layer in enumerate(outputs.encoder_layers)}
                return {
                    "embedding_output": outputs.embedding_output,
                    **layers,
                    "pooled_output": outputs.pooled_output,
                    "masked_lm_log_probs": tf.nn.log_softmax(masked_lm),
                    "next_sentence_log_probs": tf.nn.log_softmax(next_sentence),
                    "total_loss": loss,
                }

            worst = {
                name: float(np.abs(tf.cast(value, tf.float32).numpy() - golden[f"out_{name}"]).max())
                for name, value in forward().items()
            }
            judge(f"forward, {precision}, XLA {compiles}", max(worst.values()), "forward", precision)
    for precision in ("float32", "bfloat16"):
        for compiles in (False, True):
            _golden_training(precision, compiles)


def _golden_training(precision: str, compiles: bool) -> None:
    import numpy as np
    import tensorflow as tf

    from bert_tf2.configs.training import PrecisionConfig
    from bert_tf2.training.schedules import make_schedule
    from bert_tf2.training.trainer import Trainer, TrainingConfig

    golden = np.load(GOLDEN / "train.npz")
    steps = int(golden["num_train_steps"])
    model, variables = _golden_model(precision)
    rates = make_schedule("linear", float(golden["learning_rate"]), steps, int(golden["num_warmup_steps"]))
    loop = TrainingConfig(output_dir="", num_train_steps=steps, batch_size=6)
    chosen = PrecisionConfig(precision, "on" if compiles else "off")
    trainer = Trainer.create(model, rates, tf.distribute.get_strategy(), loop, precision=chosen)
    rows = {name.removeprefix("in_"): golden[name] for name in golden.files if name.startswith("in_")}
    iterator = iter(tf.data.Dataset.from_tensor_slices(rows))
    one, zero = tf.constant(1, tf.int64), tf.constant(0, tf.int64)
    found = [trainer.step.run(iterator, one, zero, tf.zeros([2])).last.numpy()[0] for _ in range(steps)]
    label = f"20 steps, {precision}, XLA {compiles}"
    judge(f"{label}: losses", float(np.abs(found - golden["losses"][:, 0]).max()), "losses", precision)
    finals = {name.removeprefix("final/"): golden[name] for name in golden.files if name.startswith("final/")}
    worst = max(float(np.abs(variables[name].numpy() - value).max()) for name, value in finals.items())
    judge(f"{label}: weights", worst, "weights", precision)


def judge(name: str, difference: float, bound: str, precision: str) -> None:
    """Prints a difference from the original and, in float32, whether it is within the tests' bound."""
    verdict = "" if precision != "float32" else "within" if difference <= BOUNDS[bound] else "NOT WITHIN"
    print(f"{name:45} off by {difference:.2e} {verdict}{f' {BOUNDS[bound]:.0e}' if verdict else ''}", flush=True)


def resume() -> None:
    import dataclasses
    import shutil

    import keras
    import numpy as np
    import tensorflow as tf

    from bert_tf2.configs.model import BertConfig
    from bert_tf2.configs.training import PrecisionConfig
    from bert_tf2.modeling.pretraining import PretrainingModel
    from bert_tf2.training.precision import policy, resolved
    from bert_tf2.training.schedules import make_schedule
    from bert_tf2.training.trainer import Trainer, TrainingConfig

    work = TOY._replace(hidden=256, heads=4)
    config = BertConfig(1000, work.hidden, work.layers, work.heads, work.inner)

    def data(done: int, share: Any) -> tf.data.Dataset:
        rows = training_step.random_batch(work._replace(batch=work.batch * 8))
        rows = {name: value % 1000 if name.endswith("_ids") else value for name, value in rows.items()}
        rows["segment_ids"] = rows["segment_ids"] % 2
        rows["masked_lm_weights"] = np.ones(rows["masked_lm_ids"].shape, np.float32)
        return tf.data.Dataset.from_tensor_slices(rows).repeat().skip(done).batch(work.batch)

    def trainer(directory: str, steps: int) -> Trainer:
        keras.utils.set_random_seed(1)
        precision = resolved(PrecisionConfig("bfloat16", "auto"))
        with policy(precision):
            model = PretrainingModel(config)
        loop = TrainingConfig(output_dir=directory, num_train_steps=steps, batch_size=work.batch)
        loop = dataclasses.replace(loop, save_checkpoints_steps=3)
        rates = make_schedule("linear", 1e-3, 6, 1)
        return Trainer.create(model, rates, tf.distribute.get_strategy(), loop, precision=precision)

    for deterministic in (False, True):
        if deterministic:
            tf.config.experimental.enable_op_determinism()
        with tempfile.TemporaryDirectory() as root:
            whole, half = f"{root}/whole", f"{root}/half"
            first = trainer(whole, 6)
            first.train(data)
            trainer(half, 3).train(data)
            shutil.copytree(half, f"{root}/copy")
            second = trainer(half, 6)
            second.resume()
            assert second.global_step == 3
            second.train(data)
            worst = max(
                float(np.abs(one.numpy() - two.numpy()).max())
                for one, two in zip(
                    first.task.named_variables.values(), second.task.named_variables.values(), strict=True
                )
            )
            print(f"resumed at step 3 of 6, deterministic operations {deterministic}: weights off by {worst:.1e}")


PARTS = {"devices": devices, "numbers": numbers, "resume": resume}


def serve(side: Side) -> None:
    """Builds and compiles a side, prints that it is ready, waits for a line of standard input, and times steps."""
    begin = time.perf_counter()
    step = training_step.SIDES[side.side](side.work, side.precision, side.change)
    step(2)
    print(json.dumps({"ready": time.perf_counter() - begin}), flush=True)
    sys.stdin.readline()
    step(2)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        step(4)
        seconds.append((time.perf_counter() - begin) / 4)
    result = {"seconds": statistics.median(seconds), "memory": training_step.most_memory(side.side)}
    if side.side == "transformers":
        rate = torch_matmul_rate(side.precision)
    else:
        import tensorflow as tf

        rate = matmul_rate(tf.as_dtype(side.precision))
    print(json.dumps({**result, "rate": rate}), flush=True)


# --- All together -----------------------------------------------------------------------------------------------------


class Part:
    """A part that runs in parallel with others; its output is kept until `show`."""

    def __init__(self, name: str) -> None:
        self.name, self.log = name, tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        command = [sys.executable, __file__, f"--part={name}"]
        self.process = subprocess.Popen(command, env=environment(), stdout=self.log, stderr=self.log)

    def show(self, seconds: float) -> None:
        """Waits for at most this many seconds, and prints the output."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            print(f"{self.name} took too long and was stopped.")
        self.log.seek(0)
        lines = [line for line in self.log.read().splitlines() if not _NOISE.match(line)]
        print(f"--- {self.name}\n" + "\n".join(lines[-40:]), flush=True)


_NOISE = re.compile(r"[IWE]\d{4} |WARNING: All log messages|To enable the following instructions|$")


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONUNBUFFERED": "1",
    }


def left(options: argparse.Namespace, most: float) -> float:
    """The seconds that a part may take, at most `most`."""
    return max(min(most, options.deadline - time.monotonic()), 1.0)


class Group:
    """Sides that are built in parallel, then timed one at a time."""

    def __init__(self, sides: list[Side], options: argparse.Namespace) -> None:
        self.options, self.running, self.begin = options, {}, time.monotonic()
        for side in sides:
            python = options.peer if side.side == "transformers" else sys.executable
            log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
            process = subprocess.Popen(
                [python, __file__, f"--worker={json.dumps(side)}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                text=True,
            )
            self.running[side] = (process, log)
        self.ready: dict[Side, Any] = {}

    def wait(self) -> None:
        """Waits until all are ready or have failed, or time is up."""
        for side, running in self.running.items():
            self.ready[side] = answer(running, left(self.options, 240 - (time.monotonic() - self.begin)))

    def measure(self) -> None:
        for side, (process, log) in self.running.items():
            if self.ready[side]:
                process.stdin.write("\n")
                process.stdin.flush()
                show(side, self.ready[side]["ready"], answer((process, log), left(self.options, 60)), log)
            else:
                explain(side, log)

    def end(self) -> None:
        for process, _ in self.running.values():
            process.kill()
            process.wait()


def answer(running: tuple[Any, Any], seconds: float) -> dict[str, float] | None:
    """The next result of a process, None if it ended or took too long."""
    with selectors.DefaultSelector() as selector:
        selector.register(running[0].stdout, selectors.EVENT_READ)
        if not selector.select(seconds):
            return None
    line = running[0].stdout.readline()
    return json.loads(line) if line.startswith("{") else None


def show(side: Side, compiling: float, found: dict[str, float] | None, log: Any) -> None:
    if found is None:
        explain(side, log)
        return
    rate = side.work.batch / found["seconds"]
    fraction = side.work.flops(whole_last_layer=True) / found["seconds"] / found["rate"]
    print(
        f"{side.name:45}{side.precision:9} {found['seconds'] * 1000:7.1f} ms {rate:8.1f} rows/s "
        f"{rate * side.work.length:9.0f} tokens/s  {fraction:4.2f} of {found['rate'] / 1e12:6.1f} TFLOP/s "
        f"{found['memory'] / 1000:6.1f} GB  ({compiling:.0f} s to compile)",
        flush=True,
    )


def explain(side: Side, log: Any) -> None:
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    print(
        f"{side.name}: no figure; the end of its log:\n  " + "\n  ".join(line[:300] for line in lines[-8:]), flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="a Python with torch and transformers")
    parser.add_argument("--only", default="", help="regular expression of the parts and sides to run")
    parser.add_argument("--seconds", type=float, default=480, help="limit for all parts together")
    parser.add_argument("--toy", action="store_true", help="models of toy size, for a machine without a GPU")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.deadline = time.monotonic() + options.seconds
    if options.part:
        PARTS[options.part]()
        return
    if options.worker:
        name, side, work, precision, change = json.loads(options.worker)
        serve(Side(name, side, Work(*work), precision, change))
        return
    parts = [Part(name) for name in PARTS if re.search(options.only, name)]
    groups = [[side for side in group if re.search(options.only, side.name)] for group in GROUPS]
    if options.toy:
        groups = [[s._replace(work=TOY, name=f"{s.name} (toy)") for s in group] for group in groups]
    pending = [group for group in groups if group]
    group = Group(pending.pop(0), options) if pending else None
    for part in parts:
        part.show(left(options, 200))
    while group:
        group.wait()
        # The next one is built and compiled meanwhile; it needs the card only later.
        following = Group(pending.pop(0), options) if pending and left(options, 60) >= 60 else None
        print("--- speed", flush=True)
        group.measure()
        group.end()
        group = following


if __name__ == "__main__":
    main()
