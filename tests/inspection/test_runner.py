"""`inspect_model.py` in this process: its output, its files, and invalid flags."""

import dataclasses
import functools
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import REPOSITORY
from helpers.run_directory import unlisted
from helpers.tiny_huggingface import write_directory
from helpers.tiny_teacher import write_teacher

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.inspection import InspectionConfig, Inspector, attention_page, runner, score_file
from bert_tf2.io import resumable_output, run_files

OPEN = functools.cache(Inspector.open)  # so that each model is traced once for all tests


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_directory(tmp_path_factory.mktemp("model"), "BertForMaskedLM"))


@pytest.fixture(autouse=True)
def opened_once(monkeypatch):
    monkeypatch.setattr(Inspector, "open", OPEN)


def run(model, capsys, **flags):
    runner.run(InspectionConfig(init_checkpoint=model, **flags))
    return capsys.readouterr().out


def test_without_a_text(model, capsys):
    assert run(model, capsys).startswith(f"weights        {model}/model.safetensors\n")
    assert json.loads(run(model, capsys, json=True))["parameters"] == 424 - 20 + 40


def test_flags_of_the_model(model, capsys, tmp_path):
    config = BertConfig.from_json_file(model)
    (tmp_path / "other.json").write_text(dataclasses.replace(config, hidden_act="relu").to_json_string())
    shown = json.loads(run(model, capsys, json=True, bert_config_file=str(tmp_path / "other.json")))
    assert (config.hidden_act, shown["config"]["hidden_act"]) == ("gelu_exact", "relu")
    rules = TokenizerConfig(never_split="co")
    assert run(model, capsys, nearest="aco", tokenizer=rules).startswith(
        "Nearest to aco (mean of the embeddings of a co)\n"
    )


def test_a_text(model, capsys, tmp_path):
    shown = run(model, capsys, text="co [MASK]", text_b="a", output_dir=str(tmp_path / "out"))
    assert shown.startswith("BERT, 2 layers of 4, 2 heads each; masked language model\n\nco [MASK] ||| a\n")
    assert shown.splitlines()[-2].startswith("[MASK] at 2: ")
    assert unlisted(tmp_path / "out", run_files.INSPECTION) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "attention.html",
        "attention.npz",
        "inspection.jsonl",
    ]
    (row,) = map(json.loads, (tmp_path / "out/inspection.jsonl").read_text().splitlines())
    assert [piece["token"] for piece in row["pieces"]] == ["[CLS]", "co", "[MASK]", "[SEP]", "a", "[SEP]"]
    assert len(row["masks"][0]["candidates"]) == 10
    assert "line" not in row
    with np.load(tmp_path / "out/attention.npz", allow_pickle=False) as arrays:
        assert arrays["attention"].shape == (2, 2, 6, 6)
        assert arrays["attention"].dtype == np.float32
        assert arrays["tokens"].tolist() == ["[CLS]", "co", "[MASK]", "[SEP]", "a", "[SEP]"]
        assert arrays["segment_ids"].tolist() == [0, 0, 0, 0, 1, 1]
    assert '"tokens":["[CLS]","co"' in (tmp_path / "out/attention.html").read_text()


def test_a_file(model, capsys, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(attention_page, "MOST_WEIGHTS", 4 * 9 + 4 * 16)  # room for two of them
    (tmp_path / "texts").write_text("a\n\na ||| +\nco [MASK] a\n")
    caplog.set_level("INFO")
    flags = {"text_file": str(tmp_path / "texts"), "json": True, "output_dir": str(tmp_path / "out")}
    rows = [json.loads(line) for line in run(model, capsys, **flags).splitlines()]
    assert [row["line"] for row in rows] == [1, 3, 4]
    assert rows[1]["text_b"] == "+"
    assert rows == [json.loads(line) for line in (tmp_path / "out/inspection.jsonl").read_text().splitlines()]
    with np.load(tmp_path / "out/attention.npz") as arrays:
        assert [name for name in arrays if name.startswith("attention")] == ["attention_1"]
    assert "attention of the first of 3 texts." in caplog.messages[-1]


def test_page_shows_the_first_pieces(model, capsys, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(attention_page, "MOST_WEIGHTS", 4 * 9)
    run(model, capsys, text="a a a", output_dir=str(tmp_path))
    assert "The text has 5 pieces; the page shows the first 3 of 4 heads, the arrays have all." in caplog.messages
    with np.load(tmp_path / "attention.npz") as arrays:
        assert arrays["attention"].shape == (2, 2, 5, 5)


def test_nearest(model, capsys):
    lines = run(model, capsys, nearest="co", top_k=3).splitlines()
    assert lines[0] == "Nearest to co"
    assert len(lines) == 4
    assert len(json.loads(run(model, capsys, nearest="co", json=True))["nearest"]) == 10


def test_score(model, capsys, tmp_path, caplog):
    caplog.set_level("INFO")
    assert "pseudo-perplexity" in run(model, capsys, text="co a", score=True).splitlines()[1]
    (tmp_path / "texts").write_text("co a\n\nas ||| co\n")
    flags = {"text_file": str(tmp_path / "texts"), "score": True, "output_dir": str(tmp_path / "out")}
    shown = run(model, capsys, **flags).splitlines()
    rows = [json.loads(line) for line in (tmp_path / "out/scores.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == [1, 3]
    assert [float(line.split()[1]) for line in shown] == pytest.approx(
        [row["pseudo_log_likelihood"] for row in rows], abs=1e-4
    )
    total = sum(row["pseudo_log_likelihood"] for row in rows)
    assert caplog.messages[-2] == f"Wrote {tmp_path}/out/scores.jsonl, 2 texts."
    shown_total = float(caplog.messages[-1].removeprefix("2 texts, 5 pieces: pseudo-perplexity ")[:-1].replace(",", ""))
    assert shown_total == pytest.approx(np.exp(-total / 5), rel=1e-4)
    assert unlisted(tmp_path / "out", run_files.INSPECTION) == []


def _lines(text):
    return [(row["line"], row["tokens"]) for row in map(json.loads, text.splitlines())]


def test_killed_run_is_resumed(model, capsys, tmp_path, monkeypatch):
    """Lines scored by an earlier run are not scored again; it is an error if they have changed."""
    (tmp_path / "texts").write_text("co a\n\na ||| co\n" + "as\n" * 3)
    flags = {"text_file": str(tmp_path / "texts"), "score": True}
    run(model, capsys, output_dir=str(tmp_path / "expected"), **flags)
    expected = (tmp_path / "expected/scores.jsonl").read_text()

    monkeypatch.setattr(score_file, "_LINES_AT_ONCE", 2)
    monkeypatch.setattr(resumable_output, "_SECONDS_BETWEEN_STATES", 0.0)
    scored, score = [], Inspector.score

    def failing(self, texts, *arguments):
        scored.append([each.text for each in texts])
        if len(scored) == 3:
            raise OSError("killed")
        return score(self, texts, *arguments)

    monkeypatch.setattr(Inspector, "score", failing)
    flags["output_dir"] = str(tmp_path / "out")
    with pytest.raises(OSError, match="killed"):
        run(model, capsys, **flags)
    assert not (tmp_path / "out/scores.jsonl").exists()
    capsys.readouterr()
    shown = run(model, capsys, **flags)
    assert scored == [["co a"], ["a", "as"], ["as", "as"], ["as", "as"]]
    assert [line.split()[0] for line in shown.splitlines()] == ["5", "6"]
    assert _lines((tmp_path / "out/scores.jsonl").read_text()) == _lines(expected)
    assert unlisted(tmp_path / "out", run_files.INSPECTION) == []

    scored[:] = [[]]
    with pytest.raises(OSError, match="killed"):
        run(model, capsys, **flags)
    (tmp_path / "texts").write_text("a\n" * 6)
    with pytest.raises(InputError, match=r"scores\.jsonl was started .* with other texts: lines 1 to 2 of"):
        run(model, capsys, **flags)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"text": "a", "text_file": "f"}, "--text and --text_file exclude each other"),
        ({"text": " "}, "--text is empty; give a text, or omit the flag"),
        ({"nearest": ""}, "--nearest is empty"),
        ({"text": "a\udcff"}, "--text is not valid UTF-8"),
        ({"text_b": "a"}, "--text_b is the second text of a pair; give --text, too"),
        ({"text_file": "f", "text_b": "a"}, "--text_b is the second text of a pair"),
        ({"score": True}, "--score needs --text or --text_file"),
        ({"output_dir": "o"}, "--output_dir needs --text or --text_file"),
        ({"text": "a", "batch_size": 4}, "--batch_size is for --score; omit it"),
        ({"top_k": 3}, "--top_k is for predictions and nearest pieces; omit it"),
        ({"text": "a", "score": True, "top_k": 3}, "--top_k is for predictions"),
        ({"top_k": 0}, "--top_k=0"),
        ({"vocab_file": "v", "spm_model_file": "s"}, "exclude each other"),
    ],
)
def test_invalid_flags_are_errors(flags, says):
    with pytest.raises(InputError, match=says):
        InspectionConfig(init_checkpoint="m", **flags)


@pytest.mark.parametrize(
    ("lines", "flags", "says"),
    [
        ("a\na a a a a a a\n", {}, r"texts, line 2 has 9 pieces with \[CLS\] and \[SEP\]"),
        ("a\nco [MASK]\n", {"score": True}, r"texts, line 2 has a \[MASK\]; --score masks each piece"),
        ("\n", {}, r"--text_file=.*texts has no text; expected one text per line"),
        ("\n", {"score": True}, "has no text"),
    ],
)
def test_invalid_lines_are_errors(model, capsys, tmp_path, lines, flags, says):
    (tmp_path / "texts").write_text(lines)
    with pytest.raises(InputError, match=says):
        run(model, capsys, text_file=str(tmp_path / "texts"), output_dir=str(tmp_path / "out"), **flags)
    assert not list(tmp_path.glob("out/*"))


def test_model_without_a_head(capsys, tmp_path, caplog):
    directory = write_directory(tmp_path / "m", "BertModel")
    run(str(directory), capsys, text="a [MASK]")
    assert "--text has a [MASK], but the model has no masked-LM head to fill it." in caplog.messages


def test_missing_predictions_are_explained(capsys, tmp_path, caplog):
    caplog.set_level("INFO")
    directory = write_directory(tmp_path / "choice", "BertForMultipleChoice")
    assert run(str(directory), capsys, text="a").startswith("BERT, 2 layers of 4, 2 heads each; multiple choice\n\na\n")
    assert (
        "A multiple-choice model compares the choices of a question: of a single text, pieces and attention are "
        "shown, but no prediction."
    ) in caplog.messages
    directory, warning = write_directory(tmp_path / "span", "BertForQuestionAnswering"), "give the context by --text_b"
    assert "answers" not in run(str(directory), capsys, text="a")
    assert warning in caplog.text
    caplog.clear()
    assert "\nanswers:\n" in run(str(directory), capsys, text="a", text_b="co a")
    assert warning not in caplog.text


def test_better_weights_are_mentioned(capsys, tmp_path, caplog):
    directory = write_teacher(tmp_path / "model")
    checkpoints.save(str(directory / "best"), 3, {"global_step": tf.Variable(3, dtype=tf.int64)}, keep=1)
    caplog.set_level("INFO")
    run(str(directory), capsys)
    assert "are inspected; those in " in caplog.text
    assert f"had the best score on the dev data: --init_checkpoint={directory}/best takes them." in caplog.text


def test_the_program_of_the_document(tmp_path, monkeypatch, capsys):
    """The program in docs/inspecting.md, with a tiny model of the same name."""
    (program,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/inspecting.md").read_text(), re.DOTALL)
    directory = write_directory(tmp_path / "all-MiniLM-L6-v2", "BertForMaskedLM")
    (directory / "vocab.txt").write_text((directory / "vocab.txt").read_text().replace("+", "paris"))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(program.replace("Jim Henson was a puppeteer.", "a paris"), "docs/inspecting.md", "exec"), names)
    assert names["mean"].shape == (4, 4)
    assert "('[CLS]', 'a', 'paris', '[SEP]')" in capsys.readouterr().out
