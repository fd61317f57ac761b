"""A training step next to transformers on PyTorch and to Keras Hub, to the machine's arithmetic, and to its own parts.

    python benchmarks/training_step.py compare [--peer=PYTHON]  # examples per second, ratios
    python benchmarks/training_step.py parts                    # what each part of the work gains or costs
    python benchmarks/training_step.py limit                    # model FLOPs over the rate of matmuls
    python benchmarks/training_step.py growth                   # time and memory by batch size and length

`--tasks` chooses among `small` (pre-training, 4 layers, 256 wide, batch 32), `base` (pre-training, BERT-Base, batch 8)
and `classification` (6 layers, 384 wide, batch 32), all with sequences of 128; `--precisions` among `float32` and
`bfloat16`; `--others` among the other sides of `compare` (with BERT-Base, all of them at once need more than 24 GB).

A step is forward pass, backward pass, clipping and the optimizer's update, with dropout, on one batch of random tokens
without padding. Ours is the loop of `bert_tf2.training.step` with Google's optimizer; the others use AdamW. All compute
the scores of the vocabulary only at the masked positions. Ours computes the last layer, too, only where it is read, the
others everywhere; `parts` times ours with `the whole last layer`. Each side runs in its own process with all cores, and
they take steps in turns, so that a busy moment of the machine affects all of them; printed are medians and their
ratios. All have two steps to warm up. PyTorch is run with glibc settings that keep its memory, without which it is
several times slower.

`--peer` is a Python with torch, transformers and keras-hub; if omitted, the one that runs this. If there is a GPU, all
sides use it.
"""

import argparse
import dataclasses
import functools
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import results
from sides import KEEP_MEMORY

VOCABULARY = 30522
Step = Callable[[int], None]  # takes a number of steps, and waits for the last one


class Work(NamedTuple):
    """A model and its batch; if not `is_classification`, the task is pre-training."""

    hidden: int
    layers: int
    heads: int
    inner: int
    batch: int
    length: int
    is_classification: bool

    @property
    def title(self) -> str:
        name = "classification" if self.is_classification else "pre-training"
        return f"{name}, {self.layers} layers of {self.hidden}, batch of {self.batch} x {self.length}"

    @property
    def predictions(self) -> int:
        """Masked positions of a sequence, as in the original's commands: 20 of 128, 77 of 512."""
        return max(20, round(0.15 * self.length))

    def flops(self, whole_last_layer: bool) -> float:
        """FLOPs of the matmuls of a step: three times those of a forward pass.

        Args:
          whole_last_layer: whether to count the last layer at all positions, as is usual, or where we compute it.
        """
        rows, read = self.batch * self.length, self.batch * (1 if self.is_classification else 1 + self.predictions)
        last = rows if whole_last_layer else read

        def layer(queries: int) -> float:
            projections = 2 * self.hidden**2 * (2 * queries + 2 * rows) + 4 * queries * self.hidden * self.inner
            return projections + 4 * queries * self.length * self.hidden

        head = self.batch * self.predictions * (self.hidden**2 + self.hidden * VOCABULARY) * 2
        return 3 * ((self.layers - 1) * layer(rows) + layer(last) + (0 if self.is_classification else head))


TASKS = {
    "small": Work(256, 4, 4, 1024, 32, 128, False),
    "base": Work(768, 12, 12, 3072, 8, 128, False),
    "classification": Work(384, 6, 6, 1536, 32, 128, True),
}


def random_batch(work: Work) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    shape = work.batch, work.length
    batch = {
        "input_ids": rng.integers(0, VOCABULARY, shape),
        "input_mask": np.ones(shape),
        "segment_ids": rng.integers(0, 2, shape),
    }
    if work.is_classification:
        batch["label_ids"] = rng.integers(0, 2, work.batch)
    else:
        masked = work.batch, work.predictions
        batch["masked_lm_positions"] = np.sort(rng.integers(0, work.length, masked), axis=1)
        batch["masked_lm_ids"] = rng.integers(0, VOCABULARY, masked)
        batch["next_sentence_labels"] = rng.integers(0, 2, (work.batch, 1))
    return {name: value.astype(np.int32) for name, value in batch.items()}


def packed_batch(work: Work) -> dict[str, Any]:
    """Rows of several short sequences each, of random lengths up to a quarter of a row."""
    import numpy as np

    from bert_tf2.input_pipeline import sequence_packing

    count, length = 8 * work.batch, work.length // 4
    rng = np.random.default_rng(0)
    mask = np.arange(work.length) < rng.integers(length // 4, length + 1, count)[:, None]
    of_sequences = random_batch(work._replace(batch=count))
    is_prediction = np.arange(work.predictions) < (mask.sum(axis=1) * 0.15)[:, None]
    positions = np.minimum(of_sequences["masked_lm_positions"] % (length // 4), work.length - 1)
    sequences = {
        **of_sequences,
        "input_mask": mask.astype(np.int32),
        "masked_lm_positions": positions * is_prediction,
        "masked_lm_weights": is_prediction.astype(np.float32),
    }
    return {name: value[: work.batch] for name, value in sequence_packing.pack_rows(sequences, rng).items()}


# --- The sides, each in its own process -------------------------------------------------------------------------------


def ours(work: Work, precision: str, change: str) -> Step:
    """A step of this project; `change` is the part that is switched off or on; empty: none."""
    import tensorflow as tf

    from bert_tf2 import modeling, training
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.configs.training import PrecisionConfig, TrainingConfig
    from bert_tf2.modeling import encoder, fused_ops, layers
    from bert_tf2.modeling.classifier import ClassificationModel
    from bert_tf2.modeling.pretraining import PretrainingModel
    from bert_tf2.training import optimizers, schedules
    from bert_tf2.training.precision import policy, resolved

    if change == "nothing fused":
        encoder.fuses = layers.fuses = lambda config, dropout_seed: False
    if change == "the update not fused":
        optimizers._MIN_FUSED = 10**12
    if change == "TensorFlow's gradient of matmuls":
        fused_ops.matmul = tf.matmul
    if change == "the whole last layer":
        call = modeling.BertModel.call

        @functools.wraps(call)  # Keras reads the signature
        def whole(self: Any, *inputs: Any, output_positions: tf.Tensor, **options: Any) -> Any:
            outputs = call(self, *inputs, **options)
            chosen = tf.gather(outputs.sequence_output, output_positions, batch_dims=1)
            return outputs._replace(sequence_output=chosen)

        modeling.BertModel.call = whole
    dropout = 0.0 if change == "no dropout" else 0.1
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=work.hidden,
        num_hidden_layers=work.layers,
        num_attention_heads=work.heads,
        intermediate_size=work.inner,
        type_vocab_size=2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    chosen = resolved(PrecisionConfig(precision, "off" if "no XLA" in change else "auto"))
    recompute = change == "recomputation"
    with policy(chosen):
        model = (
            ClassificationModel(config, 2, "single_label", recompute=recompute)
            if work.is_classification
            else PretrainingModel(config, recompute=recompute)
        )
    loop = TrainingConfig(output_dir="", num_train_steps=10**6, batch_size=work.batch)
    strategy = tf.distribute.get_strategy()
    schedule = schedules.make_schedule("linear", 1e-4, 10**6, 10)
    trainer = training.Trainer.create(model, schedule, strategy, loop, precision=chosen)
    run = dataclasses.replace(trainer.step, is_whole=trainer.step.is_whole and change != "update apart").run
    batch = packed_batch(work) if "packed" in change else random_batch(work)
    if not (work.is_classification or "packed" in change):
        batch["masked_lm_weights"] = tf.ones([work.batch, work.predictions])
    iterator = iter(tf.data.Dataset.from_tensors(batch).repeat().prefetch(1))

    def step(count: int) -> None:
        zero = tf.constant(0, tf.int64)
        run(iterator, tf.constant(count, tf.int64), zero, tf.zeros([2])).last.numpy()

    return step


def transformers(work: Work, precision: str, change: str) -> Step:
    """A step of transformers; `change` is `eager` or `sdpa` attention, or `sdpa compiled`."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import BertConfig, BertForSequenceClassification
    from transformers.models.bert.modeling_bert import BertModel, BertPreTrainingHeads

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=work.hidden,
        num_hidden_layers=work.layers,
        num_attention_heads=work.heads,
        intermediate_size=work.inner,
        hidden_act="gelu_pytorch_tanh",
        attn_implementation=change.split()[0],
    )

    class Pretraining(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert, self.cls = BertModel(config), BertPreTrainingHeads(config)
            self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight

        def forward(self, batch: dict[str, Any]) -> Any:
            outputs = self.bert(
                batch["input_ids"], attention_mask=batch["input_mask"], token_type_ids=batch["segment_ids"]
            )
            positions = batch["masked_lm_positions"][:, :, None].expand(-1, -1, work.hidden)
            masked = torch.gather(outputs.last_hidden_state, 1, positions).reshape(-1, work.hidden)
            words, following = self.cls(masked, outputs.pooler_output)
            next_sentence = cross_entropy(following.float(), batch["next_sentence_labels"].reshape(-1))
            return cross_entropy(words.float(), batch["masked_lm_ids"].reshape(-1)) + next_sentence

    class Classification(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = BertForSequenceClassification(config)

        def forward(self, batch: dict[str, Any]) -> Any:
            return self.model(
                batch["input_ids"],
                attention_mask=batch["input_mask"],
                token_type_ids=batch["segment_ids"],
                labels=batch["label_ids"],
            ).loss

    model = (Classification if work.is_classification else Pretraining)().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    batch = {name: torch.tensor(value).long().to(device) for name, value in random_batch(work).items()}

    def loss_of(batch: dict[str, Any]) -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            return model(batch)

    run = torch.compile(loss_of) if "compiled" in change else loss_of

    def step(count: int) -> None:
        for _ in range(count):
            loss = run(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def keras_hub(work: Work, precision: str, change: str) -> Step:
    """A step of Keras Hub; `change` is `compiled` for XLA, or empty."""
    import keras
    import keras_hub
    import tensorflow as tf

    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=VOCABULARY,
        num_layers=work.layers,
        num_heads=work.heads,
        hidden_dim=work.hidden,
        intermediate_dim=work.inner,
        dropout=0.1,
        num_segments=2,
    )
    batch = {name: tf.constant(value) for name, value in random_batch(work).items()}
    inputs = {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
    }
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if work.is_classification:
        model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=None, dropout=0.1)
        labels, losses = batch["label_ids"], loss
    else:
        positions = keras.Input((work.predictions,), dtype="int32")
        outputs = backbone(backbone.input)
        masked_lm = keras_hub.layers.MaskedLMHead(
            vocabulary_size=VOCABULARY,
            token_embedding=backbone.token_embedding,
            intermediate_activation=lambda x: keras.activations.gelu(x, approximate=True),
        )(outputs["sequence_output"], positions)
        following = keras.layers.Dense(2)(outputs["pooled_output"])
        model = keras.Model(
            {**backbone.input, "positions": positions}, {"masked_lm": masked_lm, "next_sentence": following}
        )
        inputs["positions"] = batch["masked_lm_positions"]
        labels = {"masked_lm": batch["masked_lm_ids"], "next_sentence": batch["next_sentence_labels"]}
        losses = {"masked_lm": loss, "next_sentence": loss}
    optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0)
    model.compile(optimizer, losses, jit_compile=change == "compiled")

    def step(count: int) -> None:
        for _ in range(count):
            model.train_on_batch(inputs, labels)

    return step


def matmul(work: Work, precision: str, change: str) -> Step:
    """The FLOPs of a step as matmuls of the model's widest layer: the machine's limit."""
    import tensorflow as tf

    del change
    rows, dtype = work.batch * work.length, tf.as_dtype(precision)
    x = tf.cast(tf.random.normal([rows, work.hidden]), dtype)
    kernel = tf.cast(tf.random.normal([work.hidden, work.inner]), dtype)
    count = round(work.flops(whole_last_layer=True) / (2 * rows * work.hidden * work.inner))

    @tf.function
    def run() -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(count):
            total += tf.cast(tf.matmul(x, kernel)[0, 0], tf.float32)
        return total

    def step(count: int) -> None:
        for _ in range(count):
            run().numpy()

    return step


SIDES = {"ours": ours, "transformers": transformers, "keras_hub": keras_hub, "matmul": matmul}


def serve(side: str, work: Work, precision: str, change: str) -> None:
    """Takes two steps to warm up, then one for each line of standard input, and prints what it took."""
    begin = time.perf_counter()
    step = SIDES[side](work, precision, change)
    step(2)
    print(time.perf_counter() - begin, flush=True)
    for _ in sys.stdin:
        begin, processor = time.perf_counter(), time.process_time()
        step(1)
        seconds, processor = time.perf_counter() - begin, time.process_time() - processor
        print(json.dumps([seconds, processor, most_memory(side)]), flush=True)


def most_memory(side: str) -> float:
    """Peak memory of this process so far in MB: of the GPU if there is one, otherwise resident memory."""
    if side == "transformers":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 1e6
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


# --- All together -----------------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """The median seconds and processor seconds of the steps, the peak memory in MB, and the seconds of each step."""

    seconds: float
    processor: float
    memory: float
    each: list[float]

    def rates(self, amount: float) -> list[float]:
        """The rate of each step, if it does this amount of work."""
        return [amount / seconds for seconds in self.each]


def race(
    sides: dict[str, tuple[str, str]], work: Work, precision: str, options: argparse.Namespace
) -> dict[str, Measured]:
    """Runs the sides, name -> (side, change), which take steps in turns."""
    running = {}
    for name, (side, change) in sides.items():
        is_peer = side in ("transformers", "keras_hub")
        worker = json.dumps({"side": side, "work": work, "precision": precision, "change": change})
        process = subprocess.Popen(
            [options.peer if is_peer else sys.executable, __file__, f"--worker={worker}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if options.verbose else subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "KERAS_BACKEND": "tensorflow",
                **(KEEP_MEMORY if side == "transformers" else {}),
            },
        )
        if process.stdout.readline():
            running[name] = process
        else:
            print(f"{name} cannot be run here; --verbose shows why.", flush=True)
    steps: dict[str, list[tuple[float, float, float]]] = {name: [] for name in running}
    for _ in range(options.steps):
        for name, process in running.items():
            process.stdin.write("\n")
            process.stdin.flush()
            steps[name].append(json.loads(process.stdout.readline()))
    for process in running.values():
        process.communicate()
    columns = {name: list(zip(*values, strict=True)) for name, values in steps.items()}
    return {name: Measured(*map(statistics.median, values), list(values[0])) for name, values in columns.items()}


def keep(options: argparse.Namespace, title: str, unit: str, values: dict[str, list[float]]) -> None:
    """Adds figures to the file that `--results` names."""
    if options.results:
        results.add(options.results, options.peer, title, unit, values)


def compare(options: argparse.Namespace) -> None:
    sides = {
        "ours": ("ours", ""),
        "transformers, eager": ("transformers", "eager"),
        "transformers, sdpa": ("transformers", "sdpa"),
        "transformers, sdpa, compiled": ("transformers", "sdpa compiled"),
        "Keras Hub": ("keras_hub", ""),
        "Keras Hub, XLA": ("keras_hub", "compiled"),
    }
    chosen = {name: side for name, side in sides.items() if name == "ours" or re.search(options.others, name)}
    for task, precision in options.cases:
        show(task, precision, race(chosen, TASKS[task], precision, options), options)


def parts(options: argparse.Namespace) -> None:
    changes = (
        "nothing fused",
        "the update not fused",
        "TensorFlow's gradient of matmuls",
        "the whole last layer",
        "no dropout",
    )
    sides = {"ours": ("ours", ""), **{f"ours, {name}": ("ours", name) for name in (*changes, "recomputation")}}
    for task, precision in options.cases:
        show(task, precision, race(sides, TASKS[task], precision, options), options)


def show(task: str, precision: str, measurements: dict[str, Measured], options: argparse.Namespace) -> None:
    work, ours = TASKS[task], measurements["ours"]
    for name, measured in measurements.items():
        rate, ratio = work.batch / measured.seconds, measured.seconds / ours.seconds
        processor = measured.processor / ours.processor
        print(
            f"{task:15}{precision:10}{name:40}{rate:8.1f} examples/s  {ratio:5.2f}x our time "
            f"(processor time {processor:5.2f}x)  {measured.memory:6.0f} MB",
            flush=True,
        )
    title = f"{work.title}, {precision}"
    keep(options, title, "examples/second", {name: one.rates(work.batch) for name, one in measurements.items()})
    if options.mode == "parts":
        keep(options, title, results.MEMORY, {name: [one.memory] for name, one in measurements.items()})


def limit(options: argparse.Namespace) -> None:
    for task, precision in options.cases:
        work = TASKS[task]
        measurements = race({"ours": ("ours", ""), "matmul": ("matmul", "")}, work, precision, options)
        ours, matmul = measurements.values()
        rate = work.flops(True) / matmul.seconds
        whole, computed = (work.flops(is_whole) / ours.seconds / rate for is_whole in (True, False))
        print(
            f"{task:15}{precision:10}{rate / 1e9:7.0f} GFLOP/s of matmuls; the step reaches {whole:.2f} of it, "
            f"or {computed:.2f} counting the last layer only where it is read",
            flush=True,
        )
        billions = {
            "ours": ours.rates(work.flops(True) / 1e9),
            "ours, the last layer where it is read": ours.rates(work.flops(False) / 1e9),
            "matmuls alone": matmul.rates(work.flops(True) / 1e9),
        }
        keep(options, f"{work.title}, {precision}", results.FLOP_RATE, billions)


def growth(options: argparse.Namespace) -> None:
    for task, precision in options.cases:
        for batch, length in ((8, 128), (32, 128), (64, 128), (32, 64), (8, 256), (8, 512)):
            work = TASKS[task]._replace(batch=batch, length=length)
            sides = {"ours": ("ours", ""), "ours, recomputed": ("ours", "recomputation")}
            measurements = race(sides, work, precision, options)
            title = f"{work.title}, {precision}"
            rates = {name: one.rates(batch * length) for name, one in measurements.items()}
            keep(options, title, "tokens/second", rates)
            keep(options, title, results.MEMORY, {name: [one.memory] for name, one in measurements.items()})
            for name, measured in measurements.items():
                tokens = batch * length / measured.seconds
                print(
                    f"{task:15}{precision:10}batch {batch:3} of {length:3}{name:>18}  {measured.seconds:6.3f} s "
                    f"{tokens:8.0f} tokens/s {measured.memory:6.0f} MB",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = {"compare": compare, "parts": parts, "limit": limit, "growth": growth}
    parser.add_argument("mode", nargs="?", default="compare", choices=modes)
    parser.add_argument("--peer", default=sys.executable, help="a Python with torch, transformers and keras-hub")
    parser.add_argument("--tasks", default=",".join(TASKS), help="comma-separated")
    parser.add_argument("--precisions", default="float32,bfloat16", help="comma-separated")
    parser.add_argument("--steps", type=int, default=9, help="timed steps of each side")
    parser.add_argument("--others", default="", help="regular expression of the sides to compare with ours")
    parser.add_argument("--results", help="name of the file in benchmarks/results that keeps the figures")
    parser.add_argument("--verbose", action="store_true", help="show the warnings and errors of the sides")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker = json.loads(options.worker)
        serve(worker["side"], Work(*worker["work"]), worker["precision"], worker["change"])
        return
    options.cases = [(task, kind) for task in options.tasks.split(",") for kind in options.precisions.split(",")]
    modes[options.mode](options)


if __name__ == "__main__":
    main()
