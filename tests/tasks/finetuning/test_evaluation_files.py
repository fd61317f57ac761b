"""The files and tables of evaluations, number for number."""

from pathlib import Path

import numpy as np

from bert_tf2.tasks.finetuning.evaluation_files import short, table, write_eval_results


def test_eval_results_are_those_of_the_original(tmp_path: Path) -> None:
    results = {
        "eval_loss": 0.1,
        "global_step": 343,
        "loss": 1 / 3,
        "eval_accuracy": 0.8774510,
        "eval_mcc": float("nan"),
    }
    lines = write_eval_results(str(tmp_path / "eval_results.txt"), results)
    assert (tmp_path / "eval_results.txt").read_text() == (
        "eval_accuracy = 0.877451\neval_loss = 0.1\neval_mcc = nan\nglobal_step = 343\nloss = 0.33333334\n"
    )
    assert lines[3] == "global_step = 343"
    assert write_eval_results(str(tmp_path / "a"), {"global_step": np.int64(7)}) == ["global_step = 7"]  # type: ignore[dict-item]


def test_alignment_of_a_table() -> None:
    name = short("a label with a very long name")
    assert table([["label", "F1"], [name, "0.5"], ["b", "1,000"]]) == (
        "label                        F1\na label with a very l...    0.5\nb                         1,000"
    )
