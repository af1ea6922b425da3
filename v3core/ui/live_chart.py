"""A plotly chart that stays the same DOM node while its data changes: zoom, legend clicks and hover survive a tick.

The chart of a run is sent what is new of it while it is looked at (`push.py`); that of a curriculum that is being
edited is sent with the page. The browser's part are the files `live_chart*.js`.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from v3core.charts.figure import Figure
from v3core.charts.patch import whole
from v3core.messages import _, said, spoken, translated
from v3core.ui import chart_rows, push
from v3core.ui.chart_sources import Source
from v3core.ui.language import tag
from v3core.ui.plotly_js import PLOTLY_WORDS, versioned_address

_HTML = """
<div class="v3-chart" role="group">
  <div class="v3-chart-plot"></div>
  <div class="v3-chart-overlay"></div>
  <div class="v3-chart-message" role="status"></div>
</div>
<div class="v3-chart-foot">
  <div class="v3-chart-caption"></div>
  <div class="v3-chart-tools" role="group" hidden></div>
</div>
"""

_FOLDER = Path(__file__).parent
_CSS = (_FOLDER / "live_chart.css").read_text(encoding="utf-8")
_NAMES = (
    "plotly_page",
    "live_chart",
    "live_chart_legend",
    "live_chart_patch",
    "live_chart_folding",
    "live_chart_feed",
    "live_chart_handles",
    "live_chart_cursor",
    "live_chart_tools",
    "live_chart_hidden",
)
# One module: Streamlit serves it from memory, where one file cannot import another.
_JS = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _NAMES)

# Not isolated: plotly's own style sheet belongs to the page, and does not reach into a shadow root.
_component = st.components.v2.component("v3_live_chart", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


_WORDS: dict[str, str] = {
    **PLOTLY_WORDS,
    "chart": _("chart"),
    "failed": _("The chart could not be drawn: {reason}"),
    "failed_reload": _("The chart could not be drawn: {reason}. Reload the page to try again."),
    "unreachable": _(
        "there is no connection to {url}. Start the dashboard with `make run` or `v3lab serve`; a proxy in front of it "
        "must let WebSockets through."
    ),
    "aged": _("{caption}; newest {age} old"),
    "tools": _("Chart tools"),
    "reset": _("Reset zoom"),
    "reset_meaning": _("Show the whole axis again (or double-click the chart)"),
    "picture": _("Download the picture as {format}"),
    "rows": _("Download every episode behind this chart, in full precision"),
    "points": _("Download the points drawn"),
    "as_csv": _("{meaning} as CSV"),
    "of": _("{meaning}: {chart}"),
    "boundary": _("Boundary {phases}"),
    "episode": _("episode {episode}"),
    "moved": _("Moved boundaries"),
    "undo": _("Undo"),
    "waiting": _("Waiting for the worker"),
}


@dataclass(frozen=True)
class BoundaryMove:
    """A boundary that was dragged, or moved with the arrow keys: phase `index`, from 0, is to end at `episode`."""

    index: int
    episode: int


@dataclass(frozen=True)
class Editing:
    """The boundaries of a chart's `layout.meta` have handles; what is done with them. Callbacks precede the rerun."""

    on_move: Callable[[BoundaryMove], None]
    """A boundary was moved, and is a draft from now on."""
    on_apply: Callable[[Sequence[BoundaryMove]], None] | None = None
    """Bring all boundaries that were moved into force; None for a chart without buttons at its handles."""
    on_undo: Callable[[], None] | None = None
    """Forget all drafts."""
    wanted: Mapping[int, int] = field(default_factory=dict)
    """Boundary index to the episode of its draft: where its handle is drawn."""
    apply: str = _("Apply")
    """Label of the button."""
    waiting: Mapping[int, int] = field(default_factory=dict)
    """Boundary index to the episode that was asked for, while the worker has not answered."""
    problem: str = ""
    """Why the drafts were refused."""


def live_chart(
    shown: Figure | Source,
    *,
    key: str,
    height: int = 300,
    editing: Editing | None = None,
    zoom_group: str | None = None,
    on_point: Callable[[Sequence[float]], None] | None = None,
) -> BoundaryMove | None:
    """Show a chart and keep its node through reruns; returns the move of a boundary that caused this one, or None.

    Args:
        shown: a figure, or a chart of runs, which the browser gets from the feed while it is on the screen.
            `layout.uirevision` names what a figure shows: zoom and legend clicks live as long as it stays the same.
            `layout.meta` has `alt` (the text for screen readers) and `boundaries`.
        key: identifies the chart on its page; should hold the run's id.
        height: pixels, until the first figure has arrived.
        editing: how the boundaries of `layout.meta` can be dragged; by default they cannot.
        zoom_group: charts of the same group share their zoom along the episode axis, which is in the page's address;
            by default a chart is alone.
        on_point: called with the `customdata` of a point that was clicked, before the script reruns.
    """
    moves_key = f"{key}:moves"

    def answered(event: str, act: Callable[[Any], object]) -> Callable[[], None]:
        def callback() -> None:
            st.session_state[moves_key] = st.session_state.get(moves_key, 0) + 1
            act(st.session_state[key].get(event))

        return callback

    def moved(value: object) -> None:
        for move in _moves(value):
            if editing is not None:
                editing.on_move(move)

    def applied(value: object) -> None:
        if editing is not None and editing.on_apply is not None:
            editing.on_apply(_moves(value))

    def undone(_: object) -> None:
        if editing is not None and editing.on_undo is not None:
            editing.on_undo()

    def clicked() -> None:
        point = st.session_state[key].get("point")
        if on_point is not None and isinstance(point, list):
            on_point(point)

    data: dict[str, Any] = {
        "height": height,
        "points": on_point is not None,
        "editing": None if editing is None else _sent(editing),
        "group": zoom_group or key,
        "addressed": zoom_group is not None,
        "moves": st.session_state.get(moves_key, 0),
        "plotly": versioned_address(),
        "words": said(_WORDS),
        "language": tag(spoken()),
    }
    if isinstance(shown, Source):
        # The time makes a chart that rests, as that of an ended run, look once more whenever the page is drawn.
        data |= {"source": asdict(shown), "feed": push.address(), "drawn_at": time.time()}
        data["rows"] = chart_rows.address(shown)
    else:
        data["figure"] = json.dumps(whole(shown.tree()), separators=(",", ":"), allow_nan=False)
    result = _component(
        key=key,
        data=data,
        on_boundary_change=answered("boundary", moved),
        on_apply_change=answered("apply", applied),
        on_undo_change=answered("undo", undone),
        on_point_change=clicked,
    )
    moves = _moves(result.get("boundary"))
    return moves[-1] if moves else None


def _sent(editing: Editing) -> dict[str, Any]:
    """What the browser needs of it."""
    return {
        "wanted": {str(index): episode for index, episode in editing.wanted.items()},
        "waiting": {str(index): episode for index, episode in editing.waiting.items()},
        "apply": translated(editing.apply) if editing.on_apply else None,
        "problem": translated(editing.problem),
    }


def _moves(value: object) -> list[BoundaryMove]:
    """The valid boundaries in a message from the browser, the one that was moved last at the end."""
    found = []
    for one in value if isinstance(value, list) else []:
        match one:
            case {"index": int(index), "episode": int(episode)}:
                found.append(BoundaryMove(index, episode))
    return found
