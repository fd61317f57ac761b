"""Exported models in a process that imports TensorFlow and its text operations, but not this project."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys
import tensorflow as tf
import tensorflow_text
for line in sys.stdin:
    directory, signature, arguments = json.loads(line)
    model = tf.saved_model.load(directory)
    outputs = model.signatures[signature](**{name: tf.constant(values) for name, values in arguments.items()})
    assert not any(name.startswith("bert_tf2") for name in sys.modules)
    values = {name: value.numpy().tolist() for name, value in outputs.items()}
    print(json.dumps(values, default=lambda value: value.decode()), flush=True)
"""


@functools.cache
def client() -> "subprocess.Popen[str]":
    """The process for all exported models; it ends with the tests, when its input is closed."""
    program = [sys.executable, "-c", PROGRAM]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")


def ask(directory: Path, arguments: dict[str, Any], signature: str = "serving_default") -> dict[str, Any]:
    """The outputs of a signature of an exported model, computed in another process."""
    process = client()
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps([str(directory), signature, arguments]), file=process.stdin, flush=True)
    answer = process.stdout.readline()
    assert answer, f"it ended with exit status {process.wait()}"
    return json.loads(answer)
