"""The notebook of examples/: it is valid, and its stored outputs are those of its cells."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from helpers import notebooks
from helpers.repository import REPOSITORY

NOTEBOOK = REPOSITORY / "examples/sentiment.ipynb"


def output_types(outputs: list) -> list[tuple[str, list[str]]]:
    return [(output.output_type, sorted(output.get("data", {}))) for output in outputs]


def test_the_notebook_is_valid_and_was_run_from_top_to_bottom() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    assert notebook.nbformat == 4
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert "/home/" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_cells_reproduce_the_stored_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    before = sorted(NOTEBOOK.parent.iterdir())
    outputs, variables = notebooks.execute(NOTEBOOK)
    stored = [cell.outputs for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [output_types(one) for one in outputs] == [output_types(one) for one in stored]
    confusion = variables["confusion"].to_numpy()
    assert confusion.shape == (2, 2)
    assert confusion.sum() == len(variables["test"]) == 60
    assert np.trace(confusion) / confusion.sum() > 0.7
    assert [path for path in sorted(NOTEBOOK.parent.iterdir()) if path.name != "__pycache__"] == [
        path for path in before if path.name != "__pycache__"
    ]
