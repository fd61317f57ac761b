"""run_pretraining.py on records without masks and on records without pairs: results, resuming, its errors."""

import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, forward
from helpers.scripts import Scripts

from bert_tf2 import checkpoints, records
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.pretraining_data import full_sentences
from bert_tf2.pretraining_data.fast_instances import Corpus, Vocabulary, create_instances
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data
from bert_tf2.records.writer import BlockWriter
from bert_tf2.tasks.pretraining import runner
from bert_tf2.tasks.pretraining.runner import PretrainingConfig

LENGTH, PREDICTIONS = 16, 3
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(25)), *(f"##{n}" for n in range(10))]
DYNAMIC = {"masking": "dynamic", "input_file": "pairs.unmasked", "vocab_file": "vocab.txt"}
SENTENCES = {"masking": "dynamic", "input_file": "sentences.unmasked", "vocab_file": "vocab.txt", "use_nsp": False}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a vocabulary, a config, and records: pairs and sentences, with and without masks."""
    directory = tmp_path_factory.mktemp("inputs")
    (directory / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    (directory / "bert_config.json").write_text(BertConfig(**TINY_CONFIG).to_json_string())
    rng = np.random.default_rng(1)
    corpus = Corpus(
        rng.integers(5, len(PIECES), 600, dtype=np.int32),
        np.arange(0, 601, 6, dtype=np.int64),
        np.arange(0, 101, 5, dtype=np.int64),
    )
    vocabulary = Vocabulary.of({piece: number for number, piece in enumerate(PIECES)})
    parameters = InstanceParameters(LENGTH, PREDICTIONS, dupe_factor=1)
    pairs = create_instances(corpus, vocabulary, parameters, random.Random(1))
    masked, unmasked = (
        full_sentences.pack(corpus, vocabulary, parameters, random.Random(1), masked=choice) for choice in (True, False)
    )
    for name, instances in (
        ("pairs.masked", pairs),
        ("pairs.unmasked", pairs),
        ("sentences.masked", masked),
        ("sentences.unmasked", unmasked),
    ):
        schema = records.pretraining(
            LENGTH,
            PREDICTIONS,
            masked=not name.endswith(".unmasked"),
            next_sentence=name.startswith("pairs"),
        )
        with BlockWriter([str(directory / name)], schema) as writer:
            writer.write_rows(instances.rows(schema))
    return directory


def options(inputs: Path, output_dir: Path, **changes: Any) -> dict[str, Any]:
    """Flags of a short training; files that are named without a directory are those of `inputs`."""
    values = {
        "input_file": "pairs.masked",
        "bert_config_file": "bert_config.json",
        "output_dir": str(output_dir),
        "max_seq_length": LENGTH,
        "max_predictions_per_seq": PREDICTIONS,
        "train_batch_size": 8,
        "num_train_steps": 12,
        "num_warmup_steps": 2,
        "learning_rate": 1e-2,
        "max_eval_steps": 0,
        **changes,
    }
    files = ("input_file", "bert_config_file", "vocab_file")
    return {
        name: str(inputs / value) if name in files and not os.path.isabs(value) else value
        for name, value in values.items()
    }


def run(inputs: Path, output_dir: Path, **changes: Any) -> dict[str, float] | None:
    return runner.run(PretrainingConfig(**options(inputs, output_dir, **changes)))


def weights(directory: Path, step: int) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(directory / f"model.ckpt-{step}"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def evaluation_lines(directory: Path) -> list[str]:
    return [line.split(" = ")[0] for line in (directory / "eval_results.txt").read_text().splitlines()]


def test_defaults_change_nothing(inputs: Path) -> None:
    config = PretrainingConfig(bert_config_file="c", input_file="i", output_dir="o", do_eval=True)
    assert (config.masking, config.use_nsp, config.vocab_file) == ("static", True, None)
    assert (config.masked_lm_prob, config.do_whole_word_mask) == (0.15, False)


def test_sentences_without_masks_from_the_command_line(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    values = options(inputs, tmp_path, **SENTENCES, do_train=True, do_eval=True, do_whole_word_mask=True)
    shown = scripts.call("run_pretraining.py", **values)
    assert evaluation_lines(tmp_path) == ["global_step", "loss", "masked_lm_accuracy", "masked_lm_loss", "perplexity"]
    assert "next_sentence" not in shown

    before, after = weights(tmp_path, 0), weights(tmp_path, 12)
    assert not [name for name in after if name.startswith("cls/seq_relationship")]
    for name, value in after.items():
        if name.startswith("bert/pooler"):
            np.testing.assert_array_equal(value, before[name])
        elif name.endswith("kernel"):
            assert (value != before[name]).any(), name


@pytest.mark.slow
def test_pairs_without_masks(inputs: Path, tmp_path: Path) -> None:
    results = run(inputs, tmp_path, **DYNAMIC, do_train=True, do_eval=True)
    assert evaluation_lines(tmp_path)[-3:] == ["next_sentence_accuracy", "next_sentence_loss", "perplexity"]
    assert results is not None
    # The same records as without dynamic masking, and not the same masks.
    assert run(inputs, tmp_path, do_eval=True) != results


@pytest.mark.slow
def test_lines_without_masks_of_segmented_chinese(inputs: Path, tmp_path: Path) -> None:
    """Training on lines, evaluation on held-out ones."""
    characters = "使用语言模型来预测下一个词的天气很好我们去北京看长城"
    pieces = [*PIECES[:5], *dict.fromkeys(characters)]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    rng = random.Random(1)
    lines = [" ".join("".join(rng.choices(characters, k=2)) for _ in range(4)) for _ in range(40)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    summary = create_pretraining_data(
        PretrainingDataConfig(
            input_file=f"{tmp_path}/text.txt",
            output_file=f"{tmp_path}/train.tfrecord",
            vocab_file=f"{tmp_path}/vocab.txt",
            max_seq_length=LENGTH,
            max_predictions_per_seq=PREDICTIONS,
            line_by_line=True,
            eval_fraction=0.2,
            masking="dynamic",
            do_whole_word_mask=True,
            segmented_text=True,
        )
    )
    assert (summary.instances, summary.eval_instances) == (32, 8)
    changes = {
        "input_file": f"{tmp_path}/train.tfrecord",
        "eval_input_file": f"{tmp_path}/train.eval.tfrecord",
        "vocab_file": f"{tmp_path}/vocab.txt",
        "masking": "dynamic",
        "use_nsp": False,
        "do_whole_word_mask": True,
        "do_train": True,
        "do_eval": True,
    }
    results = run(inputs, tmp_path / "words", **changes, num_train_steps=1)
    assert results is not None
    assert results["perplexity"] == pytest.approx(np.exp(results["masked_lm_loss"]))


@pytest.mark.parametrize("records_file", ["sentences.masked", "pairs.masked"])
@pytest.mark.slow
def test_masked_records_without_the_next_sentence_task(inputs: Path, tmp_path: Path, records_file: str) -> None:
    results = run(inputs, tmp_path, input_file=records_file, use_nsp=False, do_train=True, do_eval=True)
    assert results is not None
    assert results.keys() == {"global_step", "loss", "masked_lm_loss", "masked_lm_accuracy", "perplexity"}
    assert results["loss"] == pytest.approx(results["masked_lm_loss"], rel=0.05)


@pytest.mark.slow
def test_evaluation_has_the_same_masks_whatever_seed_and_batch_size(inputs: Path, tmp_path: Path) -> None:
    changes = {**SENTENCES, "do_eval": True}
    first = run(inputs, tmp_path, **changes, do_train=True)
    assert first is not None
    assert run(inputs, tmp_path, **changes, seed=2) == first
    other_batches = run(inputs, tmp_path, **changes, eval_batch_size=5)
    assert other_batches is not None
    for name in ("masked_lm_loss", "masked_lm_accuracy"):
        assert_close(other_batches[name], first[name], forward(2))
    for other_masks in ({"masked_lm_prob": 0.5}, {"do_whole_word_mask": True}):
        changed = run(inputs, tmp_path, **changes, **other_masks)
        assert changed is not None
        assert abs(changed["masked_lm_loss"] - first["masked_lm_loss"]) > 1e-4


@pytest.mark.parametrize(
    "changes", [pytest.param(DYNAMIC, id="pairs"), pytest.param(SENTENCES, id="sentences", marks=pytest.mark.slow)]
)
def test_a_resumed_run_ends_with_the_same_bits(inputs: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(inputs, whole, **changes, do_train=True, save_checkpoints_steps=5)
    broken.mkdir()
    for path in whole.glob("model.ckpt-5.*"):
        shutil.copy(path, broken)
    tf.compat.v1.train.update_checkpoint_state(str(broken), str(broken / "model.ckpt-5"))
    run(inputs, broken, **changes, do_train=True, save_checkpoints_steps=5)
    final = weights(whole, 12)
    assert not (broken / "model.ckpt-0.index").exists()
    for name, value in weights(broken, 12).items():
        np.testing.assert_array_equal(value, final[name], err_msg=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masking": "sometimes"}, "Unknown --masking 'sometimes'; choose one of static, dynamic"),
        ({"masking": "dynamic"}, "--masking=dynamic needs --vocab_file"),
        ({**DYNAMIC, "masked_lm_prob": 2.0}, r"--masked_lm_prob=2\.0 must be between 0 and 1"),
        ({"masked_lm_prob": 0.3}, r"--masked_lm_prob have no effect on records that are already masked.*=dynamic"),
        ({"do_whole_word_mask": True}, r"--do_whole_word_mask .* have no effect"),
        (
            {"input_file": "pairs.unmasked"},
            r"pairs\.unmasked lacks masked_lm_positions, masked_lm_ids, masked_lm_weights\. The records have no masks: "
            r"give --masking=dynamic \(and --vocab_file\)",
        ),
        (
            {**DYNAMIC, "input_file": "pairs.masked"},
            r"masked has masked_lm_positions\. .* already masked: give --masking=static",
        ),
        ({"input_file": "sentences.masked"}, r"lacks next_sentence_labels\. .*no pairs: give --use_nsp=false"),
        ({"input_file": "sentences.unmasked"}, r"give --masking=dynamic .*give --use_nsp=false"),
        ({**DYNAMIC, "vocab_file": "none.txt"}, r"none\.txt"),
    ],
)
def test_mistakes(inputs: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(inputs, tmp_path / "out", **{"do_train": True, **changes})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([*PIECES, "more"], r"vocab\.txt has 41 pieces, but the model's vocab_size is 40"),
        ([*PIECES[1:], PIECES[0]], r"does not begin with the \[CLS\] of --vocab_file.*another vocabulary"),
    ],
)
def test_another_vocabulary(inputs: Path, tmp_path: Path, pieces: list[str], message: str) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    changes = {**DYNAMIC, "vocab_file": str(tmp_path / "vocab.txt")}
    with pytest.raises(InputError, match=message):
        run(inputs, tmp_path / "out", **changes, do_train=True)


def test_a_checkpoint_without_the_next_sentence_task_is_not_resumed_with_it(inputs: Path, tmp_path: Path) -> None:
    run(inputs, tmp_path, input_file="pairs.masked", use_nsp=False, do_train=True, num_train_steps=1)
    with pytest.raises(InputError, match=r"cannot be resumed: it lacks cls/seq_relationship"):
        run(inputs, tmp_path, input_file="pairs.masked", do_train=True)


def test_a_checkpoint_without_a_head_is_not_evaluated_with_it(inputs: Path, tmp_path: Path) -> None:
    """The scores would be those of random weights."""
    run(inputs, tmp_path, use_nsp=False, do_train=True, num_train_steps=0)
    message = r"--do_eval: .*model\.ckpt-0 lacks cls/seq_relationship/output_.*: give --use_nsp=false to evaluate"
    with pytest.raises(InputError, match=message):
        run(inputs, tmp_path, do_eval=True)
    assert run(inputs, tmp_path, do_eval=True, use_nsp=False)

    encoder = {name: value for name, value in weights(tmp_path, 0).items() if re.match("bert/(?!.*adam)", name)}
    checkpoints.write(str(tmp_path / "encoder.ckpt"), encoder)
    with pytest.raises(InputError, match=r"lacks cls/predictions/.*, or never had a masked-LM head\."):
        run(inputs, tmp_path / "out", do_eval=True, use_nsp=False, init_checkpoint=str(tmp_path / "encoder.ckpt"))
