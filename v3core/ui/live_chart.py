"""A plotly chart that stays the same DOM node while its data changes: zoom, legend clicks and hover survive a tick.

The chart of a run is sent what is new of it while it is looked at (`push.py`); that of a curriculum that is being
edited is sent with the page. The browser's part are the files `live_chart*.js`.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import plotly
import streamlit as st

from v3core.charts.figure import Figure
from v3core.charts.patch import whole
from v3core.ui import push
from v3core.ui.chart_sources import Source
from v3core.ui.plotly_js import address

_HTML = """
<div class="v3-chart" role="group" aria-roledescription="chart">
  <div class="v3-chart-plot"></div>
  <div class="v3-chart-overlay"></div>
  <div class="v3-chart-message" role="status"></div>
</div>
<div class="v3-chart-caption"></div>
"""

_FOLDER = Path(__file__).parent
_CSS = (_FOLDER / "live_chart.css").read_text(encoding="utf-8")
_NAMES = ("live_chart", "live_chart_patch", "live_chart_feed", "live_chart_handles", "live_chart_cursor")
# One module: Streamlit serves it from memory, where one file cannot import another.
_JS = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _NAMES)

# Not isolated: plotly's own style sheet belongs to the page, and does not reach into a shadow root.
_component = st.components.v2.component("v3_live_chart", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


@dataclass(frozen=True)
class BoundaryMove:
    """A boundary that was dragged, or moved with the arrow keys: phase `index`, from 0, is to end at `episode`."""

    index: int
    episode: int


def live_chart(
    shown: Figure | Source,
    *,
    key: str,
    height: int = 300,
    editable: bool = False,
    on_boundary: Callable[[BoundaryMove], None] | None = None,
    wanted: Mapping[int, int] | None = None,
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
        editable: give the boundaries of `layout.meta` handles that can be dragged.
        on_boundary: called with a move before the script reruns.
        wanted: boundary index to the episode asked for but not yet in the figure: where its handle is drawn.
        zoom_group: charts of the same group share their zoom along the episode axis; by default a chart is alone.
        on_point: called with the `customdata` of a point that was clicked, before the script reruns.
    """
    moves_key = f"{key}:moves"

    def moved() -> None:
        st.session_state[moves_key] = st.session_state.get(moves_key, 0) + 1
        move = _move(st.session_state[key].get("boundary"))
        if on_boundary is not None and move is not None:
            on_boundary(move)

    def clicked() -> None:
        point = st.session_state[key].get("point")
        if on_point is not None and isinstance(point, list):
            on_point(point)

    data: dict[str, Any] = {
        "height": height,
        "points": on_point is not None,
        "editable": editable,
        "wanted": {str(index): episode for index, episode in (wanted or {}).items()},
        "group": zoom_group or key,
        "moves": st.session_state.get(moves_key, 0),
        "plotly": f"{address()}?v={plotly.__version__}",  # so that no stale copy is kept
    }
    if isinstance(shown, Source):
        # The time makes a chart that rests, as that of an ended run, look once more whenever the page is drawn.
        data |= {"source": asdict(shown), "feed": push.address(), "drawn_at": time.time()}
    else:
        data["figure"] = json.dumps(whole(shown.tree()), separators=(",", ":"), allow_nan=False)
    result = _component(key=key, data=data, on_boundary_change=moved, on_point_change=clicked)
    return _move(result.get("boundary"))


def _move(value: object) -> BoundaryMove | None:
    """The boundary in a message from the browser, if it is valid."""
    match value:
        case {"index": int(index), "episode": int(episode)}:
            return BoundaryMove(index, episode)
        case _:
            return None
