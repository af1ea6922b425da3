"""Rows of the table `runs`: making, finding, changing and deleting them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache, cached_property
from math import isfinite
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Update, bindparam, delete, insert, select, update

from v3core.config import RunConfig
from v3core.errors import V3Error, explain
from v3core.rollup import mean_window
from v3core.store.database import Database
from v3core.store.odd_rows import checked
from v3core.store.schema import HIDDEN, Transaction, episodes, expert_loads, runs

_VISIBLE = runs.c.status != HIDDEN


class UnknownRunError(V3Error):
    """There is no such run; it may have been deleted."""


@dataclass(frozen=True)
class RunRow:
    """A run as lists show it. Times are aware and in UTC."""

    id: str
    name: str
    status: str
    """One of `v3core.store.schema.Status`; `unreadable` where the row makes no sense, and then `reason` says why."""
    env: str
    seed: int
    episodes: int
    """Episodes planned."""
    episode: int
    """Episodes complete so far."""
    step: int
    """Environment steps of the whole run so far."""
    phase: str | None
    """Name of the phase it is in; None before it trains."""
    latest_return: float | None
    """Return of the newest episode."""
    mean_return: float | None
    """Mean return of the newest `mean_window` episodes."""
    steps_per_second: float | None
    """Environment steps per second of the last ten seconds; None while it does not train."""
    episodes_per_second: float | None
    """Episodes per second of the newest tenth of its training, at least a minute; see `v3core.store.recent.Pace`."""
    experts: int
    curriculum: str
    """Name of the curriculum in force."""
    experiment: str | None
    """Name of the group it belongs to: runs started together."""
    priority: int
    """Of two runs in the queue the higher starts first, then the older."""
    tags: str | None
    """Words, separated by one blank each."""
    notes: str | None
    reason: str | None
    """Why it stopped, failed or was lost: one sentence."""
    traceback: str | None
    """Where in the program a failure arose; None unless it failed."""
    webhook: str | None
    """Whether V3_WEBHOOK_URL was told of its end: `due`, `calling`, `called`, `failed`; None if it need not be."""
    generation: int
    """Goes up at each resume; rows read before that may have been replaced."""
    host: str | None
    """The machine's name when the run was started: a label for people."""
    machine: str | None
    boot_id: str | None
    pid_namespace: str | None
    pid: int | None
    pid_started: float | None
    device: str | None
    """Where its network really computed when it last trained: `cpu`, or `cuda: NVIDIA H100`; None before it trained."""
    sees: str | None
    """What of its environment the policy sees and obeys, and what is left out; None before its first rollout."""
    heartbeat_at: datetime | None
    heartbeat_due_at: datetime | None
    """When the worker promised to be heard from again."""
    rollout_at: datetime | None
    """When training last came to the end of a rollout; a heartbeat alone does not say that it advances."""
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    """When it last began to train: at the launch, or at the newest resume."""
    ended_at: datetime | None
    config_json: str = field(repr=False)
    launch_json: str | None = field(repr=False)
    """What whoever starts it must give it; see `v3core.jobs.launch`."""

    @property
    def mean_window(self) -> int:
        """Episodes that `mean_return` is the mean of, where so many are recorded."""
        return mean_window(self.episodes)

    @property
    def seconds_left(self) -> float | None:
        """How long it trains on at the pace of late; None where that is not known, or it does not train."""
        if not self.episodes_per_second or not isfinite(self.episodes_per_second):
            return None
        return max(0, self.episodes - self.episode) / self.episodes_per_second

    @cached_property
    def config(self) -> RunConfig:
        """What it was launched with.

        Raises:
            V3Error: if that cannot be read.
        """
        try:
            return RunConfig.model_validate_json(self.config_json)
        except ValidationError as error:
            raise V3Error(explain(error, f"The configuration of run {self.id[:8]} cannot be read")) from None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, without the configuration; times are ISO 8601 with their zone."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _LONG}
        values["seconds_left"] = self.seconds_left
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


_LONG = {"config_json": "config", "launch_json": "launch"}
"""Fields that are JSON, and their columns."""
_FIELDS = tuple(field.name for field in fields(RunRow))
_COLUMNS = [runs.c[_LONG.get(name, name)] for name in _FIELDS]


def _run(row: Sequence[Any]) -> RunRow:
    """A row of `_COLUMNS`, checked."""
    return RunRow(**checked(dict(zip(_FIELDS, row, strict=True))))


def add_run(
    tx: Transaction,
    run_id: str,
    config: RunConfig,
    *,
    status: str,
    now: datetime,
    experiment: str | None = None,
    priority: int = 0,
    launch: str | None = None,
) -> None:
    """Insert a run that has not trained yet."""
    tx.execute(
        insert(runs).values(
            id=run_id,
            name=config.name,
            status=status,
            env=config.env,
            seed=config.seed,
            episodes=config.episodes,
            episode=0,
            step=0,
            experts=config.policy.experts,
            curriculum=config.curriculum.name,
            experiment=experiment,
            priority=priority,
            launch=launch,
            config=config.model_dump_json(by_alias=True),
            generation=0,
            created_at=now,
            queued_at=now,
        )
    )


def find_run(tx: Transaction, run_id: str, *, for_update: bool = False) -> RunRow | None:
    """The run of that full id, if there is one; `for_update` keeps others from changing it meanwhile."""
    query = select(*_COLUMNS).where(runs.c.id == run_id, _VISIBLE)
    row = tx.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else _run(row)


def need_run(tx: Transaction, run_id: str, *, for_update: bool = False) -> RunRow:
    """The run of that full id; `for_update` keeps others from changing it until the transaction ends.

    Raises:
        UnknownRunError: if there is none.
    """
    run = find_run(tx, run_id, for_update=for_update)
    if run is None:
        raise UnknownRunError(f"There is no run '{run_id}'; list them with: python -m v3core runs.")
    return run


def stored_status(tx: Transaction, run_id: str) -> Any:
    """What the run's row has as its status, whatever that is."""
    return tx.execute(select(runs.c.status).where(runs.c.id == run_id)).scalar_one_or_none()


def get_run(database: Database, run_id: str) -> RunRow:
    """The run of that full id.

    Raises:
        UnknownRunError: if there is none.
    """
    with database.read() as tx:
        return need_run(tx, run_id)


def all_ids(tx: Transaction) -> set[str]:
    """The ids of all runs, also of those that are being imported."""
    return set(tx.execute(select(runs.c.id)).scalars())


def list_runs(database: Database) -> list[RunRow]:
    """All runs, newest first."""
    with database.read() as tx:
        rows = tx.execute(select(*_COLUMNS).where(_VISIBLE).order_by(runs.c.created_at.desc(), runs.c.id)).all()
    return [_run(row) for row in rows]


def runs_in(tx: Transaction, statuses: Collection[str]) -> list[RunRow]:
    """The runs in one of these statuses, in the order in which queued ones start: by priority, then by age."""
    query = select(*_COLUMNS).where(runs.c.status.in_(statuses))
    query = query.order_by(runs.c.priority.desc(), runs.c.queued_at, runs.c.id)
    return [_run(row) for row in tx.execute(query)]


def resolve(database: Database, prefix: str) -> str:
    """The full id of the one run whose id begins so.

    Raises:
        V3Error: if no run's id does, or several do.
    """
    wanted = prefix.strip().lower()
    if not wanted:
        raise V3Error("No run id was given; list them with: python -m v3core runs.")
    with database.read() as tx:
        query = select(runs.c.id, runs.c.name).where(runs.c.id.startswith(wanted, autoescape=True), _VISIBLE)
        found = tx.execute(query.order_by(runs.c.id).limit(4)).all()
    if not found:
        raise V3Error(f"There is no run '{prefix}'; list them with: python -m v3core runs.")
    if len(found) > 1:
        names = ", ".join(f"{run_id[: len(wanted) + 8]} '{name}'" for run_id, name in found[:3])
        more = " and more" if len(found) > 3 else ""
        raise V3Error(f"Several runs begin with '{prefix}': {names}{more}; write more of the id.")
    return str(found[0][0])


def update_run(
    tx: Transaction,
    run_id: str,
    values: dict[str, Any],
    *,
    only_in: Collection[str],
    generation: int | None = None,
    pids: Collection[int] | None = None,
    due_before: datetime | None = None,
) -> bool:
    """Change columns of a run, if it is in one of the statuses `only_in`; returns whether it was.

    Args:
        tx: a writing transaction.
        run_id: full id.
        values: column name to new value.
        only_in: statuses in which the change may happen.
        generation: also require this generation.
        pids: also require that the run's process is one of these, or none yet.
        due_before: also require that its next heartbeat was promised for an earlier time.
    """
    conditions: dict[str, Any] = {"if_run": run_id, "if_statuses": list(only_in)}
    if generation is not None:
        conditions["if_generation"] = generation
    if pids is not None:
        conditions["if_pids"] = list(pids)
    if due_before is not None:
        conditions["if_due_before"] = due_before
    # A statement that is made once costs a third of one made anew, and every heartbeat needs two.
    query = _update(tuple(values), frozenset(conditions))
    return tx.execute(query, conditions | {f"new_{name}": value for name, value in values.items()}).rowcount == 1


@cache
def _update(columns: tuple[str, ...], conditions: frozenset[str]) -> Update:
    """Set `new_<column>` for each column, under these conditions; all values are given when it is executed."""
    known = {
        "if_run": runs.c.id == bindparam("if_run"),
        "if_statuses": runs.c.status.in_(bindparam("if_statuses", expanding=True)),
        "if_generation": runs.c.generation == bindparam("if_generation"),
        "if_pids": runs.c.pid.in_(bindparam("if_pids", expanding=True)) | runs.c.pid.is_(None),
        "if_due_before": runs.c.heartbeat_due_at < bindparam("if_due_before"),
    }
    where = [clause for name, clause in known.items() if name in conditions]
    return update(runs).where(*where).values({name: bindparam(f"new_{name}") for name in columns})


def set_length(tx: Transaction, run: RunRow, episodes: int) -> None:
    """Set how many episodes a run trains, in its row and in its configuration.

    Args:
        tx: a writing transaction.
        run: as it was read in it.
        episodes: the new length.
    """
    config = run.config.model_copy(update={"episodes": episodes}).model_dump_json(by_alias=True)
    tx.execute(update(runs).where(runs.c.id == run.id).values(episodes=episodes, config=config))


def redate_heartbeat(tx: Transaction, run: RunRow, now: datetime) -> None:
    """Write the heartbeat of a run as one of now, with a promise as long as it was; not if it was heard from since.

    Args:
        tx: a writing transaction.
        run: as it was read, with a heartbeat.
        now: the time.
    """
    if run.heartbeat_at is None or run.heartbeat_due_at is None:
        return
    values = {"heartbeat_at": now, "heartbeat_due_at": now + (run.heartbeat_due_at - run.heartbeat_at)}
    tx.execute(update(runs).where(runs.c.id == run.id, runs.c.heartbeat_at == run.heartbeat_at).values(values))


def runs_of_experiment(tx: Transaction, experiment: str, *, for_update: bool = False) -> list[RunRow]:
    """The runs of that group, oldest first; `for_update` keeps others from changing them meanwhile."""
    query = select(*_COLUMNS).where(runs.c.experiment == experiment, _VISIBLE).order_by(runs.c.created_at, runs.c.id)
    return [_run(row) for row in tx.execute(query.with_for_update() if for_update else query)]


def remove_run(tx: Transaction, run_id: str, *, only_in: Collection[str]) -> bool:
    """Delete a run and all its rows, if it is in one of the statuses `only_in`; returns whether it was."""
    chosen = select(runs.c.id).where(runs.c.id == run_id, runs.c.status.in_(only_in)).with_for_update()
    if tx.execute(chosen).one_or_none() is None:
        return False
    for table in (expert_loads, episodes):
        tx.execute(delete(table).where(table.c.run_id == run_id))
    tx.execute(delete(runs).where(runs.c.id == run_id))  # the other tables' rows go with it
    return True
