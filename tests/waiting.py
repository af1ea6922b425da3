"""Waiting for a condition, so that no test sleeps blindly, and none depends on how busy the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 60
"""How long a test waits for what must happen before it fails, in a browser too.

Far longer than anything takes on an idle machine; a wait that succeeds costs no more for it. Another deadline is only
for tests of that deadline."""


def wait_for(
    condition: Callable[[], T], what: str = "", *, seconds: float = PATIENCE_SECONDS, pause: float | None = None
) -> T:
    """The first true result of `condition`; fails once `seconds` have passed.

    It is asked every `pause` seconds; without one, at first all the time, later ten times in as long as it has waited
    already, so that a long wait takes no processor time from what it waits for.
    """
    began = time.monotonic()
    while not (result := condition()):
        waited = time.monotonic() - began
        assert waited < seconds, f"not within {seconds:g} s: {what or condition}"
        time.sleep(min(max(0.005, waited / 10), 0.2) if pause is None else pause)
    return result
