"""How batches of a prediction are divided, computed in parallel, and returned in order."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from bert_tf2.configs.training import DistributionConfig
from bert_tf2.training import concurrency
from bert_tf2.training.concurrency import ONE_BY_ONE, Concurrency

STRATEGY = tf.distribute.get_strategy()
TIMEOUT_SECONDS = 60.0  # for a thread that waits for another one


@pytest.mark.parametrize(
    ("options", "gpus", "threads_before", "threads"),
    [
        ({}, [], 0, [1]),
        ({"distribution_strategy": "mirrored"}, [], 0, [1]),
        ({}, ["GPU"], 0, []),
        ({}, [], 3, []),
        ({"distribution_strategy": "multi_worker_mirrored"}, [], 0, []),
        ({"use_tpu": True}, [], 0, []),
    ],
)
def test_a_core_per_batch(monkeypatch, options, gpus, threads_before, threads) -> None:
    calls = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: threads_before)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", calls.append)
    concurrency.use_a_core_a_batch(DistributionConfig(**options))
    assert calls == threads


@pytest.mark.parametrize(
    ("threads", "gpus", "compiles", "expected"),
    [
        (1, [], False, Concurrency(6, 384)),
        (1, [], True, Concurrency(6)),
        (0, [], False, ONE_BY_ONE),
        (4, [], False, ONE_BY_ONE),
        (0, ["GPU"], True, Concurrency(3)),
    ],
)
def test_concurrency_suits_the_process(monkeypatch, threads, gpus, compiles, expected) -> None:
    monkeypatch.setattr(concurrency, "number_of_cores", lambda: 6)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: threads)
    assert Concurrency.of(STRATEGY, compiles, on_accelerator=3) == expected


@pytest.mark.parametrize(
    ("concurrency", "max_rows", "splits"),
    [
        (Concurrency(4, 99), 32, [0, 2, 4, 6, 7]),  # each of four cores has some
        (Concurrency(1, 99), 2, [0, 7]),  # only the tokens count
        (Concurrency(4, 8), 32, [0, 1, 2, 4, 6, 7]),  # few tokens, but at least one row
        (Concurrency(4), 3, [0, 3, 6, 7]),
        (ONE_BY_ONE, 7, [0, 7]),
    ],
)
def test_rows_are_divided(concurrency: Concurrency, max_rows: int, splits: list[int]) -> None:
    assert concurrency.divide(np.array([8, 5, 4, 3, 3, 2, 1]), max_rows).tolist() == splits


def test_no_rows_give_no_batches() -> None:
    assert Concurrency(4, 99).divide(np.empty(0, np.int64), 8).tolist() == [0]


def test_results_come_in_order_and_few_are_held() -> None:
    taken = []
    both = threading.Barrier(2)

    def inputs() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    def compute(number: int) -> int:
        both.wait(TIMEOUT_SECONDS)  # passes only if two run at a time
        time.sleep(0.001 * (number % 3))  # so that some results are ready before earlier ones
        return number * number

    for index, result in enumerate(Concurrency(2).map(compute, inputs())):
        assert result == index * index
        assert len(taken) <= index + 6


def test_an_error_ends_the_work() -> None:
    computed = []

    def compute(number: int) -> int:
        computed.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(Concurrency(2).map(compute, range(1000)))
    assert len(computed) < 20


def test_closing_the_iterator_ends_the_work() -> None:
    computed = []
    results = Concurrency(2).map(lambda number: computed.append(number) or number, range(1000))
    assert [next(results), next(results)] == [0, 1]
    results.close()
    assert len(computed) < 20


def test_one_by_one_is_lazy_and_uses_no_other_thread() -> None:
    results = ONE_BY_ONE.map(lambda _: threading.current_thread(), range(3))
    assert next(results) is threading.main_thread()
