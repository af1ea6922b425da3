"""Interrupting long work, such as a rollout or an update, when a stop must not wait for it."""

from collections.abc import Callable


class Interrupted(Exception):
    """Long work (a rollout, an update, an evaluation, a replay) was interrupted; its results are discarded."""


def never() -> bool:
    """For callers that are never interrupted."""
    return False


def raise_if(interrupted: Callable[[], bool]) -> None:
    """Check for an interruption.

    Raises:
        Interrupted: if `interrupted()` is true.
    """
    if interrupted():
        raise Interrupted
