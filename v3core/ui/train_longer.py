"""More episodes for a run: one that trains, waits or has ended."""

import streamlit as st

from v3core.config import MAX_EPISODES
from v3core.jobs import control
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, or_notice
from v3core.ui.text import plain


def train_longer(database: Database, run: RunRow) -> None:
    """A field for the new length, and the button that asks for it."""
    key = f"longer-{run.id}-{run.episodes}"
    problem = None if run.status in ENDED else control.COMMANDS["extend"].refusal(run)
    with st.container(horizontal=True, vertical_alignment="bottom", key="train-longer"):
        st.number_input(
            "Train up to episode",
            min_value=run.episodes + 1,
            max_value=MAX_EPISODES,
            value=min(2 * run.episodes, MAX_EPISODES),
            key=key,
            help="Boundaries stay where they are, and the last phase lasts to the new end. A ramp up to the old end "
            "keeps its pace, then holds.",
            width=220,
        )
        st.button(
            "Train longer",
            icon=":material/more_time:",
            key="train-longer-button",
            disabled=problem is not None,
            help=plain(problem or _meaning(run)),
            on_click=_ask,
            args=(database, run.id, run.status, key),
        )


def _meaning(run: RunRow) -> str:
    if run.status in ACTIVE:
        return "The run applies it between two updates."
    if run.status == Status.QUEUED:
        return "It starts with the new length."
    return "Resumes it with the new length, from its newest checkpoint."


@or_notice
def _ask(database: Database, run_id: str, status: str, key: str) -> None:
    episodes = int(st.session_state[key])
    if status in ENDED:
        control.resume(database, run_id, ACTOR, episodes=episodes)
    else:
        control.extend(database, run_id, episodes, ACTOR)
