"""The progress bar and the newest numbers of a run, on Live: what is new of them is pushed, as it is of charts."""

import time
from dataclasses import asdict
from pathlib import Path

import streamlit as st

from v3core.charts.patch import whole
from v3core.messages import _, said, spoken
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui import push
from v3core.ui.chart_sources import NUMBERS, Source, numbers_of
from v3core.ui.language import tag
from v3core.ui.run_curves import load_means

_HTML = """
<div class="v3-numbers">
  <div class="v3-progress-text"></div>
  <div class="v3-progress" role="progressbar" aria-valuemin="0" aria-valuemax="1"><i></i></div>
  <div class="v3-tiles"></div>
</div>
"""
_FOLDER = Path(__file__).parent
_PARTS = ("run_numbers.js", "live_chart_patch.js", "live_chart_feed.js")
_WORDS = {
    "progress": _("Progress"),
    "heartbeat": _("last heartbeat {age} ago"),
    "ended": _("ended {age} ago"),
}
_component = st.components.v2.component(
    "v3_run_numbers",
    html=_HTML,
    css=(_FOLDER / "run_numbers.css").read_text(encoding="utf-8"),
    js="\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _PARTS),
    isolate_styles=False,
)


def run_numbers(database: Database, run: RunRow) -> None:
    """Show them as of now; from then on the browser keeps them up to date."""
    data = {
        "source": asdict(Source(NUMBERS, (run.id,))),
        "first": whole(numbers_of(run, load_means(database, [run])[run.id])),
        "feed": push.address(),
        "drawn_at": time.time(),
        "words": _WORDS,
        "language": tag(spoken()),
    }
    _component(key=f"numbers-{run.id}", data=said(data))
