"""The choice of settings for `--search_trials`: Optuna's tree-structured Parzen estimator.

Nothing but the runs is stored: the next settings depend only on the seed and the finished runs, so that a search that
was killed continues as if it had not been.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_tf2.configs.values import Value
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric
from bert_tf2.tasks.finetuning.search_results import SearchRun
from bert_tf2.tasks.finetuning.search_space import Choices, Range, SearchSpace, Settings

_ATTEMPTS = 100  # at finding settings that have not been tried
_DIGITS = 3  # significant digits of numbers from a range


def check_installed() -> None:
    """Raises `InputError` if Optuna is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise InputError("--search_trials needs Optuna: python -m pip install 'bert-tf2[search]'.") from None


def suggest(space: SearchSpace, tried: Sequence[SearchRun], metric: str | None, seed: int) -> Settings | None:
    """The next settings to try.

    Args:
      space: the settings to choose from.
      tried: the finished runs; those outside `space` are ignored.
      metric: name of the score by which runs are compared; None if no run has scores yet.
      seed: determines the choice, together with `tried`.

    Returns:
      Settings that have not been tried; None if none are found.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {axis.name: _distribution(axis) for axis in space.axes}
    lower_is_better = metric is not None and BestMetric(metric).lower_is_better
    study = optuna.create_study(direction="minimize" if lower_is_better else "maximize")
    for run in tried:
        if space.has(run.settings):
            score = run.score(metric) if metric else math.nan
            outcome: dict[str, Any] = {"value": score}
            if math.isnan(score):
                outcome = {"state": optuna.trial.TrialState.FAIL}
            trial = optuna.trial.create_trial(params=dict(run.settings), distributions=distributions, **outcome)
            study.add_trial(trial)
    for attempt in range(_ATTEMPTS):
        number = np.random.SeedSequence([seed, len(tried), attempt]).generate_state(1)[0]
        study.sampler = optuna.samplers.TPESampler(seed=int(number))
        values = study.ask(distributions).params
        settings = {axis.name: _round(axis, values[axis.name]) for axis in space.axes}
        if all(run.settings != settings for run in tried):
            return settings
    return None


def _distribution(axis: Choices | Range) -> Any:
    from optuna import distributions

    if isinstance(axis, Choices):
        return distributions.CategoricalDistribution(axis.values)
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return distributions.IntDistribution(axis.low, axis.high, log=axis.is_log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.is_log)


def _round(axis: Choices | Range, value: Value) -> Value:
    """Rounds a number from a range to a few significant digits, without leaving the range."""
    if isinstance(axis, Choices) or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), float(axis.low)), float(axis.high))
