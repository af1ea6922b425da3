"""Stop, pause, write a checkpoint, resume, delete: the same buttons wherever a run is shown."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress

import streamlit as st

from v3core.jobs import control
from v3core.jobs.lifecycle import ACTIVE, RESUMABLE, Status
from v3core.store.database import Database
from v3core.store.history import CheckpointRow
from v3core.store.run_row import RunRow
from v3core.store.runs import UnknownRunError
from v3core.ui.clicks import ACTOR, ask_to_take_over, confirm, or_notice
from v3core.ui.refusals import Action, refusal, trained_elsewhere
from v3core.ui.status import counted
from v3core.ui.text import md, plain, unseen

MANY_EPISODES = 50_000
"""More take seconds to delete."""
DOUBLE_CLICK_SECONDS = 1.0
"""A second click that soon on the same place is the same wish, also if the button there has changed meanwhile."""

_LOOKS: dict[Action, tuple[str, str]] = {
    "stop": ("Stop", ":material/stop_circle:"),
    "pause": ("Pause", ":material/pause:"),
    "continue": ("Unpause", ":material/play_arrow:"),
    "checkpoint": ("Checkpoint now", ":material/save:"),
    "resume": ("Resume", ":material/resume:"),
    "delete": ("Delete", ":material/delete:"),
}
_MEANINGS: dict[Action, str] = {
    "stop": "Ends it after its present rollout, with a checkpoint; by force if it does not end by itself.",
    "pause": "Writes a checkpoint, then holds it; it keeps its process and its slot.",
    "continue": "Goes on where it holds.",
    "checkpoint": "Writes a checkpoint between two rollouts, and goes on.",
    "delete": "Deletes its records, checkpoints and log, after asking.",
}
_ACTS: dict[Action, Callable[[Database, str, str], object]] = {
    "stop": control.stop,
    "pause": control.pause,
    "continue": control.unpause,
    "checkpoint": control.checkpoint,
    "resume": control.resume,
}


def run_actions(
    database: Database,
    run: RunRow,
    *,
    compact: bool,
    key: str,
    checkpoint: CheckpointRow | None,
    asked: Collection[str] = (),
) -> None:
    """Buttons for what can be done with `run` now; the others are closed and say why.

    Args:
        database: where commands go.
        run: the run.
        compact: icons only, for lists, without those that a run of this kind never can do.
        key: tells apart the same run's buttons on one page.
        checkpoint: from which a resume would go on, if there is one.
        asked: kinds of the commands that the run has not answered yet, where they are known.
    """
    with st.container(horizontal=True, horizontal_alignment="right" if compact else "left", gap="xsmall"):
        for number, action in enumerate(_in_list(run) if compact else _all(run)):
            _button(database, run, action, compact, key, number, checkpoint, asked)


def _all(run: RunRow) -> list[Action]:
    return ["stop", "continue" if run.status == Status.PAUSED else "pause", "checkpoint", "resume", "delete"]


def _in_list(run: RunRow) -> list[Action]:
    """A list leaves out what a run of this kind never can."""
    if run.status in ACTIVE:
        return _all(run)[:3]
    if run.status == Status.COMPLETED:
        return ["delete"]
    return ["resume" if run.status in RESUMABLE else "stop", "delete"]


def _button(
    database: Database,
    run: RunRow,
    action: Action,
    compact: bool,
    key: str,
    number: int,
    checkpoint: CheckpointRow | None,
    asked: Collection[str],
) -> None:
    label, icon = _LOOKS[action]
    problem = refusal(action, run, asked, checkpoint)
    meaning = problem or (resume_sentence(run, checkpoint) if action == "resume" else _MEANINGS[action])
    asks_first = action == "delete" or (action == "resume" and trained_elsewhere(run) is not None)
    clicked = st.button(
        unseen("{} {}", label, run.name) if compact else label,
        icon=icon,
        type="tertiary" if compact else "secondary",
        key=f"{action}:{key}:{run.id}",
        help=md("{}: {}", label, meaning) if compact else plain(meaning),
        disabled=problem is not None,
        on_click=None if asks_first else _do,
        args=None if asks_first else (database, run.id, action, f"clicked:{key}:{run.id}:{number}"),
    )
    if clicked and action == "delete":
        _confirm_delete(database, run)
    elif clicked and asks_first:
        ask_to_take_over(database, run)


def resume_sentence(run: RunRow, checkpoint: CheckpointRow | None) -> str:
    """From where a resume goes on, and what of the records is trained anew."""
    if checkpoint is None:
        return "Begins again: no episode was trained."
    where = f"Goes on from its checkpoint at episode {checkpoint.episode:,}"
    again = run.episode - checkpoint.episode
    return f"{where}; {counted(again, 'episode')} after it trained anew." if again > 0 else f"{where}."


@or_notice
def _do(database: Database, run_id: str, action: Action, place: str) -> None:
    now = time.monotonic()
    before = st.session_state.get(place)
    st.session_state[place] = now
    if before is not None and now - before < DOUBLE_CLICK_SECONDS:
        return
    _ACTS[action](database, run_id, ACTOR)


@st.dialog("Delete this run?", icon=":material/delete:")
def _confirm_delete(database: Database, run: RunRow) -> None:
    st.markdown(
        md(
            "**{}** with its {}, checkpoints and log. This cannot be undone.",
            run.name,
            counted(run.episode, "episode"),
        )
    )
    if run.episode > MANY_EPISODES:
        st.caption("Deleting so many episodes takes a while, in which this page waits.")
    confirm("Delete", ":material/delete:", "delete", _delete, database, run.id)


def _delete(database: Database, run_id: str) -> None:
    with suppress(UnknownRunError):  # deleted already: by a first click, or in another tab
        control.delete(database, run_id)
