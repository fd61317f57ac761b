"""The same training with several values of its flags, each in its own directory: `--search`.

The values are those of a grid or, with `--search_trials`, chosen by Optuna. `sub_runs` does the runs, so that a search
that was killed continues; `search_results` stores their scores.
"""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import tensorflow as tf

from bert_tf2.checkpoints import listing
from bert_tf2.configs.fields import ACTIONS, CHECKPOINTS, flags_of
from bert_tf2.configs.training import DistributionConfig
from bert_tf2.configs.values import with_checked_values, with_values
from bert_tf2.errors import Diverged, InputError, counted
from bert_tf2.io import atomic, file_system, json_files, run_dir, run_files
from bert_tf2.tasks.finetuning import best_weights, report, search_report, search_trials, sub_runs
from bert_tf2.tasks.finetuning.best_weights import BestScore
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric, Results
from bert_tf2.tasks.finetuning.search_results import SearchResults, SearchRun
from bert_tf2.tasks.finetuning.search_space import SearchSpace, Settings, describe
from bert_tf2.tasks.finetuning.seeds import run_seeds
from bert_tf2.training.distribution import Workers, wait_for_all

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FinetuningConfig)


def run_search(config: Config, run: Callable[..., Results | None], strategy: tf.distribute.Strategy) -> Results | None:
    """Runs once, or several times for `--seeds` and `--search`.

    With `--search`, each run has the directory `output_dir/search/SETTINGS` and is evaluated with its best weights. At
    the end `search_results.json`, `.csv` and `search.html` list all runs, and `best/` has the weights of the best one,
    which are then used for the evaluation and prediction in `output_dir`.

    Args:
      config: the flags.
      run: trains, evaluates and predicts according to the flags; returns the results of the evaluation, None if there
        was none. With `predicts=False`, it does not predict.
      strategy: the devices.

    Returns:
      The results of the evaluation: with several seeds their means, with a search those of its best weights.

    Raises:
      InputError: a run has invalid settings, or the directory holds another search; or an error of `run`.
    """
    is_chief = Workers.of(strategy).is_chief
    if config.search_space is None:
        return run_seeds(config, run, is_chief)
    return _Search(config, config.search_space, run, strategy, is_chief).run_all()


@dataclasses.dataclass(frozen=True)
class _Search(Generic[Config]):
    config: Config
    space: SearchSpace
    run: Callable[..., Results | None]
    strategy: tf.distribute.Strategy
    is_chief: bool

    def run_all(self) -> Results | None:
        config = self.config
        planned = self.space.samples() if config.search_trials else self.space.grid()
        configs = [self._config(settings) for settings in planned]  # all of them, to report errors before the first run
        if config.search_trials:
            search_trials.check_installed()
        if config.dry_run:
            self._start()
            for settings, run_config in zip(planned, configs, strict=True):
                with _naming(settings):
                    run_seeds(run_config, self.run, self.is_chief)
            return None
        with run_dir.locked(config.output_dir) if self.is_chief else contextlib.nullcontext():
            results = self._start()
            if config.overwrite_output_dir and self.is_chief:
                file_system.remove(os.path.join(config.output_dir, run_files.SEARCH_RESULTS))
            count = config.search_trials or len(planned)
            for number, settings in enumerate(self._settings(results), 1):
                logger.info("***** Run %d of %d: %s *****", number, count, describe(settings))
                self._run_one(settings, results)
            return self._finish(results)

    def _start(self) -> SearchResults:
        """The results so far: those of an earlier search in the directory, unless it is to be overwritten."""
        config = self.config
        if listing.is_listed(config.output_dir):
            raise InputError(
                f"--search: {config.output_dir} holds a training, whose best weights the search would replace; give "
                "another --output_dir."
            )
        shared = self._shared_flags()
        if config.overwrite_output_dir:
            return SearchResults(config.output_dir, self.space.names, shared)
        return SearchResults.resume(config.output_dir, self.space.names, shared)

    def _shared_flags(self) -> dict[str, Any]:
        """The flags that all runs of a directory must share, so that their scores can be compared."""
        free = {field.name for field, setting in flags_of(type(self.config)) if setting.group in (ACTIONS, CHECKPOINTS)}
        free |= {field.name for field, _ in flags_of(DistributionConfig)}
        free |= {"output_dir", "report", "search", "search_trials", *self.space.names}
        return {name: value for name, value in sub_runs.plain_flags(self.config).items() if name not in free}

    def _config(self, settings: Settings) -> Config:
        """The flags of the run with these settings, which is evaluated with its best weights."""
        directory = os.path.join(self.config.output_dir, SearchRun(settings).directory)
        run_flags = {"search": None, "search_trials": None, "use_best": True, "output_dir": directory}
        with _naming(settings):
            return with_values(self.config, {**settings, **run_flags})

    def _settings(self, results: SearchResults) -> Iterator[Settings]:
        """Yields the settings of each run; with `--search_trials`, they depend on the results of the runs before."""
        if not self.config.search_trials:
            yield from self.space.grid()
            return
        yield from [run.settings for run in results.runs]
        while len(results.runs) < self.config.search_trials:
            settings = search_trials.suggest(self.space, results.runs, results.metric, self.config.seed)
            if settings is None:
                logger.info("--search: all settings have been tried, after %s.", counted(len(results.runs), "run"))
                return
            yield settings

    def _run_one(self, settings: Settings, results: SearchResults) -> None:
        earlier = results.find_run(settings)
        if earlier and earlier.error:
            logger.info("This run has ended without scores before: %s", earlier.error)
            return
        config = self._config(settings)
        try:
            with _naming(settings):
                scores = self._scores(config)
        except Diverged as error:
            logger.warning("%s", error)
            results.add(SearchRun(settings, error=str(error)))
        else:
            results.metric = self._best_of(config)[1].metric
            results.add(SearchRun(settings, scores, self._deviations(config)))
        if self.is_chief:
            results.save()

    def _scores(self, config: Config) -> Results:
        run = functools.partial(self.run, predicts=False)
        if config.all_seeds:
            results = run_seeds(config, run, self.is_chief)
        else:
            results = sub_runs.run_once(config, run, self.is_chief)
        assert results is not None, "a search evaluates"
        return results

    def _deviations(self, config: Config) -> Results:
        if not config.all_seeds:
            return {}
        path = os.path.join(config.output_dir, run_files.SEED_RESULTS)
        return json_files.with_nan(json_files.get(json_files.read_object(path), "standard_deviation", dict, path, {}))

    def _best_of(self, config: Config) -> tuple[str, BestScore]:
        """The directory of a run, or of the best of its seeds, and the score of its best weights."""
        seeds = [os.path.join(config.output_dir, f"{run_files.SEED_PREFIX}{seed}") for seed in config.all_seeds]
        best: tuple[str, BestScore] | None = None
        for directory in seeds or [config.output_dir]:
            score = BestScore.load(best_weights.directory_of(directory))
            if score is None:
                raise InputError(
                    f"{best_weights.directory_of(directory)} has no {run_files.BEST_SCORE}; remove {directory}, and "
                    "the run is made again."
                )
            if best is None or BestMetric(score.metric).is_better(score.value, best[1].value):
                best = directory, score
        assert best is not None
        return best

    # --- The end -----------------------------------------------------------------------------------------------------

    def _finish(self, results: SearchResults) -> Results | None:
        """Publishes the weights of the best run, evaluates and predicts with them, and logs all results."""
        best = results.best
        if best is None:
            raise InputError("--search: no run has a score; the log above says why. Search other values.")
        config = self._config(best.settings)
        if self.is_chief:
            self._publish(config)
        wait_for_all(self.strategy)
        final = self.run(self._for_evaluation(config))
        directory, paths = self.config.output_dir, results.paths
        if self.is_chief and self.config.report:
            page = os.path.join(directory, run_files.SEARCH_REPORT)
            paths += report.write_page(page, lambda: search_report.report(results))
        score = f"{results.metric} {best.score(str(results.metric)):.4f}"
        lines = [
            f"***** {counted(len(results.runs), 'run')} of the search *****",
            results.table(),
            *([f"Wrote {', '.join(paths)}."] if self.is_chief else []),
            f"The best run is {describe(best.settings)} ({score}); its weights are in "
            f"{best_weights.directory_of(directory)}: --use_best takes them.",
        ]
        logger.info("%s", "\n".join(lines))
        return final

    def _publish(self, config: Config) -> None:
        """Copies the best weights of a run into `best/` of the search, unless they are there already."""
        source, score = self._best_of(config)
        source = best_weights.directory_of(source)
        target = best_weights.directory_of(self.config.output_dir)
        run = os.path.relpath(os.path.dirname(source), self.config.output_dir)
        score = dataclasses.replace(score, run=run)
        names = [
            name
            for name in file_system.listdir(source)
            if file_system.isfile(os.path.join(source, name)) and not name.startswith(".")
        ]
        of_evaluation = (run_files.BEST_SCORE, run_files.NULL_THRESHOLD)
        compared = [name for name in names if name not in of_evaluation]
        if BestScore.load(target) == score and all(_is_same(source, target, name) for name in compared):
            return
        with atomic.directory(target, replaces=True) as directory:
            for name in names:
                file_system.copy(os.path.join(source, name), directory / name)
            score.save(directory)

    def _for_evaluation(self, config: Config) -> Config:
        """The flags that evaluate, and predict if requested, with `best/` of the search."""
        return with_checked_values(
            config, do_train=False, overwrite_output_dir=False, seeds=None, output_dir=self.config.output_dir
        )


@contextlib.contextmanager
def _naming(settings: Settings) -> Iterator[None]:
    """Adds the settings to error messages; divergence is passed on unchanged, as it does not stop the search."""
    try:
        yield
    except Diverged:
        raise
    except InputError as error:
        raise InputError(f"--search, {describe(settings)}: {error}") from None


def _is_same(directory: str, other: str, name: str) -> bool:
    """Whether two directories have the same file of this name."""
    path, other_path = os.path.join(directory, name), os.path.join(other, name)
    return file_system.isfile(other_path) and file_system.same_content(path, other_path)
