"""A search: its runs, resumption after a kill, the files that it writes, and the weights that it publishes."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.errors import Diverged, InputError
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.finetuning import sub_runs
from bert_tf2.tasks.finetuning.best_weights import BestScore
from bert_tf2.tasks.finetuning.search import run_search


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage collection is slow in a large test process, and these runs have no models to free."""
    monkeypatch.setattr(sub_runs.gc, "collect", lambda: 0)


GRID = "learning_rate=1e-3,2e-3;train_batch_size=8,16"


class Killed(BaseException):
    """Stands in for SIGKILL."""


@dataclasses.dataclass
class Runs:
    """Stands in for training: scores follow from the flags, which are recorded.

    Attributes:
      killed_at: number of the run that is killed; None: no run is.
      diverge: learning rates with which training diverges.
      configs: the config of each run.
      predicted: directories of the runs that predicted.
    """

    killed_at: int | None = None
    diverge: tuple[float, ...] = ()
    configs: list[ClassificationConfig] = dataclasses.field(default_factory=list)
    predicted: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, config: ClassificationConfig, predicts: bool = True) -> dict[str, float]:
        if len(self.configs) == self.killed_at:
            raise Killed
        self.configs.append(config)
        if config.learning_rate in self.diverge:
            Path(config.output_dir).mkdir(parents=True)
            raise Diverged(f"loss nan at {config.learning_rate}.")
        assert config.use_best
        if config.do_predict and predicts:
            self.predicted.append(config.output_dir)
        accuracy = self.accuracy(config)
        if config.do_train:
            best = Path(config.output_dir) / "best"
            best.mkdir(parents=True, exist_ok=True)
            (best / "eval").mkdir(exist_ok=True)  # as an evaluation in best/ leaves it
            (best / "checkpoint").write_text(f"of {config.output_dir}")
            BestScore("eval_accuracy", accuracy, 7).save(best)
        return {"global_step": 7, "eval_accuracy": accuracy, "eval_loss": 1 - accuracy}

    @staticmethod
    def accuracy(config: ClassificationConfig) -> float:
        return round(config.learning_rate * 100 + config.train_batch_size / 100 + config.seed / 1000, 6)


def config(directory: Path, search: str | None = GRID, **flags) -> ClassificationConfig:
    defaults = {"do_train": True, "do_eval": True, "train_file": "train.csv", "seed": 1, "report": False}
    return ClassificationConfig(output_dir=str(directory), search=search, **{**defaults, **flags})


def run(config: ClassificationConfig, runs: Runs) -> dict[str, float] | None:
    return run_search(config, runs, tf.distribute.get_strategy())


def results(directory: Path) -> dict:
    return json.loads((directory / "search_results.json").read_text())


def names(runs: Runs, directory: Path) -> list[str]:
    return [str(Path(config.output_dir).relative_to(directory)) for config in runs.configs]


def test_every_run_and_the_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    runs = Runs()
    final = run(config(tmp_path, do_predict=True, predict_file="new.csv"), runs)
    directories = [
        f"search/learning_rate={rate},train_batch_size={size}" for rate in (0.001, 0.002) for size in (8, 16)
    ]
    assert names(runs, tmp_path) == [*directories, "."]
    assert runs.predicted == [str(tmp_path)]
    last = runs.configs[-1]
    assert (last.do_train, last.learning_rate, last.train_batch_size) == (False, 2e-3, 16)
    assert final == {"global_step": 7, "eval_accuracy": 0.361, "eval_loss": 0.639}

    written = results(tmp_path)
    assert (written["metric"], written["best"]) == ("eval_accuracy", directories[3])
    assert [run["scores"]["eval_accuracy"] for run in written["runs"]] == [0.181, 0.261, 0.281, 0.361]
    rows = list(csv.DictReader((tmp_path / "search_results.csv").read_text().splitlines()))
    assert [row["eval_accuracy"] for row in rows] == ["0.361", "0.281", "0.261", "0.181"]
    assert rows[0]["directory"] == directories[3]
    assert (rows[0]["learning_rate"], rows[0]["train_batch_size"]) == ("0.002", "16")

    assert (tmp_path / "best/checkpoint").read_text() == f"of {tmp_path / directories[3]}"
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["checkpoint", "score.json"]
    assert BestScore.load(tmp_path / "best") == BestScore("eval_accuracy", 0.361, 7, directories[3])
    *table, wrote, best = caplog.messages[-1].splitlines()
    assert [line.split() for line in table[1:3]] == [
        ["learning_rate", "train_batch_size", "eval_accuracy"],
        ["0.002", "16", "0.3610"],
    ]
    assert wrote == f"Wrote {tmp_path}/search_results.json, {tmp_path}/search_results.csv."
    assert best == (
        f"The best run is learning_rate=0.002, train_batch_size=16 (eval_accuracy 0.3610); its weights are in "
        f"{tmp_path}/best: --use_best takes them."
    )
    assert not [path for path in tmp_path.rglob("*") if "unfinished" in path.name]


@pytest.mark.parametrize("killed_at", [0, 2, 4])
def test_killed_search_continues(tmp_path: Path, killed_at: int) -> None:
    expected, resumed = Runs(), Runs()
    run(config(tmp_path / "expected"), expected)
    with pytest.raises(Killed):
        run(config(tmp_path / "killed"), Runs(killed_at=killed_at))
    run(config(tmp_path / "killed"), resumed)
    assert names(resumed, tmp_path / "killed") == names(expected, tmp_path / "expected")[killed_at:]
    assert results(tmp_path / "killed") == results(tmp_path / "expected")
    finished = Runs()
    run(config(tmp_path / "killed"), finished)
    assert names(finished, tmp_path / "killed") == ["."]


def test_different_grid_extends_the_search(tmp_path: Path) -> None:
    run(config(tmp_path), Runs())
    runs = Runs()
    run(config(tmp_path, "train_batch_size=16;learning_rate=5e-4,1e-3"), runs)
    assert names(runs, tmp_path) == ["search/learning_rate=0.0005,train_batch_size=16", "."]
    assert len(results(tmp_path)["runs"]) == 5
    assert results(tmp_path)["best"] == "search/learning_rate=0.002,train_batch_size=16"


@pytest.mark.parametrize(
    ("search", "flags", "sentence"),
    [
        (
            "learning_rate=1e-3",
            {},
            "holds a search over learning_rate, train_batch_size, this command searches learning_",
        ),
        (
            GRID,
            {"optimizer": OptimizerConfig(weight_decay=0.1)},
            r"holds a search with --weight_decay=0\.01, this command is one with --weight_deca",
        ),
        (GRID, {"max_seq_length": 64}, "holds a search without --max_seq_length, this command is one with --max_seq_"),
        (GRID, {"seeds": "1,2"}, "holds a search without --seeds"),
    ],
)
def test_incomparable_flags_are_rejected(tmp_path: Path, search: str, flags: dict, sentence: str) -> None:
    run(config(tmp_path), Runs())
    search_config = config(tmp_path, search, **flags)
    runs = Runs()
    with pytest.raises(InputError, match=sentence):
        run(search_config, runs)
    assert runs.configs == []
    run(dataclasses.replace(search_config, overwrite_output_dir=True), runs)
    combinations = len(results(tmp_path)["runs"])
    assert combinations == (4 if search == GRID else 1)
    assert len(runs.configs) == combinations * (2 if "seeds" in flags else 1) + 1


def test_seeds_are_ranked_by_means_and_the_best_seed_is_published(tmp_path: Path) -> None:
    runs = Runs()
    run(config(tmp_path, "learning_rate=1e-3,2e-3", seeds="1,3", train_batch_size=8), runs)
    assert names(runs, tmp_path)[:2] == [f"search/learning_rate=0.001/seed-{seed}" for seed in (1, 3)]
    best = results(tmp_path)["runs"][1]
    assert best["scores"]["eval_accuracy"] == pytest.approx(0.282)
    assert best["deviations"]["eval_accuracy"] == pytest.approx(math.sqrt(2) / 1000)
    score = BestScore.load(tmp_path / "best")
    assert score == BestScore("eval_accuracy", 0.283, 7, "search/learning_rate=0.002/seed-3")
    assert runs.configs[-1].seeds is None


def test_diverged_run_has_no_score_and_is_not_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(diverge=(2e-3,))
    run(config(tmp_path, "learning_rate=1e-3,2e-3"), runs)
    assert "loss nan at 0.002." in caplog.text
    first, second = results(tmp_path)["runs"]
    assert (second["error"], second["scores"], first["error"]) == ("loss nan at 0.002.", {}, None)
    assert results(tmp_path)["best"] == first["directory"]
    repeated = Runs()
    run(config(tmp_path, "learning_rate=1e-3,2e-3"), repeated)
    assert names(repeated, tmp_path) == ["."]
    (tmp_path / second["directory"]).rmdir()
    run(config(tmp_path, "learning_rate=1e-3,2e-3"), repeated)
    assert names(repeated, tmp_path)[1:] == [second["directory"], "."], "its directory was removed"
    with pytest.raises(InputError, match="--search: no run has a score"):
        run(config(tmp_path / "none", "learning_rate=2e-3"), runs)


def test_errors_name_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Runs, config: ClassificationConfig, predicts: bool = True) -> dict[str, float]:
        raise InputError("There is no b.")

    monkeypatch.setattr(Runs, "__call__", fail)
    for flags in ({}, {"dry_run": True}):
        with pytest.raises(InputError, match=r"^--search, init_checkpoint=a: There is no b\.$"):
            run(config(tmp_path, "init_checkpoint=a,b", **flags), Runs())


def test_run_is_repeated_if_its_directory_is_removed_or_its_data_changes(tmp_path: Path) -> None:
    data = tmp_path / "train.csv"
    data.write_text("text,label\n")
    search_config = config(tmp_path / "out", "learning_rate=1e-3,2e-3", train_file=str(data))
    run(search_config, Runs())
    (tmp_path / "out/search/learning_rate=0.001").rename(tmp_path / "elsewhere")
    runs = Runs()
    run(search_config, runs)
    assert names(runs, tmp_path / "out") == ["search/learning_rate=0.001", "."]
    data.write_text("text,label\na,b\n")
    runs = Runs()
    run(search_config, runs)
    assert len(runs.configs) == 3


def test_run_is_repeated_if_the_workbook_of_a_sheet_changes(tmp_path: Path) -> None:
    data = tmp_path / "train.xlsx"
    search_config = config(tmp_path / "out", "learning_rate=1e-3", train_file=f"{data}#Sheet2")
    for content, repeated in (
        ("a", ["search/learning_rate=0.001"]),
        (None, []),
        ("b!", ["search/learning_rate=0.001"]),
    ):
        if content:
            data.write_text(content)
        runs = Runs()
        run(search_config, runs)
        assert names(runs, tmp_path / "out") == [*repeated, "."]


def test_best_weights_are_replaced_by_others_with_the_same_score(tmp_path: Path) -> None:
    search_config = config(tmp_path, "learning_rate=1e-3")
    run(search_config, Runs())
    (tmp_path / "best/predictions.jsonl").touch()
    run(search_config, Runs())
    assert (tmp_path / "best/predictions.jsonl").exists(), "the weights are the same"
    (tmp_path / "best/checkpoint").write_text("of other data")
    run(dataclasses.replace(search_config, overwrite_output_dir=True), Runs())
    assert (tmp_path / "best/checkpoint").read_text() == f"of {tmp_path}/search/learning_rate=0.001"


def test_invalid_settings_are_rejected_before_the_first_run(tmp_path: Path) -> None:
    runs = Runs()
    with pytest.raises(InputError, match=r"^--search, learning_rate=-1: --learning_rate=-1\.0; it must be above 0"):
        run(config(tmp_path / "out", "learning_rate=1e-3,-1"), runs)
    assert runs.configs == []
    assert not (tmp_path / "out").exists()
    for name in ("data_dir", "task_name"):  # they decide what is evaluated
        with pytest.raises(InputError, match=f"--search: {name} must be the same for all runs"):
            config(tmp_path, f"{name}=a,b")


def test_dry_run_checks_every_run_and_writes_nothing(tmp_path: Path) -> None:
    configs = []
    run(config(tmp_path / "out", dry_run=True), lambda config, predicts=True: configs.append(config))
    assert len(configs) == 4
    assert not (tmp_path / "out").exists()


def test_trained_model_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").touch()
    for flags in ({"overwrite_output_dir": True}, {"dry_run": True}):
        with pytest.raises(InputError, match=f"--search: {tmp_path} holds a training, .*; give another --output_dir"):
            run(config(tmp_path, **flags), Runs())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "search_results.json is not JSON .*; restore the file that the search wrote, or give --overwrite"),
        ("[]", "holds a list instead of a JSON object"),
        (
            '{"searched": ["learning_rate", "train_batch_size"], "runs": [{"settings": {"seed": 1}}]}',
            "holds a search wi",
        ),
    ],
)
def test_corrupt_results(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "search_results.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        run(config(tmp_path), Runs())


# --- Ranges ----------------------------------------------------------------------------------------------------------

RANGES = "learning_rate=1e-4..1e-2:log;train_batch_size=8,16"


def test_trials_are_the_same_after_a_kill(tmp_path: Path) -> None:
    uninterrupted = Runs()
    run(config(tmp_path / "uninterrupted", RANGES, search_trials=13), uninterrupted)
    runs = results(tmp_path / "uninterrupted")["runs"]
    assert len(runs) == len({run["directory"] for run in runs}) == 13
    assert all(1e-4 <= run["settings"]["learning_rate"] <= 1e-2 for run in runs)
    assert all(run["settings"]["train_batch_size"] in (8, 16) for run in runs)
    with pytest.raises(Killed):
        run(config(tmp_path / "killed", RANGES, search_trials=13), Runs(killed_at=11))
    run(config(tmp_path / "killed", RANGES, search_trials=13), Runs())
    assert results(tmp_path / "killed")["runs"] == runs
    more = Runs()
    run(config(tmp_path / "uninterrupted", RANGES, search_trials=14), more)
    assert len(more.configs) == 2


def test_trials_without_ranges_end_with_the_last_combination(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(config(tmp_path, search_trials=9), Runs())
    assert len(results(tmp_path)["runs"]) == 4
    assert "all settings have been tried, after 4 runs" in caplog.text


def test_missing_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"--search_trials needs Optuna: python -m pip install 'bert-tf2\[search\]'"):
        run(config(tmp_path / "out", RANGES, search_trials=3), Runs())
    assert not (tmp_path / "out").exists()


# --- The page --------------------------------------------------------------------------------------------------------


def test_search_page(tmp_path: Path) -> None:
    run(config(tmp_path, f"{GRID};freeze_embeddings=true,false", report=True), Runs())
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    for text in (
        "best accuracy",
        "0.3610",
        "0.2710",
        "learning_rate=0.002, train_batch_size=16",
        "--train_file=train.csv",
    ):
        assert text in page
