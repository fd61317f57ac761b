"""Runs the cells of a notebook in this process, without Jupyter."""

import ast
import contextlib
import io
from pathlib import Path
from typing import Any

import nbformat


def execute(path: Path) -> tuple[list[list[Any]], dict[str, Any]]:
    """The outputs of each code cell, as Jupyter would store them, and the variables at the end.

    What a cell prints and the value of its last expression are its outputs; an exception ends the test.
    """
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    variables: dict[str, Any] = {"__name__": "__main__"}
    return [_outputs(cell.source, number, path, variables) for number, cell in enumerate(cells, 1)], variables


def _outputs(source: str, number: int, path: Path, variables: dict[str, Any]) -> list[Any]:
    name, tree = f"{path.name}, cell {number}", ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), variables)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), variables)
    outputs = []
    if printed.getvalue():
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=printed.getvalue()))
    if value is not None:
        data = {"text/plain": repr(value)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_()
        outputs.append(nbformat.v4.new_output("execute_result", data=data, execution_count=number))
    return outputs
