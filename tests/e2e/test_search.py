"""A search as a user runs it: killed, and run again."""

import json
import signal
import time
from pathlib import Path

import pytest
from helpers import tiny_classification as tiny
from helpers.scripts import Scripts

pytestmark = [pytest.mark.slow, pytest.mark.numeric]


def test_a_killed_search_ends_with_the_same_results(tmp_path: Path, scripts: Scripts) -> None:
    files = tiny.write_model_files(tmp_path)
    for name, seed in (("train", 1), ("dev", 2)):
        files[f"{name}_file"] = tiny.write_csv(tmp_path / f"{name}.csv", tiny.rows(160, seed))
    asked = {"do_train": True, "do_eval": True, "do_predict": True, "max_seq_length": 16, "seeds": "1,2"}
    asked |= {
        "search": "learning_rate=1e-3,5e-3;num_train_epochs=2",
        "eval_every_steps": 5,
        "save_checkpoints_steps": 4,
    }
    flags = {**files, **asked, "predict_file": files["dev_file"]}

    def arguments(output_dir: Path) -> list[str]:
        return [f"--{name}={value}" for name, value in {**flags, "output_dir": output_dir}.items()]

    def results(output_dir: Path) -> dict:
        return json.loads((output_dir / "search_results.json").read_text())

    def labels(output_dir: Path) -> list[str]:
        return [json.loads(line)["label"] for line in (output_dir / "predictions.jsonl").read_text().splitlines()]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert scripts.run("run_classifier.py", arguments(whole)).returncode == 0
    conditions = [
        lambda: list(killed.glob("search/*/seed-1/model.ckpt-4.index")),
        lambda: list(killed.glob("search/*/seed-1/finished.json")),
        lambda: (killed / "search_results.json").exists(),
    ]
    for condition in conditions:
        process = scripts.start("run_classifier.py", arguments(killed))
        while process.poll() is None and not condition():
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended too soon"
    done = scripts.run("run_classifier.py", arguments(killed))
    assert done.returncode == 0, done.stderr
    assert "is finished, as " in done.stderr
    assert results(killed) == results(whole)
    for name in ("eval_results.txt", "predictions.jsonl", "best/score.json", "search_results.csv"):
        assert (killed / name).read_text() == (whole / name).read_text()
    found, expected = (sorted((one / "best").glob("model.ckpt-*.data-*")) for one in (killed, whole))
    assert [path.name for path in found] == [path.name for path in expected]
    assert found[0].read_bytes() == expected[0].read_bytes()

    training = {name: value for name, value in flags.items() if name not in ("search", "seeds")}
    refused = scripts.run(
        "run_classifier.py", [f"--{name}={value}" for name, value in {**training, "output_dir": killed}.items()]
    )
    assert "best has the best weights of a search, which this training would replace" in refused.stderr
    before = labels(killed)
    scripts.call("run_classifier.py", output_dir=killed, predict_file=files["dev_file"], do_predict=True, use_best=True)
    assert labels(killed) == before  # a prediction alone uses the cores differently, and so rounds differently
