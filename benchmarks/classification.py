"""Fine-tuning a real model on SST-2, CoLA and RTE, next to PyTorch and transformers.

    python benchmarks/classification.py --glue=glue --model=all-MiniLM-L6-v2 [--peer=PYTHON] [--seeds=1,2,3]

`--glue` is a folder with `SST-2/`, `CoLA/` and `RTE/` as GLUE has them; `--model` a Hugging Face folder of a BERT. Both
sides start from it and learn the same rows (the first `--rows` of SST-2 and CoLA, all of RTE) with the same batch,
highest rate, epochs and schedule (BERT's, a warm-up of a tenth), in float32 with dropout, and are scored on the whole
dev set, by accuracy, CoLA by Matthews' correlation:

* ours: `run_classifier.py`'s own function, batches padded to their longest row;
* transformers, padded to `max_seq_length`, as its `run_glue.py` does;
* transformers, padded to the longest row of the batch (its dynamic padding).

The optimizer is AdamW in both, weight decay 0.01 (`--optimizer=bert` takes BERT's own here, which leaves out the bias
correction and so takes longer steps at first: a short training at a low rate comes farther with it). The loop there is
a plain one around `BertForSequenceClassification`; its tokenizing is not timed. PyTorch gets the settings that let
glibc keep its memory, without which it is several times slower.

First speed: `--repetitions` times in turns, each side takes `--warm_up` steps and then `--steps` timed ones on the same
number of threads; examples a second (medians) and their ratios. Then, unless `--speed_only`, scores: for each seed a
whole fine-tuning of ours and one of transformers' dynamic padding; means and deviations, times 100.

`--peer` is a Python with torch and transformers; the same one where it is not given.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_TASKS = {
    "SST-2": ("sst-2", ("sentence", None)),
    "CoLA": ("cola", ("sentence", None)),
    "RTE": ("rte", ("sentence1", "sentence2")),
}
_COLA_COLUMNS = ["source", "label", "mark", "sentence"]  # its files name none


# --- Ours, in a process of its own -----------------------------------------------------------------------------------


def ours(options: argparse.Namespace) -> dict[str, float]:
    import dataclasses

    from bert_tf2.configs.training import OptimizerConfig
    from bert_tf2.tasks.classification import runner

    sides.use_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        config = runner.ClassificationConfig(
            output_dir=folder,
            init_checkpoint=options.model,
            task_name=_TASKS[options.task][0],
            data_dir=options.data,
            max_seq_length=options.max_seq_length,
            train_batch_size=options.batch_size,
            eval_batch_size=32,
            learning_rate=options.learning_rate,
            num_train_epochs=options.epochs,
            do_train=True,
            do_eval=not options.timed,
            eval_every_steps=0 if options.timed else 1_000_000,
            seed=options.seed,
            optimizer=OptimizerConfig(optimizer=options.optimizer, weight_decay=sides.WEIGHT_DECAY),
        )
        if options.timed:
            # The loop saves at the end; that is not timed, and all else is left to the second mark.
            timed = dataclasses.replace(config, log_steps=10**6, save_checkpoints_steps=10**6)
            return {"examples_per_second": sides.time_training(options, lambda: runner.run(timed))}
        return {"score": (runner.run(config) or {})["eval_matthews" if options.task == "CoLA" else "eval_accuracy"]}


# --- The peer, in a process of its own -------------------------------------------------------------------------------


def peer(options: argparse.Namespace) -> dict[str, float]:
    import numpy as np
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def read(split: str) -> tuple[list[dict], list[int]]:
        lines = Path(options.data, f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        names = _COLA_COLUMNS if options.task == "CoLA" else lines.pop(0).split("\t")
        cells = [dict(zip(names, line.split("\t"), strict=False)) for line in lines]
        first, second = _TASKS[options.task][1]
        labels = sorted({cell["label"] for cell in cells})
        texts = [[cell[first] for cell in cells], *([[cell[second] for cell in cells]] if second else [])]
        limits = {"truncation": True, "max_length": options.max_seq_length}
        encoded = tokenizer(*texts, **limits)
        rows = [{key: encoded[key][row] for key in encoded} for row in range(len(cells))]
        return rows, [labels.index(cell["label"]) for cell in cells]

    rows, labels = read("train")
    model = BertForSequenceClassification.from_pretrained(options.model, num_labels=2)
    steps = int(len(rows) / options.batch_size * options.epochs)
    pad_to = options.max_seq_length if options.full_padding else None

    def loss_of(chosen: Any) -> Any:
        inputs = sides.torch_batch(tokenizer, [rows[row] for row in chosen], pad_to)
        return model(**inputs, labels=torch.tensor([labels[row] for row in chosen])).loss

    taken = min(steps, options.warm_up + options.steps) if options.timed else steps
    speed = sides.torch_train(model, options, len(rows), steps, taken, loss_of)
    if options.timed:
        return {"examples_per_second": speed}
    rows, labels = read("dev")
    model.eval()
    found: list[int] = []
    with torch.no_grad():
        for begin_row in range(0, len(rows), 32):
            part = slice(begin_row, begin_row + 32)
            found += model(**sides.torch_batch(tokenizer, rows[part], None)).logits.argmax(1).tolist()
    if options.task == "CoLA":
        return {"score": float(np.nan_to_num(np.corrcoef(labels, found)[0, 1]))}  # of two labels, Matthews' correlation
    return {"score": float(np.mean(np.equal(labels, found)))}


# --- All together ----------------------------------------------------------------------------------------------------


def copy_rows(source: Path, target: Path, rows: int | None) -> str:
    target.mkdir(parents=True)
    for name in ("train.tsv", "dev.tsv"):
        lines = (source / name).read_text(encoding="utf-8").splitlines(keepends=True)
        header = 0 if source.name == "CoLA" else 1
        kept = lines if name == "dev.tsv" or rows is None else lines[: rows + header]
        (target / name).write_text("".join(kept), encoding="utf-8")
    return str(target)


def measure_scores(options: argparse.Namespace, seeds: list[int]) -> None:
    for name, side in (("ours", "ours"), ("transformers", "peer")):
        scores = [100 * sides.start(__file__, options, side, seed=seed)["score"] for seed in seeds]
        sides.show_scores(f"{options.task}  {name:30} dev score", scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glue", help="folder with SST-2, CoLA and RTE")
    parser.add_argument("--model", help="Hugging Face folder")
    parser.add_argument("--peer", default=sys.executable, help="Python with torch and transformers")
    parser.add_argument("--tasks", default="SST-2,CoLA")
    parser.add_argument("--rows", type=int, default=6000, help="of SST-2 and CoLA")
    parser.add_argument("--epochs", type=float, help="1 for SST-2, 3 for CoLA and RTE")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "bert"], help="of ours")
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--warm_up", type=int, default=4, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--speed_only", action="store_true")
    parser.add_argument("--scores_only", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        values = argparse.Namespace(**{"timed": False, "full_padding": False, "seed": 1, **json.loads(options.worker)})
        print(json.dumps(ours(values) if values.side == "ours" else peer(values)))
        return
    seeds = list(map(int, options.seeds.split(",")))
    default_epochs = {"SST-2": 1.0, "CoLA": 3.0, "RTE": 3.0}
    with tempfile.TemporaryDirectory() as folder:
        for task in options.tasks.split(","):
            data = copy_rows(Path(options.glue, task), Path(folder, task), None if task == "RTE" else options.rows)
            epochs = options.epochs or default_epochs[task]
            part = argparse.Namespace(**{**vars(options), "task": task, "data": data, "epochs": epochs})
            if not options.scores_only:
                sides.measure_speed(__file__, part, sides.TIMED_WAYS, f"{task}  ")
            if not options.speed_only:
                measure_scores(part, seeds)


if __name__ == "__main__":
    main()
