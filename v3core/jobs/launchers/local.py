"""The launcher of every V3 Lab without a cluster: workers are processes of this machine."""

import signal
from collections.abc import Sequence
from itertools import islice

from v3core.jobs import identity
from v3core.jobs.files import log_file
from v3core.jobs.identity import is_here, process_of, this_host
from v3core.jobs.launch import waits_for
from v3core.jobs.launchers.interface import Node, Offer, StartCommand
from v3core.jobs.launchers.processes import start_command
from v3core.jobs.slots import slots, slots_in_use
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.schema import Transaction

CLUSTER = "ray"
"""What a run demands that any Ray cluster may start; no value of V3_LAUNCHER."""
CLUSTER_RUN_SECONDS = 600.0
OTHER_HOST_SECONDS = 60.0
"""A run on another machine is lost if its heartbeat is overdue by this long: its process cannot be checked."""
OTHER_CONTAINER_SECONDS = 5.0
"""… and so late if it was of this machine, but before a new name and a restart, or in a container of the same name."""


def waits_for_launcher(run: RunRow, names: tuple[str, ...]) -> str | None:
    """Why the launcher of these names does not start a run that demands another."""
    if run.launcher in {None, *names}:
        return None
    if run.launcher == CLUSTER:
        return _(
            "Waiting for a dashboard whose V3_LAUNCHER names a Ray cluster; start one if none runs, or stop the run "
            "and resume it here."
        )
    return _(
        "Waiting for a dashboard whose V3_LAUNCHER is '{launcher}'; start one if none runs, or stop the run and "
        "resume it here.",
        launcher=run.launcher,
    )


class LocalLauncher:
    """Starts workers as processes of this machine, forked from the warm one where there is one."""

    name = "local"
    names: tuple[str, ...] = (name,)
    start_seconds = 10.0

    def check(self, database: Database) -> None:
        """Any database will do."""

    def offer(self) -> Offer:
        """This machine; how many slots are free is counted when they are taken."""
        return Offer((Node("", this_host(), 0),))

    def seen(self) -> Offer:
        """As `offer`."""
        return self.offer()

    def startable(self, tx: Transaction, _offer: Offer, queued: Sequence[RunRow], /) -> list[RunRow]:
        """In their order, as many as there are free slots, without those whose import folders are not here."""
        free = max(0, slots(tx) - slots_in_use(tx))
        return list(islice((run for run in queued if self.waits_for(run) is None), free))

    def waits_for(self, run: RunRow) -> str | None:
        """The launcher or label that it demands, or the import folder or interpreter that this machine lacks."""
        if found := waits_for_launcher(run, self.names):
            return found
        if run.needs_label:
            return _(
                "Needs a node with the label {needs_label}, and this machine is no node of a cluster.",
                needs_label=run.needs_label,
            )
        return waits_for(run)

    def start(self, database: Database, run: RunRow, command: StartCommand) -> int | None:
        """Start a process that outlives this one, with its output in the run's log."""
        log = log_file(run.id, database.data_dir)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return start_command(database, run, command(run.id), output)

    def is_alive(self, run: RunRow) -> bool | None:
        """What this machine says of its process; None for one of another machine."""
        return identity.is_alive(process_of(run))

    def silence_seconds(self, run: RunRow) -> float:
        """A minute for another machine; ten for a run of a cluster: who can ask the cluster knows more."""
        if run.is_on_cluster:
            return CLUSTER_RUN_SECONDS
        return OTHER_CONTAINER_SECONDS if is_here(run) else OTHER_HOST_SECONDS

    def send_signal(self, run: RunRow, number: signal.Signals, *, whole_group: bool = False) -> bool:
        """Signal a process of this machine."""
        return identity.send_signal(process_of(run), number, whole_group=whole_group)
