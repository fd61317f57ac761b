"""The original's commands for TPUs, with ram:// instead of gs://: the same files as with local paths.

All run in one process, as ram:// is memory of a process.
"""

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.scripts import Scripts
from helpers.tiny_choices import questions, write_json_lines
from helpers.tiny_squad import squad, write_json
from helpers.tiny_tagging import sentences, write_conll

from bert_tf2.configs.model import BertConfig

REMOTE = "ram://some_bucket/directory"
PROGRAM = """
import json, sys
from helpers.one_process import call, copy_tree
local, remote, commands = json.loads(sys.argv[1])
copy_tree(f"{local}/in", f"{remote}/in")
for root in (local, remote):
    for command, *arguments in commands:
        call(command, [argument.replace("ROOT", root) for argument in arguments])
copy_tree(f"{remote}/out", f"{local}/remote")
events = "pretraining_output/eval"  # which ram:// does not list, because of eval_results.txt
copy_tree(f"{remote}/out/{events}", f"{local}/remote/{events}")
"""
# Files with times or random names in them, and data of checkpoints, whose index is compared instead.
NOT_COMPARED = (".data-00000-of-00001", "summary.json", "record_index.json", ".pb")
WORDS = [f"w{index}" for index in range(20)]
CREATE = """create_pretraining_data
  --input_file=ROOT/in/text*.txt,ROOT/in/more.txt --output_file=ROOT/out/tf_examples.tfrecord
  --vocab_file=ROOT/in/vocab.txt --do_lower_case=True --max_seq_length=16 --max_predictions_per_seq=3
  --masked_lm_prob=0.15 --random_seed=12345 --dupe_factor=2"""
PRETRAIN = """run_pretraining
  --input_file=ROOT/out/tf_examples.tfrecord --output_dir=ROOT/out/pretraining_output --do_train=True
  --bert_config_file=ROOT/in/bert_config.json --train_batch_size=8 --max_seq_length=16 --max_predictions_per_seq=3
  --num_warmup_steps=1 --learning_rate=2e-3 --save_checkpoints_steps=1 --max_eval_steps=2"""


def arguments(command: str) -> list[str]:
    return command.split()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with `in`: texts, a vocabulary, a config."""
    rng = random.Random(1)
    inputs = tmp_path / "in"
    inputs.mkdir()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "good", "bad"]
    (inputs / "vocab.txt").write_text("\n".join(pieces) + "\n")
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (inputs / "bert_config.json").write_text(BertConfig(**{**TINY_CONFIG, **no_dropout}).to_json_string())
    for name in ("text1", "text2", "more"):
        documents = ["\n".join(" ".join(rng.choices(WORDS, k=6)) for _ in range(5)) for _ in range(8)]
        (inputs / f"{name}.txt").write_text("\n\n".join(documents) + "\n")
    return tmp_path


def run(scripts: Scripts, root: Path, commands: list[str]) -> str:
    done = scripts.run_program(PROGRAM, [json.dumps([str(root), REMOTE, list(map(arguments, commands))])])
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def assert_same_files(root: Path) -> None:
    """Checks that `out` and `remote`, written by the same commands, have the same files with the same content."""
    local, remote = root / "out", root / "remote"
    assert file_names(local) == file_names(remote)
    for name in file_names(local):
        if name.endswith(".index"):
            assert_same_checkpoint(str(local / name), str(remote / name))
        elif not name.endswith(NOT_COMPARED):
            contents = [comparable((directory / name).read_bytes(), root) for directory in (local, remote)]
            assert contents[0] == contents[1], name


def comparable(content: bytes, root: Path) -> bytes:
    """The content without the path, which is also in the command that a report shows, and the time of a report."""
    return re.sub(rb"\d+ \w+ \d{4}, \d\d:\d\d", b"", content.replace(REMOTE.encode(), str(root).encode()))


def file_names(directory: Path) -> set[str]:
    """All files except those with a time in their name and the locks, which stay on the local side."""
    found = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return {name for name in found if not any(part in name for part in ("runs/", "tfevents", ".lock"))}


def assert_same_checkpoint(one: str, other: str) -> None:
    readers = [tf.train.load_checkpoint(path.removesuffix(".index")) for path in (one, other)]
    shapes = [reader.get_variable_to_shape_map() for reader in readers]
    assert shapes[0] == shapes[1]
    for name in shapes[0]:
        np.testing.assert_array_equal(*(reader.get_tensor(name) for reader in readers), err_msg=name)


def test_pretraining_from_text_to_results_with_a_resume(scripts: Scripts, root: Path) -> None:
    log = run(
        scripts, root, [CREATE, f"{PRETRAIN} --num_train_steps=1", f"{PRETRAIN} --num_train_steps=2 --do_eval=True"]
    )
    assert f"Resuming from {REMOTE}/out/pretraining_output/model.ckpt-1, step 1." in log
    assert_same_files(root)
    output = root / "remote" / "pretraining_output"
    assert "global_step = 2\n" in (output / "eval_results.txt").read_text()
    assert (output / "checkpoint").read_text().startswith('model_checkpoint_path: "model.ckpt-2"\n')
    for directory, count in ((output, 2), (output / "eval", 1)):
        assert [events.stat().st_size > 100 for events in directory.glob("events.out.tfevents.*")] == [True] * count
    described = [json.loads(path.read_text())["config"] for path in output.glob("runs/*.json")]
    assert {values["input_file"] for values in described} == {f"{REMOTE}/out/tf_examples.tfrecord"}
    assert not list(output.rglob(".*"))


MODEL = """--vocab_file=ROOT/in/vocab.txt --bert_config_file=ROOT/in/bert_config.json
  --init_checkpoint=ROOT/out/pretraining_output/model.ckpt-1"""
CLASSIFY = f"""run_classifier --task_name=MRPC --data_dir=ROOT/in/MRPC {MODEL} --max_seq_length=16 --train_batch_size=8
  --learning_rate=2e-3 --output_dir=ROOT/out/mrpc_output/"""
OTHERS = [
    CREATE,
    f"{PRETRAIN} --num_train_steps=1",
    "build_vocab --input_file=ROOT/in/text1.txt,ROOT/in/more.txt --output_file=ROOT/out/own_vocab.txt --vocab_size=150",
    """build_vocab --input_file=ROOT/in/text*.txt --output_file=ROOT/out/own.model --vocab_size=90 --type=sentencepiece
      --num_unused=0""",
    f"{CLASSIFY} --do_train=true --do_eval=true --num_train_epochs=1.0 --save_checkpoints_steps=2",
    "run_classifier --task_name=MRPC --do_predict=true --data_dir=ROOT/in/MRPC --output_dir=ROOT/out/mrpc_output/",
    f"""run_squad {MODEL} --do_train=True --train_file=ROOT/in/train.json --do_predict=True
      --predict_file=ROOT/in/dev.json --train_batch_size=8 --learning_rate=3e-3 --num_train_epochs=1.0
      --max_seq_length=24 --doc_stride=8 --max_query_length=4 --output_dir=ROOT/out/squad/
      --version_2_with_negative=True""",
    f"""run_ner {MODEL} --do_train=True --do_eval=True --train_file=ROOT/in/ner.conll --dev_file=ROOT/in/ner.conll
      --do_predict=True --predict_file=ROOT/in/ner.conll --max_seq_length=16 --num_train_epochs=1.0 --train_batch_size=8
      --output_dir=ROOT/out/ner""",
    f"""run_multiple_choice {MODEL} --do_train=True --do_eval=True --train_file=ROOT/in/choices.jsonl
      --dev_file=ROOT/in/choices.jsonl --max_seq_length=16 --num_train_epochs=1.0 --train_batch_size=8
      --output_dir=ROOT/out/choices""",
    f"""extract_features {MODEL} --input_file=ROOT/in/text1.txt --output_file=ROOT/out/output.jsonl --layers=-1,-2
      --max_seq_length=16 --batch_size=8""",
    f"""extract_features {MODEL} --input_file=ROOT/in/text1.txt --output_file=ROOT/out/output.npy --layers=-1
      --max_seq_length=16 --batch_size=8 --output_format=npy --pooling=mean""",
    "convert_checkpoint --init_checkpoint=ROOT/out/mrpc_output --output_dir=ROOT/out/hugging_face",
    """run_classifier --task_name=MRPC --data_dir=ROOT/in/MRPC --init_checkpoint=ROOT/out/hugging_face --do_eval=true
      --max_seq_length=16 --output_dir=ROOT/out/again""",
    "export_model --output_dir=ROOT/out/mrpc_output --export_dir=ROOT/out/exported",
]


@pytest.mark.slow
def test_every_command(scripts: Scripts, root: Path) -> None:
    rng = random.Random(2)
    (root / "in" / "MRPC").mkdir()
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    for name in ("train", "dev", "test"):
        rows: list[tuple[Any, ...]] = [(rng.randrange(2), n, n) for n in range(24)]
        texts = [[" ".join(rng.choices([*WORDS, "good", "bad"], k=4)) for _ in range(2)] for _ in rows]
        lines = ("\t".join(map(str, (*row, *pair))) for row, pair in zip(rows, texts, strict=True))
        (root / "in" / "MRPC" / f"{name}.tsv").write_text(header + "".join(f"{line}\n" for line in lines))
    write_json(root / "in" / "train.json", squad(8, seed=1, version_2=True))
    write_json(root / "in" / "dev.json", squad(4, seed=2, version_2=True))
    write_conll(root / "in" / "ner.conll", sentences(16, seed=1))
    write_json_lines(root / "in" / "choices.jsonl", questions(16, seed=1))
    run(scripts, root, OTHERS)
    assert_same_files(root)
    for name in ("mrpc_output/test_results.tsv", "squad/predictions.json", "ner/predictions.txt", "output.jsonl"):
        assert (root / "remote" / name).stat().st_size > 0
