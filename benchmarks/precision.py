"""How far a run in bfloat16 deviates from the same run in float32: loss over 500 steps, on the records of the demo.

    make demo
    python benchmarks/precision.py --input_file=demo_output/train.tfrecord \\
        --bert_config_file=demo_output/bert_config.json

Both runs have the same seed, data and dropout masks. Prints the losses, as means of 50 steps, with their differences,
and the ratio of the speeds.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

REPOSITORY = Path(__file__).resolve().parents[1]


def train(arguments: argparse.Namespace, precision: str, folder: Path) -> dict[int, dict[str, float]]:
    """The TensorBoard scalars by step."""
    command = [sys.executable, str(REPOSITORY / "run_pretraining.py"), "--do_train", f"--output_dir={folder}"]
    command += [f"--{name}={value}" for name, value in vars(arguments).items()]
    command += ["--learning_rate=2e-3", "--num_warmup_steps=50", "--log_steps=50", f"--precision={precision}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[int, dict[str, float]] = {}
    for path in folder.glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(event.step, {})[value.tag] = float(tf.make_ndarray(value.tensor))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", required=True)
    parser.add_argument("--bert_config_file", required=True)
    parser.add_argument("--max_seq_length", type=int, default=64)
    parser.add_argument("--max_predictions_per_seq", type=int, default=10)
    parser.add_argument("--train_batch_size", type=int, default=16)
    parser.add_argument("--num_train_steps", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            precision: train(arguments, precision, Path(folder) / precision) for precision in ("float32", "bfloat16")
        }
    print(f"{'steps to':>10}{'float32':>12}{'bfloat16':>12}{'difference':>12}{'ratio of speed':>16}")
    differences = []
    for step, values in sorted(runs["float32"].items()):
        lower = runs["bfloat16"][step]
        differences.append(abs(lower["loss"] - values["loss"]))
        speed = lower["examples_per_second"] / values["examples_per_second"]
        print(f"{step:>10}{values['loss']:>12.4f}{lower['loss']:>12.4f}{differences[-1]:>12.4f}{speed:>16.2f}")
    print(f"largest difference {max(differences):.4f}")


if __name__ == "__main__":
    main()
