"""Fine-tuning a real model on WNUT-17, next to PyTorch and transformers.

    python benchmarks/tagging.py --data=ner --model=all-MiniLM-L6-v2 [--peer=PYTHON] [--seeds=1,2,3]

`--data` is a folder with `wnut17.train.conll`, `wnut17.dev.conll` and `wnut17.test.conll`; `--model` a Hugging Face
folder of a BERT. Both sides start from it and learn the same sentences with the same batch, highest rate, epochs and
linear schedule with a warm-up of a tenth, in float32 with dropout, labels on the first piece of a word:

* ours: `run_ner.py`'s own function, batches padded to their longest row;
* transformers, padded to `max_seq_length`;
* transformers, padded to the longest row of the batch (its dynamic padding).

The optimizer is AdamW in both, weight decay 0.01 (`--optimizer=bert` takes BERT's own here, which leaves out the bias
correction and so takes longer steps at first). The loop there is a plain one around `BertForTokenClassification`; its
tokenizing is not timed. PyTorch gets the settings that let glibc keep its memory, without which it is several times
slower.

First speed: `--repetitions` times in turns, each side takes `--warm_up` steps and then `--steps` timed ones on the same
number of threads; sentences a second (medians) and their ratios. Then, unless `--speed_only`, scores: for each seed a
whole fine-tuning of ours and one of transformers' dynamic padding; span F1 of each on `--split`, by the same function
(seqeval's definition), means and deviations. Sentences longer than `max_seq_length` are cut there and divided here;
words that are cut off count as O.

`--peer` is a Python with torch and transformers; the same one where it is not given.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def path_of(options: argparse.Namespace, split: str) -> str:
    return os.path.join(options.data, f"wnut17.{split}.conll")


# --- Ours, in a process of its own -----------------------------------------------------------------------------------


def ours(options: argparse.Namespace) -> dict[str, Any]:
    import dataclasses

    from bert_tf2.configs.training import OptimizerConfig
    from bert_tf2.tasks.tagging import conll, runner

    sides.use_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        config = runner.TaggingConfig(
            output_dir=folder,
            init_checkpoint=options.model,
            train_file=path_of(options, "train"),
            predict_file=path_of(options, options.split),
            max_seq_length=options.max_seq_length,
            train_batch_size=options.batch_size,
            predict_batch_size=32,
            learning_rate=options.learning_rate,
            num_train_epochs=options.epochs,
            do_train=True,
            do_predict=options.what == "score",
            seed=options.seed,
            optimizer=OptimizerConfig(optimizer=options.optimizer, weight_decay=sides.WEIGHT_DECAY),
        )
        if options.what == "training":
            # The loop saves at the end; that is not timed, and all else is left to the second mark.
            timed = dataclasses.replace(config, log_steps=10**6, save_checkpoints_steps=10**6)
            return {"sentences_per_second": sides.time_training(options, lambda: runner.run(timed))}
        runner.run(config)
        return {"tags": conll.read(os.path.join(folder, "predictions.txt"), 0, -1).tags}


# --- The peer, in a process of its own -------------------------------------------------------------------------------


def peer(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from transformers import AutoTokenizer, BertForTokenClassification

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def read(split: str) -> list[list[list[str]]]:
        sentences: list[list[list[str]]] = [[]]
        for line in Path(path_of(options, split)).read_text(encoding="utf-8").split("\n"):
            if line.strip():
                sentences[-1].append(line.split("\t"))
            else:
                sentences.append([])
        return [sentence for sentence in sentences if sentence]

    sentences = read("train")
    labels = sorted({tag for sentence in sentences for _, tag in sentence})
    ids = {label: index for index, label in enumerate(labels)}

    def encode(sentences: list[list[list[str]]]) -> tuple[list[dict], list[list[int]], list[list[int]]]:
        """Rows, the label of each token (-100 where there is none), the token of each word (-1 where it is cut off)."""
        words = [[word for word, _ in sentence] for sentence in sentences]
        limits = {"truncation": True, "max_length": options.max_seq_length, "is_split_into_words": True}
        encoded = tokenizer(words, **limits)
        rows = [{key: encoded[key][row] for key in encoded} for row in range(len(words))]
        of_tokens, of_words = [], []
        for row, sentence in enumerate(sentences):
            word_ids = encoded.word_ids(row)
            first = {word: token for token, word in reversed(list(enumerate(word_ids))) if word is not None}
            tags = [-100] * len(word_ids)
            for word, token in first.items():
                tags[token] = ids.get(sentence[word][1], 0)  # used in training alone, whose tags are all known
            of_tokens.append(tags)
            of_words.append([first.get(word, -1) for word in range(len(sentence))])
        return rows, of_tokens, of_words

    rows, tags, _ = encode(sentences)
    model = BertForTokenClassification.from_pretrained(options.model, num_labels=len(labels))
    steps = int(len(rows) / options.batch_size * options.epochs)
    pad_to = options.max_seq_length if options.full_padding else None

    def loss_of(chosen: Any) -> Any:
        inputs = sides.torch_batch(tokenizer, [rows[row] for row in chosen], pad_to)
        width = inputs["input_ids"].shape[1]
        wanted = torch.tensor([tags[row] + [-100] * (width - len(tags[row])) for row in chosen])
        return model(**inputs, labels=wanted).loss

    taken = min(steps, options.warm_up + options.steps) if options.what == "training" else steps
    speed = sides.torch_train(model, options, len(rows), steps, taken, loss_of)
    if options.what == "training":
        return {"sentences_per_second": speed}
    rows, _, of_words = encode(read(options.split))
    model.eval()
    found: list[str] = []
    with torch.no_grad():
        for first in range(0, len(rows), 32):
            part = slice(first, first + 32)
            logits = model(**sides.torch_batch(tokenizer, rows[part], None)).logits
            for best, words in zip(logits.argmax(2), of_words[part], strict=True):
                found += [labels[best[token]] if token >= 0 else "O" for token in words]
    return {"tags": found}


# --- All together ----------------------------------------------------------------------------------------------------


def measure_scores(options: argparse.Namespace, seeds: list[int]) -> None:
    from bert_tf2 import metrics
    from bert_tf2.tasks.tagging import conll

    true = conll.read(path_of(options, options.split), 0, -1)
    scores: dict[str, list[float]] = {"ours": [], "transformers": []}
    for name, side in (("ours", "ours"), ("transformers", "peer")):
        for seed in seeds:
            tags = sides.start(__file__, options, side, what="score", seed=seed)["tags"]
            scores[name].append(100 * metrics.span_scores(true.split(true.tags), true.split(tags)).micro.f1)
    sides.show_scores(options, f"WNUT-17, {options.split}, span F1", scores)


def copy_sentences(options: argparse.Namespace, target: str) -> None:
    """The first `--sentences` of the training data, all of the rest."""
    for split in ("train", "dev", "test"):
        lines = Path(path_of(options, split)).read_text(encoding="utf-8").split("\n")
        ends = [index for index, line in enumerate(lines) if not line.strip()]
        last = ends[options.sentences - 1] if split == "train" and options.sentences else len(lines)
        Path(target, f"wnut17.{split}.conll").write_text("\n".join(lines[:last]) + "\n", encoding="utf-8")


def main() -> None:
    parser = sides.options_parser(__doc__)
    parser.set_defaults(learning_rate=1e-4)
    parser.add_argument("--data", help="directory with wnut17.train.conll, wnut17.dev.conll, wnut17.test.conll")
    parser.add_argument("--sentences", type=int, help="of the training data; all if omitted")
    parser.add_argument("--split", default="test", choices=["dev", "test"], help="what is scored")
    parser.add_argument("--epochs", type=float, default=3.0)
    options = parser.parse_args()
    if options.worker:
        values = argparse.Namespace(**{"full_padding": False, "seed": 1, **json.loads(options.worker)})
        print(json.dumps(ours(values) if values.side == "ours" else peer(values)))
        return
    with tempfile.TemporaryDirectory() as folder:
        copy_sentences(options, folder)
        options = argparse.Namespace(**{**vars(options), "data": folder})
        if not options.scores_only:
            sides.measure_speed(__file__, options, sides.TIMED_WAYS, "WNUT-17, training ")
        if not options.speed_only:
            measure_scores(options, list(map(int, options.seeds.split(","))))


if __name__ == "__main__":
    main()
