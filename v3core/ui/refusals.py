"""What can be done with a run now, and if not, why: one sentence for each button that is closed."""

from collections.abc import Collection
from typing import Literal

from v3core.jobs.identity import is_here
from v3core.jobs.lifecycle import ACTIVE, ENDED, RESUMABLE, Status
from v3core.store.commands import CHECKPOINT, CONTINUE, PAUSE
from v3core.store.history import CheckpointRow
from v3core.store.run_row import RunRow

Action = Literal["stop", "pause", "continue", "checkpoint", "resume", "delete"]

_WITH_A_WORKER = (Status.RUNNING, Status.PAUSED, Status.STALLED)
_PENDING: dict[str, tuple[str, str]] = {
    "pause": (PAUSE, "The pause was asked for; it comes between two rollouts."),
    "continue": (CONTINUE, "It was asked to go on, and will in a moment."),
    "checkpoint": (CHECKPOINT, "The checkpoint was asked for; it is written between two rollouts."),
}
_NO_WORKER = {
    Status.QUEUED: "It waits in the queue; it has no worker process yet.",
    Status.STARTING: "Its worker process is still starting.",
    Status.STOPPING: "It is stopping; that writes a checkpoint.",
}


def refusal(
    action: Action, run: RunRow, asked: Collection[str] = (), checkpoint: CheckpointRow | None = None
) -> str | None:
    """Why `action` cannot be done with `run` now, as one sentence; None if it can.

    Args:
        action: what somebody wants to do.
        run: the run as it is now.
        asked: kinds of the commands that it has not answered yet, where they are known.
        checkpoint: from which a resume would go on, if there is one.
    """
    status = Status(run.status)
    if status is Status.UNREADABLE:
        return None if action == "delete" else "Its row in the database makes no sense; it can only be deleted."
    if action == "resume":
        if status is Status.COMPLETED:
            return "All its episodes are trained; choose a new length below to train it longer."
        if status in RESUMABLE:
            gone = checkpoint is None and run.episode > 0
            return "Its checkpoints are gone or damaged; it cannot go on." if gone else None
        return "It has not ended; there is nothing to resume."
    if action == "delete":
        return "Stop it before you delete it." if status in ACTIVE else None
    if status in ENDED:
        return f"It is {status} already."
    if host := trains_elsewhere(run):
        return f"It trains on host {host}; give its commands there."
    if action == "stop":
        return "It is stopping already." if status is Status.STOPPING else None
    if status not in _WITH_A_WORKER:
        return _NO_WORKER[status]
    kind, sentence = _PENDING[action]
    return sentence if kind in asked else None


def trains_elsewhere(run: RunRow) -> str | None:
    """The host on which the run's process is, if that is not this one."""
    return _other_host(run) if run.status in ACTIVE else None


def trained_elsewhere(run: RunRow) -> str | None:
    """The host on which an ended run was trained, if that is not this one: its checkpoints may be there only."""
    return _other_host(run) if run.status in RESUMABLE else None


def _other_host(run: RunRow) -> str | None:
    return None if is_here(run) else run.host
