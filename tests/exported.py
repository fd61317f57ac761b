"""Exported models as strangers use them: a process that knows TensorFlow and its text operations, and nothing of us."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys
import tensorflow as tf
import tensorflow_text
folder, signature = sys.argv[1:]
model = tf.saved_model.load(folder)
arguments = {name: tf.constant(values) for name, values in json.load(sys.stdin).items()}
found = model.signatures[signature](**arguments)
assert not any(name.startswith("bert_tf2") for name in sys.modules)
values = {name: value.numpy().tolist() for name, value in found.items()}
json.dump(values, sys.stdout, default=lambda value: value.decode())
"""


def ask(folder: Path, arguments: dict[str, Any], signature: str = "serving_default") -> dict[str, Any]:
    """What a signature of an exported model answers, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), signature],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        cwd=folder.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
