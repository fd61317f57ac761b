"""The index of record files, used by two threads: training reads on while an evaluation reads other files."""

import json
import threading
from pathlib import Path

import pytest

from bert_tf2.io import file_system
from bert_tf2.records.index import RecordIndex


def test_a_file_is_added_while_the_index_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(tmp_path / name) for name in ("train", "eval")]
    for path in paths:
        Path(path).touch()
    index = RecordIndex(tmp_path / "index.json")
    index.of(paths[0]).records = 0
    index.mark_changed()
    evaluation = threading.Thread(target=index.of, args=[paths[1]])
    absolute = file_system.absolute

    def while_another_thread_runs(path: str) -> str:
        monkeypatch.setattr(file_system, "absolute", absolute)
        evaluation.start()
        evaluation.join(timeout=0.2)
        return absolute(path)

    monkeypatch.setattr(file_system, "absolute", while_another_thread_runs)
    index.save()
    evaluation.join()
    assert list(json.loads((tmp_path / "index.json").read_text())["files"]) == paths[:1]
    index.mark_changed()
    index.save()
    assert list(json.loads((tmp_path / "index.json").read_text())["files"]) == paths
