"""Waiting for a condition, so that no test sleeps blindly."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 30.0, what: str = "", pause: float = 0.01) -> T:
    """The first true result of `condition`, asked every `pause` seconds; fails once `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(pause)
    return result
