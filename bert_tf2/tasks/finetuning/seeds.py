"""Runs with several seeds, each in its own directory, and statistics of their results."""

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from bert_tf2.errors import counted
from bert_tf2.io import atomic, json_files, run_files
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.sub_runs import run_once

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FinetuningConfig)
Results = dict[str, float]


def run_seeds(config: Config, run: Callable[[Config], Results | None], is_chief: bool) -> Results | None:
    """Runs once, or once for each of `--seeds` in `output_dir/seed-N`.

    With several, `seed_results.json` in `output_dir` has the results of each, their means and standard deviations.

    Args:
      config: the flags.
      run: does all that the flags ask for; returns the results of the evaluation, None where there was none.
      is_chief: whether this process writes.

    Returns:
      The results; with several seeds their means.
    """
    if not config.all_seeds:
        return run(config)
    found: dict[int, Results] = {}
    for number, seed in enumerate(config.all_seeds, 1):
        logger.info("***** Seed %d (%d of %d) *****", seed, number, len(config.all_seeds))
        folder = os.path.join(config.output_dir, f"{run_files.SEED_PREFIX}{seed}")
        results = run_once(dataclasses.replace(config, seed=seed, seeds=None, output_dir=folder), run, is_chief)
        if results is not None:
            found[seed] = results
    if not found:
        return None
    means, deviations = summarise(found)
    logger.info("%s", "\n".join([f"***** {counted(len(found), 'seed')} *****", *_lines(found, means, deviations)]))
    if is_chief:
        path = os.path.join(config.output_dir, run_files.SEED_RESULTS)
        content = {
            "seeds": {seed: json_files.without_nan(results) for seed, results in found.items()},
            "mean": json_files.without_nan(means),
            "standard_deviation": json_files.without_nan(deviations),
        }
        with atomic.replacing(path) as file:
            file.write(json.dumps(content, indent=1) + "\n")
        logger.info("Wrote %s.", path)
    return means


def summarise(found: Mapping[int, Results]) -> tuple[Results, Results]:
    """Mean and standard deviation (of the sample; 0 for one seed) of each result, `global_step` left out."""
    names = [name for name in next(iter(found.values())) if name != "global_step"]
    columns = {name: np.array([results[name] for results in found.values()]) for name in names}
    means = {name: float(values.mean()) for name, values in columns.items()}
    deviations = {name: float(values.std(ddof=1)) if len(values) > 1 else 0.0 for name, values in columns.items()}
    return means, deviations


def _lines(found: Mapping[int, Results], means: Results, deviations: Results) -> list[str]:
    width = max(map(len, means))
    return [
        f"  {name:<{width}}  {means[name]:.4f} +- {deviations[name]:.4f}  "
        f"({', '.join(f'{results[name]:.4f}' for results in found.values())})"
        for name in means
    ]
