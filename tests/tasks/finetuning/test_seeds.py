"""Several seeds: a directory for each, mean and deviation of the sample."""

import json

import pytest

from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.seeds import run_seeds


def config(folder, **flags) -> FinetuningConfig:
    return FinetuningConfig(output_dir=str(folder), do_eval=True, **flags)


def test_each_in_its_folder(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    asked = []

    def run(config: FinetuningConfig) -> dict[str, float]:
        asked.append((config.seed, config.output_dir, config.all_seeds))
        return {"eval_accuracy": {3: 0.5, 4: 0.7, 5: 0.9}[config.seed], "global_step": 9}

    means = run_seeds(config(tmp_path, seeds="3,4,5"), run, is_chief=True)
    assert asked == [(seed, str(tmp_path / f"seed-{seed}"), ()) for seed in (3, 4, 5)]
    assert means == pytest.approx({"eval_accuracy": 0.7})
    found = json.loads((tmp_path / "seed_results.json").read_text())
    assert found["standard_deviation"] == pytest.approx({"eval_accuracy": 0.2})
    assert found["seeds"]["4"] == {"eval_accuracy": 0.7, "global_step": 9}
    assert "eval_accuracy  0.7000 +- 0.2000  (0.5000, 0.7000, 0.9000)" in caplog.text


def test_one_seed_has_no_deviation(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    run_seeds(config(tmp_path, seeds="3"), lambda _: {"eval_loss": 1.0}, is_chief=True)
    assert json.loads((tmp_path / "seed_results.json").read_text())["standard_deviation"] == {"eval_loss": 0.0}
    assert "***** 1 seed *****" in caplog.text


@pytest.mark.slow
def test_without_seeds_and_without_evaluation(tmp_path) -> None:
    asked = config(tmp_path)
    assert run_seeds(asked, lambda config: {"same": float(config is asked)}, is_chief=True) == {"same": 1.0}
    assert run_seeds(config(tmp_path, seeds="1,2"), lambda _: None, is_chief=True) is None
    assert not (tmp_path / "seed_results.json").exists()
