"""Text to records: the command against the plain-Python path, which has the original's cost, and against Hugging Face.

    python benchmarks/pretraining_data.py --text=en_novels.txt --vocab=bert_uncased.txt

Prints seconds by stage and ratios, all from one run on one machine; the command is measured as a user calls it,
start-up included, several times, median. `--peer` adds the usual preparation of masked-LM data with `datasets` and
`tokenizers` (two processes), as tokens per second.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))


def timed(call):
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def plain(text: str, vocab: str, dupe_factor: int, output: str) -> dict[str, float]:
    """Seconds of each stage of the readable definition: strings, one instance and one record at a time."""
    from bert_tf2 import files, instances, records
    from bert_tf2.instances import InstanceParameters
    from bert_tf2.tokenization import FullTokenizer

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
    return {"tokenizing": tokenizing, "instances": making, "records": writing}


def command(text: str, vocab: str, dupe_factor: int, output: str, *arguments: str) -> tuple[float, float, dict]:
    """Seconds and peak memory (MB, largest process) of the whole command, and its summary."""
    line = [
        sys.executable,
        str(REPOSITORY / "create_pretraining_data.py"),
        f"--input_file={text}",
        f"--output_file={output}",
        f"--vocab_file={vocab}",
        f"--dupe_factor={dupe_factor}",
        *arguments,
    ]
    start = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(line)}")
    return seconds, usage.ru_maxrss / 1000, json.loads(Path(f"{output}.summary.json").read_text())


def peer(text: str, vocab: str, folder: str) -> float:
    """Tokens per second of Hugging Face's usual preparation: tokenize, join, cut into blocks of 128, two processes."""
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
    return 128 * len(data) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--dupe_factor", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = f"{folder}/a.tfrecord"
        command(options.text, options.vocab, options.dupe_factor, output)  # compiles, and fills the disk cache
        # In a process of its own: a process begins with the memory of the one that starts it, and would be measured so.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds = pool.apply(plain, (options.text, options.vocab, options.dupe_factor, f"{folder}/plain.tfrecord"))
        whole = sum(seconds.values())
        for stage, value in seconds.items():
            print(f"plain {stage:<12}{value:8.2f} s")
        print(f"plain {'whole':<12}{whole:8.2f} s")

        runs = [command(options.text, options.vocab, options.dupe_factor, output) for _ in range(options.runs)]
        median = statistics.median(run[0] for run in runs)
        print(f"command, one worker     {median:8.2f} s {whole / median:6.1f}x, {runs[0][1]:.0f} MB")
        same = Path(output).read_bytes() == Path(f"{folder}/plain.tfrecord").read_bytes()
        print(f"the same bytes as the plain path: {same}")
        for stage in seconds:
            value = statistics.median(run[2][f"seconds_{stage}"] for run in runs)
            print(f"  of that {stage:<16}{value:8.2f} s {seconds[stage] / value:6.1f}x")

        tenfold = f"{folder}/tenfold.txt"
        with open(tenfold, "wb") as file:
            for _ in range(10):
                file.write(Path(options.text).read_bytes() + b"\n")
        group_bytes = os.path.getsize(tenfold) // 4
        for workers in (1, 2):
            arguments = (f"--num_workers={workers}", f"--group_bytes={group_bytes}")
            runs = [
                command(tenfold, options.vocab, options.dupe_factor, output, *arguments) for _ in range(options.runs)
            ]
            median = statistics.median(run[0] for run in runs)
            print(f"ten times, {workers} workers {median:8.2f} s {10 * whole / median:6.1f}x, {runs[0][1]:.0f} MB")
            if workers == 2:
                tokens = runs[0][2]["tokens"] * options.dupe_factor / median
        for copies in (1, 20):
            text = f"{folder}/copies.txt"
            with open(text, "wb") as file:
                for _ in range(copies):
                    file.write(Path(options.text).read_bytes() + b"\n")
            _, memory, _ = command(text, options.vocab, 1, output, f"--group_bytes={os.path.getsize(options.text)}")
            print(f"{copies} x the text, one at a time: {memory:.0f} MB")
        if options.peer:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                theirs = pool.apply(peer, (options.text, options.vocab, folder))
            print(f"tokens/s, two processes: {tokens:,.0f}; Hugging Face's {theirs:,.0f}: {tokens / theirs:.1f}x")


if __name__ == "__main__":
    main()
