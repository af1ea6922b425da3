"""The launcher of a Ray cluster: Ray decides on which node a run trains, the database says what becomes of it.

The connection is that of a process of its own (`ray_bridge.py`); on its node a run is held by another (`on_node.py`).
"""

import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from v3core import __version__
from v3core.errors import V3Error
from v3core.jobs import identity
from v3core.jobs.files import log_file
from v3core.jobs.launchers.interface import Node, Offer, StartCommand
from v3core.jobs.launchers.local import CLUSTER, LocalLauncher, waits_for_launcher
from v3core.jobs.launchers.ray_addresses import AUTO as AUTO
from v3core.jobs.launchers.ray_addresses import no_cluster
from v3core.jobs.launchers.room import gpus_of, has_label, held, startable
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.messages import _
from v3core.paths import import_folders
from v3core.phrases import stored
from v3core.store.database import Database, DatabaseBusyError
from v3core.store.opening import RETRY_SECONDS
from v3core.store.run_row import RunRow
from v3core.store.runs import runs_in
from v3core.store.schema import Transaction

CONNECT_SECONDS = 20.0
"""How long whoever asks waits for the first answer of a cluster."""
FRESH_SECONDS = 5.0
"""A cluster that has said nothing for this long does not answer."""
RECONNECT_SECONDS = 5.0
"""The pause before the next attempt to connect."""
HUNG_SECONDS = 30.0
"""A connection that has said nothing for this long is given up: Ray waits longer for a head that is gone."""
START_SECONDS = 45.0
"""How long Ray may take to start the worker of a run."""
ASK_SECONDS = 4.0
CLUSTER_SECONDS = 6.0
"""A run whose node is silent, in a cluster that answers, is lost if its heartbeat is overdue by this long."""


class RayLauncher:
    """Starts workers on the nodes of a Ray cluster, one CPU each."""

    name = CLUSTER
    start_seconds = START_SECONDS + 15

    def __init__(self, address: str) -> None:
        """For the cluster at `ray://HOST:PORT`, or `auto`; connects when it is first needed."""
        if importlib.util.find_spec("ray") is None:
            raise V3Error(
                "V3_LAUNCHER names a Ray cluster, but Ray is not installed; install it with `pip install "
                "'v3lab[ray]'` (in a checkout: `pip install -r requirements-ray.txt`), or unset V3_LAUNCHER."
            )
        self._address = address
        self.names: tuple[str, ...] = (self.name,) if address == AUTO else (self.name, address)
        self._connection: _Connection | None = None
        self._lock = threading.Lock()

    def check(self, database: Database) -> None:
        """SQLite is a file, which several machines cannot write."""
        need_server(database)

    def offer(self) -> Offer:
        """The nodes of the cluster, as of the last second; waits for a connection that is being made."""
        connection = self._connected()
        while connection.is_new() and time.monotonic() - connection.began < CONNECT_SECONDS:
            time.sleep(0.05)
        return connection.offer()

    def seen(self) -> Offer:
        """The nodes as of the last second, or why they are not known."""
        return self._connected().offer()

    def startable(self, tx: Transaction, offer: Offer, queued: Sequence[RunRow], /) -> list[RunRow]:
        """In their order, as many as the nodes have slots, and what they demand is there."""
        if offer.problem:
            return []
        active = held(offer, self.names, runs_in(tx, ACTIVE))
        return startable(offer, active, (run for run in queued if self._unmet(run, offer) is None))

    def waits_for(self, run: RunRow) -> str | None:
        """What the cluster lacks, or why it cannot be asked."""
        offer = self.seen()
        return offer.problem or self._unmet(run, offer)

    def _unmet(self, run: RunRow, offer: Offer) -> str | None:
        if found := waits_for_launcher(run, self.names):
            return found
        having = [node for node in offer.nodes if has_label(node, run)]
        if not having and run.needs_label:
            return _(
                "Needs a node with the label {needs_label}: no node of the cluster has it.", needs_label=run.needs_label
            )
        if (gpus := gpus_of(run)) and not any(node.gpus >= gpus for node in having):
            return _without_gpus(gpus, labelled=bool(run.needs_label))
        return None

    def start(self, database: Database, run: RunRow, command: StartCommand) -> int | None:
        """Have Ray start the worker; what comes of it is recorded when Ray says so."""
        del command  # the node has its own
        if not database.place.is_remote:  # a node whose folder is another does not find the log
            log = log_file(run.id, database.data_dir)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()
        order = {
            "run": run.id,
            "name": _name(run),
            "generation": run.generation,
            "version": __version__,
            "folders": import_folders(),
            "environment": {"V3_DATABASE_URL": database.url, "V3_DATA_DIR": database.place.address}
            | {name: os.environ[name] for name in ("V3_WEBHOOK_URL",) if os.environ.get(name)},
        }
        wanted = {"order": order, "gpus": gpus_of(run), "label": run.needs_label, "seconds": START_SECONDS}
        # Not a daemon: a command that queues runs waits until they are started.
        threading.Thread(target=self._start, args=(database, run, wanted), name=f"start of {run.id}").start()
        return None

    def _start(self, database: Database, run: RunRow, wanted: dict[str, Any]) -> None:
        try:
            answer = self._connected().ask("start", START_SECONDS + 10, **wanted)
        except V3Error as error:
            answer = {"late": str(error)}
        if wrong := answer.get("wrong"):
            self._undo(database, run, Status.FAILED, wrong, reason=wrong)
        elif late := answer.get("late"):
            self._undo(
                database, run, Status.QUEUED, _("{late} The run is queued again.", late=late), values=identity.NOWHERE
            )

    def _undo(self, database: Database, run: RunRow, to: Status, message: str, **changes: Any) -> None:
        """Move a run that has been claimed and not started; if it has been, or the database stays away, leave it."""
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at:
            try:
                with database.write() as tx:
                    change_status(
                        tx,
                        run,
                        to,
                        message,
                        actor="launcher",
                        now=datetime.now(UTC),
                        only_from={Status.STARTING},
                        pids=[],
                        **changes,
                    )
                return
            except DatabaseBusyError:
                time.sleep(RETRY_SECONDS)
            except V3Error:
                return

    def is_alive(self, run: RunRow) -> bool | None:
        """As long as its heartbeats come; then what its node says, and None if that does not answer."""
        process = identity.process_of(run)
        known = identity.is_alive(process)
        if known is not None or not run.node:
            return known
        beats = run.heartbeat_due_at is not None and datetime.now(UTC) <= run.heartbeat_due_at
        if beats and run.status != Status.STOPPING:
            return True
        if not self._sees(run):  # a stop is hurried by who can signal it, which of another cluster is nobody here
            return None
        if beats:
            return True
        answer = self._ask("is_alive", name=_name(run), process=vars(process))
        return answer if isinstance(answer, bool) else None

    def silence_seconds(self, run: RunRow) -> float:
        """Less than for another machine, if the cluster answers and its node does not."""
        if self._sees(run):
            return CLUSTER_SECONDS
        return LocalLauncher().silence_seconds(run)

    def send_signal(self, run: RunRow, number: signal.Signals, *, whole_group: bool = False) -> bool:
        """Have its node signal it."""
        process = identity.process_of(run)
        if identity.send_signal(process, number, whole_group=whole_group):
            return True
        if not self._sees(run):
            return False
        wanted = {"number": int(number), "whole_group": whole_group}
        return self._ask("send_signal", name=_name(run), process=vars(process), **wanted) is True

    def _sees(self, run: RunRow) -> bool:
        """Whether it knows the node of a run, which may be of another cluster, or of this one before its restart."""
        connection = self._connected()
        return bool(run.node) and connection.offer().problem is None and run.node in connection.known

    def _ask(self, what: str, **wanted: Any) -> Any:
        try:
            return self._connected().ask(what, ASK_SECONDS, **wanted)
        except V3Error:
            return None

    def _connected(self) -> "_Connection":
        """The connection, made again if it has ended a while ago."""
        with self._lock:
            before = self._connection
            if before is not None and before.hangs():
                before.end()
            if before is None or before.ended_long_ago():
                self._connection = _Connection(self._address, before)
            assert self._connection is not None
            return self._connection


def _without_gpus(gpus: float, *, labelled: bool) -> str:
    if gpus <= 1 and labelled:
        return _("Needs a GPU: no node with its label has one.")
    if gpus <= 1:
        return _("Needs a GPU: no node has one.")
    if labelled:
        return _("Needs {gpus:g} GPUs: no node with its label has as many.", gpus=gpus)
    return _("Needs {gpus:g} GPUs: no node has as many.", gpus=gpus)


def need_server(database: Database) -> None:
    """Raise V3Error for a database that the nodes of a cluster cannot reach."""
    if database.url.startswith("sqlite"):
        raise V3Error(
            "A Ray cluster needs a PostgreSQL database that all nodes reach; set V3_DATABASE_URL to one, or train on "
            "this machine, with the launcher local."
        )


def _name(run: RunRow) -> str:
    # By the time at which it was queued: its worker counts the generation up when it takes episodes back.
    return f"{run.id}:{run.queued_at:%Y%m%d%H%M%S%f}"


class _Connection:
    """A bridge process, seen from the process that asks."""

    def __init__(self, address: str, before: "_Connection | None") -> None:
        self._address = address
        self._process = subprocess.Popen(
            [sys.executable, "-m", "v3core.jobs.launchers.ray_bridge", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.began = self._said_at = time.monotonic()
        self._ended_at = float("inf")
        self._nodes: tuple[Node, ...] | None = None
        self._busy = 0
        self._problem = before.offer().problem if before is not None else None
        self.known: set[str] = set(before.known) if before is not None else set()
        """All nodes that the cluster has had."""
        self._answers: dict[int, Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="answers of Ray", daemon=True).start()

    def is_new(self) -> bool:
        """Whether nothing is known yet."""
        return self._nodes is None and self._problem is None

    def offer(self) -> Offer:
        """What was last said, or why nothing was."""
        silent = time.monotonic() - self._said_at
        if self._nodes is not None and silent <= FRESH_SECONDS and self._ended_at == float("inf"):
            return Offer(self._nodes, self._busy)
        return Offer(problem=self._problem or self._why_unknown())

    def _why_unknown(self) -> str:
        shown = (
            _("the Ray cluster") if self._address == AUTO else _("the Ray cluster at {address}", address=self._address)
        )
        if self.known:
            return _("Waiting for {shown}, which does not answer; runs that train there are not affected.", shown=shown)
        if time.monotonic() - self.began < CONNECT_SECONDS:
            return _("Connecting to {shown}.", shown=shown)
        return no_cluster(self._address)

    def hangs(self) -> bool:
        """Whether it has said nothing for so long that it is given up."""
        return self._ended_at == float("inf") and time.monotonic() - self._said_at > HUNG_SECONDS

    def ended_long_ago(self) -> bool:
        """Whether it is time to connect again."""
        return time.monotonic() - self._ended_at > RECONNECT_SECONDS

    def end(self) -> None:
        """End the process."""
        self._process.kill()

    def ask(self, what: str, seconds: float, /, **wanted: Any) -> Any:
        """What the bridge answers; V3Error if it does not, or says what is wrong."""
        number, answer = next(self._numbers), Future[dict[str, Any]]()
        line = json.dumps({"id": number, "do": what, "with": wanted})
        try:
            with self._lock:
                self._answers[number] = answer
                assert self._process.stdin is not None
                print(line, file=self._process.stdin, flush=True)
            found = answer.result(seconds)
        except (OSError, ValueError, TimeoutError):
            raise V3Error(self.offer().problem or _("The Ray cluster does not answer.")) from None
        finally:
            self._answers.pop(number, None)
        if problem := found.get("problem"):
            raise V3Error(stored(problem))
        return found.get("result")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message, self._said_at = json.loads(line), time.monotonic()
            if "to" in message:
                if (answer := self._answers.get(message["to"])) is not None:
                    answer.set_result(message)
            elif "nodes" in message:
                self._problem, self._busy = None, message["busy"]
                self._nodes = tuple(Node(**node) for node in message["nodes"])
                self.known |= {node.id for node in self._nodes}
            else:
                self._problem = stored(message["problem"])
        self._ended_at = time.monotonic()
        self._process.wait()
        for answer in list(self._answers.values()):
            if not answer.done():
                answer.set_result({"problem": self.offer().problem})


class NodeLauncher(LocalLauncher):
    """That of the processes on a node, which see to the runs of their own node and start none."""

    name = CLUSTER
    names: tuple[str, ...] = (name,)

    def startable(self, _tx: Transaction, _offer: Offer, _queued: Sequence[RunRow], /) -> list[RunRow]:
        """None: what a node can do is for Ray to say, and nodes do not ask it."""
        return []
