"""Fine-tuning a real model for multiple choice, next to transformers' `BertForMultipleChoice`: speed and accuracy.

    python benchmarks/multiple_choice.py --text=en_novels.txt --model=all-MiniLM-L6-v2 --peer=PYTHON --speed_only
    python benchmarks/multiple_choice.py --text=en_novels.txt --model=all-MiniLM-L6-v2 --peer=PYTHON --scores_only

The questions are made from `--text`, which has a sentence or paragraph on each line: which of four lines follows a
given line, the true one or one of three from elsewhere. Both sides have the same questions, model, learning rate,
schedule (BERT's, linear to 0 after a warm-up of a tenth of the steps), seeds and batch size, counted in questions, in
float32. The optimizer is AdamW on both sides, with a weight decay of 0.01 (`--optimizer=bert` uses BERT's own on our
side). Ours skips padding; transformers pads to the longest row of a batch, as its `DataCollatorForMultipleChoice` does,
or to `max_seq_length`. Tokenizing is timed on neither side. PyTorch is run with glibc settings that keep its memory,
without which it is several times slower.

Speed: questions per second after a few steps to warm up (ours `--warm_up`, as XLA compiles), measured `--repetitions`
times in turns with the same number of threads; medians. Scores: accuracy on `--dev` questions after `--epochs` epochs,
for each seed, times 100; means and deviations.

`--peer` is a Python with torch and transformers; if omitted, the one that runs this.
"""

import argparse
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_CHOICES = 4


def write_questions(options: argparse.Namespace, directory: str) -> None:
    """Writes `train.jsonl` and, from the end of the text, `dev.jsonl`."""
    lines = [line.strip() for line in Path(options.text).read_text(encoding="utf-8").splitlines()]
    places = [place for place in range(len(lines) - 1) if lines[place] and lines[place + 1]]
    rng = random.Random(12345)
    end = len(places) * 9 // 10
    for split, part, count in (("train", places[:end], options.questions), ("dev", places[end:], options.dev)):
        rows = []
        for place in rng.sample(part, count):
            endings = [lines[other + 1] for other in rng.sample(part, _CHOICES - 1)]
            label = rng.randrange(_CHOICES)
            endings.insert(label, lines[place + 1])
            rows.append(json.dumps({"context": lines[place], "endings": endings, "label": label}) + "\n")
        Path(directory, f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")


# --- Ours, in its own process ----------------------------------------------------------------------------------------


def ours(options: argparse.Namespace) -> dict[str, float]:
    import dataclasses

    from bert_tf2.configs.training import OptimizerConfig
    from bert_tf2.tasks.multiple_choice import runner

    sides.use_threads(options.threads)
    with tempfile.TemporaryDirectory() as directory:
        config = runner.MultipleChoiceConfig(
            output_dir=directory,
            init_checkpoint=options.model,
            train_file=os.path.join(options.data, "train.jsonl"),
            dev_file=None if options.what == "training" else os.path.join(options.data, "dev.jsonl"),
            max_seq_length=options.max_seq_length,
            train_batch_size=options.batch_size,
            eval_batch_size=8,
            learning_rate=options.learning_rate,
            num_train_epochs=options.epochs,
            do_train=True,
            do_eval=options.what == "score",
            eval_every_steps=0 if options.what == "training" else 1_000_000,
            seed=options.seed,
            optimizer=OptimizerConfig(optimizer=options.optimizer, weight_decay=sides.WEIGHT_DECAY),
        )
        if options.what == "training":
            # Nothing is logged or saved before the second mark; the checkpoint after it is not timed.
            timed = dataclasses.replace(config, log_steps=10**6, save_checkpoints_steps=10**6)
            return {"questions_per_second": sides.time_training(options, lambda: runner.run(timed))}
        return {"score": (runner.run(config) or {})["eval_accuracy"]}


# --- The peer, in its own process ------------------------------------------------------------------------------------


def peer(options: argparse.Namespace) -> dict[str, float]:
    import numpy as np
    import torch
    from transformers import AutoTokenizer, BertForMultipleChoice

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def read(split: str) -> tuple[list[list[dict]], list[int]]:
        """For each question the rows of its choices, and the number of the right one."""
        lines = Path(options.data, f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        questions = [json.loads(line) for line in lines]
        limits = {"truncation": True, "max_length": options.max_seq_length}
        rows = []
        for question in questions:
            encoded = tokenizer([question["context"]] * _CHOICES, question["endings"], **limits)
            rows.append([{key: encoded[key][choice] for key in encoded} for choice in range(_CHOICES)])
        return rows, [question["label"] for question in questions]

    rows, labels = read("train")
    model = BertForMultipleChoice.from_pretrained(options.model)
    pad_to = options.max_seq_length if options.full_padding else None

    def inputs_of(questions: list[list[dict]], pad_to: int | None) -> dict[str, Any]:
        flat = sides.torch_batch(tokenizer, [row for question in questions for row in question], pad_to)
        return {name: values.reshape(len(questions), _CHOICES, -1) for name, values in flat.items()}

    def loss_of(chosen: Any) -> Any:
        wanted = torch.tensor([labels[row] for row in chosen])
        return model(**inputs_of([rows[row] for row in chosen], pad_to), labels=wanted).loss

    speed = sides.torch_train(model, options, len(rows), loss_of)
    if options.what == "training":
        return {"questions_per_second": speed}
    rows, labels = read("dev")
    model.eval()
    found: list[int] = []
    with torch.no_grad():
        for begin in range(0, len(rows), 8):
            found += model(**inputs_of(rows[begin : begin + 8], None)).logits.argmax(1).tolist()
    return {"score": float(np.mean(np.equal(labels, found)))}


# --- All together ----------------------------------------------------------------------------------------------------


def measure_scores(options: argparse.Namespace, seeds: list[int]) -> None:
    scores: dict[str, list[float]] = {"ours": [], "transformers": []}
    for seed in seeds:
        for name, side in (("ours", "ours"), ("transformers", "peer")):
            scores[name].append(100 * sides.start(__file__, options, side, what="score", seed=seed)["score"])
    sides.show_scores(options, "multiple choice, dev accuracy", scores)


def main() -> None:
    """Runs the benchmark."""
    parser = sides.finetuning_parser(__doc__)
    parser.set_defaults(batch_size=16, warm_up=30, steps=30)  # questions
    parser.add_argument("--text", help="text with a sentence or paragraph on each line")
    parser.add_argument("--questions", type=int, default=2000, help="questions to learn")
    parser.add_argument("--dev", type=int, default=500, help="questions to score")
    parser.add_argument("--epochs", type=float, default=1.0)
    options = parser.parse_args()
    if options.worker:
        sides.run_worker(options.worker, ours=ours, peer=peer)
        return
    with tempfile.TemporaryDirectory() as directory:
        write_questions(options, directory)
        options = argparse.Namespace(**{**vars(options), "data": directory})
        if not options.scores_only:
            sides.measure_speed(__file__, options, sides.TIMED_WAYS, "multiple choice, training")
        if not options.speed_only:
            measure_scores(options, list(map(int, options.seeds.split(","))))


if __name__ == "__main__":
    main()
