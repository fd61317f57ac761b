"""A small student of a real model, with and without its teacher: accuracy, and speed of prediction.

    python benchmarks/distillation.py --glue=glue --model=all-MiniLM-L6-v2 [--seeds=1,2,3] [--results=distillation]

`--glue` is a directory with `SST-2/` in GLUE's format, `--model` a Hugging Face directory of a BERT. For each seed:

* the teacher: all layers of the model, fine-tuned on the first `--rows` of SST-2 for `--teacher_epochs`;
* the student with its teacher: the first `--layers` layers, trained for `--epochs` on the same rows and on the next
  `--unlabeled` ones without their labels (`run_classifier.py --teacher --unlabeled_file`);
* the student alone: the same layers, labels and number of steps, without the teacher and the unlabeled rows.

Both students start from the first layers of the pre-trained model or, with `--from_teacher`, of the teacher. All are
scored on the whole dev set. Then, `--repetitions` times in turns, `--predict` rows of SST-2 are predicted from a file
to a file. Each model predicts a few rows and all of them; the difference gives the examples per second, so that
starting and loading cancel. `--speed_only` times untrained models.
"""

import argparse
import csv
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_TEACHER, _STUDENT, _ALONE = "teacher", "student of the teacher", "student alone"


def write_data(options: argparse.Namespace, directory: Path) -> None:
    """Writes the labeled and the unlabeled rows, those to evaluate and those to predict."""
    rows = {}
    for split in ("train", "dev"):
        with Path(options.glue, "SST-2", f"{split}.tsv").open(encoding="utf-8", newline="") as file:
            rows[split] = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for name, part in (("train", rows["train"][: options.rows]), ("dev", rows["dev"])):
        lines = [f"{row['sentence']}\t{row['label']}\n" for row in part]
        (directory / f"{name}.tsv").write_text("".join(["text\tlabel\n", *lines]), encoding="utf-8")
    unlabeled = rows["train"][options.rows : options.rows + options.unlabeled]
    for name, part in (
        ("unlabeled", unlabeled),
        ("few", rows["train"][: sides.FEW_ROWS]),
        ("many", rows["train"][: options.predict]),
    ):
        (directory / f"{name}.txt").write_text("".join(f"{row['sentence']}\n" for row in part), encoding="utf-8")


# --- A training or a prediction, in its own process ------------------------------------------------------------------


def train(options: argparse.Namespace) -> dict[str, float]:
    from bert_tf2.configs.training import OptimizerConfig
    from bert_tf2.tasks.classification import ClassificationConfig, run

    sides.use_threads(options.threads)
    data, is_teacher = Path(options.data), options.what == _TEACHER
    rows = options.rows + options.unlabeled  # in an epoch of the student with its teacher
    config = ClassificationConfig(
        output_dir=options.directory,
        init_checkpoint=options.model,
        train_file=str(data / "train.tsv"),
        dev_file=str(data / "dev.tsv"),
        max_seq_length=options.max_seq_length,
        train_batch_size=options.batch_size,
        eval_batch_size=32,
        predict_batch_size=32,
        learning_rate=options.learning_rate,
        num_train_epochs=options.teacher_epochs if is_teacher else options.epochs * rows / options.rows,
        num_hidden_layers=None if is_teacher else options.layers,
        do_train=True,
        do_eval=True,
        eval_every_steps=1_000_000,
        seed=options.seed,
        optimizer=OptimizerConfig(optimizer=options.optimizer, weight_decay=sides.WEIGHT_DECAY),
        save_checkpoints_steps=10**6,
    )
    if options.from_teacher and not is_teacher:
        config = dataclasses.replace(config, init_checkpoint=options.teacher)
    if options.what == _STUDENT:
        config = dataclasses.replace(
            config,
            teacher=options.teacher,
            teacher_temperature=options.temperature,
            teacher_weight=options.weight,
            unlabeled_file=str(data / "unlabeled.txt") if options.unlabeled else None,
            num_train_epochs=options.epochs,
        )
    results = run(config) or {}
    return {"score": 100 * results["eval_accuracy"]}


def predict(options: argparse.Namespace) -> dict[str, float]:
    from bert_tf2.tasks.classification import ClassificationConfig, run

    sides.use_threads(options.threads, predicts=True)

    def predict_rows(rows: int) -> None:
        path = str(Path(options.data, "few.txt" if rows == sides.FEW_ROWS else "many.txt"))
        run(ClassificationConfig(output_dir=options.directory, predict_file=path, do_predict=True))

    return {"examples_per_second": sides.rate_of_difference(sides.FEW_ROWS, options.predict, predict_rows)}


def ours(options: argparse.Namespace) -> dict[str, float]:
    return predict(options) if options.what == "prediction" else train(options)


# --- All together ----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = sides.finetuning_parser(__doc__)
    parser.add_argument("--glue", help="directory with SST-2")
    parser.add_argument("--rows", type=int, default=6000, help="labeled rows")
    parser.add_argument("--unlabeled", type=int, default=24000, help="unlabeled rows")
    parser.add_argument("--layers", type=int, default=3, help="of the student")
    parser.add_argument("--epochs", type=float, default=2.0, help="of the student")
    parser.add_argument("--teacher_epochs", type=float, default=2.0)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--weight", type=float, default=0.5)
    parser.add_argument("--from_teacher", action="store_true", help="start from the teacher's first layers")
    parser.add_argument("--predict", type=int, default=10_000, metavar="ROWS")
    options = parser.parse_args()
    if options.worker:
        sides.run_worker(options.worker, ours=ours)
        return
    scores: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        write_data(options, data)
        places: dict[str, str] = {}
        if options.speed_only:
            options.epochs = options.teacher_epochs = 0.0
        models = (_TEACHER, _ALONE) if options.speed_only else (_TEACHER, _STUDENT, _ALONE)
        for seed in map(int, options.seeds.split(",")):
            for what in models:
                places[what] = str(data / f"{what}, {seed}")
                changes: dict[str, Any] = {"data": directory, "directory": places[what], "teacher": places[_TEACHER]}
                result = sides.start(__file__, options, "ours", what=what, seed=seed, **changes)
                scores.setdefault(what, []).append(result["score"])
        if not options.speed_only:
            sides.show_scores(options, f"SST-2, {options.layers}-layer student, dev accuracy", scores)
        if not options.scores_only:
            ways = {
                name: {"side": "ours", "what": "prediction", "data": directory, "directory": places[model]}
                for name, model in (("student", models[-1]), ("teacher", _TEACHER))
            }
            sides.measure_speed(__file__, options, ways, f"SST-2, {options.layers}-layer student, prediction")


if __name__ == "__main__":
    main()
