"""Multiple choice: this project against transformers' `BertForMultipleChoice`, speed and accuracy, in one run.

    python benchmarks/multiple_choice.py --text=en_novels.txt --model=all-MiniLM-L6-v2 --peer=PYTHON --speed_only
    python benchmarks/multiple_choice.py --text=en_novels.txt --model=all-MiniLM-L6-v2 --peer=PYTHON --scores_only

Questions are made of a text with a sentence or paragraph a line: which of four lines follows a line, the true one or
one of three that stand elsewhere. The same questions, model, learning rate and schedule (BERT's, linear to 0 after a
warm-up of a tenth of the steps), the same batch, in questions, and seeds. Ours (adamw with transformers' rule as in
`benchmarks/classification.py`) leaves padding out; transformers pads to the longest row of a batch as
`DataCollatorForMultipleChoice` does, or to `max_seq_length`, its eager model in float32. Each runs in a process of its
own with the same threads, PyTorch with glibc told to keep its memory. Speed: questions per second after some steps to
warm up (`--warm_up` of ours), the sides one after the other in `--repetitions` rounds, medians. Scores: accuracy on
`--dev` questions after `--epochs` epochs, for each of the seeds; means and deviations, times 100.

`--peer` is a Python with torch and transformers; the same one if omitted.
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
    """Writes `train.jsonl` and `dev.jsonl`; those of the second are of the end of the text."""
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


# --- Ours, in a process of its own -----------------------------------------------------------------------------------


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
            # The loop saves at the end; that is not timed, and all else is left to the second mark.
            timed = dataclasses.replace(config, log_steps=10**6, save_checkpoints_steps=10**6)
            return {"questions_per_second": sides.time_training(options, lambda: runner.run(timed))}
        return {"score": (runner.run(config) or {})["eval_accuracy"]}


# --- The peer, in a process of its own -------------------------------------------------------------------------------


def peer(options: argparse.Namespace) -> dict[str, float]:
    import numpy as np
    import torch
    from transformers import AutoTokenizer, BertForMultipleChoice

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def read(split: str) -> tuple[list[list[dict]], list[int]]:
        """For each question the rows of its choices, and the right one."""
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
    steps = int(len(rows) / options.batch_size * options.epochs)
    pad_to = options.max_seq_length if options.full_padding else None

    def inputs_of(questions: list[list[dict]], pad_to: int | None) -> dict[str, Any]:
        flat = sides.torch_batch(tokenizer, [row for question in questions for row in question], pad_to)
        return {name: values.reshape(len(questions), _CHOICES, -1) for name, values in flat.items()}

    def loss_of(chosen: Any) -> Any:
        wanted = torch.tensor([labels[row] for row in chosen])
        return model(**inputs_of([rows[row] for row in chosen], pad_to), labels=wanted).loss

    taken = min(steps, options.warm_up + options.steps) if options.what == "training" else steps
    speed = sides.torch_train(model, options, len(rows), steps, taken, loss_of)
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
    parser = sides.options_parser(__doc__)
    parser.set_defaults(batch_size=16, warm_up=30, steps=30)  # questions
    parser.add_argument("--text", help="a sentence or paragraph a line")
    parser.add_argument("--questions", type=int, default=2000, help="to learn")
    parser.add_argument("--dev", type=int, default=500, help="questions to score")
    parser.add_argument("--epochs", type=float, default=1.0)
    options = parser.parse_args()
    if options.worker:
        values = argparse.Namespace(**{"full_padding": False, "seed": 1, **json.loads(options.worker)})
        print(json.dumps(ours(values) if values.side == "ours" else peer(values)))
        return
    with tempfile.TemporaryDirectory() as directory:
        write_questions(options, directory)
        options = argparse.Namespace(**{**vars(options), "data": directory})
        if not options.scores_only:
            sides.measure_speed(__file__, options, sides.TIMED_WAYS, "multiple choice, training ")
        if not options.speed_only:
            measure_scores(options, list(map(int, options.seeds.split(","))))


if __name__ == "__main__":
    main()
