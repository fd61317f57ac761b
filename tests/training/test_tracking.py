"""--report_to: what TensorBoard, Weights & Biases and MLflow receive, and that a resumed run continues their runs."""

import json
from pathlib import Path

import pytest
from helpers import fake_trackers

from bert_tf2.configs.training import LoopConfig
from bert_tf2.errors import InputError
from bert_tf2.training import tracking
from bert_tf2.training.tensorboard import event_writer, read_scalars, write_scalars

FLAGS = {"learning_rate": 2e-5, "train_file": "train.csv", "dev_file": None}
ALL = ("tensorboard", "wandb", "mlflow")


def write(directory: Path, report_to: tuple[str, ...], step: int) -> None:
    """Writes what a short training run writes."""
    with tracking.tracking(report_to, str(directory), FLAGS):
        write_scalars(event_writer(str(directory)), step, {"loss": 0.5}, "train")
        write_scalars(event_writer(str(directory / "eval")), step, {"eval_accuracy": 0.75}, "eval")


def test_all_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb, mlflow = fake_trackers.install(monkeypatch)
    write(tmp_path, ALL, 3)
    assert read_scalars(str(tmp_path)) == {"loss": {3: 0.5}}
    assert read_scalars(str(tmp_path / "eval")) == {"eval_accuracy": {3: 0.75}}
    assert wandb.started == [
        {
            "project": "bert-tf2",
            "name": str(tmp_path),
            "dir": str(tmp_path),
            "mode": "offline",
            "id": None,
            "resume": None,
            "config": {"learning_rate": 2e-5, "train_file": "train.csv"},
        }
    ]
    assert wandb.logged == {
        "run1": [{"train/loss": 0.5, "global_step": 3}, {"eval/eval_accuracy": 0.75, "global_step": 3}]
    }
    assert wandb.ended == [("run1", 0)]
    assert mlflow.calls == [
        ("set_tracking_uri", f"sqlite:///{tmp_path}/mlflow.db"),
        ("set_experiment", "bert-tf2"),
        ("start_run", None, str(tmp_path)),
        ("log_params", {"learning_rate": "2e-05", "train_file": "train.csv"}),
        ("log_metrics", 3, {"train/loss": 0.5}),
        ("log_metrics", 3, {"eval/eval_accuracy": 0.75}),
        ("end_run", "FINISHED"),
    ]


def test_a_resumed_run_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb, mlflow = fake_trackers.install(monkeypatch)
    write(tmp_path, ALL, 3)
    assert json.loads((tmp_path / "tracking.json").read_text()) == {"wandb": "run1", "mlflow": "new"}
    mlflow.calls.clear()
    write(tmp_path, ALL, 4)
    assert (wandb.started[1]["id"], wandb.started[1]["resume"]) == ("run1", "allow")
    assert len(wandb.logged["run1"]) == 4
    assert mlflow.calls[2:4] == [("start_run", "new", None), ("log_metrics", 4, {"train/loss": 0.5})]


def test_environment_variables_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb, mlflow = fake_trackers.install(monkeypatch)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write(tmp_path, ALL, 3)
    assert wandb.started[0]["mode"] == "online"
    assert mlflow.calls[0] == ("set_experiment", "bert-tf2")


def test_an_exception_ends_the_runs_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb, mlflow = fake_trackers.install(monkeypatch)

    def fail() -> None:
        with tracking.tracking(("wandb", "mlflow"), str(tmp_path), FLAGS):
            tracking.current().start()
            raise InputError("x")

    with pytest.raises(InputError, match="x"):
        fail()
    assert wandb.ended == [("run1", 1)]
    assert mlflow.calls[-1] == ("end_run", "FAILED")
    assert tracking.current().with_tensorboard


@pytest.mark.parametrize(("report_to", "has_events"), [((), False), (("wandb",), False), (("tensorboard",), True)])
def test_only_requested_tools_are_used(tmp_path: Path, report_to, has_events: bool, monkeypatch) -> None:
    wandb, mlflow = fake_trackers.install(monkeypatch)
    write(tmp_path, report_to, 3)
    assert bool(list(tmp_path.rglob("events.out.tfevents.*"))) == has_events
    assert len(wandb.started) == ("wandb" in report_to)
    assert mlflow.calls == []


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(
        InputError, match=r"--report_to=wandb needs the package wandb, .*: python -m pip install wandb\."
    ):
        tracking.check_installed(("tensorboard", "wandb"))
    tracking.check_installed(("tensorboard",))


def test_names() -> None:
    assert LoopConfig().reports == ("tensorboard",)
    assert LoopConfig(report_to="wandb, mlflow, wandb").reports == ("wandb", "mlflow")
    assert LoopConfig(report_to="none").reports == ()
    with pytest.raises(InputError, match="Unknown --report_to 'comet'; choose from tensorboard, wandb, mlflow"):
        LoopConfig(report_to="tensorboard,comet")
