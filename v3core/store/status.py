"""The states of a run; `v3core.jobs.lifecycle` has the moves between them."""

from enum import StrEnum


class Status(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    """Waits for a free slot."""
    STARTING = "starting"
    """A slot is taken; its worker process is starting."""
    RUNNING = "running"
    """Its worker trains."""
    PAUSED = "paused"
    """Its worker holds between two rollouts; it keeps its process and its slot."""
    STALLED = "stalled"
    """Its process lives, but has broken its promise to be heard from; it is left alone."""
    STOPPING = "stopping"
    """Someone asked for the end; the worker finishes its rollout and writes a checkpoint."""
    STOPPED = "stopped"
    """Ended on request; can be resumed."""
    COMPLETED = "completed"
    """All its episodes are trained."""
    FAILED = "failed"
    """Ended by an error; can be resumed."""
    LOST = "lost"
    """Its process died without a word; can be resumed."""
    UNREADABLE = "unreadable"
    """What its row says makes no sense. No row holds this: it is what readers call such a run."""


STORED = frozenset(Status) - {Status.UNREADABLE}
"""Those that a row may hold."""
