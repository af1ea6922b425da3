"""A page for tests: a made-up run that grows by some episodes at each tick, drawn in every chart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from tests.charts.made import made_curve
from v3core.charts.compare import compare_figure
from v3core.charts.figures import entropy_figure, expert_loads_figure, return_figure, rows_figure
from v3core.charts.frame import drawn_words
from v3core.charts.schedule import curriculum_preview, schedule_figure
from v3core.charts.series import RunSeries, boundaries_ahead, phase_bands
from v3core.curriculum import (
    BaseValues,
    Curriculum,
    PhaseStart,
    Progress,
    Settings,
    load_preset,
    scaled,
    settings_at,
    with_boundaries,
)
from v3core.metrics import LOSSES
from v3core.ui.live_chart import BoundaryMove, Editing, live_chart
from v3core.ui.plotly_js import ensure_plotly_js

st.set_page_config("Live chart", layout="wide")
if "without_plotly" not in st.query_params:
    ensure_plotly_js(Path(__file__).parent / "static")

TOTAL = int(st.query_params.get("total", "1000"))
START = int(st.query_params.get("start", "300"))
STEP = int(st.query_params.get("step", "7"))
BASE = BaseValues(lr=1e-3, load_balance=0.02, entropy=0.01)

st.session_state["reruns"] = st.session_state.get("reruns", 0) + 1
st.button("Rerun the page")
st.caption(f"reruns={st.session_state.reruns}")


@st.cache_data(max_entries=20)
def made_up(name: str, seed: int, count: int) -> RunSeries:
    """`count` episodes whose numbers behave somewhat like a run's."""
    random = np.random.default_rng(seed)
    curriculum = scaled(load_preset("v3"), TOTAL)
    episode = np.arange(1, TOTAL + 1)
    rise = 1 / (1 + np.exp(-(episode / TOTAL - 0.35) * 12))
    logits = (
        random.normal(size=(1, 4)).cumsum(axis=0) + np.cumsum(random.normal(0, 0.6 / TOTAL**0.5, (TOTAL, 4)), 0) * 3
    )
    loads = np.exp(logits * rise[:, None])
    loads /= loads.sum(axis=1, keepdims=True)
    plan = [_planned(curriculum, int(number)) for number in episode]
    columns = {
        "return": np.clip(20 + 470 * rise + random.normal(0, 60, TOTAL), 8, 500).round(),
        "length": np.clip(20 + 470 * rise, 8, 500),
        "policy_loss": random.normal(-0.01, 0.01, TOTAL),
        "value_loss": np.exp(random.normal(3, 0.8, TOTAL)),
        "load_balance_loss": 1 + np.abs(random.normal(0, 0.1, TOTAL)) * rise,
        "action_entropy": 0.69 - 0.4 * rise + random.normal(0, 0.02, TOTAL),
        "routing_entropy": -(loads * np.log(loads)).sum(axis=1),
        "temperature": np.array([settings.temperature for settings in plan]),
        "lr": np.array([settings.lr for settings in plan]),
    }
    curve = made_curve({key: column[:count] for key, column in columns.items()}, loads=loads[:count])
    return RunSeries(name, curve, total=TOTAL)


def _planned(curriculum: Curriculum, episode: int) -> Settings:
    return settings_at(curriculum, Progress(max(episode - 8, 0), TOTAL), BASE)


def with_plan(series: RunSeries, curriculum: Curriculum) -> RunSeries:
    """The run with the phases it has begun and those ahead."""
    begun = [PhaseStart(start, 0) for start in (0, *curriculum.boundaries) if start < series.completed or not start]
    return replace(
        series,
        bands=phase_bands(curriculum, episodes=TOTAL, starts=begun),
        boundaries=boundaries_ahead(curriculum, completed=series.completed, episodes=TOTAL),
    )


def moved(move: BoundaryMove) -> None:
    """Remember a dragged boundary."""
    st.session_state.setdefault("moves", []).append((move.index, move.episode))
    if "wanted" in st.query_params:
        st.session_state.wanted = {move.index: move.episode}
    if "keep" in st.query_params or "wanted" in st.query_params:
        return
    boundaries = list(st.session_state.curriculum.boundaries)
    boundaries[move.index] = move.episode
    st.session_state.curriculum = with_boundaries(st.session_state.curriculum, boundaries)


st.session_state.setdefault("curriculum", scaled(load_preset("v3"), TOTAL))
st.session_state.setdefault("count", START)


@st.fragment(run_every=0.5 if STEP else None)
def live() -> None:
    """One tick."""
    curriculum = st.session_state.curriculum
    st.session_state.count = min(st.session_state.count + STEP, TOTAL)
    series = with_plan(made_up("v3 · seed 1", 1, st.session_state.count), curriculum)
    st.caption(f"count={series.completed} · {drawn_words(series, '2 s')}")
    st.caption(f"moves={st.session_state.get('moves', [])}")
    with st.container(border=True):
        st.markdown("**Return**")
        returned = live_chart(
            return_figure(series, threshold=475),
            key="return",
            editing=Editing(on_move=moved, wanted=st.session_state.get("wanted", {})),
            zoom_group="run",
        )
        if returned:
            st.session_state.returned = returned
        st.caption(f"returned={st.session_state.get('returned')}")
    if "one" in st.query_params:
        return
    left, right = st.columns(2)
    with left.container(border=True):
        st.markdown("**Expert loads**")
        live_chart(expert_loads_figure(series), key="loads", zoom_group="run")
    with right.container(border=True):
        st.markdown("**Routing entropy**")
        live_chart(entropy_figure(series), key="entropy", zoom_group="run")
    left, right = st.columns(2)
    with left.container(border=True):
        st.markdown("**Losses**")
        live_chart(rows_figure(series, LOSSES), key="losses", zoom_group="run")
    with right.container(border=True):
        st.markdown("**Schedule**")
        live_chart(schedule_figure(series, curriculum, BASE), key="schedule", zoom_group="run")
    with st.container(border=True):
        st.markdown("**Compare**")
        others = [
            with_plan(
                made_up(f"direct sparsemax with a long name · seed {seed}", seed, st.session_state.count - 50 * seed),
                curriculum,
            )
            for seed in (2, 3)
        ]
        live_chart(compare_figure([series, *others]), key="compare")
    with st.container(border=True):
        st.markdown("**Preview**")
        live_chart(curriculum_preview(curriculum, TOTAL, BASE), key="preview")


live()
