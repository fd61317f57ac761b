"""Fine-tuning a real model to answer SQuAD questions, next to PyTorch and transformers.

    python benchmarks/squad.py --squad=dev-v1.1.json --model=all-MiniLM-L6-v2 [--peer=PYTHON] [--seeds=1]

SQuAD 1.1's dev file is split, so that no training file is needed: its first `--articles` articles are learned, its
last `--test_articles` are answered; each question is learned with its first answer. Both sides start from `--model`, a
Hugging Face directory of a BERT, and learn windows of `--max_seq_length` with the same batch size, peak learning rate,
steps and linear schedule with a warm-up of a tenth, in `--precision`, with dropout:

* ours: the function behind `run_squad.py`, which skips padding (`--pad_to_max_length=false`), or pads to
  `max_seq_length`, as it does in training by default;
* transformers, padded to `max_seq_length`, as its `run_qa.py` does by default;
* transformers, padded to the longest window of the batch (its dynamic padding).

The optimizer is AdamW on both sides, with a weight decay of 0.01 (`--optimizer=bert` uses BERT's own on our side).
transformers' loop is a plain one around `BertForQuestionAnswering`; answers are chosen as in `run_qa.py`, the best of
20 starts and 20 ends of each window. PyTorch is run with glibc settings that keep its memory, without which it is
several times slower.

Speed is measured first, `--repetitions` times in turns with the same number of threads; medians and ratios:

* training: each side takes a few steps to warm up (ours `--warm_up`, as XLA compiles) and then timed ones; windows per
  second. Tokenizing is timed on neither side;
* prediction with the untrained head: questions per second from text to answers. The windows are sorted by length on
  both sides (or padded to `max_seq_length` on the other). transformers computes batches of `--predict_batch_size`
  windows on all cores, and is timed with 2, 4 and 16, too; ours computes on a CPU a batch of up to 384 tokens on each
  core, whatever the batch size. Each side answers a few questions and all of them; the difference gives the figure, so
  that starting and loading cancel.

Then, unless `--speed_only`, scores: for each seed a complete training of ours without padding, and one of transformers
with each batch in microbatches of similar length; exact match and F1 by the same scoring, means and deviations.

`--peer` is a Python with torch and transformers; if omitted, the one that runs this.
"""

import argparse
import functools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_FEW_QUESTIONS = 64  # the smaller of the two predictions that are timed
_N_BEST, _LONGEST_ANSWER = 20, 30


# --- Ours, in its own process ----------------------------------------------------------------------------------------


def ours(options: argparse.Namespace) -> dict:
    import dataclasses

    from bert_tf2.configs.training import OptimizerConfig, PrecisionConfig
    from bert_tf2.tasks.squad import runner

    sides.use_threads(options.threads, predicts=options.what == "prediction")
    with tempfile.TemporaryDirectory() as directory:
        config = runner.SquadConfig(
            output_dir=directory,
            init_checkpoint=options.model,
            train_file=options.train,
            predict_file=options.test,
            max_seq_length=options.max_seq_length,
            doc_stride=options.doc_stride,
            train_batch_size=options.batch_size,
            predict_batch_size=options.predict_batch_size,
            learning_rate=options.learning_rate,
            num_train_epochs=options.epochs,
            pad_to_max_length=options.full_padding,
            do_train=True,
            do_predict=options.what == "scores",
            seed=options.seed,
            optimizer=OptimizerConfig(optimizer=options.optimizer, weight_decay=sides.WEIGHT_DECAY),
            precision=PrecisionConfig(precision=options.precision),
            log_steps=10**6,
            save_checkpoints_steps=10**6,
        )
        if options.what == "training":
            return {"windows_per_second": sides.time_training(options, lambda: runner.run(config))}
        if options.what == "prediction":
            runner.run(dataclasses.replace(config, num_train_epochs=0.0))
            return _time_prediction(options, config)
        runner.run(config)
        return {"predictions": json.loads(Path(directory, "predictions.json").read_text(encoding="utf-8"))}


def _time_prediction(options: argparse.Namespace, config: Any) -> dict:
    import dataclasses

    from bert_tf2.tasks.squad import runner

    def predict(questions: int) -> None:
        file = options.few if questions == _FEW_QUESTIONS else options.test
        runner.run(dataclasses.replace(config, do_train=False, do_predict=True, predict_file=file))

    count = len(read_questions(options.test))
    return {"questions_per_second": sides.rate_of_difference(_FEW_QUESTIONS, count, predict)}


# --- The peer, in its own process ------------------------------------------------------------------------------------


class Peer:
    """transformers' model and tokenizer, and what is measured with them."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch
        from transformers import AutoTokenizer, BertForQuestionAnswering

        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.options = options
        self.tokenizer = AutoTokenizer.from_pretrained(options.model)
        self.model = BertForQuestionAnswering.from_pretrained(options.model)
        precision = options.precision == "bfloat16"
        self.autocast = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision)

    def windows(self, path: str) -> tuple[list[dict], list[dict]]:
        """The questions, and their windows with the place of each token in the text."""
        options, questions = self.options, read_questions(path)
        # Its stride is the overlap of two windows, ours the distance between their starts.
        overlap = options.max_seq_length - 16 - options.doc_stride
        encoded = self.tokenizer(
            [one["question"].lstrip() for one in questions],
            [one["context"] for one in questions],
            truncation="only_second",
            max_length=options.max_seq_length,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        rows = []
        for row, number in enumerate(encoded["overflow_to_sample_mapping"]):
            segments = encoded["token_type_ids"][row]
            offsets = encoded["offset_mapping"][row]
            places = [place if segment and place[1] else None for place, segment in zip(offsets, segments, strict=True)]
            inputs = {key: encoded[key][row] for key in ("input_ids", "token_type_ids", "attention_mask")}
            rows.append({"inputs": inputs, "question": number, "places": places})
        return questions, rows

    def batch(self, rows: list[dict]) -> dict:
        pad_to = self.options.max_seq_length if self.options.full_padding else None
        return sides.torch_batch(self.tokenizer, [row["inputs"] for row in rows], pad_to)

    def train(self) -> float:
        import numpy as np
        import torch

        options = self.options
        questions, rows = self.windows(options.train)
        targets = [positions(questions[row["question"]], row) for row in rows]
        steps = int(len(questions) / options.batch_size * options.epochs)

        def loss_of(chosen: Any) -> Any:
            starts, ends = (torch.tensor([targets[row][end] for row in chosen]) for end in (0, 1))
            inputs = self.batch([rows[row] for row in chosen])
            with self.autocast():
                return self.model(**inputs, start_positions=starts, end_positions=ends).loss

        if options.what == "training":
            return sides.torch_train(self.model, options, len(rows), loss_of, steps)
        # Microbatches of similar length are the same step in less time.
        lengths = np.array([len(row["inputs"]["input_ids"]) for row in rows])
        return sides.torch_train(self.model, options, len(rows), loss_of, steps, lengths)

    def logits(self, rows: list[dict]) -> list[tuple]:
        """The logits of starts and ends, in the order of the rows; computed for rows of similar length together."""
        import torch

        size = self.options.predict_batch_size
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]["inputs"]["input_ids"]))
        pairs: list[tuple] = [()] * len(rows)
        with torch.inference_mode(), self.autocast():
            for first in range(0, len(rows), size):
                part = order[first : first + size]
                outputs = self.model(**self.batch([rows[row] for row in part]))
                starts, ends = outputs.start_logits.float().numpy(), outputs.end_logits.float().numpy()
                for row, pair in zip(part, zip(starts, ends, strict=True), strict=True):
                    pairs[row] = pair
        return pairs

    def predict(self, path: str) -> dict[str, str]:
        """The answers by the ids of their questions."""
        self.model.eval()
        questions, rows = self.windows(path)
        return answers(questions, rows, self.logits(rows))

    def time_prediction(self) -> dict[str, float]:
        """Answered questions per second."""
        count = len(read_questions(self.options.test))

        def predict(questions: int) -> None:
            self.predict(self.options.few if questions == _FEW_QUESTIONS else self.options.test)

        return {"questions_per_second": sides.rate_of_difference(_FEW_QUESTIONS, count, predict)}


def read_questions(path: str) -> list[dict]:
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    return [
        {"id": qa["id"], "question": qa["question"], "context": part["context"], "answer": qa["answers"][0]}
        for article in content["data"]
        for part in article["paragraphs"]
        for qa in part["qas"]
    ]


def positions(question: dict, row: dict) -> tuple[int, int]:
    """First and last token of the answer; 0 and 0 if the window does not contain all of it."""
    start = question["answer"]["answer_start"]
    end = start + len(question["answer"]["text"])
    known = [index for index, place in enumerate(row["places"]) if place]
    if not known or row["places"][known[0]][0] > start or row["places"][known[-1]][1] < end:
        return 0, 0
    inside = [index for index in known if row["places"][index][1] > start and row["places"][index][0] < end]
    return (inside[0], inside[-1]) if inside else (0, 0)


def answers(questions: list[dict], rows: list[dict], logits: list[tuple]) -> dict[str, str]:
    """The text of each question's best span."""
    import numpy as np

    best: dict[int, tuple[float, int, int]] = {}
    for row, (start_logits, end_logits) in zip(rows, logits, strict=True):
        places = row["places"]
        starts, ends = (np.argsort(values)[: -_N_BEST - 1 : -1].tolist() for values in (start_logits, end_logits))
        for start in starts:
            for end in ends:
                if max(start, end) >= len(places) or not places[start] or not places[end]:
                    continue
                if not start <= end < start + _LONGEST_ANSWER:
                    continue
                score = float(start_logits[start] + end_logits[end])
                if score > best.get(row["question"], (-1e9,))[0]:
                    best[row["question"]] = score, places[start][0], places[end][1]
    texts = {}
    for number, question in enumerate(questions):
        _, start, end = best.get(number, (0, 0, 0))
        texts[question["id"]] = question["context"][start:end]
    return texts


def peer(options: argparse.Namespace) -> dict:
    measured = Peer(options)
    if options.what == "training":
        return {"windows_per_second": measured.train()}
    if options.what == "prediction":
        return measured.time_prediction()
    measured.train()
    return {"predictions": measured.predict(options.test)}


# --- All together ----------------------------------------------------------------------------------------------------


def divide(path: str, directory: Path, articles: int, test_articles: int) -> dict[str, str]:
    """Writes the articles to learn, those to answer, and the first questions of the latter to files."""
    data = json.loads(Path(path).read_text(encoding="utf-8"))["data"]
    parts = {"train": data[:articles], "test": data[-test_articles:], "few": []}
    few = _FEW_QUESTIONS
    for paragraph in (paragraph for article in parts["test"] for paragraph in article["paragraphs"]):
        questions = paragraph["qas"][:few]
        few -= len(questions)
        if questions:
            parts["few"].append({"title": "", "paragraphs": [{**paragraph, "qas": questions}]})
    files = {name: directory / f"{name}.json" for name in parts}
    for name, file in files.items():
        file.write_text(json.dumps({"version": "1.1", "data": parts[name]}), encoding="utf-8")
    return {name: str(file) for name, file in files.items()}


_FEW_STEPS = {"warm_up": 2, "steps": 8}  # of the peer, which compiles nothing
# Ratios compare the first with the others. With `--pad_to_max_length` ours would predict as the original, with padding.
_WAYS: dict[str, dict[str, dict[str, Any]]] = {
    "training": {
        "ours, --pad_to_max_length=false": {"side": "ours", "full_padding": False},
        "ours, max_seq_length": {"side": "ours", "full_padding": True},
        "transformers, max_seq_length": {"side": "peer", "full_padding": True, **_FEW_STEPS},
        "transformers, longest of the batch": {"side": "peer", "full_padding": False, **_FEW_STEPS},
    },
    "prediction": {
        "ours": {"side": "ours", "full_padding": False},
        "transformers, max_seq_length": {"side": "peer", "full_padding": True},
        "transformers, sorted by length": {"side": "peer", "full_padding": False},
        **{
            f"transformers, sorted by length, batches of {size}": {
                "side": "peer",
                "full_padding": False,
                "predict_batch_size": size,
            }
            for size in (2, 4, 16)
        },
    },
}


def measure_speed(options: argparse.Namespace) -> None:
    for what in options.speed_of.split(","):
        ways = {name: {**way, "what": what} for name, way in _WAYS[what].items()}
        sides.measure_speed(__file__, options, ways, f"SQuAD, {what}")


def measure_scores(options: argparse.Namespace, seeds: list[int]) -> None:
    from bert_tf2.metrics import squad
    from bert_tf2.tasks.squad import examples

    gold = examples.read(options.test, training=False).gold
    scores: dict[str, dict[str, list[float]]] = {"exact match": {}, "F1": {}}
    for name, side in (("ours", "ours"), ("transformers", "peer")):
        runs = [sides.start(__file__, options, side, what="scores", seed=seed, full_padding=False) for seed in seeds]
        of_runs = [squad.evaluate(gold, one["predictions"]) for one in runs]
        scores["exact match"][name] = [score["exact_match"] for score in of_runs]
        scores["F1"][name] = [score["f1"] for score in of_runs]
    for metric, values in scores.items():
        sides.show_scores(options, f"SQuAD, {metric}", values, decimals=2)


def main() -> None:
    parser = sides.finetuning_parser(__doc__)
    parser.set_defaults(max_seq_length=384, seeds="1", warm_up=20, steps=16)
    parser.add_argument("--squad", help="SQuAD 1.1's dev file")
    parser.add_argument("--articles", type=int, default=40, help="articles to learn")
    parser.add_argument("--test_articles", type=int, default=8, help="articles to answer")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--predict_batch_size", type=int, default=8, help="of transformers")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--doc_stride", type=int, default=128)
    parser.add_argument("--speed_of", default="training,prediction", help="what to time")
    options = parser.parse_args()
    if options.worker:
        sides.run_worker(options.worker, ours=ours, peer=peer)
        return
    with tempfile.TemporaryDirectory() as directory:
        files = divide(options.squad, Path(directory), options.articles, options.test_articles)
        options = argparse.Namespace(**vars(options), **files)
        if not options.scores_only:
            measure_speed(options)
        if not options.speed_only:
            measure_scores(options, list(map(int, options.seeds.split(","))))


if __name__ == "__main__":
    main()
