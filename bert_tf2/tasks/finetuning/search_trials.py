"""Which settings a search with `--search_trials` tries next: Optuna's tree-structured Parzen estimator.

Nothing is kept but the runs themselves: the next settings follow from the seed and the finished runs alone, so that a
search that was killed continues as if it had not been.
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

_ATTEMPTS = 100  # to find settings that have not been tried
_DIGITS = 3  # of numbers between the ends of a range


def check_installed() -> None:
    """Raises `InputError` if Optuna is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise InputError("--search_trials needs Optuna: python -m pip install 'bert-tf2[search]'.") from None


def suggest(space: SearchSpace, tried: Sequence[SearchRun], metric: str | None, seed: int) -> Settings | None:
    """The next settings to try.

    Args:
      space: where they are.
      tried: the finished runs; those outside `space` are ignored.
      metric: name of the score that decides; None if there is no run with scores yet.
      seed: what the choice follows from, besides `tried`.

    Returns:
      Settings that have not been tried; None if none could be found.
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
        settings = {axis.name: _rounded(axis, values[axis.name]) for axis in space.axes}
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


def _rounded(axis: Choices | Range, value: Value) -> Value:
    """A number within a range with as many digits as people read."""
    if isinstance(axis, Choices) or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), float(axis.low)), float(axis.high))
