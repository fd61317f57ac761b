"""A search: which runs are made, again after a kill, what is written, and which weights are published."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf2.errors import Diverged, InputError
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.finetuning import sub_runs
from bert_tf2.tasks.finetuning.best_weights import BestScore
from bert_tf2.tasks.finetuning.search import run_search


@pytest.fixture(autouse=True)
def _garbage_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting it takes a while with all that a test process has imported, and these runs have no models."""
    monkeypatch.setattr(sub_runs.gc, "collect", lambda: 0)


GRID = "learning_rate=1e-3,2e-3;train_batch_size=8,16"


class Killed(BaseException):
    """Stands in for SIGKILL."""


@dataclasses.dataclass
class Runs:
    """Runs whose score follows from their flags, and what was asked of them."""

    killed_at: int | None = None
    diverge: tuple[float, ...] = ()
    asked: list[ClassificationConfig] = dataclasses.field(default_factory=list)
    predicted: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, config: ClassificationConfig, predicts: bool = True) -> dict[str, float]:
        if len(self.asked) == self.killed_at:
            raise Killed
        self.asked.append(config)
        if config.learning_rate in self.diverge:
            raise Diverged(f"loss nan at {config.learning_rate}.")
        assert config.use_best
        if config.do_predict and predicts:
            self.predicted.append(config.output_dir)
        accuracy = self.accuracy(config)
        if config.do_train:
            best = Path(config.output_dir) / "best"
            best.mkdir(parents=True, exist_ok=True)
            (best / "eval").mkdir(exist_ok=True)  # of an evaluation there
            (best / "checkpoint").write_text(f"of {config.output_dir}")
            BestScore("eval_accuracy", accuracy, 7).save(best)
        return {"global_step": 7, "eval_accuracy": accuracy, "eval_loss": 1 - accuracy}

    @staticmethod
    def accuracy(config: ClassificationConfig) -> float:
        return round(config.learning_rate * 100 + config.train_batch_size / 100 + config.seed / 1000, 6)


def config(folder: Path, search: str | None = GRID, **flags) -> ClassificationConfig:
    given = {"do_train": True, "do_eval": True, "train_file": "train.csv", "seed": 1, "report": False}
    return ClassificationConfig(output_dir=str(folder), search=search, **{**given, **flags})


def go(asked: ClassificationConfig, runs: Runs) -> dict[str, float] | None:
    return run_search(asked, runs, tf.distribute.get_strategy())


def results(folder: Path) -> dict:
    return json.loads((folder / "search_results.json").read_text())


def names(runs: Runs, folder: Path) -> list[str]:
    return [str(Path(asked.output_dir).relative_to(folder)) for asked in runs.asked]


def test_every_run_and_the_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    runs = Runs()
    final = go(config(tmp_path, do_predict=True, predict_file="new.csv"), runs)
    places = [f"search/learning_rate={rate},train_batch_size={size}" for rate in (0.001, 0.002) for size in (8, 16)]
    assert names(runs, tmp_path) == [*places, "."]
    assert runs.predicted == [str(tmp_path)]
    last = runs.asked[-1]
    assert (last.do_train, last.learning_rate, last.train_batch_size) == (False, 2e-3, 16)
    assert final == {"global_step": 7, "eval_accuracy": 0.361, "eval_loss": 0.639}

    written = results(tmp_path)
    assert (written["metric"], written["best"]) == ("eval_accuracy", places[3])
    assert [run["scores"]["eval_accuracy"] for run in written["runs"]] == [0.181, 0.261, 0.281, 0.361]
    rows = list(csv.DictReader((tmp_path / "search_results.csv").read_text().splitlines()))
    assert [row["eval_accuracy"] for row in rows] == ["0.361", "0.281", "0.261", "0.181"]
    assert rows[0]["directory"] == places[3]
    assert (rows[0]["learning_rate"], rows[0]["train_batch_size"]) == ("0.002", "16")

    assert (tmp_path / "best/checkpoint").read_text() == f"of {tmp_path / places[3]}"
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["checkpoint", "score.json"]
    assert BestScore.load(tmp_path / "best") == BestScore("eval_accuracy", 0.361, 7, places[3])
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
def test_a_killed_search_continues(tmp_path: Path, killed_at: int) -> None:
    whole, again = Runs(), Runs()
    go(config(tmp_path / "whole"), whole)
    with pytest.raises(Killed):
        go(config(tmp_path / "killed"), Runs(killed_at=killed_at))
    go(config(tmp_path / "killed"), again)
    assert names(again, tmp_path / "killed") == names(whole, tmp_path / "whole")[killed_at:]
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    finished = Runs()
    go(config(tmp_path / "killed"), finished)
    assert names(finished, tmp_path / "killed") == ["."]


def test_another_grid_extends_the_search(tmp_path: Path) -> None:
    go(config(tmp_path), Runs())
    runs = Runs()
    go(config(tmp_path, "train_batch_size=16;learning_rate=5e-4,1e-3"), runs)
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
            {"weight_decay": 0.1},
            r"holds a search with --weight_decay=0\.01, this command is one with --weight_deca",
        ),
        (GRID, {"max_seq_length": 64}, "holds a search without --max_seq_length, this command is one with --max_seq_"),
        (GRID, {"seeds": "1,2"}, "holds a search without --seeds"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(tmp_path: Path, search: str, flags: dict, sentence: str) -> None:
    go(config(tmp_path), Runs())
    decay = flags.pop("weight_decay", None)
    asked = config(tmp_path, search, **flags)
    if decay:
        asked = dataclasses.replace(asked, optimizer=dataclasses.replace(asked.optimizer, weight_decay=decay))
    runs = Runs()
    with pytest.raises(InputError, match=sentence):
        go(asked, runs)
    assert runs.asked == []
    go(dataclasses.replace(asked, overwrite_output_dir=True), runs)
    assert len(results(tmp_path)["runs"]) == len(runs.asked) - 1 if "seeds" not in flags else 4


def test_seeds_decide_by_their_means_and_the_best_seed_is_published(tmp_path: Path) -> None:
    runs = Runs()
    go(config(tmp_path, "learning_rate=1e-3,2e-3", seeds="1,3", train_batch_size=8), runs)
    assert names(runs, tmp_path)[:2] == [f"search/learning_rate=0.001/seed-{seed}" for seed in (1, 3)]
    best = results(tmp_path)["runs"][1]
    assert best["scores"]["eval_accuracy"] == pytest.approx(0.282)
    assert best["deviations"]["eval_accuracy"] == pytest.approx(math.sqrt(2) / 1000)
    score = BestScore.load(tmp_path / "best")
    assert score == BestScore("eval_accuracy", 0.283, 7, "search/learning_rate=0.002/seed-3")
    assert runs.asked[-1].seeds is None


def test_a_run_that_diverged_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(diverge=(2e-3,))
    go(config(tmp_path, "learning_rate=1e-3,2e-3"), runs)
    assert "loss nan at 0.002." in caplog.text
    first, second = results(tmp_path)["runs"]
    assert (second["error"], second["scores"], first["error"]) == ("loss nan at 0.002.", {}, None)
    assert results(tmp_path)["best"] == first["directory"]
    again = Runs()
    go(config(tmp_path, "learning_rate=1e-3,2e-3"), again)
    assert names(again, tmp_path) == ["."]
    with pytest.raises(InputError, match="--search: no run has a score"):
        go(config(tmp_path / "none", "learning_rate=2e-3"), runs)


def test_a_run_is_made_again_where_its_directory_was_removed_or_its_data_changed(tmp_path: Path) -> None:
    data = tmp_path / "train.csv"
    data.write_text("text,label\n")
    asked = config(tmp_path / "out", "learning_rate=1e-3,2e-3", train_file=str(data))
    go(asked, Runs())
    (tmp_path / "out/search/learning_rate=0.001").rename(tmp_path / "elsewhere")
    runs = Runs()
    go(asked, runs)
    assert names(runs, tmp_path / "out") == ["search/learning_rate=0.001", "."]
    data.write_text("text,label\na,b\n")
    runs = Runs()
    go(asked, runs)
    assert len(runs.asked) == 3


def test_what_is_wrong_with_a_setting_is_known_before_anything_runs(tmp_path: Path) -> None:
    runs = Runs()
    with pytest.raises(InputError, match=r"^--search, learning_rate=-1: --learning_rate=-1\.0; it must be above 0"):
        go(config(tmp_path / "out", "learning_rate=1e-3,-1"), runs)
    assert runs.asked == []
    assert not (tmp_path / "out").exists()


def test_a_dry_run_checks_every_run_and_writes_nothing(tmp_path: Path) -> None:
    asked = []
    go(config(tmp_path / "out", dry_run=True), lambda config, predicts=True: asked.append(config))
    assert len(asked) == 4
    assert not (tmp_path / "out").exists()


def test_the_model_of_a_training_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").touch()
    with pytest.raises(InputError, match=f"--search: {tmp_path} holds a training, .*; give another --output_dir"):
        go(config(tmp_path, overwrite_output_dir=True), Runs())


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
def test_damaged_results(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "search_results.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        go(config(tmp_path), Runs())


# --- Ranges ----------------------------------------------------------------------------------------------------------

RANGES = "learning_rate=1e-4..1e-2:log;train_batch_size=8,16"


def test_trials_are_the_same_after_a_kill(tmp_path: Path) -> None:
    whole = Runs()
    go(config(tmp_path / "whole", RANGES, search_trials=13), whole)
    runs = results(tmp_path / "whole")["runs"]
    assert len(runs) == len({run["directory"] for run in runs}) == 13
    assert all(1e-4 <= run["settings"]["learning_rate"] <= 1e-2 for run in runs)
    assert all(run["settings"]["train_batch_size"] in (8, 16) for run in runs)
    with pytest.raises(Killed):
        go(config(tmp_path / "killed", RANGES, search_trials=13), Runs(killed_at=11))
    go(config(tmp_path / "killed", RANGES, search_trials=13), Runs())
    assert results(tmp_path / "killed")["runs"] == runs
    more = Runs()
    go(config(tmp_path / "whole", RANGES, search_trials=14), more)
    assert len(more.asked) == 2


def test_trials_of_lists_end_with_the_last_combination(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    go(config(tmp_path, search_trials=9), Runs())
    assert len(results(tmp_path)["runs"]) == 4
    assert "all settings have been tried, after 4 runs" in caplog.text


def test_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"--search_trials needs Optuna: python -m pip install 'bert-tf2\[search\]'"):
        go(config(tmp_path / "out", RANGES, search_trials=3), Runs())
    assert not (tmp_path / "out").exists()


# --- The page --------------------------------------------------------------------------------------------------------


def test_the_page(tmp_path: Path) -> None:
    go(config(tmp_path, f"{GRID};freeze_embeddings=true,false", report=True), Runs())
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    for text in ("best accuracy", "0.3610", "learning_rate=0.002, train_batch_size=16", "--train_file=train.csv"):
        assert text in page
