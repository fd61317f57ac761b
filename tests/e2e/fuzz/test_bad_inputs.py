"""Bad inputs of all scripts: one sentence, exit status 1, nothing left behind, in seconds.

The table is in `cases_*.py`. To add a bad input, add a row.
"""

import re
import shutil
from pathlib import Path

import pytest
from e2e.fuzz import cases_data, cases_flags, cases_models
from e2e.fuzz.fuzzing import COMMANDS, Case, Server, Table, apply, listing, make_world
from helpers.scripts import Scripts

CASES = Table()
for cases in (cases_flags, cases_data, cases_models):
    CASES |= cases.CASES


@pytest.fixture(scope="module")
def server(scripts: Scripts) -> Server:
    return Server(scripts)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "world"
    make_world(path, server)
    return path


def test_the_table_is_large_and_has_all_scripts() -> None:
    assert len(CASES) >= 150
    assert {COMMANDS[case.command][0] for case in CASES.values()} == {script for script, _ in COMMANDS.values()}


@pytest.mark.parametrize(
    "command",
    [
        *("fill", "classify_predict", "squad_predict", "tag_predict", "choose_predict", "features", "convert_back"),
        *("inspect", "score"),
    ],
)
def test_the_good_commands_work(command: str, tmp_path: Path, world: Path, server: Server) -> None:
    directory = tmp_path / "case"
    shutil.copytree(world, directory)
    status, printed = server.call(directory, command)
    assert status == 0, printed


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_a_bad_input(case: Case, tmp_path: Path, world: Path, server: Server) -> None:
    directory = tmp_path / "case"
    shutil.copytree(world, directory)
    apply(directory, case.files)
    before = listing(directory)
    status, printed = server.call(
        directory, case.command, case.flags, environment=case.environment, file_bytes=case.file_bytes
    )
    lines = printed.splitlines()
    assert status == 1, printed
    assert lines[-1].startswith("ERROR: "), printed
    assert [line for line in lines if re.match(r"ERROR|FATAL|Traceback|\s+File |[EFW]\d{4} ", line)] == lines[-1:], (
        printed
    )
    assert re.search(case.says, lines[-1]), lines[-1]
    assert not re.search(r"\bNone\b|<class|Errno|object at 0x| \(\)|\\\\", lines[-1]), lines[-1]
    assert 20 < len(lines[-1]) < 700, lines[-1]
    assert lines[-1].endswith((".", "?")), lines[-1]
    after = listing(directory)
    new = {name for name in after.keys() - before.keys() if not any(re.fullmatch(left, name) for left in case.leaves)}
    assert not new, printed
    assert {name: after.get(name) for name in before} == before, printed
