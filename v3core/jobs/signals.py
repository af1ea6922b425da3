"""Turning termination signals into a graceful stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import Signals
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class StopRequest:
    """Whether this process was signalled to stop, and how. However often it is, it stops once."""

    signal: Signals | None = None
    hurried: bool = False
    """Whether to leave at once: after SIGTERM or SIGHUP, or a second Ctrl-C."""

    def asked(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def describe(self) -> str:
        """The first signal's name, as people know it."""
        if self.signal is None:
            return ""
        return "Ctrl-C" if self.signal is signal.SIGINT else self.signal.name

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.hurried = number != signal.SIGINT or self.signal is not None
        self.signal = self.signal or Signals(number)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """In this context, SIGINT, SIGTERM and SIGHUP only set a flag. Does nothing outside the main thread."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request._handle) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
