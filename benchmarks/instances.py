"""Instances and records: compiled code against the plain Python definition, interleaved in one process.

    python benchmarks/instances.py --text=en_novels.txt --vocab=bert_uncased.txt

Prints the microseconds per instance and the ratio of the medians; checks that both wrote the same files.
"""

import argparse
import dataclasses
import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bert_tf2 import records
from bert_tf2.io import files
from bert_tf2.pretraining_data.fast_instances import Corpus, InstanceArrays, Vocabulary, create_instances
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.records.writer import BlockWriter
from bert_tf2.tokenization.wordpiece import FullTokenizer

_BLOCK = 2048
_SEED = 12345

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # for `reference`, the definition


def timed(call):
    gc.collect()
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def corpus_of(documents: list, vocab: dict[str, int]) -> Corpus:
    segments = [segment for document in documents for segment in document]
    return Corpus(
        np.fromiter((vocab[token] for segment in segments for token in segment), np.int32),
        np.cumsum([0, *map(len, segments)]),
        np.cumsum([0, *map(len, documents)]),
    )


def write_plainly(made: list, tokenizer, parameters, schema, path: str) -> None:
    from reference import instances

    with records.RecordWriter([path]) as writer:
        for instance in made:
            writer.write(schema.encode(instances.instance_features(instance, tokenizer, parameters)))


def write_fast(made: InstanceArrays, schema, path: str) -> None:
    with BlockWriter([path], schema) as writer:
        for start in range(0, len(made), _BLOCK):
            writer.write_rows(made.rows(schema, start, start + _BLOCK))


def seconds_to_start() -> tuple[float, float]:
    """Seconds until the compiled code can be called: the first time, when it is compiled, and later."""
    code = (
        "import time, numba; start = time.perf_counter(); from bert_tf2.numba_support import kernel\n"
        "for name in ('pretraining_data._instances_numba', 'records._tfrecord_numba'): kernel(f'bert_tf2.{name}')\n"
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        first, later = (
            float(subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout)
            for _ in range(2)
        )
    return first, later


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="one sentence per line, an empty line between documents")
    parser.add_argument("--vocab", required=True, help="vocabulary of the text")
    parser.add_argument("--dupe_factor", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--do_whole_word_mask", action="store_true")
    arguments = parser.parse_args()

    from reference import instances

    tokenizer = FullTokenizer(arguments.vocab)
    documents = instances.read_documents(files.read_lines(arguments.text), tokenizer.tokenize)
    corpus, vocabulary = corpus_of(documents, tokenizer.vocab), Vocabulary.of(tokenizer.vocab)
    words = list(tokenizer.vocab)
    parameters = InstanceParameters(dupe_factor=arguments.dupe_factor, do_whole_word_mask=arguments.do_whole_word_mask)
    schema = records.pretraining(parameters.max_seq_length, parameters.max_predictions_per_seq)
    print("seconds to load the compiled code: {:.1f} the first time, {:.1f} later".format(*seconds_to_start()))

    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("plain", "fast")]
        create_instances(corpus, vocabulary, InstanceParameters(dupe_factor=1), random.Random(0))
        for _ in range(arguments.repetitions):
            rngs = random.Random(_SEED), random.Random(_SEED)
            plain, making_plainly = timed(
                lambda rngs=rngs: instances.create_instances(documents, words, parameters, rngs[0])
            )
            _, writing_plainly = timed(lambda made=plain: write_plainly(made, tokenizer, parameters, schema, paths[0]))
            del plain
            fast, making = timed(lambda rngs=rngs: create_instances(corpus, vocabulary, parameters, rngs[1]))
            _, writing = timed(lambda made=fast: write_fast(made, schema, paths[1]))
            assert rngs[0].getstate() == rngs[1].getstate()
            assert Path(paths[0]).read_bytes() == Path(paths[1]).read_bytes()
            for name, value in (
                ("instances", (making_plainly, making)),
                ("records", (writing_plainly, writing)),
                ("together", (making_plainly + writing_plainly, making + writing)),
            ):
                seconds.setdefault(name, []).append(value)

    arrays = (getattr(fast, field.name) for field in dataclasses.fields(fast) if field.name != "token_ids")
    size = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
    print(f"{len(fast):,} instances, {size / len(fast):.0f} bytes each; identical files in every repetition")
    print(f"{'':12}{'plain us':>12}{'fast us':>12}{'ratio':>10}{'range':>16}")
    for name, values in seconds.items():
        plain_us, fast_us = (statistics.median(column) / len(fast) * 1e6 for column in zip(*values, strict=True))
        ratios = [slow / quick for slow, quick in values]
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(f"{name:12}{plain_us:12.2f}{fast_us:12.2f}{plain_us / fast_us:10.1f}{spread:>16}")


if __name__ == "__main__":
    main()
