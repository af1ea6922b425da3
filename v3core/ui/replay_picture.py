"""On Live: the median episode of the newest evaluation, as a small picture that plays; a click opens its replay."""

import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN
from v3core.jobs import replay_making
from v3core.jobs.kept_replays import read_replays, recorded_replays
from v3core.jobs.made_replays import UNFINISHED
from v3core.jobs.replay_files import FRAMES_PER_SECOND
from v3core.jobs.replay_making import Wanted
from v3core.jobs.replay_making import progress as made_so_far
from v3core.messages import say, spoken
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui import news, replay_frames, shell, ticks
from v3core.ui.language import PARAMETER
from v3core.ui.text import md, plain

_HTML = '<a class="v3-page-link v3-replay-picture"><canvas role="img" width="1" height="1"></canvas></a>'
_CSS = """
.v3-replay-picture {
  display: block;
  width: fit-content;
  border-radius: 0.5rem;
  overflow: hidden;
}
.v3-replay-picture canvas {
  display: block;
  max-width: 100%;
  height: 8rem;
  image-rendering: auto;
}
.v3-replay-picture:focus-visible {
  outline: 2px solid var(--st-link-color);
}
"""
_FOLDER = Path(__file__).parent
_JS = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("replay_frames", "replay_picture"))
_component = st.components.v2.component("v3_replay_picture", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)
_BEGUN = "picture-begun"
EVERY_SECONDS = 20.0
"""How often a new picture is drawn at most: drawing one takes up to two seconds of processor time."""


def replay_picture(database: Database, run: RunRow) -> None:
    """Nothing while no evaluation has recorded its episodes."""

    @ticks.ticking(1, news.of_milestones(database, run.id))
    @shell.show_errors()
    def picture(run_id: str) -> None:
        recorded = recorded_replays(database, run_id)
        if recorded:
            # By its seed, as Replay does, so that it is drawn once for both.
            median = read_replays(database, run_id, recorded[-1]).get(MEDIAN)
            if median is not None:
                _picture(database, _begun(database, Wanted(run_id, recorded[-1], median.seed)))

    picture(run.id)


def _begun(database: Database, newest: Wanted) -> Wanted:
    """What to show: the newest, which is begun once; or for a while the one before, so that training has its time."""
    state: tuple[Wanted | None, float] = st.session_state.get(_BEGUN, (None, 0.0))
    shown, begun_at = state
    if shown == newest:
        return newest
    rests = begun_at + EVERY_SECONDS - time.monotonic()
    if shown is not None and shown.run_id == newest.run_id and rests > 0:
        with suppress(V3Error):  # its replay was deleted before it was drawn
            replay_making.read_made(database, shown)
            ticks.draw_again_in(rests)
            return shown
    replay_making.begin(database, newest, patient=True)
    st.session_state[_BEGUN] = newest, time.monotonic()
    return newest


def _picture(database: Database, wanted: Wanted) -> None:
    progress = made_so_far(database, wanted)
    is_over = progress.stage not in UNFINISHED
    if not is_over:
        ticks.draw_again_in(1)
    made = replay_making.read_made(database, wanted)
    said: dict[str, object] = {"count": wanted.episode, "value": made.replay.return_, "steps": len(made.replay)}
    query = {"run": wanted.run_id, "episode": wanted.episode, "seed": wanted.seed}
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="newest-replay"):
        if made.frames or not is_over:
            frames = f"{replay_frames.address()}?{urlencode({**query, PARAMETER: spoken()})}"
            _component(
                key=f"picture-{wanted.run_id}",
                data={
                    "frames": {"url": frames, "count": made.frames if is_over else None},
                    "steps": len(made.replay),
                    "href": f"replay?{urlencode(query)}",
                    "label": say(
                        "Median episode of the evaluation after {count:,} episodes: return {value:.4g}. Open the "
                        "replay.",
                        **said,
                    ),
                    "framesPerSecond": FRAMES_PER_SECOND,
                },
                width="content",
            )
        with st.container(width="stretch", gap="xsmall"):
            st.markdown(
                md(
                    "**Newest evaluation.** Median episode of the evaluation after {count:,} episodes: return "
                    "{value:.4g}, {steps:,} steps.",
                    **said,
                )
            )
            if made.no_frames or progress.error:
                st.caption(plain(made.no_frames or progress.error))
            st.page_link(
                "pages/replay.py",
                label=md("Open the replay"),
                icon=":material/play_circle:",
                query_params={name: str(value) for name, value in query.items()},
            )
