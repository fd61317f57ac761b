"""Replacements of wandb and mlflow that record all calls."""

import itertools
import types
from typing import Any

import pytest


class FakeWandB(types.ModuleType):
    """As far as `training.tracking` uses it.

    Attributes:
      started: the arguments of each `init`.
      logged: the logged values, by id of the run.
      ended: id and exit code of each run that ended.
    """

    def __init__(self) -> None:
        super().__init__("wandb")
        self.started: list[dict[str, Any]] = []
        self.logged: dict[str, list[dict[str, float]]] = {}
        self.ended: list[tuple[str, int]] = []
        self._numbers = itertools.count(1)

    def init(self, **options: Any) -> Any:
        self.started.append(options)
        identity = options["id"] or f"run{next(self._numbers)}"
        return types.SimpleNamespace(
            id=identity,
            define_metric=lambda name, step_metric=None: None,
            log=self.logged.setdefault(identity, []).append,
            finish=lambda exit_code: self.ended.append((identity, exit_code)),
        )


class FakeMLflow(types.ModuleType):
    """As far as `training.tracking` uses it.

    Attributes:
      calls: name and arguments of each call.
    """

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[Any, ...]] = []
        for name in ("set_tracking_uri", "set_experiment", "log_params", "end_run"):
            setattr(self, name, lambda *values, name=name: self.calls.append((name, *values)))

    def start_run(self, run_id: str | None, run_name: str | None) -> Any:
        self.calls.append(("start_run", run_id, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id or "new"))

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        self.calls.append(("log_metrics", step, values))


def install(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeWandB, FakeMLflow]:
    """Installs both as the modules to import, and unsets the environment variables that configure them."""
    modules = FakeWandB(), FakeMLflow()
    for module in modules:
        monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_NAME", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return modules
