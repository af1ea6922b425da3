"""The player of replays: frames, the chart of all steps and what is known of a step, of one replay or of two in step.

The browser's part, which fetches frames and steps as they are looked at, are `replay_player.js` and what it is put
together with.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from v3core.charts.figure import Figure
from v3core.charts.patch import whole
from v3core.insight.explained import OBSERVATION
from v3core.jobs.replay_files import FRAMES_PER_SECOND
from v3core.messages import _, said
from v3core.ui.own_paths import path_of
from v3core.ui.plotly_js import PLOTLY_WORDS, versioned_address

_HTML = '<div class="v3-replay"></div>'
_FOLDER = Path(__file__).parent
_JS = "\n".join(
    (_FOLDER / f"{name}.js").read_text(encoding="utf-8")
    for name in ("plotly_page", "live_chart_patch", "replay_frames", "replay_view", "replay_player")
)
_CSS = (_FOLDER / "replay_player.css").read_text(encoding="utf-8")
_component = st.components.v2.component("v3_replay_player", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


_WORDS: dict[str, str] = {
    **PLOTLY_WORDS,
    "player": _("Player"),
    "play": _("Play"),
    "pause": _("Pause"),
    "play_meaning": _("Play or pause (space)"),
    "back": _("One step back (left arrow)"),
    "next": _("One step on (right arrow)"),
    "step": _("Step"),
    "speed": _("Speed"),
    "span": _("Steps that the chart shows"),
    "all_steps": _("All steps"),
    "steps": _("{steps} steps"),
    "with_key": _("{meaning} ({key})"),
    "none_here": _("None here. {meaning}"),
    "not_known": _("Not known without what each expert puts out. {meaning}"),
    "after": _("After {steps} steps"),
    "place": _("Step {step} of {steps}"),
    "failed": _("Charts cannot be drawn: {reason}. Reload the page to try again."),
    "drawing": _("The frame is being drawn …"),
    "frame": _("{title}, frame of step {step}"),
    "layer": _("Layer"),
    "head": _("Head"),
    "observation": OBSERVATION,
    "unreachable": _("There is no connection to the server; the step is shown when there is one again."),
}


@dataclass(frozen=True)
class Jump:
    """A button that goes to the next step of a kind."""

    name: str
    """As in `View.jumps`."""
    label: str
    meaning: str
    key: str
    """On the keyboard."""
    ordered: bool = False
    """Whether its steps are in the order in which they are gone to, and not in that of time."""


@dataclass(frozen=True)
class View:
    """One replay."""

    key: str
    """Stays the same as long as the same is shown."""
    title: str
    steps: int
    timeline: Figure
    frames: str
    """Where frames are fetched from, without `first` and `count`; empty if there are none."""
    no_frames: str
    """Why there are none."""
    frame_count: int | None
    """None while more are coming."""
    step: str
    """Where what is known of a step is fetched from, without `step`, `layer` and `head`."""
    step_known: str
    """Changes when more is known of the steps."""
    choices: dict[str, Any]
    """The layers and heads that a step can be looked at by, and a help text for each part: of `step_choices`."""
    jumps: dict[str, list[int] | None]
    """Steps of each kind, None for one that is not known."""


def replay_player(views: Sequence[View], jumps: Sequence[Jump], *, key: str, step: int, asked: str) -> None:
    """Show replays side by side, with one set of controls.

    Args:
        views: one or two.
        jumps: the buttons.
        key: of the component.
        step: where to begin, from 1, whenever `asked` changes.
        asked: names what was chosen.
    """
    data: dict[str, Any] = {
        "views": [_sent(view) for view in views],
        "jumps": [vars(jump) for jump in jumps],
        "framesPerSecond": FRAMES_PER_SECOND,
        "step": step,
        "asked": asked,
        "page": path_of("replay"),
        "plotly": versioned_address(),
        "words": _WORDS,
    }
    _component(key=key, data=said(data))


def _sent(view: View) -> dict[str, Any]:
    return {
        "key": view.key,
        "title": view.title,
        "steps": view.steps,
        "figure": json.dumps(whole(view.timeline.tree()), separators=(",", ":"), allow_nan=False),
        "frames": {"url": view.frames, "none": view.no_frames, "count": view.frame_count},
        "stepUrl": view.step,
        "stepKnown": view.step_known,
        "choices": view.choices,
        "jumps": view.jumps,
    }
