"""`FastTokenizer` against `FullTokenizer`, its definition, on one core: time, and whether all ids are the same.

    python benchmarks/tokenization.py text.txt vocab.txt [--cased] [--repetitions=5]

Each way tokenizes the lines of the text in turn, in several rounds, so that a busy moment of the machine affects all of
them. Printed are the median seconds and their ratio to those of `FullTokenizer`.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from bert_tf2.io.files import read_lines
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer


@contextlib.contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Appends the seconds that the block takes."""
    begin = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - begin)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", help="file with the lines to tokenize")
    parser.add_argument("vocab", help="vocabulary of the text")
    parser.add_argument("--cased", action="store_true", help="keep case and accents")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    lines = list(read_lines(options.text))
    files = (options.vocab, not options.cased)
    full = FullTokenizer(*files)

    start: list[float] = []
    with timed(start):
        fast = FastTokenizer(*files)
    with timed(start):
        fast.encode_batch([" " * 10_000_000])  # enough to load the compiled code
    print(f"vocabulary {start[0]:.3f} s, compiled code and its tables {start[1]:.3f} s")

    def each(encode: Callable[[str], list[int]]) -> None:
        for line in lines:
            encode(line)

    def without_compiled_code() -> None:
        plain = FastTokenizer(*files)
        plain._patience = float("inf")
        each(plain.encode)

    ways: dict[str, Callable[[], object]] = {
        "FullTokenizer: tokenize, ids": lambda: each(lambda line: full.convert_tokens_to_ids(full.tokenize(line))),
        "encode_batch": lambda: fast.encode_batch(lines),
        "encode, line by line": lambda: each(fast.encode),
        "tokenize, line by line": lambda: each(fast.tokenize),  # type: ignore[arg-type]
        "encode without compiled code": without_compiled_code,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repetitions):
        for name, run in ways.items():
            with timed(seconds[name]):
                run()
    base = statistics.median(seconds["FullTokenizer: tokenize, ids"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:30} {median:7.3f} s  {base / median:6.1f}x")

    ids, splits = fast.encode_batch(lines)
    different = sum(
        full.convert_tokens_to_ids(full.tokenize(line)) != ids[splits[row] : splits[row + 1]].tolist()
        for row, line in enumerate(lines)
    )
    print(f"{len(lines)} lines, {len(ids)} tokens, {different} lines differ")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
