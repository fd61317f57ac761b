"""Pre-training on real text: real tokens per second, packed and not, next to transformers' masked language model.

    python benchmarks/pretraining.py --text=en_novels.txt --vocab=bert_uncased.txt [--peer=PYTHON] [--results=NAME]

`--text` has one sentence per line and an empty line between documents. A model of `--layers` layers, `--hidden` wide,
with random weights is trained in float32 with dropout and AdamW:

* ours: the function behind `run_pretraining.py`, on records that `create_pretraining_data.py` makes from the text
  (`--short_seq_prob` of them short, a tenth by default), with `--pack_sequences` and without;
* transformers on the same text, prepared as its `run_mlm.py` does: all tokens joined and split into rows of
  `max_seq_length` (its default), or each line a row, padded to the longest of its batch (`--line_by_line`); its
  collator masks the batches.

A real token is one that is not padding. Each side takes batches of `--batch_size` rows of up to `--max_seq_length`
tokens, a few steps to warm up (ours `--warm_up`, as XLA compiles) and then timed ones, `--repetitions` times in turns
with the same number of threads; tokens per second of the timed steps, medians.

The sides do not do the same work. Ours also learns the next-sentence task, computes the scores of the vocabulary and
the last layer only where they are read, and reads records that are already masked. transformers' `BertForMaskedLM`
computes both at every position, with the exact GELU where ours has the tanh approximation, and its collator masks
during the timed steps; tokenizing is timed on neither side. `benchmarks/training_step.py compare` times steps with
scores at the masked positions on all sides. PyTorch is run with glibc settings that keep its memory, without which it
is several times slower.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_PREDICTIONS = 20
_BATCHES_COUNTED = 100


def ours(options: argparse.Namespace) -> dict[str, float]:
    from bert_tf2.configs.training import OptimizerConfig
    from bert_tf2.input_pipeline.record_batches import Share
    from bert_tf2.tasks.pretraining import runner
    from bert_tf2.tasks.pretraining.data import PretrainingData

    sides.use_threads(options.threads)
    with tempfile.TemporaryDirectory() as directory:
        config = runner.PretrainingConfig(
            input_file=options.records,
            bert_config_file=options.config,
            output_dir=directory,
            do_train=True,
            max_seq_length=options.max_seq_length,
            max_predictions_per_seq=_PREDICTIONS,
            train_batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            num_train_steps=10**6,
            num_warmup_steps=10**5,
            pack_sequences=options.packed,
            optimizer=OptimizerConfig(optimizer="adamw", weight_decay=sides.WEIGHT_DECAY),
            log_steps=10**6,
            save_checkpoints_steps=10**6,
        )
        data = PretrainingData(config, [options.records], None, fixed_shapes=False)
        batches = data.training(0, Share()).take(_BATCHES_COUNTED)
        real = "sequence_ids" if options.packed else "input_mask"
        tokens = sum(int((batch[real].numpy() > 0).sum()) for batch in batches) / _BATCHES_COUNTED
        rows = sides.time_training(options, lambda: runner.run(config))
        return {"real_tokens_per_second": rows / options.batch_size * tokens}


def peer(options: argparse.Namespace) -> dict[str, float]:
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, DataCollatorForLanguageModeling

    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    tokenizer = BertTokenizerFast(options.vocab, do_lower_case=True)
    length = options.max_seq_length
    lines = [line for line in Path(options.text).read_text(encoding="utf-8").splitlines() if line.strip()]
    if options.line_by_line:
        encoded = tokenizer(lines, truncation=True, max_length=length, return_special_tokens_mask=True)
        rows = [{key: encoded[key][row] for key in encoded} for row in range(len(lines))]
    else:
        encoded = tokenizer(lines, return_special_tokens_mask=True)
        whole = {key: [value for row in encoded[key] for value in row] for key in encoded}
        starts = range(0, len(whole["input_ids"]) - length + 1, length)
        rows = [{key: values[start : start + length] for key, values in whole.items()} for start in starts]
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    config = BertConfig(**json.loads(Path(options.config).read_text()))
    model = BertForMaskedLM(config)
    tokens: list[int] = []

    def loss_of(chosen: Any) -> Any:
        batch = collate([rows[row] for row in chosen])
        tokens.append(int(batch["attention_mask"].sum()))
        return model(**batch).loss

    speed = sides.torch_train(model, options, len(rows), loss_of, steps=10**6)
    return {"real_tokens_per_second": speed / options.batch_size * sum(tokens[options.warm_up :]) / options.steps}


_WAYS: dict[str, dict[str, Any]] = {
    "ours, --pack_sequences": {"side": "ours", "packed": True},
    "ours": {"side": "ours", "packed": False},
    "transformers, rows without padding": {"side": "peer", "line_by_line": False, "warm_up": 2, "steps": 8},
    "transformers, --line_by_line": {"side": "peer", "line_by_line": True, "warm_up": 3, "steps": 20},
}


def prepare(options: argparse.Namespace, directory: Path) -> dict[str, str]:
    """Writes the records of the text and the config of the model, and returns their files by option."""
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.pretraining_data import runner
    from bert_tf2.pretraining_data.config import PretrainingDataConfig

    records, config = directory / "train.tfrecord", directory / "bert_config.json"
    vocabulary = Path(options.vocab).read_text(encoding="utf-8").rstrip("\n").split("\n")
    bert_config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64,
        intermediate_size=4 * options.hidden,
    )
    config.write_text(bert_config.to_json_string(), encoding="utf-8")
    runner.create_pretraining_data(
        PretrainingDataConfig(
            input_file=options.text,
            output_file=str(records),
            vocab_file=options.vocab,
            max_seq_length=options.max_seq_length,
            max_predictions_per_seq=_PREDICTIONS,
            short_seq_prob=options.short_seq_prob,
            dupe_factor=1,
        )
    )
    return {"records": str(records), "config": str(config)}


def main() -> None:
    parser = sides.options_parser(__doc__)
    parser.set_defaults(warm_up=30, steps=30, learning_rate=1e-4, epochs=1.0, what="training")
    parser.add_argument("--text", help="one sentence per line, an empty line between documents")
    parser.add_argument("--vocab", help="vocabulary of the text")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--short_seq_prob", type=float, default=0.1, help="fraction of short records")
    options = parser.parse_args()
    if options.worker:
        sides.run_worker(options.worker, ours=ours, peer=peer)
        return
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        options = argparse.Namespace(**{**vars(options), **prepare(options, Path(directory))})
        print(f"records made in {time.perf_counter() - begin:.1f} s", flush=True)
        sides.measure_speed(__file__, options, _WAYS, "pre-training")


if __name__ == "__main__":
    main()
