"""How all charts of Live are looked at: one row of controls above them, whose state is in the address."""

from collections.abc import Mapping

import streamlit as st

from v3core.charts.look import MAX_WINDOW, Axis, Look
from v3core.messages import _, say
from v3core.ui.option_labels import follow_language
from v3core.ui.text import md, plain

_AXES: Mapping[str, Axis] = {_("Episode"): "episode", _("Step"): "step", _("Time"): "time", _("Since"): "episode"}
_SINCE = _("Since")
_WINDOWS = {_("Default"): 0, _("None"): 1, "10": 10, "100": 100}
_OTHER = _("Other")
_PLAN, _SO_FAR = _("Whole plan"), _("So far")


def zoom_group(what: str, look: Look) -> str:
    """The charts of a run, or of what else is looked at, share their zoom; that of another axis is another one."""
    return f"{what}-{look.x}-{look.since}-{look.phase}"


def look_controls(starts: Mapping[str, int], *, compared: bool = False, steps_planned: bool = False) -> Look:
    """The controls, and what is chosen; `starts` is the name of each phase that began to the episodes before it.

    Of `compared` runs the names alone count: in each run a phase has a start of its own. With `steps_planned`, the end
    of the plan is known on the axis of steps too.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axes = [name for name in _AXES if name != _SINCE or len(starts) > 1]
        follow_language("axis", axes, plain)
        axis = st.segmented_control(
            md("X axis"),
            axes,
            format_func=plain,
            default=_("Episode"),
            required=True,
            key="axis",
            bind="query-params",
            help=md(
                "Steps are those of all environments. Time is that on the clock since the run was created, with "
                "pauses. Since counts episodes from the start of a phase."
            ),
        )
        since, phase = 0, None
        if axis == _SINCE:
            phases = list(starts)[1:]
            phase = st.selectbox(
                md("Since the start of"),
                phases,
                key="since",
                bind="query-params",
                width=200,
                placeholder=say("Choose an option"),
            )
            since = starts.get(phase or "", 0)
        follow_language("smooth", [*_WINDOWS, _OTHER], plain)
        smooth = st.segmented_control(
            md("Mean over episodes"),
            [*_WINDOWS, _OTHER],
            format_func=plain,
            default=_("Default"),
            required=True,
            key="smooth",
            bind="query-params",
            help=md(
                "Lines are the mean of that many episodes, computed from every episode; behind them is what they "
                "are made of. A line starts once there are as many. That of a shorter run is dotted, over the "
                "episodes so far; so are points where some episodes have no number. By default, return and success "
                "have a mean; others show every value. Metrics that are over several episodes already, such as dead "
                "experts, are never averaged again."
            ),
        )
        window = _WINDOWS.get(smooth or "", 0)
        if smooth == _OTHER:
            window = st.slider(md("Episodes"), 2, MAX_WINDOW, 50, key="window", bind="query-params", width=200)
        extent = _SO_FAR
        if axis in ("Episode", _SINCE) or (axis == "Step" and steps_planned):
            follow_language("extent", [_PLAN, _SO_FAR], plain)
            extent = st.segmented_control(
                md("Extent"),
                [_PLAN, _SO_FAR],
                format_func=plain,
                default=_PLAN,
                required=True,
                key="extent",
                bind="query-params",
            )
    of_each = (phase or "") if compared else ""
    return Look(_AXES.get(axis or "", "episode"), 0 if compared else since, of_each, window, extent == _SO_FAR)
