"""Leaving in the middle: someone wants the process to end and does not wait for a rollout or an evaluation."""


class LeftEarlyError(Exception):
    """A rollout or an evaluation was left before its next step; nothing of it counts."""


def never() -> bool:
    """For callers whom nobody interrupts."""
    return False
