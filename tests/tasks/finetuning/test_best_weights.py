"""best/: its score, the message about better weights, and the checks of --use_best."""

import dataclasses
import json
import logging
import math
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.errors import Diverged, InputError
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tasks.finetuning.best_weights import BestScore


def training(directory: Path, latest: int, best: int, score: BestScore | None) -> str:
    """A run directory with checkpoints, history and best weights."""
    for path, step in ((directory, latest), (directory / "best", best)):
        checkpoints.save(str(path), step, {"global_step": tf.Variable(step, dtype=tf.int64)})
    history = [{"step": step, "epoch": 1.0, "eval_accuracy": step / 100} for step in (best, latest)]
    (directory / "eval_history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
    if score:
        score.save(directory / "best")
    return str(directory)


@pytest.mark.parametrize(
    "score",
    [BestScore("eval_f1", 0.75, 12), BestScore("eval_f1", 0.75, 12, "search/seed=1"), BestScore("x", math.inf, 1)],
)
def test_score_round_trip(tmp_path: Path, score: BestScore) -> None:
    score.save(tmp_path)
    loaded = BestScore.load(tmp_path)
    assert loaded is not None
    if math.isinf(score.value):  # which JSON does not have
        assert math.isnan(loaded.value)
        loaded = dataclasses.replace(loaded, value=math.inf)
    assert loaded == score
    assert BestScore.load(tmp_path / "nothing") is None


def test_corrupt_score(tmp_path: Path) -> None:
    (tmp_path / "score.json").write_text('{"metric": "f1", "value": "good", "step": 1}')
    with pytest.raises(InputError, match=r"score\.json: value must be a number; remove it"):
        BestScore.load(tmp_path)


def test_better_weights_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    best_weights.log_if_better(training(tmp_path, 20, 80, BestScore("eval_accuracy", 0.8, 80)), "exported")
    assert caplog.messages == [
        f"The latest weights (step 20, eval_accuracy 0.2) are exported; those in {tmp_path}/best (step 80, "
        "eval_accuracy 0.8) had the best score on the dev data: --use_best takes them."
    ]


def test_flag_that_selects_the_better_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    best_weights.log_if_better(training(tmp_path, 20, 10, None), "the teacher's", "--teacher={best}")
    assert caplog.text.endswith(f"had the best score on the dev data: --teacher={tmp_path}/best takes them.\n")


def test_level_of_the_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = training(tmp_path, 20, 10, None)
    best_weights.log_if_better(directory, "loaded", "from_pretrained({best!r})", logging.WARNING)
    assert caplog.text.endswith(f"had the best score on the dev data: from_pretrained('{tmp_path}/best') takes them.\n")


def test_steps_are_logged_without_a_score(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    best_weights.log_if_better(training(tmp_path, 20, 10, None), "used")
    assert f"The latest weights (step 20) are used; those in {tmp_path}/best (step 10) had" in caplog.text


def test_same_weights_equal_scores_and_other_models_are_not_logged(tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    best_weights.log_if_better(training(tmp_path, 20, 20, BestScore("eval_accuracy", 0.2, 20)), "used")
    best_weights.log_if_better(training(tmp_path / "equal", 20, 10, BestScore("eval_accuracy", 0.2, 10)), "used")
    for path in (str(tmp_path / "model.ckpt-20"), "bert-base-uncased", str(tmp_path / "best")):
        best_weights.log_if_better(path, "used")
    assert caplog.messages == []


def test_corrupt_best_weights_do_not_prevent_using_the_latest(tmp_path: Path, caplog) -> None:
    directory = training(tmp_path, 20, 10, None)
    (tmp_path / "best/model.ckpt-10.index").unlink()
    best_weights.log_if_better(directory, "used")
    assert "best cannot be compared with the latest weights: " in caplog.text


def test_training_does_not_replace_weights_of_others(tmp_path: Path) -> None:
    best_weights.check_replaceable(training(tmp_path, 2, 1, BestScore("f1", 0.5, 1)))
    BestScore("f1", 0.5, 1, "search/seed=1").save(tmp_path / "best")
    with pytest.raises(InputError, match="/best has the best weights of a search, which this training would replace"):
        best_weights.check_replaceable(str(tmp_path))
    (tmp_path / "link").mkdir()
    (tmp_path / "link/best").symlink_to(tmp_path / "best")
    with pytest.raises(InputError, match="/best is a symbolic link"):
        best_weights.check_replaceable(str(tmp_path / "link"))


def test_weights_chosen_by_another_score(tmp_path: Path) -> None:
    directory = training(tmp_path, 20, 10, BestScore("eval_f1", 0.5, 10))
    best_weights.check_metric(directory, "eval_f1", 20)
    best_weights.check_metric(directory, "eval_loss", 9)  # they are from a later step, and will be replaced
    best_weights.check_metric(str(tmp_path / "new"), "eval_loss", 20)
    with pytest.raises(
        InputError, match=r"with the best f1, where .* the best loss; give --metric_for_best=f1, another"
    ):
        best_weights.check_metric(directory, "eval_loss", 10)


def test_use_best_needs_best_weights(tmp_path: Path) -> None:
    best_weights.check(training(tmp_path, 2, 1, None))
    assert not best_weights.exist(str(tmp_path / "best"))
    with pytest.raises(InputError, match=r"--use_best: .*/best has no best/ with a checkpoint, which a training with"):
        best_weights.check(str(tmp_path / "best"))
    with pytest.raises(
        Diverged, match="best has no best weights: in no evaluation of the training was the score a number"
    ):
        best_weights.check(str(tmp_path / "best"), is_trained=True)
