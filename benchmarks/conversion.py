"""Real weights through every format: Hugging Face -> ours -> TF1 -> ours -> Hugging Face, bits and outputs compared.

    python benchmarks/conversion.py --model=all-MiniLM-L6-v2 --text=en_novels.txt

Each conversion is that of `convert_checkpoint.py`; in between, TF1's own Saver reads the checkpoint and writes it
again. Then transformers runs the first and the last directory on lines of the text, and this project runs the first one
and the checkpoint written by TF1. Needs PyTorch and transformers.
"""

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

# Before TensorFlow: in the other order, the LLVM libraries of both collide.
import torch
from transformers.models.bert.modeling_bert import BertModel as TransformersModel  # isort: split

import numpy as np
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained
from bert_tf2.checkpoints.safetensors import open_safetensors
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.io.files import read_lines
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tokenization.wordpiece import FullTokenizer

Outputs = tuple[np.ndarray, np.ndarray]


def quietly_convert(source: Path, output: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        convert(ConversionConfig(str(source), str(output)))


def through_tf1(source: Path, output: Path) -> None:
    """Has TF1's Saver read every variable by name and write it."""
    prefix = checkpoints.find(str(source))
    shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    output.mkdir()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        saver = tf.compat.v1.train.Saver(
            {name: tf.compat.v1.get_variable(name, shape) for name, shape in shapes.items()}
        )
        saver.restore(session, prefix)
        saver.save(session, str(output / "bert_model.ckpt"), write_meta_graph=False)
    for name in ("bert_config.json", "vocab.txt"):
        (output / name).write_bytes((source / name).read_bytes())


def batches(lines: list[str], folder: Path, length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ids and masks of 32 lines each, padded to the longest one."""
    tokenizer = FullTokenizer(folder / "vocab.txt", do_lower_case=pretrained.find_do_lower_case(str(folder)))
    rows = [["[CLS]", *tokenizer.tokenize(line)[: length - 2], "[SEP]"] for line in lines]
    found = []
    for start in range(0, len(rows), 32):
        part = [tokenizer.convert_tokens_to_ids(row) for row in rows[start : start + 32]]
        longest = max(map(len, part))
        ids = np.array([row + [0] * (longest - len(row)) for row in part])
        found.append((ids, (np.arange(longest) < np.array([len(row) for row in part])[:, None]).astype(np.int64)))
    return found


def outputs_of_transformers(folder: Path, data: list[tuple[np.ndarray, np.ndarray]]) -> list[Outputs]:
    model = TransformersModel.from_pretrained(folder).eval()
    found = []
    with torch.no_grad():
        for ids, mask in data:
            outputs = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))
            found.append((outputs.last_hidden_state.numpy(), outputs.pooler_output.numpy()))
    return found


def outputs_of_ours(folder: Path, data: list[tuple[np.ndarray, np.ndarray]]) -> list[Outputs]:
    model = BertModel(pretrained.find_bert_config(str(folder)))
    print(pretrained.load(checkpoints.tf_variables(model.named_variables()), str(folder)))
    found = []
    for ids, mask in data:
        outputs = model(tf.constant(ids, tf.int32), tf.constant(mask, tf.int32))
        found.append((outputs.sequence_output.numpy(), outputs.pooled_output.numpy()))
    return found


def largest_difference(one: list[Outputs], other: list[Outputs], data: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The largest difference over all tokens, without padding, and all pooled outputs."""
    tokens = [
        np.abs(a - b)[mask.astype(bool)].max() for (a, _), (b, _), (_, mask) in zip(one, other, data, strict=True)
    ]
    pooled = [np.abs(a - b).max() for (_, a), (_, b) in zip(one, other, strict=True)]
    return float(max(tokens + pooled))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="Hugging Face directory with model.safetensors")
    parser.add_argument("--text", type=Path, required=True, help="text to run the models on")
    parser.add_argument("--lines", type=int, default=512)
    parser.add_argument("--max_seq_length", type=int, default=128)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        quietly_convert(arguments.model, root / "ours")
        through_tf1(root / "ours", root / "tf1")
        quietly_convert(root / "tf1", root / "back")
        first, last = (open_safetensors(path / "model.safetensors") for path in (arguments.model, root / "back"))
        same = sum(first[name].read().tobytes() == array.read().tobytes() for name, array in last.items())
        print(
            f"{same} of {len(last)} arrays bitwise equal; missing in the copy: {', '.join(first.keys() - last.keys())}"
        )

        lines = [line for line in read_lines(arguments.text) if line.strip()][: arguments.lines]
        data = batches(lines, arguments.model, arguments.max_seq_length)
        theirs = outputs_of_transformers(arguments.model, data)
        for name, other in (
            ("transformers, converted back", outputs_of_transformers(root / "back", data)),
            ("this project, Hugging Face directory", outputs_of_ours(arguments.model, data)),
            ("this project, checkpoint written by TF1", outputs_of_ours(root / "tf1", data)),
        ):
            difference = largest_difference(theirs, other, data)
            print(f"{name}: largest difference from transformers on the original, {len(lines)} lines: {difference:.1e}")


if __name__ == "__main__":
    main()
