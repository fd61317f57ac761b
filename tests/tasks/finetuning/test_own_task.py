"""The task of docs/own_task.md, run as a user would: training, evaluation, prediction."""

import json
import random
import re
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY
from helpers.scripts import Scripts
from helpers.tiny_choices import SIGNS, WORDS, write_model_files

pytestmark = pytest.mark.numeric


def rows(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Texts whose words decide the labels."""
    rng = random.Random(seed)
    examples = []
    for _ in range(count):
        topic, tone = rng.randrange(2), rng.randrange(2)
        words = [SIGNS[topic], WORDS[tone], *rng.choices(WORDS[4:], k=rng.randint(0, 2))]
        examples.append((" ".join(words), ["food", "sport"][topic], ["angry", "calm"][tone]))
    return examples


def test_task_of_the_document(tmp_path: Path, scripts: Scripts) -> None:
    text = (REPOSITORY / "docs/own_task.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) < 100
    script = tmp_path / "topic_and_tone.py"
    script.write_text(code[1], encoding="utf-8")
    flags = write_model_files(tmp_path)
    for name, count in (("train", 160), ("dev", 40)):
        (tmp_path / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows(count, seed=count)))
    (tmp_path / "new.txt").write_text("".join(f"{text}\n" for text, _, _ in rows(40, seed=40)))
    files = {"train_file": tmp_path / "train.tsv", "dev_file": tmp_path / "dev.tsv"}
    training = {"train_batch_size": 16, "learning_rate": 2e-3, "num_train_epochs": 12, "max_seq_length": 16}
    model = tmp_path / "model"
    scripts.call(str(script), output_dir=model, do_train=True, do_eval=True, **files, **flags, **training)
    values = dict(line.split(" = ") for line in (model / "eval_results.txt").read_text().splitlines())
    assert list(values) == ["eval_both", "eval_tone", "eval_topic", "global_step"]
    assert float(values["eval_both"]) > 0.9
    assert (model / "best/task.json").exists()

    scripts.call(str(script), output_dir=model, predict_file=tmp_path / "new.txt", do_predict=True)
    lines = [json.loads(line) for line in (model / "predictions.jsonl").read_text().splitlines()]
    right = [
        line == {"topic": topic, "tone": tone} for line, (_, topic, tone) in zip(lines, rows(40, seed=40), strict=True)
    ]
    assert sum(right) / 40 == pytest.approx(float(values["eval_both"]))
