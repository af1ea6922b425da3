"""The columns of the list of runs, each declared once: title, meaning, cells and the order that sorting gives.

Pure functions: rows in, plain values out, which `run_table.js` draws.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from v3core.charts.palette import curriculum_colour, curriculum_mark
from v3core.insight.duration import time_left
from v3core.jobs.kinds import trains_elsewhere
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.lifecycle import ACTIVE, Status, status_title
from v3core.messages import _
from v3core.phrases import listed, ordinal, strung
from v3core.recall import recalled
from v3core.rollup import MEAN_WINDOW, Floats
from v3core.store.history import Stretch
from v3core.store.pace import MeanReturn
from v3core.store.run_row import RunRow
from v3core.ui.status import ADVANCES, age, look, mean_words, number, took

Cell = dict[str, Any]
Sortable = float | str | None

_HEIGHT = 100
"""Steps of a sparkline's vertical axis."""
_REASON = 80
"""Characters of a reason below a name; the rest is shown after a click."""
_EXPLAINED = (Status.FAILED, Status.LOST, Status.UNREADABLE)


@dataclass(frozen=True)
class Wall:
    """What cells need besides the row of their run."""

    places: Mapping[str, int] = field(default_factory=dict)
    """Run id to its place in the queue, from 1."""
    sparklines: Mapping[str, Floats] = field(default_factory=dict)
    differences: Mapping[str, float] = field(default_factory=dict)
    """Run id to the difference of its mean return from the baseline's; without those that cannot be compared."""
    alarms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Run id to the titles of its active alarms."""
    means: Mapping[str, MeanReturn] = field(default_factory=dict)
    """Run id to its mean return."""
    stretches: Mapping[str, Sequence[Stretch]] = field(default_factory=dict)
    """Run id to the times in which it trained."""
    baseline: RunRow | None = None
    now: datetime | None = None
    of_experiment: bool = False
    """Whether all runs are of one experiment, so that their rows do not name it."""


@dataclass(frozen=True)
class Column:
    """A column of the list."""

    title: str
    meaning: str
    cell: Callable[[RunRow, Wall], Cell]
    order: Callable[[RunRow, Wall], Sortable] | None = None
    """What it is sorted by; None where there is nothing to sort by."""
    shown: bool = True
    """Whether it is there until somebody chooses other columns."""
    is_number: bool = False
    """Right-aligned, and sorted with the largest first."""


def _status(run: RunRow, wall: Wall) -> Cell:
    colour, _icon, meaning = look(run)
    notes: list[str] = []
    if host := trains_elsewhere(run):
        notes.append(_("on host {host}", host=host))
    if place := wall.places.get(run.id):
        notes.append(
            _("{place} in the queue, priority {priority}", place=ordinal(place), priority=run.priority)
            if run.priority
            else _("{place} in the queue", place=ordinal(place))
        )
    return {"badge": status_title(run.status), "colour": colour, "title": meaning, "notes": notes}


def _progress(run: RunRow, _wall: Wall) -> Cell:
    return {"part": round(run.part, 3), "text": progress_text(run)}


def progress_text(run: RunRow) -> str:
    """As in `130 of 800 · warmup · about 2 min left`; of a run that is complete without the phase."""
    parts = [
        _("{episode:,} of {episodes:,}", episode=run.episode, episodes=run.episodes)
        if run.steps is None
        else run.progress_words
    ]
    if run.phase and run.part < 1:
        parts.append(run.phase)
    if run.status in ADVANCES and run.seconds_left:
        parts.append(time_left(run.seconds_left))
    return strung(" · ", parts)


def _curve(run: RunRow, wall: Wall) -> Cell:
    line = wall.sparklines.get(run.id, np.empty(0))
    known = line[np.isfinite(line)]
    if not len(known):
        return {"text": "–", "title": _("No episode has finished yet.")}
    low, high = known.min(), known.max()
    scale = _HEIGHT / (high - low) if high > low else 0.0
    points = [round((value - low) * scale) if math.isfinite(value) else None for value in line.tolist()]
    alt = _(
        "Return from {number} to {number2}, lowest {low}, highest {high}",
        number=number(known[0]),
        number2=number(known[-1]),
        low=number(low),
        high=number(high),
    )
    return {
        "spark": points if high > low else [_HEIGHT // 2 if point is not None else None for point in points],
        "text": alt,
    }


def _mean(run: RunRow, wall: Wall) -> Cell:
    mean = wall.means.get(run.id, MeanReturn(run.mean_return, 0))
    return {"text": number(mean.value), "title": mean_words(run, mean.count, _("Mean return"))}


def _difference(run: RunRow, wall: Wall) -> Cell:
    if wall.baseline is None:
        return {"text": "–", "title": _("No baseline is pinned.")}
    if run.id == wall.baseline.id:
        return {"text": "baseline", "title": _("The others are compared with this run.")}
    if run.env != wall.baseline.env:
        return {"text": "–", "title": _("Not comparable: the baseline was trained on {env}.", env=wall.baseline.env)}
    difference = wall.differences.get(run.id, math.nan)
    if not math.isfinite(difference):
        return {"text": "–", "title": _("One of the two runs has no returns at the same episode.")}
    at = min(run.episode, wall.baseline.episode)
    return {
        "text": f"{'+' if difference > 0 else '−' if difference < 0 else '±'}{number(abs(difference))}",
        "title": _(
            "Up to episode {at:,} of both runs. One run each: a difference between two seeds proves nothing.", at=at
        ),
    }


def _alarms(run: RunRow, wall: Wall) -> Cell:
    titles = wall.alarms.get(run.id)
    if not run.has_alarms_recorded:
        return {"text": "–", "title": _("Not recorded while it trained; Live computes them.")}
    if not titles:
        return {"text": "", "title": _("No active alarms.")}
    return {
        "badge": str(len(titles)),
        "colour": "orange",
        "title": _("Active alarms: {titles}.", titles=listed(titles)),
        "notes": [],
    }


def _words(value: Callable[[RunRow], object]) -> Callable[[RunRow, Wall], Cell]:
    return lambda run, _wall: {"text": str(value(run) or "–")}


def _text_order(value: Callable[[RunRow], str | None]) -> Callable[[RunRow, Wall], Sortable]:
    def order(run: RunRow, _wall: Wall) -> Sortable:
        found = value(run)
        return found.lower() if found else None

    return order


def seconds_trained(run: RunRow, now: datetime | None = None, stretches: Sequence[Stretch] = ()) -> float | None:
    """How long it has trained so far, in all its stretches; None if it has not begun.

    Without `stretches`, or if they are not of the newest start, it is the time from that to the end, or to now.
    """
    if run.started_at is None:
        return None
    until = _trained_until(run, now)
    if run.started_at not in {began for began, _ in stretches}:
        stretches = [(run.started_at, None)]
    ends = [(began, end if until is None else min(end or until, until)) for began, end in stretches]
    seconds = [max(0.0, (end - began).total_seconds()) for began, end in ends if end is not None]
    return sum(seconds) if seconds else None


def _trained_until(run: RunRow, now: datetime | None) -> datetime | None:
    """Up to when it can have trained; None if it waits for being resumed."""
    if run.status in ACTIVE:
        return now or datetime.now(UTC)
    if run.ended_at is None or run.started_at is None or run.ended_at < run.started_at:
        return None
    # That a process is gone may be noticed days later.
    return min(run.ended_at, run.heartbeat_at or run.ended_at) if run.status == Status.LOST else run.ended_at


def _duration(run: RunRow, wall: Wall) -> float | None:
    return seconds_trained(run, wall.now, wall.stretches.get(run.id, ()))


def _began(run: RunRow) -> datetime:
    return run.started_at or run.created_at


_ORDER = {status: place for place, status in enumerate(Status)}

COLUMNS: Mapping[str, Column] = {
    "name": Column(
        _("Run"),
        _("Its name, what the name does not say, and why it failed."),
        lambda run, _wall: {"text": run.name},
        _text_order(lambda run: run.name),
    ),
    "status": Column(
        _("Status"),
        _("What it is doing, or how it ended."),
        _status,
        lambda run, _wall: float(_ORDER[Status(run.status)]),
    ),
    "progress": Column(
        _("Progress"),
        _("Episodes or environment steps of those planned, the phase, and the time left."),
        _progress,
        lambda run, _wall: run.part,
    ),
    "curve": Column(
        _("Return"),
        _(
            "Mean return over the run: each point is of equally many episodes, the last of those so far. Each row "
            "has its own scale, from its lowest to its highest."
        ),
        _curve,
    ),
    "alarms": Column(
        _("Alarms"),
        _("Number of active alarms; Live says what they are and what helps."),
        _alarms,
        lambda run, wall: float(len(wall.alarms[run.id])) if run.id in wall.alarms else None,
    ),
    "mean": Column(
        _("Mean"),
        _(
            "Mean return of the newest episodes of the phase that the run is in: {window}; of all in the phase while "
            "there are fewer.",
            window=MEAN_WINDOW,
        ),
        _mean,
        lambda run, _wall: run.mean_return,
        is_number=True,
    ),
    "latest": Column(
        _("Latest return"),
        _("Return of the newest episode."),
        lambda run, _wall: {"text": number(run.latest_return)},
        lambda run, _wall: run.latest_return,
        shown=False,
        is_number=True,
    ),
    "difference": Column(
        _("vs. baseline"),
        _(
            "Mean return minus the baseline's, both over the same window up to the last episode that both have, and "
            "each of the phase that its run was in then. One run each: a difference between two seeds proves nothing."
        ),
        _difference,
        lambda run, wall: wall.differences.get(run.id),
        is_number=True,
    ),
    "duration": Column(
        _("Duration"),
        _("How long it has trained, without pauses; of a resumed run all its stretches together."),
        lambda run, wall: {"text": took(_duration(run, wall))},
        lambda run, wall: _duration(run, wall),
        is_number=True,
    ),
    "started": Column(
        _("Started"),
        _("When it was launched or last resumed."),
        lambda run, wall: {
            "text": _("{now} ago", now=age(_began(run), wall.now)),
            "title": f"{_began(run):%Y-%m-%d %H:%M} UTC",
        },
        lambda run, _wall: _began(run).timestamp(),
        is_number=True,
    ),
    "tags": Column(
        _("Tags"),
        _("Words that people gave it."),
        lambda run, _wall: {"tags": (run.tags or "").split()},
        _text_order(lambda run: run.tags),
    ),
    "env": Column(
        _("Environment"), _("Its id."), _words(lambda run: run.env), _text_order(lambda run: run.env), shown=False
    ),
    "curriculum": Column(
        _("Curriculum"),
        _("Name of the curriculum in force."),
        lambda run, _wall: {
            "text": run.curriculum,
            "mark": curriculum_mark(run.curriculum),
            "colour": curriculum_colour(run.curriculum),
        },
        _text_order(lambda run: run.curriculum),
        shown=False,
    ),
    "seed": Column(
        _("Seed"),
        _("Of the network, the environments and the routing noise."),
        lambda run, _wall: {"text": str(run.seed)},
        lambda run, _wall: float(run.seed),
        shown=False,
        is_number=True,
    ),
    "experiment": Column(
        _("Experiment"),
        _("The group of runs that it was started with."),
        _words(lambda run: run.experiment),
        _text_order(lambda run: run.experiment),
        shown=False,
    ),
    "notes": Column(
        _("Notes"),
        _("What people wrote about it."),
        _words(lambda run: run.notes),
        _text_order(lambda run: run.notes),
        shown=False,
    ),
}
"""By name, in their order. `name` is always there, `difference` while a baseline is pinned."""

CHOICES = [name for name in COLUMNS if name not in ("name", "difference")]
"""Columns that can be chosen."""
DEFAULT = [name for name in CHOICES if COLUMNS[name].shown]
SORTABLE = [name for name, column in COLUMNS.items() if column.order is not None]


def sorted_runs(runs: Sequence[RunRow], sort: str, wall: Wall) -> list[RunRow]:
    """By a column, descending after a minus sign; runs without a value are last. An unknown column changes nothing."""
    name = sort.removeprefix("-")
    column = COLUMNS.get(name)
    if column is None or column.order is None:
        return list(runs)
    values = {run.id: column.order(run, wall) for run in runs}
    known = [run for run in runs if _is_known(values[run.id])]
    known.sort(key=lambda run: values[run.id], reverse=sort.startswith("-"))  # type: ignore[arg-type, return-value]
    return known + [run for run in runs if not _is_known(values[run.id])]


def _is_known(value: Sortable) -> bool:
    return value is not None and value == value


def row(run: RunRow, columns: Sequence[str], wall: Wall) -> dict[str, Any]:
    """A row of the table as the browser draws it."""
    known = {*columns, "experiment"} if wall.of_experiment else set(columns)
    about = [fact for name, fact in _facts(run).items() if name not in known]
    reason = recalled(run.reason) if run.reason and run.status in _EXPLAINED else None
    waits = chosen().waits_for(run) if run.status == Status.QUEUED else None
    return {
        "id": run.id,
        "name": run.name,
        "about": strung(" · ", about),
        "waits": recalled(waits) if waits else None,
        "reason": shortened(reason) if reason else None,
        "whole_reason": " ".join(reason.split()) if reason else None,
        "cells": [COLUMNS[name].cell(run, wall) for name in columns if name != "name"],
    }


def _facts(run: RunRow) -> dict[str, str]:
    """Facts that the name does not say, by column."""
    facts = {"curriculum": run.curriculum, "env": run.env, "seed": f"seed {run.seed}"}
    # `seed 1` does not stand in `seed 12`
    facts = {name: fact for name, fact in facts.items() if not re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", run.name)}
    return {**facts, "experiment": run.experiment} if run.experiment else facts


def shortened(text: str, characters: int = _REASON) -> str:
    """The beginning of a text, cut between two words."""
    line = " ".join(text.split())
    if len(line) <= characters:
        return line
    return f"{line[: characters + 1].rsplit(' ', 1)[0][:characters].rstrip(' .,;:')} …"
