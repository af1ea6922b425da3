"""A plotly chart that stays the same DOM node while its data changes: zoom, legend clicks and hover survive a tick.

`st.plotly_chart` rebuilds its node at every change of data; this component calls `Plotly.react` instead. The
browser's part is `live_chart.js` and `live_chart_handles.js`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st

from v3core.ui.plotly_js import address

_HTML = """
<div class="v3-chart" role="group" aria-roledescription="chart">
  <div class="v3-chart-plot"></div>
  <div class="v3-chart-overlay"></div>
  <div class="v3-chart-message" role="status"></div>
</div>
"""

_FOLDER = Path(__file__).parent
_CSS = (_FOLDER / "live_chart.css").read_text(encoding="utf-8")
# One module: Streamlit serves it from memory, where one file cannot import another.
_JS = "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("live_chart.js", "live_chart_handles.js"))

# Not isolated: plotly's own style sheet belongs to the page, and does not reach into a shadow root.
_component = st.components.v2.component("v3_live_chart", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


@dataclass(frozen=True)
class BoundaryMove:
    """A boundary that was dragged, or moved with the arrow keys: phase `index`, from 0, is to end at `episode`."""

    index: int
    episode: int


@dataclass(frozen=True)
class VisibleRange:
    """The part of the episode axis that is zoomed to, and its width on the screen."""

    first: int
    last: int
    pixels: int


def live_chart(
    figure: go.Figure,
    *,
    key: str,
    editable: bool = False,
    on_boundary: Callable[[BoundaryMove], None] | None = None,
    wanted: Mapping[int, int] | None = None,
    zoom_group: str | None = None,
    on_range: Callable[[VisibleRange | None], None] | None = None,
    visible: VisibleRange | None = None,
) -> BoundaryMove | None:
    """Draw a figure and keep its node through reruns; returns the move of a boundary that caused this one, or None.

    Args:
        figure: from `v3core.charts`. `layout.uirevision` names what it shows: zoom and legend clicks live as long as
            it stays the same. `layout.meta` has `alt` (the text for screen readers) and `boundaries`.
        key: identifies the chart on its page; should hold the run's id.
        editable: give the boundaries of `layout.meta` handles that can be dragged.
        on_boundary: called with a move before the script reruns.
        wanted: boundary index to the episode asked for but not yet in the figure: where its handle is drawn.
        zoom_group: charts of the same group share their zoom along the episode axis; by default a chart is alone.
        on_range: called before the script reruns when somebody has zoomed, with None for the whole axis.
        visible: what the group is zoomed to when its first chart appears.
    """
    moves_key = f"{key}:moves"

    def moved() -> None:
        st.session_state[moves_key] = st.session_state.get(moves_key, 0) + 1
        move = _move(st.session_state[key].get("boundary"))
        if on_boundary is not None and move is not None:
            on_boundary(move)

    def looked() -> None:
        if on_range is not None:
            on_range(_visible(st.session_state[key].get("range")))

    data: dict[str, Any] = {
        "figure": figure.to_json(validate=False),
        "height": figure.layout.height,
        "editable": editable,
        "wanted": {str(index): episode for index, episode in (wanted or {}).items()},
        "group": zoom_group or key,
        "moves": st.session_state.get(moves_key, 0),
        "reports": on_range is not None,
        "visible": [visible.first - 1, visible.last] if visible else None,
        "plotly": f"{address()}?v={plotly.__version__}",  # so that no stale copy is kept
    }
    result = _component(key=key, data=data, on_boundary_change=moved, on_range_change=looked)
    return _move(result.get("boundary"))


def _move(value: object) -> BoundaryMove | None:
    """The boundary in a message from the browser, if it is valid."""
    match value:
        case {"index": int(index), "episode": int(episode)}:
            return BoundaryMove(index, episode)
        case _:
            return None


def _visible(value: object) -> VisibleRange | None:
    """The range in a message from the browser, in whole episodes; None for the whole axis."""
    match value:
        case {"from": int() | float() as start, "to": int() | float() as end, "pixels": int(pixels)} if start < end:
            return VisibleRange(max(1, math.floor(start) + 1), max(1, math.ceil(end)), max(pixels, 1))
        case _:
            return None
