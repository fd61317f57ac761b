"""Concatenated groups in the named files, which appear complete or not at all."""

import itertools
import os
from pathlib import Path

import pytest
from helpers.full_disk import expect_full_disk

from bert_tf2.io.text_shards import Group
from bert_tf2.pretraining_data.merge import JoinedOutputs
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, _job
from bert_tf2.pretraining_data.shard import Job

GROUPS = 4


@pytest.fixture
def config(tmp_path: Path) -> PretrainingDataConfig:
    """Settings for two files, `a` and `b`, which already exist with other content."""
    for name in ("text", "vocab"):
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    for name in "ab":
        (tmp_path / "out" / name).write_bytes(b"old")
    return PretrainingDataConfig(
        input_file=f"{tmp_path}/text",
        output_file=f"{tmp_path}/out/a,{tmp_path}/out/b",
        vocab_file=f"{tmp_path}/vocab",
    )


def jobs_of(config: PretrainingDataConfig) -> list[Job]:
    return [_job(config, Group(index, ()), GROUPS) for index in range(GROUPS)]


def make(job: Job) -> None:
    """Writes the files of a job; each contains its name and the group's number."""
    for name, path in zip("ab", job.outputs, strict=True):
        Path(path).write_bytes(f"{name}{job.group.index} ".encode() * 1000)


def contents(config: PretrainingDataConfig) -> list[str]:
    """Returns the groups in each file, in order."""
    texts = [Path(path).read_text() for path in config.outputs]
    return [" ".join(word for word, _ in itertools.groupby(text.split())) for text in texts]


@pytest.mark.parametrize("order", list(itertools.permutations(range(GROUPS))))
def test_groups_finished_in_any_order(config: PretrainingDataConfig, order: tuple[int, ...]) -> None:
    jobs = jobs_of(config)
    with JoinedOutputs(config.outputs, jobs, []) as outputs:
        for index in order:
            make(jobs[index])
            outputs.add(jobs[index])
            assert contents(config) == ["old", "old"]
        outputs.finish()
    assert contents(config) == ["a0 a1 a2 a3", "b0 b1 b2 b3"]


@pytest.mark.parametrize("finished", [[0, 1, 2, 3], [0, 2], [3]])
def test_groups_of_an_earlier_run(config: PretrainingDataConfig, finished: list[int]) -> None:
    jobs = jobs_of(config)
    for index in finished:
        make(jobs[index])
    with JoinedOutputs(config.outputs, jobs, finished) as outputs:
        for job in jobs:
            if job.group.index not in finished:
                make(job)
                outputs.add(job)
        outputs.finish()
    assert contents(config) == ["a0 a1 a2 a3", "b0 b1 b2 b3"]


def test_an_exception_keeps_the_earlier_output_and_the_groups(config: PretrainingDataConfig) -> None:
    jobs = jobs_of(config)

    def interrupted() -> None:
        with JoinedOutputs(config.outputs, jobs, []) as outputs:
            make(jobs[0])
            outputs.add(jobs[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert contents(config) == ["old", "old"]
    groups = map(os.path.basename, jobs[0].outputs)
    assert set(os.listdir(Path(config.outputs[0]).parent)) == {"a", "b", *groups}


def test_a_full_disk_names_the_file_and_keeps_the_groups(config: PretrainingDataConfig) -> None:
    jobs = jobs_of(config)
    path = Path(config.outputs[0])
    path.unlink()
    for job in jobs:
        make(job)

    def join() -> None:
        with JoinedOutputs(config.outputs, jobs, []) as outputs:
            for job in jobs:
                outputs.add(job)
            outputs.finish()

    expect_full_disk(path, 2 * os.path.getsize(jobs[0].outputs[0]), join)
    assert all(os.path.exists(path) for job in jobs for path in job.outputs)
    join()
    assert contents(config) == ["a0 a1 a2 a3", "b0 b1 b2 b3"]
