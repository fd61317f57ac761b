"""Fine-tuning a real model on WNUT-17, next to PyTorch and transformers.

    python benchmarks/tagging.py --data=ner --model=all-MiniLM-L6-v2 [--peer=PYTHON] [--seeds=1,2,3]

`--data` is a directory with `wnut17.train.conll`, `wnut17.dev.conll` and `wnut17.test.conll`, `--model` a Hugging Face
directory of a BERT. Both sides start from that model and learn the same sentences with the same batch size, peak
learning rate, epochs and linear schedule with a warm-up of a tenth, in float32 with dropout, with the label of a word
on its first piece:

* ours: the function behind `run_ner.py`, which skips padding;
* transformers, padded to `max_seq_length`;
* transformers, padded to the longest row of the batch (its dynamic padding).

The optimizer is AdamW on both sides, with a weight decay of 0.01 (`--optimizer=bert` uses BERT's own on our side, which
omits the bias correction and so takes larger steps at first). transformers' loop is a plain one around
`BertForTokenClassification`. Tokenizing is timed on neither side. PyTorch is run with glibc settings that keep its
memory, without which it is several times slower.

Speed is measured first: `--repetitions` times in turns, with the same number of threads, each side takes a few steps to
warm up (ours `--warm_up`, as XLA compiles) and then timed ones; sentences per second, medians and ratios. Then, unless
`--speed_only`, scores: for each seed one complete fine-tuning of ours and one of transformers with dynamic padding;
span F1 on `--split`, by the same function (seqeval's definition), means and deviations. Sentences longer than
`max_seq_length` are truncated by transformers and split by ours; truncated words count as O.

`--peer` is a Python with torch and transformers; if omitted, the one that runs this.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def path_of(options: argparse.Namespace, split: str) -> str:
    return os.path.join(options.data, f"wnut17.{split}.conll")


# --- Ours, in its own process ----------------------------------------------------------------------------------------


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
            # Nothing is logged or saved before the second mark; the checkpoint after it is not timed.
            timed = dataclasses.replace(config, log_steps=10**6, save_checkpoints_steps=10**6)
            return {"sentences_per_second": sides.time_training(options, lambda: runner.run(timed))}
        runner.run(config)
        return {"tags": conll.read(os.path.join(folder, "predictions.txt"), 0, -1).tags}


# --- The peer, in its own process ------------------------------------------------------------------------------------


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
        """Rows, the label of each token (-100 for none), and the first token of each word (-1 if it is truncated)."""
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
                tags[token] = ids.get(sentence[word][1], 0)  # only training uses them, and its tags are all known
            of_tokens.append(tags)
            of_words.append([first.get(word, -1) for word in range(len(sentence))])
        return rows, of_tokens, of_words

    rows, tags, _ = encode(sentences)
    model = BertForTokenClassification.from_pretrained(options.model, num_labels=len(labels))
    pad_to = options.max_seq_length if options.full_padding else None

    def loss_of(chosen: Any) -> Any:
        inputs = sides.torch_batch(tokenizer, [rows[row] for row in chosen], pad_to)
        width = inputs["input_ids"].shape[1]
        wanted = torch.tensor([tags[row] + [-100] * (width - len(tags[row])) for row in chosen])
        return model(**inputs, labels=wanted).loss

    speed = sides.torch_train(model, options, len(rows), loss_of)
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
    """Copies the first `--sentences` of the training data, and all of dev and test data."""
    for split in ("train", "dev", "test"):
        lines = Path(path_of(options, split)).read_text(encoding="utf-8").split("\n")
        ends = [index for index, line in enumerate(lines) if not line.strip()]
        last = ends[options.sentences - 1] if split == "train" and options.sentences else len(lines)
        Path(target, f"wnut17.{split}.conll").write_text("\n".join(lines[:last]) + "\n", encoding="utf-8")


def main() -> None:
    parser = sides.finetuning_parser(__doc__)
    parser.set_defaults(learning_rate=1e-4)
    parser.add_argument("--data", help="directory with wnut17.train.conll, wnut17.dev.conll, wnut17.test.conll")
    parser.add_argument("--sentences", type=int, help="training sentences; all if omitted")
    parser.add_argument("--split", default="test", choices=["dev", "test"], help="the split to score")
    parser.add_argument("--epochs", type=float, default=3.0)
    options = parser.parse_args()
    if options.worker:
        sides.run_worker(options.worker, ours=ours, peer=peer)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy_sentences(options, folder)
        options = argparse.Namespace(**{**vars(options), "data": folder})
        if not options.scores_only:
            sides.measure_speed(__file__, options, sides.TIMED_WAYS, "WNUT-17, training")
        if not options.speed_only:
            measure_scores(options, list(map(int, options.seeds.split(","))))


if __name__ == "__main__":
    main()
