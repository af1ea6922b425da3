"""What a launcher offers: it starts the worker of a run somewhere, knows whether it lives, and can signal it."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Transaction

StartCommand = Callable[[str], list[str]]
"""From run id to the command line of its worker."""


@dataclass(frozen=True)
class Node:
    """A machine that trains runs."""

    id: str
    """Empty for this machine."""
    address: str
    """For people: its name or network address."""
    slots: int
    """How many runs it trains at once."""
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    free: int | None = None
    """Slots that nothing takes, neither runs nor the work of others; None if that is not known of single nodes."""


@dataclass(frozen=True)
class Offer:
    """What a launcher has at the moment."""

    nodes: tuple[Node, ...] = ()
    busy: int = 0
    """Slots that work of others takes."""
    problem: str | None = None
    """Why it cannot start anything now, in one sentence."""


class Launcher(Protocol):
    """Starts workers. Its methods may be called by any thread, and by many processes at once."""

    name: str
    """Of its kind."""
    names: tuple[str, ...]
    """What it starts by the column `launcher` of `runs`: its kind, and the address of its cluster if that has one."""
    start_seconds: float
    """Whoever has claimed a run and not started its process within this time has died."""

    def check(self, database: Database) -> None:
        """Raise V3Error if it cannot start runs of this database: nothing is queued then."""

    def offer(self) -> Offer:
        """What it has now. May take seconds, so it is called outside of transactions."""

    def seen(self) -> Offer:
        """What it had when it was last asked; returns at once, for pages."""

    def startable(self, tx: Transaction, offer: Offer, queued: Sequence[RunRow], /) -> list[RunRow]:
        """Those of the waiting runs, given in their order, that the free slots suffice for."""

    def waits_for(self, run: RunRow) -> str | None:
        """Why it does not start a waiting run, as one sentence; None if it does once a slot is free."""

    def start(self, database: Database, run: RunRow, command: StartCommand) -> int | None:
        """Start the worker of a claimed run; returns its pid on this machine, None if it is started elsewhere.

        Raises:
            OSError, V3Error: if it cannot be started.
        """

    def is_alive(self, run: RunRow) -> bool | None:
        """Whether exactly the process of the run lives; None if that cannot be known now."""

    def silence_seconds(self, run: RunRow) -> float:
        """How long its heartbeat may be overdue before it is lost, where nobody knows whether its process lives."""

    def send_signal(self, run: RunRow, number: signal.Signals, *, whole_group: bool = False) -> bool:
        """Signal the run's process, or `whole_group`; returns whether it was there."""
