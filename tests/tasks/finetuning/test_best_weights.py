"""best/: its score, which weights are said to be better, and what --use_best needs."""

import json
import logging
import math
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tasks.finetuning.best_weights import BestScore


def training(directory: Path, latest: int, best: int, score: BestScore | None) -> str:
    """A directory as a training leaves it, as far as it matters here."""
    for place, step in ((directory, latest), (directory / "best", best)):
        checkpoints.save(str(place), step, {"global_step": tf.Variable(step, dtype=tf.int64)})
    history = [{"step": step, "epoch": 1.0, "eval_accuracy": step / 100} for step in (best, latest)]
    (directory / "eval_history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
    if score:
        score.save(directory / "best")
    return str(directory)


@pytest.mark.parametrize(
    "score",
    [BestScore("eval_f1", 0.75, 12), BestScore("eval_f1", 0.75, 12, "search/seed=1"), BestScore("x", math.inf, 1)],
)
def test_the_score_is_read_as_it_was_written(tmp_path: Path, score: BestScore) -> None:
    score.save(tmp_path)
    found = BestScore.load(tmp_path)
    assert found == score or (found is not None and math.isnan(found.value))
    assert BestScore.load(tmp_path / "nothing") is None


def test_a_damaged_score(tmp_path: Path) -> None:
    (tmp_path / "score.json").write_text('{"metric": "f1", "value": "good", "step": 1}')
    with pytest.raises(InputError, match=r"score\.json: value must be a number; remove it"):
        BestScore.load(tmp_path)


def test_better_weights_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    best_weights.say_if_better(training(tmp_path, 20, 80, BestScore("eval_accuracy", 0.8, 80)), "exported")
    assert caplog.messages == [
        f"The latest weights (step 20, eval_accuracy 0.2) are exported; those in {tmp_path}/best (step 80, "
        "eval_accuracy 0.8) had the best score on the dev data: --use_best takes them."
    ]


def test_a_flag_that_takes_the_better_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    best_weights.say_if_better(training(tmp_path, 20, 10, None), "the teacher's", "--teacher={best}")
    assert caplog.text.endswith(f"had the best score on the dev data: --teacher={tmp_path}/best takes them.\n")


def test_a_warning_for_python(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = training(tmp_path, 20, 10, None)
    best_weights.say_if_better(directory, "loaded", "from_pretrained({best!r})", logging.WARNING)
    assert caplog.text.endswith(f"had the best score on the dev data: from_pretrained('{tmp_path}/best') takes them.\n")


def test_without_a_score_the_steps_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    best_weights.say_if_better(training(tmp_path, 20, 10, None), "used")
    assert f"The latest weights (step 20) are used; those in {tmp_path}/best (step 10) had" in caplog.text


def test_nothing_is_said_of_the_same_weights_equal_scores_or_other_models(tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    best_weights.say_if_better(training(tmp_path, 20, 20, BestScore("eval_accuracy", 0.2, 20)), "used")
    best_weights.say_if_better(training(tmp_path / "equal", 20, 10, BestScore("eval_accuracy", 0.2, 10)), "used")
    for path in (str(tmp_path / "model.ckpt-20"), "bert-base-uncased", str(tmp_path / "best")):
        best_weights.say_if_better(path, "used")
    assert caplog.messages == []


def test_a_damaged_best_is_no_reason_not_to_use_the_latest(tmp_path: Path, caplog) -> None:
    directory = training(tmp_path, 20, 10, None)
    (tmp_path / "best/model.ckpt-10.index").unlink()
    best_weights.say_if_better(directory, "used")
    assert "best cannot be compared with the latest weights: " in caplog.text


def test_a_training_does_not_replace_what_is_not_its_own(tmp_path: Path) -> None:
    best_weights.check_replaceable(training(tmp_path, 2, 1, BestScore("f1", 0.5, 1)))
    BestScore("f1", 0.5, 1, "search/seed=1").save(tmp_path / "best")
    with pytest.raises(InputError, match="/best has the best weights of a search, which this training would replace"):
        best_weights.check_replaceable(str(tmp_path))
    (tmp_path / "link").mkdir()
    (tmp_path / "link/best").symlink_to(tmp_path / "best")
    with pytest.raises(InputError, match="/best is a symbolic link"):
        best_weights.check_replaceable(str(tmp_path / "link"))


def test_use_best_needs_best(tmp_path: Path) -> None:
    best_weights.check(training(tmp_path, 2, 1, None))
    assert not best_weights.exist(str(tmp_path / "best"))
    with pytest.raises(InputError, match=r"--use_best: .*/best has no best/ with a checkpoint, which a training with"):
        best_weights.check(str(tmp_path / "best"))
