"""Two worker processes through TF_CONFIG: the numbers of a single process, also after one of them is stopped."""

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
    """Flags of a training, with its records; some of them have few masked positions."""
    directory = tmp_path_factory.mktemp("inputs")
    words = [f"w{index}" for index in range(35)]
    rng = random.Random(1)
    (directory / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    documents = ["\n".join(" ".join(rng.choices(words, k=6)) for _ in range(5)) for _ in range(20)]
    (directory / "text.txt").write_text("\n\n".join(documents) + "\n")
    (directory / "bert_config.json").write_text(BertConfig(**CONFIG).to_json_string())
    lengths = ["--max_seq_length=16", "--max_predictions_per_seq=3"]
    outputs = ["--output_file", str(directory / "a.tfrecord"), "--vocab_file", str(directory / "vocab.txt"), *lengths]
    program = [sys.executable, str(REPOSITORY / "create_pretraining_data.py"), f"--input_file={directory / 'text.txt'}"]
    subprocess.run([*program, *outputs, "--short_seq_prob=0.7"], check=True, capture_output=True)
    return [
        *lengths,
        f"--input_file={directory / 'a.tfrecord'}",
        f"--bert_config_file={directory / 'bert_config.json'}",
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
    with socket.socket() as first, socket.socket() as second:  # both open, so that their ports differ
        for free in (first, second):
            free.bind(("localhost", 0))
        addresses = [f"localhost:{free.getsockname()[1]}" for free in (first, second)]
    cluster = {"worker": addresses}
    configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    strategy = "--distribution_strategy=multi_worker_mirrored"
    return [start(scripts, [*flags, strategy], output_dir, TF_CONFIG=config) for config in configs]


def wait_for_end(processes):
    """Waits; returns the exit statuses and what each process logged."""
    codes = [process.wait() for process in processes]
    return codes, [process.stderr.read_text() for process in processes]


def wait_for(path, processes):
    while not path.exists() and all(process.poll() is None for process in processes):
        time.sleep(0.02)
    assert path.exists()


def weights(directory, step):
    reader = tf.train.load_checkpoint(str(directory / f"model.ckpt-{step}"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_training(directory, other, step):
    """Two trainings have the same state at a step, up to rounding."""
    found, expected = weights(directory, step), weights(other, step)
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


def results(directory):
    lines = (directory / "eval_results.txt").read_text().splitlines()
    return {name: float(value) for name, value in (line.split(" = ") for line in lines)}


def test_two_workers(flags, scripts, tmp_path):
    """Their evaluation is of each record, although its batch size does not divide by their number."""
    one, two = tmp_path / "one", tmp_path / "two"
    flags = [*flags, "--num_train_steps=4", "--do_eval", "--max_eval_steps=0", "--eval_batch_size=3"]
    codes, shown = wait_for_end([start(scripts, flags, one)])
    assert codes == [0], shown
    codes, shown = wait_for_end(start_workers(scripts, flags, two))
    assert codes == [0, 0], shown
    assert ["Trained 4 steps" in text for text in shown] == [True, False]
    assert_same_training(two, one, 4)
    alone, together = results(one), results(two)
    for name in ("global_step", "masked_lm_loss", "masked_lm_accuracy", "next_sentence_loss", "next_sentence_accuracy"):
        assert together[name] == pytest.approx(alone[name], rel=1e-4), name


@pytest.mark.slow
def test_two_workers_that_are_stopped(flags, scripts, tmp_path):
    steps = 60
    flags = [*flags, f"--num_train_steps={steps}"]
    one, two, broken = tmp_path / "one", tmp_path / "two", tmp_path / "broken"
    codes, shown = wait_for_end([start(scripts, flags, one)])
    assert codes == [0], shown
    codes, shown = wait_for_end(start_workers(scripts, flags, two))
    assert codes == [0, 0], shown
    assert_same_training(two, one, 20)

    workers = start_workers(scripts, flags, broken)
    wait_for(broken / "model.ckpt-6.index", workers)
    workers[1].send_signal(signal.SIGTERM)  # one gets the signal, both stop
    codes, shown = wait_for_end(workers)
    assert codes == [75, 75], shown
    assert "Another worker requested a stop: saved step" in shown[0]
    assert "SIGTERM requested a stop: saved step" in shown[1]
    newest = int(tf.train.latest_checkpoint(str(broken)).rpartition("-")[2])
    assert newest < steps

    workers = start_workers(scripts, flags, broken)
    wait_for(broken / f"model.ckpt-{newest + newest % 2 + 4}.index", workers)
    workers[1].kill()
    codes, shown = wait_for_end(workers)
    assert codes == [1, -signal.SIGKILL], shown
    assert "ERROR: Another worker was lost (" in shown[0]
    assert "Restart all workers: they continue from" in shown[0]

    codes, shown = wait_for_end(start_workers(scripts, flags, broken))
    assert codes == [0, 0], shown
    final = weights(two, steps)
    for name, value in weights(broken, steps).items():
        np.testing.assert_array_equal(value, final[name], err_msg=name)
