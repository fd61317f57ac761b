"""The settings that --search tries: grids, ranges, directory names, and invalid values."""

import pytest

from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.search_space import Choices, Range, SearchSpace, describe, directory_name


def space(text: str) -> SearchSpace:
    return SearchSpace.parse(text, FinetuningConfig)


def test_grid() -> None:
    grid = space(" learning_rate = 2e-5, 3e-5 ; --train_batch_size=16,32 ;").grid()
    assert grid == [{"learning_rate": rate, "train_batch_size": size} for rate in (2e-5, 3e-5) for size in (16, 32)]
    assert describe(grid[1]) == "learning_rate=2e-05, train_batch_size=32"


def test_grid_of_the_paper() -> None:
    grid = space("paper").grid()
    assert len(grid) == 18
    assert grid[0] == {"learning_rate": 5e-5, "train_batch_size": 16, "num_train_epochs": 2.0}
    assert {settings["num_train_epochs"] for settings in grid} == {2.0, 3.0, 4.0}
    assert len(space("weight_decay=0,0.01; paper ").grid()) == 36


def test_flags_of_all_types_and_nested_configs() -> None:
    axes = space("weight_decay=0,0.01;freeze_embeddings=true,false;init_checkpoint=../a,../b;num_frozen_layers=1").axes
    assert axes == (
        Choices("weight_decay", (0.0, 0.01)),
        Choices("freeze_embeddings", (True, False)),
        Choices("init_checkpoint", ("../a", "../b")),
        Choices("num_frozen_layers", (1,)),
    )


def test_ranges() -> None:
    searched = space("learning_rate=1e-5..1e-4:log;train_batch_size=8..64;optimizer=bert,adamw")
    assert searched.axes[:2] == (Range("learning_rate", 1e-5, 1e-4, True), Range("train_batch_size", 8, 64, False))
    assert searched.has_ranges
    assert not space("learning_rate=1e-5,1e-4").has_ranges
    assert searched.samples() == [
        {"learning_rate": 1e-5, "train_batch_size": 8, "optimizer": "bert"},
        {"learning_rate": 1e-4, "train_batch_size": 64, "optimizer": "adamw"},
    ]
    assert searched.has({"learning_rate": 5e-5, "train_batch_size": 64, "optimizer": "bert"})
    assert not searched.has({"learning_rate": 5e-5, "train_batch_size": 65, "optimizer": "bert"})
    assert not searched.has({"learning_rate": 5e-5, "train_batch_size": 64, "optimizer": "lamb"})
    assert not searched.has({"learning_rate": 5e-5})


def test_directory_names_differ_if_settings_differ() -> None:
    settings = {"train_batch_size": 16, "learning_rate": 2e-5}
    assert directory_name(settings) == "learning_rate=2e-05,train_batch_size=16"
    assert directory_name(dict(reversed(settings.items()))) == directory_name(settings)
    paths = [directory_name({"init_checkpoint": path}) for path in ("../a", "..-a", "/a/b", "é", "è", "x" * 300)]
    assert len(set(paths)) == len(paths)
    assert all(len(path) < 200 and "/" not in path and path.isascii() for path in paths)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"--search names no flag; expected FLAG=VALUE,VALUE,\.\.\. of each flag.* or paper\."),
        (";", "--search names no flag"),
        ("papers", "--search: 'papers' has no =; .* or paper"),
        ("learnig_rate=1", "there is no flag 'learnig_rate'; did you mean learning_rate"),
        ("qqqqq=1", "there is no flag 'qqqqq'; --help lists the flags"),
        (
            "output_dir=a,b",
            "output_dir must be the same for all runs; give it as a flag of its own, --output_dir=VALUE",
        ),
        ("do_eval=true,false", "do_eval must be the same"),
        ("distribution_strategy=off,mirrored", "distribution_strategy must be the same"),
        ("seeds=1,2", "seeds must be the same"),
        ("seed=1;seed=2", "--search names seed twice"),
        ("seed=1,01", "seed=1,01 has a value twice"),
        ("num_train_epochs=3,3.0", "has a value twice"),
        ("seed=1,,2", "seed has an empty value"),
        ("seed=", "seed has an empty value"),
        ("seed=1.5", "--search: --seed='1.5'; it must be a whole number"),
        ("learning_rate=fast", "--search: --learning_rate='fast'; it must be a number"),
        ("learning_rate=1e-4..1e-5", "is not a range; a smaller number, .. and a larger one are expected"),
        ("learning_rate=0..1e-5:log", "is not a range; a smaller number above 0"),
        ("learning_rate=1e-5..nan", "is not a range"),
        ("learning_rate=1e-5..1e-4,3e-4", "--learning_rate='1e-4,3e-4'; it must be a number"),
        ("seed=1..2.5", "--seed='2.5'; it must be a whole number"),
    ],
)
def test_invalid_searches(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        space(text)


def test_too_many_runs() -> None:
    numbers = ",".join(map(str, range(1, 1002)))
    with pytest.raises(InputError, match="asks for 1,001 runs; give fewer values"):
        space(f"seed={numbers}").grid()
