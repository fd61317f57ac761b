"""Filling masks: against probabilities computed here, every source of the vocabulary, and invalid input."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from helpers.rounding import assert_close, forward
from helpers.tiny_huggingface import PIECES, write_directory

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.configs.training import DistributionConfig, OptimizerConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling.pretraining import PretrainingModel
from bert_tf2.tasks.pretraining import fill_mask, whole_run
from bert_tf2.tasks.pretraining.config import PretrainingConfig

pytestmark = pytest.mark.numeric

LINES = "co[MASK] a\n\n[MASK] ||| [MASK] as\nA [MASK]\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("model"), "BertForPreTraining")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(LINES)
    return path


def run(model, text, output_dir, **changes):
    options = {"predict_file": str(text), "output_dir": str(output_dir), "init_checkpoint": str(model), **changes}
    return fill_mask.run(PretrainingConfig(**{"bert_config_file": "", "input_file": "", "do_predict": True, **options}))


def probabilities(model, tokens, segments, position):
    pretraining = PretrainingModel(pretrained.find_bert_config(str(model)), with_next_sentence=False)
    pretrained.load(checkpoints.tf_variables(pretraining.named_variables), str(model))
    batch = {
        "input_ids": [[PIECES.index(token) for token in tokens]],
        "input_mask": [[1] * len(tokens)],
        "segment_ids": [segments],
        "masked_lm_positions": [[position]],
    }
    logits = pretraining.logits({name: tf.constant(value) for name, value in batch.items()})[0].numpy()[0]
    powers = np.exp(logits.astype(np.float64))
    return dict(zip(PIECES, powers / powers.sum(), strict=True))


def test_predictions(model, text, tmp_path, capsys):
    filled_lines = run(model, text, tmp_path / "out", eval_batch_size=2)
    assert [(filled.line, filled.text, len(filled.masks)) for filled in filled_lines] == [
        (1, "co[MASK] a", 1),
        (3, "[MASK] ||| [MASK] as", 2),
        (4, "A [MASK]", 1),
    ]
    for filled, mask, (tokens, segments, position) in (
        (filled_lines[0], 0, (["[CLS]", "co", "[MASK]", "a", "[SEP]"], [0] * 5, 2)),
        (filled_lines[1], 1, (["[CLS]", "[MASK]", "[SEP]", "[MASK]", "a", "##s", "[SEP]"], [0] * 3 + [1] * 4, 3)),
        (filled_lines[2], 0, (["[CLS]", "a", "[MASK]", "[SEP]"], [0] * 4, 2)),
    ):
        expected = probabilities(model, tokens, segments, position)
        best = sorted(expected, key=expected.get, reverse=True)[:5]
        assert [candidate.token for candidate in filled.masks[mask]] == best
        actual = [candidate.probability for candidate in filled.masks[mask]]
        assert_close(actual, [expected[token] for token in best], forward(2))

    written = [json.loads(line) for line in (tmp_path / "out/fill_mask.jsonl").read_text().splitlines()]
    assert [list(line) for line in written] == [["line", "text", "masks"]] * 3
    first = filled_lines[0].masks[0][0]
    assert written[0]["masks"][0][0] == {"token": first.token, "probability": round(first.probability, 6)}
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "co[MASK] a"
    assert shown[1].startswith(f"  [MASK] 1: {first.token} {first.probability:.1%}   ")
    assert [line[:12] for line in shown[3:5]] == ["  [MASK] 1: ", "  [MASK] 2: "]
    assert len(shown) == 7


def test_rows_without_a_piece_are_not_candidates(tmp_path):
    model = write_directory(tmp_path / "model", "BertForPreTraining")  # with twice as many rows as the vocabulary below
    (model / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES[:6]))
    (tmp_path / "text").write_text("[MASK]\n[MASK] [MASK]\n")
    for filled in run(model, tmp_path / "text", tmp_path / "out"):
        for candidates in filled.masks:
            assert len({candidate.token for candidate in candidates} & set(PIECES[:6])) == 5


def test_a_line_without_a_mask(model, tmp_path, caplog):
    (tmp_path / "text").write_text("a\n\nco [mask]\n")
    filled_lines = run(model, tmp_path / "text", tmp_path / "out")
    assert [filled.masks for filled in filled_lines] == [(), ()]
    assert f"{tmp_path}/text, line 1 has no [MASK] to fill." in caplog.messages
    assert f"{tmp_path}/text, line 3 has no [MASK] to fill." in caplog.messages
    assert len((tmp_path / "out/fill_mask.jsonl").read_text().splitlines()) == 2


def test_case_follows_the_vocabulary_and_rules_the_flags(tmp_path):
    model = write_directory(tmp_path / "model", "BertForPreTraining")
    (model / "tokenizer_config.json").unlink()
    config = PretrainingConfig(output_dir="none", init_checkpoint=str(model), do_predict=True)

    def tokens(text="A co[MASK]", **changes):
        return fill_mask.MaskFiller.load(dataclasses.replace(config, **changes))._tokens(text)

    assert tokens() == ["a", "co", "[MASK]"]
    assert tokens("aco[MASK]") == ["[UNK]", "[MASK]"]
    assert tokens("aco[MASK]", tokenizer=TokenizerConfig(never_split="co")) == ["a", "co", "[MASK]"]
    (model / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES[:-1], "Co"]))
    assert tokens() == ["[UNK]", "co", "[MASK]"]


def test_vocabulary_and_config_of_output_dir(model, text, tmp_path):
    expected = run(model, text, tmp_path / "a")
    bare = write_directory(tmp_path / "bare", "BertForPreTraining")
    (bare / "vocab.txt").rename(tmp_path / "moved.txt")
    with pytest.raises(InputError, match=rf"^{bare} has no vocab\.txt; give --vocab_file"):
        run(bare, text, tmp_path / "b")
    assert run(bare, text, tmp_path / "b", vocab_file=str(tmp_path / "moved.txt")) == expected
    (tmp_path / "moved.txt").rename(tmp_path / "b/vocab.txt")
    assert run(bare, text, tmp_path / "b") == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_checkpoint": None}, r"has no checkpoint; train first, or give --init_checkpoint"),
        ({"predict_file": "none"}, r"^--predict_file: no file matches 'none'"),
        ({"max_seq_length": 4}, r"text\.txt, line 1: 5 tokens with \[CLS\] and \[SEP\], but at most 4 are allowed"),
        ({"distribution": DistributionConfig("multi_worker_mirrored")}, "--do_predict runs on one machine"),
    ],
)
def test_invalid_input_is_rejected(model, text, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        run(model, text, tmp_path / "out", **change)
    assert not list(tmp_path.glob("out/*"))


def test_a_model_without_the_head(text, tmp_path):
    model = write_directory(tmp_path / "model", "BertForSequenceClassification")
    with pytest.raises(InputError, match=r"has no masked-LM head \(it lacks cls/predictions/"):
        run(model, text, tmp_path / "out")


def test_moving_averages(model, text, tmp_path):
    """With --ema_decay, as in an evaluation."""
    network = PretrainingModel(pretrained.find_bert_config(str(model)))
    variables = checkpoints.tf_variables(network.named_variables)
    pretrained.load(variables, str(model))
    name, favourite = "cls/predictions/output_bias", 7
    average = tf.one_hot(favourite, variables[name].shape[0]) * 100.0
    step = tf.Variable(1, dtype=tf.int64)
    state = {**variables, f"{name}/{checkpoints.AVERAGE}": average, checkpoints.GLOBAL_STEP: step}
    checkpoints.save(str(tmp_path / "out"), 1, state)
    plain = run(model, text, tmp_path / "out")
    assert plain == run(model, text, tmp_path / "other")
    averaged = run(model, text, tmp_path / "out", optimizer=OptimizerConfig(ema_decay=0.9))
    assert {mask[0].token for filled in averaged for mask in filled.masks} == {PIECES[favourite]}


def test_a_dry_run_writes_nothing(model, text, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    output_dir = tmp_path / "out"
    config = PretrainingConfig(
        output_dir=str(output_dir), init_checkpoint=str(model), predict_file=str(text), do_predict=True, dry_run=True
    )
    for predict_file in (str(text), "-"):  # standard input is not read
        assert whole_run.run(dataclasses.replace(config, predict_file=predict_file)) is None
        assert caplog.messages[-1] == "Dry run: all checks passed; nothing was written."
    with pytest.raises(InputError, match=r"text\.txt, line 1: 5 tokens .* at most 4 are allowed"):
        whole_run.run(dataclasses.replace(config, max_seq_length=4))
    assert capsys.readouterr().out == ""
    assert not output_dir.exists()


def test_not_utf_8(model, tmp_path):
    (tmp_path / "text").write_bytes(b"[MASK]\n\xff [MASK]\n")
    with pytest.raises(InputError, match=r"text, line 2: byte 1 of the line \(0xff\) is not UTF-8"):
        run(model, tmp_path / "text", tmp_path / "out")


def test_defaults():
    config = PretrainingConfig(output_dir="o", do_predict=True)
    assert config.predict_file == "-"
    assert not dataclasses.replace(config, do_eval=True, do_predict=False).do_predict


def test_script(model, tmp_path, scripts):
    """With only --output_dir, --init_checkpoint, and lines on standard input."""
    flags = [f"--init_checkpoint={model}", f"--output_dir={tmp_path / 'out'}", "--do_predict"]
    (tmp_path / "lines").write_text(LINES)
    done = scripts.run("run_pretraining.py", flags, stdin=tmp_path / "lines")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("co[MASK] a\n  [MASK] 1: ")
    assert len(done.stdout.splitlines()) == 7
    assert len((tmp_path / "out/fill_mask.jsonl").read_text().splitlines()) == 3

    rejected = scripts.run("run_pretraining.py", [*flags, "--do_eval"])
    assert rejected.returncode == 1
    assert "--input_file is missing; --help" in rejected.stderr


def test_the_log_names_weights_and_output(model, text, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(model, text, tmp_path / "out")
    assert f"Filling masks with {model}/model.safetensors." in caplog.messages
    assert f"Wrote {tmp_path}/out/fill_mask.jsonl, 3 lines." in caplog.messages
