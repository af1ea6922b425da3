"""Leaving long work in the middle: someone wants the run to end and does not wait for a rollout or an update."""

from collections.abc import Callable


class LeftEarlyError(Exception):
    """Long work (a rollout, an update, an evaluation, a replay) was left before its next step; nothing of it counts."""


def never() -> bool:
    """For callers whom nobody interrupts."""
    return False


def leave_if(interrupted: Callable[[], bool]) -> None:
    """Leave here if that was asked for.

    Raises:
        LeftEarlyError: if `interrupted` says so.
    """
    if interrupted():
        raise LeftEarlyError
