"""Where the metrics of a run go besides the log: TensorBoard and, with `--report_to`, Weights & Biases and MLflow.

    with tracking(report_to, output_dir, flags):
        ...  # `tensorboard.write_scalars` also writes to these tools

Weights & Biases and MLflow store their runs on this machine, in `output_dir`, unless their own environment variables
say otherwise. A resumed run continues their runs: `tracking.json` has the ids.
"""

import contextlib
import contextvars
import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from bert_tf2.configs.training import TENSORBOARD
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, json_files, run_files

_PROJECT = "bert-tf2"
_MAX_PARAMETER_LENGTH = 500  # characters, a limit of MLflow


class Tracker(Protocol):
    """A run in an external tool."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the values of a step; steps need not come in order."""

    def finish(self, succeeded: bool) -> None:
        """Ends the run; called once."""


@dataclasses.dataclass
class Run:
    """The tools that the metrics of a run are written to.

    Attributes:
      output_dir: of the run.
      flags: of the run, by name.
      with_tensorboard: whether TensorBoard is one of them.
      names: the names in `TOOLS` of the others.
    """

    output_dir: str = ""
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    with_tensorboard: bool = True
    names: tuple[str, ...] = ()
    _trackers: list[Tracker] | None = None

    def start(self) -> list[Tracker]:
        """Starts the runs in the tools, once; call it only after `output_dir` has been emptied for a new run."""
        if self._trackers is None:
            self._trackers = []
            for name in self.names:
                self._trackers.append(TOOLS[name](self.output_dir, self.flags))
        return self._trackers

    def log(self, step: int, values: Mapping[str, float], kind: str) -> None:
        """Logs values in the tools.

        Args:
          step: the training step of the values.
          values: by name.
          kind: "train" or "eval", the prefix of the names in the tools: `train/loss`.
        """
        for tracker in self.start():
            tracker.log(step, {f"{kind}/{name}": value for name, value in values.items()})

    def finish(self, succeeded: bool) -> None:
        """Ends the runs in the tools."""
        for tracker in self._trackers or ():
            tracker.finish(succeeded)


_CURRENT: contextvars.ContextVar[Run] = contextvars.ContextVar("run")
_UNTRACKED = Run()


def current() -> Run:
    """The tools in use; outside of `tracking`, TensorBoard alone."""
    return _CURRENT.get(_UNTRACKED)


@contextlib.contextmanager
def tracking(report_to: tuple[str, ...], output_dir: str, flags: Mapping[str, Any]) -> Iterator[None]:
    """A context in which metrics are written to tools.

    Args:
      report_to: the names of the tools; empty if another process writes.
      output_dir: of the run.
      flags: of the run, by name.

    Raises:
      InputError: `tracking.json` is corrupt.
    """
    present = {name: value for name, value in flags.items() if value is not None}
    run = Run(output_dir, present, TENSORBOARD in report_to, tuple(name for name in report_to if name in TOOLS))
    token = _CURRENT.set(run)
    succeeded = False
    try:
        yield
        succeeded = True
    finally:
        _CURRENT.reset(token)
        run.finish(succeeded)


def check_installed(report_to: tuple[str, ...]) -> None:
    """Checks that the packages of the tools are installed.

    Args:
      report_to: the names of the tools.

    Raises:
      InputError: a package cannot be imported.
    """
    for name in report_to:
        if name in TOOLS:
            _module(name)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"--report_to={name} needs the package {name}, which cannot be imported ({error}): python -m pip install "
            f"{name}."
        ) from None


class _WeightsAndBiases:
    """A run of Weights & Biases, offline unless `WANDB_MODE` says otherwise."""

    def __init__(self, output_dir: str, flags: Mapping[str, Any]) -> None:
        local = None if file_system.is_remote(output_dir) else file_system.absolute(output_dir)
        saved_id = _saved_id(output_dir, "wandb")
        self._run = _module("wandb").init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=os.environ.get("WANDB_NAME", output_dir),
            dir=local,
            mode=os.environ.get("WANDB_MODE", "offline"),
            id=saved_id,
            resume="allow" if saved_id else None,
            config=dict(flags),
        )
        _save_id(output_dir, "wandb", self._run.id)
        self._run.define_metric("global_step")
        self._run.define_metric("*", step_metric="global_step")  # otherwise repeated steps would be dropped

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "global_step": step})

    def finish(self, succeeded: bool) -> None:
        self._run.finish(exit_code=0 if succeeded else 1)


class _MLflow:
    """A run of MLflow, in `mlflow.db` unless `MLFLOW_TRACKING_URI` says otherwise."""

    def __init__(self, output_dir: str, flags: Mapping[str, Any]) -> None:
        self._module = _module("mlflow")
        if "MLFLOW_TRACKING_URI" not in os.environ and not file_system.is_remote(output_dir):
            store = os.path.join(file_system.absolute(output_dir), run_files.MLFLOW)
            self._module.set_tracking_uri(f"sqlite:///{store}")
        self._module.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT))
        saved_id = _saved_id(output_dir, "mlflow")
        run = self._module.start_run(run_id=saved_id, run_name=None if saved_id else output_dir)
        if saved_id is None:  # MLflow does not allow parameters to change
            self._module.log_params({name: str(value)[:_MAX_PARAMETER_LENGTH] for name, value in flags.items()})
        _save_id(output_dir, "mlflow", run.info.run_id)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log_metrics(dict(values), step=step)

    def finish(self, succeeded: bool) -> None:
        self._module.end_run("FINISHED" if succeeded else "FAILED")


TOOLS: Mapping[str, Callable[[str, Mapping[str, Any]], Tracker]] = {"wandb": _WeightsAndBiases, "mlflow": _MLflow}


def _ids(output_dir: str) -> dict[str, Any]:
    path = os.path.join(output_dir, run_files.TRACKING)
    return json_files.read_object(path, "remove it to begin new runs.") if file_system.exists(path) else {}


def _saved_id(output_dir: str, name: str) -> str | None:
    return json_files.get(_ids(output_dir), name, str, os.path.join(output_dir, run_files.TRACKING))


def _save_id(output_dir: str, name: str, run_id: str) -> None:
    ids = {**_ids(output_dir), name: run_id}
    with atomic.replacing(os.path.join(output_dir, run_files.TRACKING)) as file:
        file.write(json.dumps(ids) + "\n")
