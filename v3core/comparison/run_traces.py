"""One metric of one run over its steps, small enough to be kept for every run of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from v3core.comparison.groups import final_environment
from v3core.errors import V3Error, suggestion
from v3core.insight.measures import Loads, loads_of, measured
from v3core.insight.recent import Recent
from v3core.insight.removals import largest_loss
from v3core.messages import _
from v3core.metrics import AT_EVALUATIONS, COMPARED, EVALUATION, KNOCKOUT, POOLED, WINDOWED
from v3core.phrases import sentences
from v3core.rollup import Floats, Integers, Series, trailing_mean
from v3core.store.curve import read_series
from v3core.store.database import Database
from v3core.store.expert_records import read_knockouts
from v3core.store.history import EvaluationMean, Stretch, read_evaluation_means, read_stretches, read_times
from v3core.store.phase_window import read_phase_window
from v3core.store.run_row import RunRow
from v3core.store.thinning import seconds_between

BUCKETS = 400
"""Most points of a run: twice as many as a grid has."""
_KEPT = 4096


@dataclass(frozen=True)
class Trace:
    """A metric at ascending places of a run, each of shape [points]."""

    episode: Integers
    step: Floats
    values: Floats
    """As `measured` of the bucket that ends there, or the mean of the evaluation there; NaN if there is no number."""
    counts: Integers
    """Numbers that each is the mean of."""
    size: int = 1
    """Episodes per bucket."""
    pooled: tuple[str, Loads] | None = None
    """Of a metric of `POOLED`: its name, and what it is computed from."""

    def episode_at(self, step: float) -> int:
        """The newest of its episodes by a step; 0 before the first."""
        before = np.flatnonzero(self.step <= step)
        return int(self.episode[before[-1]]) if len(before) else 0

    def whole_buckets(self, window: int) -> int:
        """A number of episodes, rounded up to whole buckets."""
        return -(-window // self.size) * self.size

    def trailing(self, window: int) -> Floats:
        """Over the last `window` episodes, rounded up to whole buckets; NaN before there are as many."""
        buckets = self.whole_buckets(window) // self.size
        if buckets <= 1:
            return self.values
        if self.pooled is None:
            means = trailing_mean(self.values, buckets, self.counts)
        else:
            metric, loads = self.pooled
            means = loads.trailing(metric, buckets)
        means[: buckets - 1] = np.nan
        return means


@dataclass(frozen=True)
class Final:
    """The final value of a run."""

    value: float
    """NaN if no episode has a number."""
    episodes: int | None
    """Of the phase in force, that it is over; None if it is not over a number of episodes."""


Key = tuple[str, str, int, int, str]
_traces: Recent[Key, Trace] = Recent(_KEPT)
_finals: Recent[tuple[Key, int, int], Final] = Recent(_KEPT)
_crossings: Recent[tuple[Key, int, int], float] = Recent(_KEPT)


def window_of(runs: Sequence[RunRow]) -> int:
    """Episodes that lines and final values are means of: as suits the shortest run, also if its steps end it."""
    return min((run.mean_window for run in runs), default=1)


def traces_of(database: Database, runs: Sequence[RunRow], metric: str) -> list[Trace]:
    """The trace of each run; those that were read before, and are the same still, are not read again.

    Raises:
        V3Error: for a metric that does not exist, or records that are damaged.
    """
    found = {run.id: _traces.get(_key(database, run, metric)) for run in runs}
    missing = [run for run in runs if found[run.id] is None]
    is_evaluated = metric in AT_EVALUATIONS
    evaluated = read_evaluation_means(database, [run.id for run in missing]) if is_evaluated else {}
    for run in missing:
        if is_evaluated:
            made = _of_evaluations(database, run, evaluated[run.id], metric)
        else:
            made = _of_episodes(database, run, metric)
        found[run.id] = made
        if metric != KNOCKOUT and (run.ended_at is not None or not is_evaluated):
            # An evaluation may be recorded without an episode before the end of a run, a knock-out at any time.
            _traces.put(_key(database, run, metric), made)
    return [trace for run in runs if (trace := found[run.id]) is not None]


def _key(database: Database, run: RunRow, metric: str) -> Key:
    return database.url, run.id, run.generation, run.episode, metric


def final_value(database: Database, run: RunRow, metric: str, last: int, window: int) -> Final:
    """Mean of a metric over the `window` episodes up to `last`, without those of a phase before that of `last`.

    Of one of `WINDOWED`, the last number among them; of one of `POOLED`, over their steps together, but for episodes
    that began before the phase.
    """
    key = _key(database, run, metric), last, window
    found = _finals.get(key)
    return found if found is not None else _finals.put(key, _final_value(database, run, metric, last, window))


def _final_value(database: Database, run: RunRow, metric: str, last: int, window: int) -> Final:
    here = read_phase_window(database, run.id, last=last, most=window)
    series = read_series(database, run.id, first=here.after + 1, last=last)
    values, counts = measured_or_error(series, metric)
    within = (series.episode > here.after) & (series.episode <= last) & (counts > 0)
    if metric in WINDOWED:
        return Final(float(values[within][-1]) if within.any() else np.nan, None)
    if metric in POOLED:
        own = within & ~(series.summary("phase_steps").mean < series.summary("length").mean)
        pooled = loads_of(series).only(own).trailing(metric, max(int(own.sum()), 1))
        return Final(float(pooled[-1]) if own.any() else np.nan, here.count)
    mean = float(np.average(values[within], weights=counts[within])) if within.any() else np.nan
    return Final(mean, here.count)


def crossing_step(
    database: Database, run: RunRow, metric: str, after: int, last: int, threshold: float, window: int
) -> float:
    """The step of the first episode beyond `after` at which the mean of the last `window` is at least a threshold.

    Args:
        database: an open store.
        run: whose episodes are read one by one, from `window` before.
        metric: of episodes.
        after: a number of episodes at which the mean was below it; 0 for none.
        last: one at which it is not.
        threshold: in the unit of the metric.
        window: a number of episodes.
    """
    key = _key(database, run, f"{metric} ≥ {threshold!r} beyond {after}"), last, window
    found = _crossings.get(key)
    if found is not None:
        return found
    return _crossings.put(key, _crossing(database, run, *key[1:], metric, after, threshold))


def _crossing(
    database: Database, run: RunRow, last: int, window: int, metric: str, after: int, threshold: float
) -> float:
    first = max(after - window + 2, 1)
    series = read_series(database, run.id, first=first, last=last, width=last - first + 1)
    values, counts = measured_or_error(series, metric)
    means = trailing_mean(values, window, counts)
    means[: max(window - first, 0)] = np.nan  # before there are as many episodes
    here = np.flatnonzero((series.episode > after) & (means >= threshold))
    # By rounding the last of them may be a hair below, though the buckets say that it is not.
    return float(series.summary("step").last[here[0] if len(here) else -1])


def forget() -> None:
    """Forget what is kept."""
    _traces.clear()
    _finals.clear()
    _crossings.clear()


def _of_evaluations(database: Database, run: RunRow, rows: Sequence[EvaluationMean], metric: str) -> Trace:
    """Evaluations in the environment of the last phase: returns of others have another scale."""
    env = _evaluated_in(run)
    here = [row for row in rows if row.env == env]
    if metric == KNOCKOUT:
        losses = {row.episode: largest_loss(row.complete, row.without) for row in read_knockouts(database, run.id)}
        here = [row for row in here if row.episode in losses]
        values = [losses[row.episode] for row in here]
    else:
        values = [row.mean if metric == EVALUATION else row.success for row in here]
    places = np.array([(row.episode, row.step, row.count) for row in here], dtype=np.int64).reshape(-1, 3)
    return Trace(places[:, 0], places[:, 1].astype(np.float64), np.array(values, dtype=np.float64), places[:, 2])


def _evaluated_in(run: RunRow) -> str:
    """As rows of evaluations name it."""
    try:
        return str(final_environment(run))
    except V3Error:
        return run.env


def _of_episodes(database: Database, run: RunRow, metric: str) -> Trace:
    curve = read_series(database, run.id, width=BUCKETS)
    values, counts = measured_or_error(curve, metric)
    has = curve.summary("length").count > 0
    pooled = (metric, loads_of(curve).only(has)) if metric in POOLED else None
    return Trace(curve.episode[has], curve.summary("step").last[has], values[has], counts[has], curve.size, pooled)


def measured_or_error(curve: Series, metric: str) -> tuple[Floats, Integers]:
    """As `measured`; a V3Error for a metric that does not exist."""
    try:
        return measured(curve, metric)
    except KeyError:
        known = (*COMPARED, *curve.metrics)
        raise V3Error(
            sentences(_("There is no metric '{metric}'.", metric=metric), suggestion(metric, known))
        ) from None


def training_seconds(database: Database, run: RunRow, episodes: Integers) -> Floats:
    """Seconds of training until each of these episodes was recorded, without the queue and pauses; NaN if unknown."""
    stretches = read_stretches(database, [run.id])[run.id]
    times = read_times(database, run.id, episodes.tolist())
    seconds = {episode: _trained(stretches, at) for episode, at in times.items()}
    return seconds_between(database, run, episodes, seconds, lambda at: _trained(stretches, at))


def _trained(stretches: Sequence[Stretch], until: datetime) -> float:
    if not stretches:
        return np.nan
    parts = ((min(end or until, until) - begin).total_seconds() for begin, end in stretches if begin < until)
    return sum(parts)
