"""Two worker processes through TF_CONFIG: the numbers of one device, and what becomes of them when one is stopped."""

import json
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import REPOSITORY, TINY_CONFIG
from helpers.rounding import assert_close, assert_trained_close, backward, largest

from bert_tf2.configs.model import BertConfig

RATE = 1e-3
CONFIG = {**TINY_CONFIG, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2}


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Flags of a training, its records made; few masked positions in some of them."""
    folder = tmp_path_factory.mktemp("made")
    words = [f"w{index}" for index in range(35)]
    rng = random.Random(1)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    documents = ["\n".join(" ".join(rng.choices(words, k=6)) for _ in range(5)) for _ in range(20)]
    (folder / "text.txt").write_text("\n\n".join(documents) + "\n")
    (folder / "bert_config.json").write_text(BertConfig(**CONFIG).to_json_string())
    lengths = ["--max_seq_length=16", "--max_predictions_per_seq=3"]
    made = ["--output_file", str(folder / "a.tfrecord"), "--vocab_file", str(folder / "vocab.txt"), *lengths]
    program = [sys.executable, str(REPOSITORY / "create_pretraining_data.py"), f"--input_file={folder / 'text.txt'}"]
    subprocess.run([*program, *made, "--short_seq_prob=0.7"], check=True, capture_output=True)
    return [
        *lengths,
        f"--input_file={folder / 'a.tfrecord'}",
        f"--bert_config_file={folder / 'bert_config.json'}",
        "--do_train",
        "--train_batch_size=4",
        "--num_warmup_steps=2",
        f"--learning_rate={RATE}",
        "--save_checkpoints_steps=2",
        "--keep_checkpoints=100",
    ]


def start(scripts, flags, output_dir, **environment):
    return scripts.start("run_pretraining.py", [*flags, f"--output_dir={output_dir}"], environment=environment)


def start_workers(scripts, flags, output_dir):
    addresses = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            addresses.append(f"localhost:{free.getsockname()[1]}")
    cluster = {"worker": addresses}
    configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    strategy = "--distribution_strategy=multi_worker_mirrored"
    return [start(scripts, [*flags, strategy], output_dir, TF_CONFIG=config) for config in configs]


def end(processes):
    """Exit statuses, and what each wrote."""
    codes = [process.wait() for process in processes]
    return codes, [process.stderr.read_text() for process in processes]


def wait_for(path, processes):
    while not path.exists() and all(process.poll() is None for process in processes):
        time.sleep(0.02)
    assert path.exists()


def weights(folder, step):
    reader = tf.train.load_checkpoint(str(folder / f"model.ckpt-{step}"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def check_same_training(folder, other, step):
    """Two trainings have the same state at a step, but for rounding."""
    found, expected = weights(folder, step), weights(other, step)
    assert set(found) == set(expected)
    counters = {"global_step", "input_position", "skipped_steps"}
    assert all(found[name] == expected[name] for name in counters)
    for slot in ("adam_m", "adam_v"):
        names = [name for name in expected if name.endswith(slot)]
        scale = max(largest(expected[name]) for name in names)
        for name in names:
            assert_close(found[name], expected[name], backward(2) * step**0.5, scale, name)
    alone, together = (
        {name: value for name, value in of.items() if "adam" not in name and name not in counters}
        for of in (expected, found)
    )
    assert_trained_close(together, alone, 2, step, RATE)


def test_two_workers(flags, scripts, tmp_path):
    one, two, steps = tmp_path / "one", tmp_path / "two", ["--num_train_steps=4"]
    codes, shown = end([start(scripts, [*flags, *steps], one)])
    assert codes == [0], shown
    codes, shown = end(start_workers(scripts, [*flags, *steps], two))
    assert codes == [0, 0], shown
    assert ["Trained 4 steps" in text for text in shown] == [True, False]
    check_same_training(two, one, 4)


@pytest.mark.slow
def test_two_workers_that_are_stopped(flags, scripts, tmp_path):
    steps = 60
    flags = [*flags, f"--num_train_steps={steps}"]
    one, two, broken = tmp_path / "one", tmp_path / "two", tmp_path / "broken"
    codes, shown = end([start(scripts, flags, one)])
    assert codes == [0], shown
    codes, shown = end(start_workers(scripts, flags, two))
    assert codes == [0, 0], shown
    check_same_training(two, one, 20)

    workers = start_workers(scripts, flags, broken)
    wait_for(broken / "model.ckpt-6.index", workers)
    workers[1].send_signal(signal.SIGTERM)  # one is asked, both stop
    codes, shown = end(workers)
    assert codes == [75, 75], shown
    assert "Another worker requested a stop: saved step" in shown[0]
    assert "SIGTERM requested a stop: saved step" in shown[1]
    newest = int(tf.train.latest_checkpoint(str(broken)).rpartition("-")[2])
    assert newest < steps

    workers = start_workers(scripts, flags, broken)
    wait_for(broken / f"model.ckpt-{newest + newest % 2 + 4}.index", workers)
    workers[1].kill()
    codes, shown = end(workers)
    assert codes == [1, -signal.SIGKILL], shown
    assert "ERROR: Another worker was lost (" in shown[0]
    assert "Restart all workers: they continue from" in shown[0]

    codes, shown = end(start_workers(scripts, flags, broken))
    assert codes == [0, 0], shown
    final = weights(two, steps)
    for name, value in weights(broken, steps).items():
        np.testing.assert_array_equal(value, final[name], err_msg=name)
