"""The log about XLA: steps with a new shape that took longer, few lines, nothing if nothing is compiled."""

import collections
import logging

import numpy as np
import pytest

from bert_tf2.modeling import fused_ops, unpadded
from bert_tf2.training.compilations import Compilations


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO)


def shapes(*rows):
    return np.array(rows, np.int32)


def create_fusing(monkeypatch) -> Compilations:
    """The compilations of a model that uses `fused_ops`."""
    compilations = Compilations(compiles=False)
    monkeypatch.setattr(fused_ops, "_call_count", fused_ops.call_count() + 1)
    return compilations


def test_new_shapes_that_took_longer(monkeypatch, caplog) -> None:
    compilations = create_fusing(monkeypatch)
    assert compilations.record(0, shapes([32, 48, 420]), 8.25) == 0.0
    assert caplog.messages == [
        "The first step took 8.2 s: it was traced, and XLA compiled everything between its matmuls for 32 rows of 48 "
        "positions, up to 448 tokens. This is expected; XLA compiles again for each new shape."
    ]
    compilations.record(1, shapes([32, 48, 440]), 0.3)
    compilations.record(2, shapes([32, 48, 440], [32, 48, 430]), 2.0)  # slow, but not a new shape
    compilations.record(4, shapes([32, 48, 460]), 0.4)  # another number of tokens, which is rounded to the same shape
    assert len(caplog.messages) == 1
    compilations.record(5, shapes([32, 48, 440], [32, 56, 440], [32, 56, 500]), 0.9 + 1.2)
    assert caplog.messages[1:] == [
        "XLA compiled for 32 rows of 56 positions, up to 448 tokens; 32 rows of 56 positions, up to 512 tokens: "
        "steps 6 to 8 took 1.2 s longer."
    ]
    assert compilations.record(8, shapes([32, 64, 440]), 1.3) == pytest.approx(1.0)
    assert caplog.messages[2:] == [
        "XLA compiled for 32 rows of 64 positions, up to 448 tokens: step 9 took 1.0 s longer."
    ]


def test_a_dozen_lines_at_most(monkeypatch, caplog) -> None:
    compilations = create_fusing(monkeypatch)
    compilations.record(0, shapes([1, 1, 1]), 9.0)
    compilations.record(1, shapes([1, 1, 1]), 0.1)
    for number in range(50):
        compilations.record(number, shapes([1, number + 2, 1]), 1.0)
    assert len(caplog.messages) == 12
    assert [" Further shapes are not logged." in message for message in caplog.messages] == [False] * 11 + [True]


def test_the_whole_step(monkeypatch, caplog) -> None:
    compilations = Compilations(compiles=True)
    for step in range(5):
        compilations.record(step, shapes([32, 128, 420 + 99 * step]), 40.0 if step == 0 else 0.1)
    assert caplog.messages == [
        "The first step took 40 s: it was traced, and XLA compiled the whole step for 32 rows of 128 positions. This "
        "is expected; XLA compiles again for each new shape."
    ]


def test_models_without_compilation_log_nothing(caplog) -> None:
    compilations = Compilations(compiles=False)
    for step in range(9):
        compilations.record(step, shapes([32, 8 * step, 99, 98]), 9.0 if step % 2 else 0.1)
    assert caplog.messages == []


def test_training_has_few_different_shapes() -> None:
    """Batches of 32 texts as SST-2 has them: phrases of 3 to 66 tokens, most of them short."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.round(rng.lognormal(2.3, 0.6, [2000, 32])), 3, 66).astype(int)
    columns = {-(-longest // 8) * 8 for longest in lengths.max(axis=1)}
    rows = {unpadded.rounded_size(tokens) for tokens in lengths.sum(axis=1).tolist()}
    assert len(columns) <= 8
    assert len(rows) <= 10
    sizes = [unpadded.rounded_size(tokens) for tokens in lengths.sum(axis=1).tolist()]
    common = collections.Counter(sizes).most_common(6)
    assert sum(count for _, count in common) > 0.95 * len(lengths)
