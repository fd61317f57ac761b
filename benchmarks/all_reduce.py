"""The time of one all-reduce of BERT's gradients, between worker processes or the GPUs of this machine.

    python benchmarks/all_reduce.py --workers=2                      # processes on this machine, over its loopback
    TF_CONFIG=... python benchmarks/all_reduce.py --workers=0        # this process is one of TF_CONFIG's workers
    python benchmarks/all_reduce.py --workers=1                      # all GPUs of this machine

Prints, for BERT-Base and BERT-Large, the median seconds and the resulting bytes per second and device (a ring moves
2·(n-1)/n times the gradients through each device's link).
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

PARAMETERS = {"Base": 109_482_240, "Large": 335_141_888}


def measure(repeats: int) -> None:
    import tensorflow as tf

    several = "TF_CONFIG" in os.environ
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.MirroredStrategy()
    devices = strategy.num_replicas_in_sync

    @tf.function
    def all_reduce(count: int) -> tf.Tensor:
        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            gradients = tf.fill([count], tf.cast(context.replica_id_in_sync_group, tf.float32))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)[0]

        return strategy.experimental_local_results(strategy.run(replica))[0]

    is_first = not several or json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0
    for name, count in PARAMETERS.items():
        seconds = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            assert float(all_reduce(count)) == devices * (devices - 1) / 2
            seconds.append(time.perf_counter() - start)
        median = statistics.median(seconds[1:])
        rate = 2 * (devices - 1) / devices * 4 * count / median
        if is_first:
            print(
                f"BERT-{name}, {4 * count / 1e6:,.0f} MB, {devices} devices: {median:.3f} s "
                f"(median of {repeats}, {min(seconds[1:]):.3f} to {max(seconds[1:]):.3f}), {rate / 1e9:.2f} GB/s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes to start; 0 or 1: only this one")
    parser.add_argument("--repeats", type=int, default=5, help="timed all-reduces of each model")
    arguments = parser.parse_args()
    if arguments.workers < 2:
        measure(arguments.repeats)
        return
    addresses = []
    for _ in range(arguments.workers):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            addresses.append(f"localhost:{free.getsockname()[1]}")
    workers = []
    for index in range(arguments.workers):
        config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        command = [sys.executable, __file__, "--workers=0", f"--repeats={arguments.repeats}"]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_CONFIG": config}
        workers.append(subprocess.Popen(command, env={**os.environ, **quiet}, stderr=subprocess.DEVNULL))
    sys.exit(max(worker.wait() for worker in workers))


if __name__ == "__main__":
    main()
