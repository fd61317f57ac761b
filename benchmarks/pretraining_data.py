"""Text to records: the command against the plain Python definition, and against Hugging Face's usual preparation.

    python benchmarks/pretraining_data.py --text=en_novels.txt --vocab=bert_uncased.txt

Prints seconds by stage and their ratios, all from one run on one machine. The definition (`tests/reference`) has the
original's algorithm and writes the same bytes; it runs once. The command is run as a user runs it, start-up included,
several times; the median counts. On a busy machine, processor time says more than the clock.

`--peer` adds the usual preparation of masked-LM data with `datasets` and `tokenizers`, in two processes like ours, on
ten copies of the text: tokenize, join, split into rows of 128. It makes no pairs and no masks. Both are rated by tokens
of the text per second, each token counted once, although ours writes each `--dupe_factor` times, with other masks.
"""

import argparse
import filecmp
import importlib
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]


class Seconds(NamedTuple):
    """Seconds by the clock, and of processors, all processes together."""

    wall: float
    cpu: float

    @classmethod
    def sum(cls, several):
        return cls(*map(sum, zip(*several, strict=True)))

    @classmethod
    def median(cls, several):
        return cls(*map(statistics.median, zip(*several, strict=True)))


def timed(call):
    start = Seconds(time.perf_counter(), time.process_time())
    result = call()
    return result, Seconds(time.perf_counter() - start.wall, time.process_time() - start.cpu)


def plain(text: str, vocab: str, dupe_factor: int, output: str) -> dict[str, Seconds]:
    """The seconds of each stage of the plain definition: strings, one instance and one record at a time."""
    _, starting = timed(lambda: importlib.import_module("tensorflow"))  # which writes the records
    from reference import instances

    from bert_tf2 import records
    from bert_tf2.io import files
    from bert_tf2.pretraining_data.instances import InstanceParameters
    from bert_tf2.tokenization.wordpiece import FullTokenizer

    parameters = InstanceParameters(dupe_factor=dupe_factor)
    tokenizer = FullTokenizer(vocab)
    documents, tokenizing = timed(lambda: instances.read_documents(files.read_lines(text), tokenizer.tokenize))
    rng = random.Random(12345)
    made, making = timed(lambda: instances.create_instances(documents, list(tokenizer.vocab), parameters, rng))
    schema = records.pretraining(parameters.max_seq_length, parameters.max_predictions_per_seq)

    def write() -> None:
        with records.RecordWriter([output]) as writer:
            for instance in made:
                writer.write(schema.encode(instances.instance_features(instance, tokenizer, parameters)))

    _, writing = timed(write)
    return {"starting": starting, "tokenizing": tokenizing, "instances": making, "records": writing}


class Run(NamedTuple):
    """A run of the command: its time, the peak memory of its largest process in MB, its summary."""

    seconds: Seconds
    memory: float
    summary: dict[str, float]


def command(text: str, vocab: str, dupe_factor: int, output: str, *arguments: str) -> Run:
    line = [
        sys.executable,
        str(REPOSITORY / "create_pretraining_data.py"),
        f"--input_file={text}",
        f"--output_file={output}",
        f"--vocab_file={vocab}",
        f"--dupe_factor={dupe_factor}",
        *arguments,
    ]
    # Python may cache bytecode, as for a user; CI systems often forbid that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    Path(output).unlink(missing_ok=True)
    start = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(line)}")
    summary = json.loads(Path(f"{output}.summary.json").read_text())
    return Run(Seconds(wall, usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1000, summary)


def show(name: str, ours: Seconds, theirs: Seconds, more: str = "") -> None:
    ratios = [f"{mine:8.2f} s {other / mine:6.1f}x" for mine, other in zip(ours, theirs, strict=True)]
    print(f"{name:<28}{ratios[0]}   processor {ratios[1]}{more}")


def peer(text: str, vocab: str, folder: str) -> float:
    """Tokens per second of Hugging Face's preparation: tokenize, join, split into rows of 128; two processes."""
    os.environ["HF_HOME"] = folder
    import datasets
    from tokenizers import BertWordPieceTokenizer

    datasets.disable_progress_bars()
    tokenizer = BertWordPieceTokenizer(vocab, lowercase=True)

    def tokenize(batch):
        return {"input_ids": [encoding.ids for encoding in tokenizer.encode_batch(batch["text"])]}

    def group(batch):
        joined = [token for row in batch["input_ids"] for token in row]
        return {"input_ids": [joined[at : at + 128] for at in range(0, len(joined) // 128 * 128, 128)]}

    def prepare():
        lines = [line for line in Path(text).read_text(encoding="utf-8").split("\n") if line.strip()]
        data = datasets.Dataset.from_dict({"text": lines})
        data = data.map(tokenize, batched=True, num_proc=2, remove_columns=["text"])
        return data.map(group, batched=True, num_proc=2)

    data, seconds = timed(prepare)
    return 128 * len(data) / seconds.wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="one sentence per line, an empty line between documents")
    parser.add_argument("--vocab", required=True, help="vocabulary of the text")
    parser.add_argument("--dupe_factor", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3, help="runs of each command")
    parser.add_argument("--peer", action="store_true", help="also run datasets and tokenizers, of this Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options, folder)


def compare(options: argparse.Namespace, folder: str) -> None:
    output = f"{folder}/a.tfrecord"
    command(options.text, options.vocab, options.dupe_factor, output)  # compiles, and fills the disk cache
    # In its own process: otherwise the memory of this one would count as that of the commands.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        stages = pool.apply(plain, (options.text, options.vocab, options.dupe_factor, f"{folder}/plain.tfrecord"))
    whole = Seconds.sum(stages.values())
    for name, seconds in {**stages, "whole": whole}.items():
        print(f"{f'plain {name}':<28}{seconds.wall:8.2f} s           processor {seconds.cpu:8.2f} s")

    runs = [command(options.text, options.vocab, options.dupe_factor, output) for _ in range(options.runs)]
    show("command, 1 worker", Seconds.median(run.seconds for run in runs), whole, f", {runs[0].memory:.0f} MB")
    same = filecmp.cmp(output, f"{folder}/plain.tfrecord", shallow=False)
    print(f"the same bytes as the plain definition: {same}")
    starting = stages.pop("starting")
    for stage, seconds in stages.items():
        median = statistics.median(run.summary[f"seconds_{stage}"] for run in runs)
        print(f"  of that {stage:<18}{median:8.2f} s {seconds.wall / median:6.1f}x")

    tenfold = copies(options.text, 10, folder)
    group_bytes = os.path.getsize(tenfold) // 4
    for workers in (1, 2):
        arguments = (f"--num_workers={workers}", f"--group_bytes={group_bytes}")
        runs = [command(tenfold, options.vocab, options.dupe_factor, output, *arguments) for _ in range(options.runs)]
        median = Seconds.median(run.seconds for run in runs)
        ten = Seconds.sum([starting, *10 * list(stages.values())])
        show(f"ten copies, {workers} worker(s)", median, ten, f", {runs[0].memory:.0f} MB")
    rate = runs[0].summary["tokens"] / median.wall
    if options.peer:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peers = pool.apply(peer, (tenfold, options.vocab, folder))
        print(
            f"tokens of the text per second, two processes: {rate:,.0f}; Hugging Face {peers:,.0f}: {rate / peers:.1f}x"
        )
    for number in (1, 5, 20, 40):
        text = copies(options.text, number, folder)
        run = command(text, options.vocab, 1, output, f"--group_bytes={os.path.getsize(options.text)}")
        print(f"{os.path.getsize(text) / 1e6:.0f} MB of text in groups of one copy: {run.memory:.0f} MB of memory")


def copies(text: str, number: int, folder: str) -> str:
    path = f"{folder}/copies.txt"
    with open(path, "wb") as file:
        for _ in range(number):
            with open(text, "rb") as source:
                shutil.copyfileobj(source, file)
            file.write(b"\n")
    return path


if __name__ == "__main__":
    main()
