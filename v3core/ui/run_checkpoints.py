"""A run's checkpoints: their paths, evaluations, and how to use the policy in a program."""

from pathlib import Path

import numpy as np
import streamlit as st

from v3core.errors import V3Error
from v3core.jobs.evaluating import BackgroundEvaluation, Played
from v3core.jobs.housekeeping import in_words
from v3core.store.database import Database
from v3core.store.history import CheckpointRow, read_checkpoints
from v3core.store.run_row import RunRow
from v3core.ui import ticks
from v3core.ui.moments import clock
from v3core.ui.run_files import MOST_DOWNLOAD_BYTES, file_name
from v3core.ui.status import counted, number
from v3core.ui.text import plain

EPISODES = 20
"""Default number of episodes of an evaluation."""
MOST_EPISODES = 1000


def run_checkpoints(database: Database, run: RunRow) -> None:
    """All checkpoints and what can be done with one; closed at first, and read only while it is open."""
    expander = st.expander("Checkpoints", icon=":material/save:", key=f"checkpoints-{run.id}", on_change="rerun")
    if not expander.open:
        return
    rows = read_checkpoints(database, run.id)[::-1]
    with expander:
        if not rows:
            st.caption(
                "No checkpoints yet. They are written at the start of each phase, at regular intervals, and at the end."
            )
            return
        st.dataframe(
            [_described(database, row) for row in rows],
            hide_index=True,
            height=min(36 + 35 * len(rows), 250),
            column_config={
                "Episode": st.column_config.NumberColumn(format="localized"),
                "Step": st.column_config.NumberColumn(format="localized"),
                "File": st.column_config.TextColumn(width="large"),
            },
            alt="Checkpoints of the run, newest first",
        )
        there = [row for row in rows if (database.data_dir / row.path).is_file()]
        if not there:
            st.warning("None of these files exists any more.", icon=":material/folder_off:")
            return
        _one(database, run, there)


@st.fragment
def _one(database: Database, run: RunRow, rows: list[CheckpointRow]) -> None:
    """What can be done with one of them."""
    by_episode = {row.episode: row for row in rows}
    episode = st.selectbox(
        "Checkpoint",
        list(by_episode),
        format_func=lambda at: f"Episode {at:,}",
        key=f"checkpoint-{run.id}",
        width=240,
    )
    row = by_episode[episode]
    file = (database.data_dir / row.path).resolve()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Download",
            file.read_bytes,
            file_name(run, f"episode-{row.episode}.pt"),
            "application/octet-stream",
            key=f"download-checkpoint-{run.id}",
            on_click="ignore",
            icon=":material/download:",
            disabled=(row.bytes or file.stat().st_size) > MOST_DOWNLOAD_BYTES,
        )
        episodes = st.number_input(
            "Episodes to evaluate", 1, MOST_EPISODES, EPISODES, key=f"evaluate-episodes-{run.id}", width=180
        )
        if st.button("Evaluate", icon=":material/play_circle:", key=f"evaluate-{run.id}"):
            _evaluate(database, run, row.episode, int(episodes or EPISODES))
    _evaluated(run.id, row.episode)
    use_policy(file)


def use_policy(file: Path) -> None:
    """The lines that act with a checkpoint, to copy."""
    st.caption("Use the policy in your own program, run from V3 Lab's folder or with that folder on PYTHONPATH:")
    st.code(policy_snippet(file), language="python", wrap_lines=True)


def policy_snippet(file: Path) -> str:
    """A program that acts with a checkpoint, as `v3core.load_policy` documents it."""
    return f"import v3core\n\npolicy = v3core.load_policy({str(file)!r})\naction = policy(observation)"


def _described(database: Database, row: CheckpointRow) -> dict[str, object]:
    file = database.data_dir / row.path
    found = file.is_file()
    return {
        "Episode": row.episode,
        "Step": row.step,
        "Written": clock(row.at),
        "Size": in_words(row.bytes or file.stat().st_size) if found else "gone",
        "File": str(file.resolve()),
    }


@st.cache_resource(max_entries=1, show_spinner=False)
def _under_way() -> dict[tuple[str, int], BackgroundEvaluation]:
    """Evaluations asked for on this server, by run and checkpoint; shared by all tabs."""
    return {}


def _evaluate(database: Database, run: RunRow, checkpoint: int, episodes: int) -> None:
    known = _under_way().get((run.id, checkpoint))
    if known is not None and not known.is_over():
        return  # a double click, or one in another tab
    try:
        _under_way()[run.id, checkpoint] = BackgroundEvaluation(database, run, checkpoint, episodes)
    except V3Error as error:
        st.error(plain(str(error)), icon=":material/error:")


def _evaluated(run_id: str, checkpoint: int) -> None:
    """The result of the latest evaluation of the checkpoint; polled once a second while in progress."""
    evaluation = _under_way().get((run_id, checkpoint))
    if evaluation is None:
        return
    if evaluation.is_over():
        _outcome(evaluation)
        return

    @ticks.ticking(1)
    def wait() -> None:
        if evaluation.is_over():
            st.rerun()
        ticks.draw_again_in(1)
        st.info(f"Playing {counted(evaluation.episodes, 'episode')} …", icon=":material/hourglass_top:")

    wait()


def _outcome(evaluation: BackgroundEvaluation) -> None:
    try:
        played = evaluation.result()
    except V3Error as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if played is not None:
        st.success(plain(describe(played)), icon=":material/check_circle:")


def describe(played: Played) -> str:
    """An evaluation in one sentence, as in `20 episodes: mean return 487.2, standard deviation 21.3, …`."""
    returns = np.asarray(played.returns)
    parts = [f"mean return {number(float(returns.mean()))}"]
    if len(returns) > 1:
        parts.append(f"standard deviation {number(float(returns.std(ddof=1)))}")
    parts.append(f"from {number(float(returns.min()))} to {number(float(returns.max()))}")
    if played.successes:
        parts.append(f"{sum(played.successes):g} of {len(played.successes)} solved")
    return f"{counted(len(returns), 'episode')}: {', '.join(parts)}."
