"""What a curriculum sets over a run, planned and in effect: steps as steps, ramps as ramps."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from v3core.charts.figure import Figure
from v3core.charts.frame import draw_phases, frame, plain_frame, progress_words, stack_rows
from v3core.charts.palette import METRICS as METRIC_COLOURS
from v3core.charts.palette import NEUTRAL
from v3core.charts.series import PhaseBand, RunSeries, boundaries_ahead, end_of_axis, phase_bands
from v3core.charts.traces import add_metric
from v3core.curriculum import (
    BaseValues,
    Curriculum,
    Length,
    Over,
    Phase,
    PhaseStart,
    Progress,
    Ramp,
    Until,
    planned_starts,
    settings_at,
)
from v3core.curriculum.knobs import COEFFICIENTS, KNOBS
from v3core.curriculum.model import ramps_of
from v3core.messages import Message, _, say
from v3core.metrics import SCHEDULE
from v3core.phrases import listed
from v3core.rollup import Floats

KNOB_TITLES: dict[str, str] = {
    name: _("{knob} coefficient", knob=knob.title) if name in COEFFICIENTS else knob.title
    for name, knob in KNOBS.items()
}

_ALWAYS = ("temperature", "lr")
_ROW_HEIGHT, _FRAME_HEIGHT, _LEAST_HEIGHT = 90, 60, 480
_POINTS_PER_PHASE = 80


def knobs_in_use(curriculum: Curriculum, base: BaseValues) -> list[str]:
    """The knobs to draw: temperature, learning rate, those that a phase sets, and coefficients that are not 0."""
    return [
        knob
        for knob in KNOBS
        if knob in _ALWAYS
        or any(getattr(phase, knob) is not None for phase in curriculum.phases)
        or (knob in COEFFICIENTS and getattr(base, knob) != 0)
    ]


def planned_curve(
    curriculum: Curriculum,
    episodes: int,
    base: BaseValues,
    knob: str,
    *,
    starts: Sequence[PhaseStart] = (),
    steps_at: Callable[[float], float] = lambda _: math.nan,
    steps: int | None = None,
    expected: Sequence[PhaseStart] = (),
) -> tuple[Floats, Floats]:
    """A setting as planned, as the corners and points of a line over completed episodes.

    Each phase contributes its first and its last value, and points between them for ramps to bend at and for the mouse
    to find; where two phases meet, both have a point at the same place, so that a step is drawn as a step. Phases that
    have begun are drawn from their actual `starts`. `steps_at` is the environment steps at a number of episodes, for
    ramps over steps; where it is NaN, the curve has a gap. `steps` is the length of the run in environment steps, if it
    has such a budget: the last ramp may end with it. Later phases begin where it is `expected`, or else as planned.
    """
    x: list[float] = []
    y: list[float] = []
    known = tuple(expected) or planned_starts(curriculum, starts)
    for index, (start, end) in enumerate(pairwise([*(one.episode for one in known), episodes])):
        if start >= episodes:
            break
        end = min(end, episodes)
        begun = known[: index + 1]
        # The steps at which a planned phase will begin are not known, so neither is a ramp over steps in it.
        is_known = index < max(len(starts), 1)
        over_steps = _ramps_over_steps(curriculum.phases[index], knob, to_budget=steps is not None)
        if over_steps and steps is not None and not is_known and not math.isnan(at := steps_at(start)):
            begun, is_known = (*begun[:-1], PhaseStart(start, int(at))), True
        # A ramp is read at whole episodes, as training reads it.
        inner = {round(point) for point in np.linspace(start, end, _POINTS_PER_PHASE).tolist()} - {start, end}
        for point in [start, *sorted(inner), end]:
            x.append(point)
            step = 0.0
            if over_steps:
                step = steps_at(point) if is_known else math.nan
            if math.isnan(step):
                y.append(math.nan)
            else:
                progress = Progress(point, episodes, int(step), begun, steps)
                y.append(float(getattr(settings_at(curriculum, progress, base), knob)))
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)


def schedule_figure(series: RunSeries, curriculum: Curriculum, base: BaseValues) -> Figure:
    """What the curriculum plans against what the router and the optimiser really used, one row per setting in use."""
    knobs = knobs_in_use(curriculum, base)
    height = max(_LEAST_HEIGHT, _FRAME_HEIGHT + _ROW_HEIGHT * len(knobs))
    alt = say(
        "Schedule of {name}, planned and in effect: {progress}.", name=series.name, progress=progress_words(series)
    )
    figure = frame(series, SCHEDULE.name, alt, height=height, legend=True, routing=True)
    axes = stack_rows(figure, [KNOB_TITLES[knob] for knob in knobs])
    for row, (knob, axis) in enumerate(zip(knobs, axes, strict=True)):
        title, colour = KNOB_TITLES[knob], METRIC_COLOURS[0]
        planned = say("{setting}, planned: {value}", setting=title, value="%{y:.4~g}") + "<extra></extra>"
        effective = say("{setting}, in effect: {value}", setting=title, value="%{y:.4~g}") + "<extra></extra>"
        plan = planned_curve(
            curriculum,
            series.end,
            base,
            knob,
            starts=series.starts,
            steps_at=_steps_at(series),
            steps=series.steps or None,
            expected=series.expected,
        )
        _add_plan(figure, plan, name=_("Planned"), colour=NEUTRAL, axis=axis, dash="dash", hover=planned)
        add_metric(figure, series.shown, knob, name=_("In effect"), colour=colour, axis=axis, width=2, hover=effective)
        if row:
            for trace in figure.data:
                if trace.yaxis == axis:
                    trace.showlegend = False
    return figure


def preview_of(curriculum: Curriculum, length: Length, base: BaseValues) -> Figure:
    """`curriculum_preview` of a run that may be planned in environment steps.

    Where all of its phases end by steps, it is drawn over them; otherwise over episodes, with room for the last phase,
    because how many episodes there will be is not known.
    """
    if not length.is_by_steps or length.steps is None:
        return curriculum_preview(curriculum, length.episodes, base)
    if any(phase.until is not None and phase.until.step is None for phase in curriculum.phases):
        return curriculum_preview(curriculum, end_of_axis(curriculum, None), base)
    return curriculum_preview(_with_steps_as_episodes(curriculum), length.steps, base, unit="step")


_SETTINGS_OVER = {
    "episode": _("Settings of curriculum {curriculum} over {length:,} episodes: {phases}."),
    "step": _("Settings of curriculum {curriculum} over {length:,} steps: {phases}."),
}


def _phase_words(band: PhaseBand, unit: str) -> Message:
    said = {"phase": band.name, "routing": band.routing, "end": band.end}
    if band.until:
        return _("{phase} ({routing}) until {until}", until=band.until, **said)
    if unit == "step":
        return _("{phase} ({routing}) to step {end:,}", **said)
    return _("{phase} ({routing}) to episode {end:,}", **said)


def _with_steps_as_episodes(curriculum: Curriculum) -> Curriculum:
    phases = []
    for phase in curriculum.phases:
        changes: dict[str, object] = {}
        if phase.until is not None:
            changes["until"] = Until(episode=phase.until.step)
        for knob, ramp in ramps_of(phase).items():
            if ramp.over is not None:
                over = None if ramp.over.steps is None else Over(episodes=ramp.over.steps)
                changes[knob] = ramp.model_copy(update={"over": over})
        phases.append(phase.model_copy(update=changes))
    return curriculum.model_copy(update={"phases": tuple(phases)})


def curriculum_preview(curriculum: Curriculum, episodes: int, base: BaseValues, *, unit: str = "episode") -> Figure:
    """Every setting in use over a run of `episodes`, one row each; the names of phases include the routing.

    `unit` is what they really are.
    """
    knobs = knobs_in_use(curriculum, base)
    bands = phase_bands(curriculum, episodes=episodes)
    planned = _SETTINGS_OVER[unit]
    each = [_phase_words(band, unit) for band in bands]
    figure = plain_frame(
        f"preview:{curriculum.name}:{episodes}",
        say(planned, curriculum=curriculum.name, length=episodes, phases=listed(each)),
        height=_FRAME_HEIGHT + _ROW_HEIGHT * len(knobs),
        end=episodes,
    )
    if unit == "step":
        figure.layout.xaxis.merge({"title": {"text": say("Environment steps")}})
        figure.layout.xaxis.unifiedhovertitle.text = say("Step {number}", number="%{x:,d}")
    boundaries = boundaries_ahead(curriculum, completed=0, episodes=episodes)
    draw_phases(figure, bands, boundaries, now=None, end=episodes, routing=True)
    axes = stack_rows(figure, [KNOB_TITLES[knob] for knob in knobs])
    for knob, axis in zip(knobs, axes, strict=True):
        plan = planned_curve(curriculum, episodes, base, knob)
        _add_plan(figure, plan, name=KNOB_TITLES[knob], colour=METRIC_COLOURS[0], axis=axis)
    return figure


def edit_preview(old: Curriculum, new: Curriculum, episodes: int, base: BaseValues, progress: Progress) -> Figure:
    """The settings that an edit changes, before and after it, from what was reached; one row each.

    `episodes` are those planned, or expected where steps are.

    Without a change of a number, the temperature is drawn.
    """
    curves = {
        knob: [planned_curve(one, episodes, base, knob, starts=progress.starts) for one in (old, new)]
        for knob in dict.fromkeys((*knobs_in_use(new, base), *knobs_in_use(old, base)))
    }
    changed = [knob for knob, (one, two) in curves.items() if not all(map(np.array_equal, one, two))] or ["temperature"]
    height = _FRAME_HEIGHT + _ROW_HEIGHT * (len(changed) + 1)
    alt = say(
        "Settings that the edit changes: {settings}; before and after.",
        settings=listed([KNOB_TITLES[knob] for knob in changed]),
    )
    figure = plain_frame(f"edit:{new.name}", alt, end=episodes, height=height, legend=True)
    bands = phase_bands(new, episodes=episodes, starts=progress.starts)
    draw_phases(figure, bands, (), now=progress.episode, end=episodes, routing=True)
    for row, (knob, axis) in enumerate(
        zip(changed, stack_rows(figure, [KNOB_TITLES[knob] for knob in changed]), strict=True)
    ):
        before, after = curves[knob]
        _add_plan(figure, before, name=_("In force"), colour=NEUTRAL, axis=axis, dash="dash")
        _add_plan(figure, after, name=_("After the edit"), colour=METRIC_COLOURS[0], axis=axis)
        if row:
            for trace in figure.data:
                if trace.yaxis == axis:
                    trace.showlegend = False
    return figure


def _add_plan(
    figure: Figure,
    planned: tuple[Floats, Floats],
    *,
    name: str,
    colour: str,
    axis: str,
    dash: str = "solid",
    hover: str = "%{y:.4~g}",
) -> None:
    x, y = planned
    line = {"color": colour, "width": 2, "dash": dash}
    figure.add(
        "scatter", x=x, y=y, name=name, legendgroup=name, yaxis=axis, mode="lines", line=line, hovertemplate=hover
    )
    figure.layout[f"yaxis{axis[1:]}"].rangemode = "tozero"


def _steps_at(series: RunSeries) -> Callable[[float], float]:
    """Environment steps by completed episodes, as recorded; then NaN, or evenly up to the budget of the run."""
    episode = np.concatenate(([0.0], series.curve.episode))
    step = np.concatenate(([0.0], series.curve.summary("step").last))
    if series.steps and series.end > series.completed:
        episode, step = np.append(episode, series.end), np.append(step, series.steps)
    return lambda complete: float(np.interp(complete, episode, step, right=np.nan))


def _ramps_over_steps(phase: Phase, knob: str, *, to_budget: bool) -> bool:
    value = getattr(phase, knob)
    if not isinstance(value, Ramp):
        return False
    if value.over is not None:
        return value.over.steps is not None
    return to_budget if phase.until is None else phase.until.step is not None
