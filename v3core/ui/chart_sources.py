"""The charts of runs by name, each drawn from what is recorded now; `feed.py` sends them to every tab that looks."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import numpy as np

from v3core import metrics
from v3core.charts import expert_figures, figures
from v3core.charts.alarm_evidence import mark_alarms
from v3core.charts.branches import branches_figure
from v3core.charts.compare import compare_figure
from v3core.charts.figure import Figure
from v3core.charts.frame import drawn_words
from v3core.charts.look import AS_TRAINED, MAX_EPISODES, Look, along, episodes_of, unit_of
from v3core.charts.schedule import schedule_figure
from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum, setups_of
from v3core.environments.thresholds import reward_threshold
from v3core.errors import V3Error
from v3core.insight.duration import time_left
from v3core.jobs import control
from v3core.jobs.lifecycle import ACTIVE
from v3core.messages import Message, _, languages, say, speaking, spoken, translated
from v3core.metrics import COMPARED, Chart, of_chart
from v3core.recall import recalled
from v3core.store.alarms import MUTED, read_alarms
from v3core.store.database import Database
from v3core.store.pace import MeanReturn, read_mean
from v3core.store.run_row import RunRow, distinct_names
from v3core.store.runs import get_run
from v3core.ui.run_data import VisibleRange, load_seconds, load_series
from v3core.ui.status import ADVANCES, mean_words, number

NOTHING_RECORDED = _("This run did not record these metrics.")
NO_EPISODES = _("None of these runs has finished an episode yet.")
COMPARE = "compare"
BRANCHES = "branches"
OF_SEVERAL = (COMPARE, BRANCHES)
NUMBERS = "numbers"
MAX_RUNS = 64
MAX_MARKS = 12
"""Alarms that are marked on charts: the newest."""


@dataclass(frozen=True)
class Zoom:
    """The part of the x axis that is zoomed to, and the width of the chart."""

    start: float
    end: float
    pixels: int


@dataclass(frozen=True)
class Source:
    """Which chart a page shows: everything that it depends on but what is recorded."""

    chart: str
    """The name of one of `metrics.CHARTS`, `COMPARE`, or `NUMBERS`: those at the head of Live."""
    runs: tuple[str, ...]
    """Full ids: one, or those that are compared."""
    metric: str = "return"
    """What is compared."""
    look: Look = AS_TRAINED
    """How the charts of one run are looked at."""
    language: str = field(default_factory=spoken)
    """That its words are in: tabs of several languages may look at one run."""

    def __post_init__(self) -> None:
        if self.chart not in _DRAW:
            raise V3Error("There is no chart {chart!r}.", chart=self.chart)
        if not 1 <= len(self.runs) <= MAX_RUNS or (self.chart not in OF_SEVERAL and len(self.runs) > 1):
            raise V3Error("The chart {chart!r} cannot be drawn of {runs} runs.", chart=self.chart, runs=len(self.runs))
        if self.metric not in COMPARED:
            raise V3Error("There is no metric {metric!r} to compare.", metric=self.metric)
        if self.language not in languages():
            raise V3Error("There is no language {language!r}.", language=self.language)


class AsOfNow:
    """One run as it is recorded at one moment, read once for all of its charts, and only what they need."""

    def __init__(self, database: Database, run_id: str) -> None:
        """UnknownRunError if there is no such run."""
        self._database = database
        self.run = get_run(database, run_id)
        self._series: dict[VisibleRange | None, RunSeries] = {}

    @cached_property
    def curriculum(self) -> Curriculum:
        """That in force."""
        return control.current_curriculum(self._database, self.run.id)

    @cached_property
    def mean(self) -> MeanReturn:
        """Its mean return."""
        with self._database.read() as tx:
            return read_mean(tx, self.run)

    @cached_property
    def alarms(self) -> list[tuple[str, int, int]]:
        """Title, first and last episode of its newest alarms that are not muted, as stored."""
        rows = [row for row in read_alarms(self._database, self.run.id) if row.state != MUTED]
        return [(row.title, row.first_episode, row.last_episode) for row in rows[-MAX_MARKS:]]

    @property
    def environments(self) -> str:
        """What it trains in, one after another."""
        names = list(dict.fromkeys(map(str, setups_of(self.run.config.environment, self.curriculum))))
        return say(" then ").join(names)

    def series(self, visible: Zoom | None, look: Look = AS_TRAINED, unit: float | None = None) -> RunSeries:
        """Its episodes; the part of the axis that is zoomed to in smaller buckets. `unit`: as of `episodes_of`."""
        series = self._read(None)
        if look.x == "time":
            series = replace(series, seconds=load_seconds(self._database, self.run, series.curve))
        if visible is not None:
            part = np.clip(episodes_of(series, look, visible.start, visible.end, unit), 0, MAX_EPISODES)
            first, last = math.floor(part[0]) + 1, max(1, math.ceil(part[1]))
            finer = self._read(VisibleRange(first, last, visible.pixels, look.window))
            series = replace(series, view=finer.view)
        return replace(series, window=look.window)

    def _read(self, visible: VisibleRange | None) -> RunSeries:
        if visible not in self._series:
            self._series[visible] = load_series(self._database, self.run, self.curriculum, visible=visible)
        return self._series[visible]


def draw(runs: Sequence[AsOfNow], source: Source, visible: Zoom | None = None) -> dict[str, Any]:
    """The chart of these runs, those of the source; `visible` is the part of the x axis that is zoomed to."""
    with speaking(source.language):
        return _DRAW[source.chart](runs, source, visible)


def numbers_of(run: RunRow, mean: MeanReturn) -> dict[str, Any]:
    """The progress and the newest numbers of a run; moments are in seconds since 1970, and pages write their ages."""
    is_active = run.status in ACTIVE
    tiles = [
        _tile(_("Phase"), run.phase or "–"),
        _tile(mean_words(run, mean.count, _("Mean return")), number(mean.value)),
        _tile(_("Latest return"), number(run.latest_return)),
        _tile(_("Episodes"), f"{run.episode:,}", _("Complete episodes."))
        if run.length.is_by_steps
        else _tile(_("Steps"), f"{run.step:,}", _("Steps of all environments, also in unfinished episodes.")),
    ]
    if run.status in ADVANCES:
        tiles.append(_tile(_("Steps per second"), number(run.steps_per_second, 0)))
    return {
        "episode": run.episode,
        "part": round(run.part, 4),
        "progress": translated(run.progress_words),
        "heartbeat_at": _moment(run.heartbeat_at) if is_active else None,
        "left": translated(time_left(run.seconds_left)) if run.status in ADVANCES and run.seconds_left else "",
        "ended_at": None if is_active else _moment(run.ended_at),
        "tiles": tiles,
    }


def _tile(label: str, value: str, help: str = "") -> dict[str, str]:
    return {"label": translated(label), "value": translated(value), "help": translated(help)}


def _moment(at: datetime | None) -> float | None:
    return None if at is None else round(at.timestamp(), 1)


def _numbers(runs: Sequence[AsOfNow], *_: object) -> dict[str, Any]:
    return numbers_of(runs[0].run, runs[0].mean)


def _of_run(chart: Chart, make: Callable[[RunSeries, AsOfNow], Figure]) -> Callable[..., dict[str, Any]]:
    def drawn(runs: Sequence[AsOfNow], source: Source, visible: Zoom | None) -> dict[str, Any]:
        series = runs[0].series(visible, source.look)
        recorded = any(
            series.has(*(series.of_experts(metric.name) if metric.per_expert else [metric.name]))
            for metric in of_chart(chart)
        )
        figure = make(series, runs[0])
        if len(series) and chart not in (metrics.SCHEDULE, metrics.RETURN) and not recorded:
            figure.data.clear()
            figure.layout.meta.empty = translated(NOTHING_RECORDED)
        if caption := _caption(chart, series, source.look, recorded=recorded):
            figure.layout.meta.caption = translated(caption)
        if chart is metrics.RETURN and series.newest_at and runs[0].run.status in ACTIVE:
            figure.layout.meta.newest_at = _moment(series.newest_at)
        mark_alarms(figure, [(recalled(title), first, last) for title, first, last in runs[0].alarms])
        return along(figure, series, source.look).tree()

    return drawn


def _caption(chart: Chart, series: RunSeries, look: Look, *, recorded: bool) -> Message | str:
    """What is said below a chart of a run: how much is drawn, and what its means are over."""
    is_smoothed = look.window > 1 and chart not in (metrics.SUCCESS, metrics.SCHEDULE) and len(series) > 0
    words: Message | str = series.mean_words(exact=False) if is_smoothed else ""
    if chart is metrics.RETURN:
        words = drawn_words(series)
    has_means = is_smoothed or (chart in (metrics.RETURN, metrics.SUCCESS) and recorded)
    if not has_means or series.mean_over == 1 or len(series.starts) < 2:
        return words
    return _("{words}; moving means cross phases", words=words) if words else _("Moving means cross phases")


def _compared(runs: Sequence[AsOfNow], source: Source, visible: Zoom | None) -> dict[str, Any]:
    look = source.look
    names = distinct_names([one.run for one in runs])
    unit = unit_of([one.series(None, look) for one in runs], look)
    series = [replace(one.series(visible, look, unit), name=name) for one, name in zip(runs, names, strict=True)]
    environments = [one.environments for one in runs]
    figure = compare_figure(
        series,
        metric=source.metric,
        look=look,
        unit=unit,
        environments=environments,
        curricula=[one.run.curriculum for one in runs],
    )
    if not any(len(one) for one in series):
        figure.layout.meta.empty = translated(NO_EPISODES)
    return figure.tree()


def _branches(runs: Sequence[AsOfNow], source: Source, visible: Zoom | None) -> dict[str, Any]:
    drawn = {one.run.id for one in runs}
    begins = [(one.run.parent_episode or 0) if one.run.parent in drawn else 0 for one in runs]
    names = distinct_names([one.run for one in runs])
    series = [replace(one.series(visible, source.look), name=name) for one, name in zip(runs, names, strict=True)]
    figure = branches_figure(series, begins, [one.run.curriculum for one in runs])
    if not any(len(one) for one in series):
        figure.layout.meta.empty = translated(NO_EPISODES)
    return figure.tree()


def _simple(chart: Chart, figure: Callable[[RunSeries], Figure]) -> Callable[..., dict[str, Any]]:
    return _of_run(chart, lambda series, _: figure(series))


def _rows(chart: Chart) -> Callable[..., dict[str, Any]]:
    return _simple(chart, partial(figures.rows_figure, chart=chart))


def _return(series: RunSeries, at: AsOfNow) -> Figure:
    return figures.return_figure(series, threshold=reward_threshold(at.run.env))


def _schedule(series: RunSeries, at: AsOfNow) -> Figure:
    return schedule_figure(series, at.curriculum, at.run.config.base.values())


def loads_chart(form: str, metric: str) -> str:
    """The name of the chart of loads in a form of `expert_figures.loads_figure`."""
    return f"{form}-{metric}"


_DRAW: Mapping[str, Callable[..., dict[str, Any]]] = {
    metrics.RETURN.name: _of_run(metrics.RETURN, _return),
    metrics.SUCCESS.name: _simple(metrics.SUCCESS, figures.success_figure),
    metrics.LOADS.name: _simple(metrics.LOADS, figures.expert_loads_figure),
    metrics.ENTROPY.name: _simple(metrics.ENTROPY, figures.entropy_figure),
    metrics.EFFECTIVE.name: _simple(metrics.EFFECTIVE, figures.effective_experts_figure),
    metrics.GRADIENTS.name: _simple(metrics.GRADIENTS, figures.expert_gradients_figure),
    metrics.LOSSES.name: _rows(metrics.LOSSES),
    metrics.SCHEDULE.name: _of_run(metrics.SCHEDULE, _schedule),
    metrics.UPDATES.name: _rows(metrics.UPDATES),
    metrics.NETWORK.name: _rows(metrics.NETWORK),
    metrics.DECISIONS.name: _simple(metrics.DECISIONS, expert_figures.decisions_figure),
    **{
        loads_chart(form, metric): _simple(
            metrics.LOADS, partial(expert_figures.loads_figure, form=form, metric=metric)
        )
        for form in (expert_figures.AREA, expert_figures.HEATMAP)
        for metric in expert_figures.LOADS
    },
    COMPARE: _compared,
    BRANCHES: _branches,
    NUMBERS: _numbers,
}
