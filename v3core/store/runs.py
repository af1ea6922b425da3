"""Rows of the table `runs`: creating, finding, changing and deleting them; and the slots of each machine.

Hidden runs are being imported or deleted and therefore incomplete; no list shows them.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Update, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from v3core.config import RunConfig
from v3core.curriculum import Length
from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import COMMAND
from v3core.phrases import listed
from v3core.store.database import Database, reading
from v3core.store.dialect import database_bytes
from v3core.store.experiment_rows import remove_empty
from v3core.store.run_row import LONG_FIELDS, RunRow, checked
from v3core.store.run_tables import RUN_TABLES
from v3core.store.schema import (
    HIDDEN,
    TRUNK,
    UNLISTED,
    Status,
    Transaction,
    commands,
    episodes,
    evaluations,
    expert_loads,
    machines,
    revisions,
    runs,
)

REMOVED_EPISODES = 20_000
"""Episodes deleted in one commit: less than a second, so that no worker waits long."""
_VISIBLE = runs.c.status.not_in(UNLISTED)
_LOAD_SHARE = 0.16
"""Size of an expert's load relative to the other columns of its episode; measured on SQLite."""
_RUN_SHARE = 10.0
"""Size of a run without episodes, its events and curricula, in episodes."""


class UnknownRunError(V3Error):
    """There is no such run; it may have been deleted."""

    def __init__(self, run_id: str):
        super().__init__("There is no run '{prefix}'; list them with: {command} runs.", prefix=run_id, command=COMMAND)
        self.run_id = run_id

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy."""
        return type(self), (self.run_id,)


_FIELDS = tuple(field.name for field in fields(RunRow))
_COLUMNS = [runs.c[LONG_FIELDS.get(name, name)] for name in _FIELDS]


_KEPT = 4096
_known: dict[Any, tuple[tuple[Any, ...], RunRow]] = {}
"""Run id to its row as last read, and what it is. The list of runs is read at every tick, and few rows have changed."""


def _run(row: Sequence[Any]) -> RunRow:
    """A row of `_COLUMNS`, checked."""
    values = tuple(row)
    known = _known.get(values[0])
    if known is not None and known[0] == values:
        return known[1]
    run = RunRow(**checked(dict(zip(_FIELDS, values, strict=True))))
    if len(_known) >= _KEPT:
        _known.clear()
    _known[values[0]] = values, run
    return run


def columns_of(config: RunConfig) -> dict[str, Any]:
    """The columns of `runs` that follow from what the run is launched with."""
    content = {name: getattr(config, name) for name in ("name", "env", "seed", "episodes", "steps")}
    return content | {"experts": config.policy.experts, "curriculum": config.curriculum.name}


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
    **placement: Any,
) -> None:
    """Insert a run that has not trained yet; `placement` are the columns that say where it is to train."""
    tx.execute(
        insert(runs).values(
            id=run_id,
            status=status,
            **columns_of(config),
            episode=0,
            step=0,
            experiment=experiment,
            priority=priority,
            launch=launch,
            **placement,
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


def get_run(source: Database | Transaction, run_id: str, *, for_update: bool = False) -> RunRow:
    """The run of that full id; `for_update` keeps others from changing it until the transaction ends.

    Raises:
        UnknownRunError: if there is none.
    """
    with reading(source) as tx:
        run = find_run(tx, run_id, for_update=for_update)
    if run is None:
        raise UnknownRunError(run_id)
    return run


def stored_status(tx: Transaction, run_id: str) -> Any:
    """The status in the run's row, valid or not."""
    return tx.execute(select(runs.c.status).where(runs.c.id == run_id)).scalar_one_or_none()


def all_ids(tx: Transaction) -> set[str]:
    """The ids of all runs, also of those that are being imported."""
    return set(tx.execute(select(runs.c.id)).scalars())


def known_ids(tx: Transaction, run_ids: Collection[str]) -> set[str]:
    """Those of these full ids that runs have."""
    return set(tx.execute(select(runs.c.id).where(runs.c.id.in_(run_ids), _VISIBLE)).scalars())


def list_runs(database: Database) -> list[RunRow]:
    with database.read() as tx:
        rows = tx.execute(select(*_COLUMNS).where(_VISIBLE).order_by(runs.c.created_at.desc(), runs.c.id)).all()
    return [_run(row) for row in rows]


def get_runs(database: Database, run_ids: Sequence[str]) -> list[RunRow]:
    """The runs of these full ids, in their order.

    Raises:
        UnknownRunError: if there is none of one of them.
    """
    query = select(*_COLUMNS).where(runs.c.id.in_(run_ids), _VISIBLE)
    with database.read() as tx:
        found = {run.id: run for run in map(_run, tx.execute(query))}
    for run_id in run_ids:
        if run_id not in found:
            raise UnknownRunError(run_id)
    return [found[run_id] for run_id in run_ids]


def runs_in(tx: Transaction, statuses: Collection[str]) -> list[RunRow]:
    """The runs in one of these statuses, those that were queued first at first."""
    query = select(*_COLUMNS).where(runs.c.status.in_(statuses)).order_by(runs.c.queued_at, runs.c.id)
    return [_run(row) for row in tx.execute(query)]


def runs_to_look_after(tx: Transaction, statuses: Collection[str], node: str = "") -> list[RunRow]:
    """The runs in one of these statuses, and the lost ones that are to be queued again, in the same order.

    With a node of a cluster, those that are on it.
    """
    if node:
        query = select(*_COLUMNS).where(runs.c.status.in_(statuses), runs.c.node == node)
        return [_run(row) for row in tx.execute(query.order_by(runs.c.queued_at, runs.c.id))]
    lost = and_(runs.c.status == Status.LOST, runs.c.restarts < runs.c.max_restarts)
    query = select(*_COLUMNS).where(or_(runs.c.status.in_(statuses), lost)).order_by(runs.c.queued_at, runs.c.id)
    return [_run(row) for row in tx.execute(query)]


def restartable(tx: Transaction) -> list[str]:
    """The ids of the runs that were lost and are to be queued again."""
    query = select(runs.c.id).where(runs.c.status == Status.LOST, runs.c.restarts < runs.c.max_restarts)
    return list(tx.execute(query.order_by(runs.c.queued_at, runs.c.id)).scalars())


def resolve(database: Database, prefix: str) -> str:
    """The full id of the one run whose id begins so.

    Raises:
        V3Error: if no run's id does, or several do.
    """
    wanted = prefix.strip().lower()
    if not wanted:
        raise V3Error("No run id given; list them with: {command} runs.", command=COMMAND)
    with database.read() as tx:
        query = select(runs.c.id, runs.c.name).where(runs.c.id.startswith(wanted, autoescape=True), _VISIBLE)
        found = tx.execute(query.order_by(runs.c.id).limit(4)).all()
    if not found:
        raise V3Error("There is no run '{prefix}'; list them with: {command} runs.", prefix=prefix, command=COMMAND)
    if len(found) > 1:
        names = listed([f"{run_id[: len(wanted) + 8]} '{name}'" for run_id, name in found[:3]])
        if len(found) > 3:
            names = _("{names} and more", names=names)
        raise V3Error("Several runs match '{prefix}': {names}; give more of the id.", prefix=prefix, names=names)
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

    Also if it is of this `generation`, if its process is one of `pids` or none yet, and if its next heartbeat was
    promised for a time before `due_before`, as far as they are given.
    """
    conditions: dict[str, Any] = {"if_run": run_id, "if_statuses": list(only_in)}
    if generation is not None:
        conditions["if_generation"] = generation
    if pids is not None:
        conditions["if_pids"] = list(pids)
    if due_before is not None:
        conditions["if_due_before"] = due_before
    # A cached statement costs a third of a new one, and every heartbeat needs two.
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


def set_length(tx: Transaction, run: RunRow, length: Length | int) -> None:
    """Set how long a run trains, a number: in episodes, in its row and its configuration; `run` as read in `tx`."""
    length = Length(length) if isinstance(length, int) else length
    _change_config(tx, run, vars(length), **vars(length))


def set_compute(tx: Transaction, run: RunRow, device: str, backend: str) -> None:
    """Record what a run computes on: the device in its row, the backend in its configuration."""
    _change_config(tx, run, {"backend": backend}, device=device)


def _change_config(tx: Transaction, run: RunRow, changes: dict[str, Any], **columns: Any) -> None:
    config = run.config.model_copy(update=changes).model_dump_json(by_alias=True)
    tx.execute(update(runs).where(runs.c.id == run.id).values(config=config, **columns))


def begin_at(tx: Transaction, run_id: str, parent: RunRow, episode: int, evaluated: int) -> None:
    """Let a run begin with the records of another one up to an episode, and with its evaluations up to `evaluated`."""
    values = {"parent": parent.id, "parent_episode": episode, "parent_evaluated": evaluated}
    tx.execute(update(runs).where(runs.c.id == run_id).values(**values, trunk=parent.id if episode else None))


def begins_at_evaluation(tx: Transaction, run: RunRow, evaluated: int) -> None:
    """Set which evaluation is the last of a fork's trunk, from the checkpoint that it begins with."""
    begins = run.parent_evaluated is None or evaluated < run.parent_evaluated
    if run.episode == run.parent_episode and (begins or not run.generation):
        tx.execute(update(runs).where(runs.c.id == run.id).values(parent_evaluated=evaluated))


def redate_heartbeat(tx: Transaction, run: RunRow, now: datetime) -> None:
    """Update the heartbeat of a run to now, with a due time as long as before; not if there was one meanwhile."""
    if run.heartbeat_at is None or run.heartbeat_due_at is None:
        return
    values = {"heartbeat_at": now, "heartbeat_due_at": now + (run.heartbeat_due_at - run.heartbeat_at)}
    tx.execute(update(runs).where(runs.c.id == run.id, runs.c.heartbeat_at == run.heartbeat_at).values(values))


def runs_of_experiment(tx: Transaction, experiment: str) -> list[RunRow]:
    """The runs of that group, oldest first."""
    query = select(*_COLUMNS).where(runs.c.experiment == experiment, _VISIBLE).order_by(runs.c.created_at, runs.c.id)
    return [_run(row) for row in tx.execute(query)]


def database_sizes(tx: Transaction) -> dict[str, int]:
    """Run id to bytes, for all runs: the size of the database, shared out by episodes and experts.

    An estimate, so that it costs one small query however many episodes there are.
    """
    begin = case((runs.c.trunk.is_(None), 0), else_=func.coalesce(runs.c.parent_episode, 0))
    rows = tx.execute(select(runs.c.id, runs.c.episode - begin, runs.c.experts))
    shares = {run_id: _RUN_SHARE + episode * (1 + _LOAD_SHARE * experts) for run_id, episode, experts in rows}
    each = database_bytes(tx) / max(1.0, sum(shares.values()))
    return {run_id: round(share * each) for run_id, share in shares.items()}


def read_slots(tx: Transaction, machine: str) -> int | None:
    """How many runs train at once on that machine; None if not set."""
    return tx.execute(select(machines.c.slots).where(machines.c.machine == machine)).scalar_one_or_none()


def write_slots(tx: Transaction, machine: str, host: str, slots: int | None) -> None:
    """Set it, under the name that the machine has now; None forgets it."""
    tx.execute(delete(machines).where(machines.c.machine == machine))
    if slots is not None:
        tx.execute(insert(machines).values(machine=machine, host=host, slots=slots))


def begin_import(tx: Transaction, values: dict[str, Any]) -> bool:
    """Insert a hidden run with these columns of `runs`; False if it is there already, hidden too.

    Its process, in the columns from host to pid_started, is the one that imports it.
    """
    try:
        with tx.begin_nested():
            tx.execute(insert(runs).values(values | {"status": HIDDEN}))
    except IntegrityError:
        return False
    return True


def insert_rows(tx: Transaction, table: str, run_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of one of `RUN_TABLES`, by the names of its fields."""
    target = RUN_TABLES[table].table
    keys = {column.name: column.key for column in target.columns}
    if target is commands:
        mine = select(revisions.c.revision, revisions.c.id).where(revisions.c.run_id == run_id)
        ids = {row.revision: row.id for row in tx.execute(mine)}
        rows = [
            {name: value for name, value in row.items() if name != "revision"}
            | {"revision_id": ids.get(row["revision"])}
            for row in rows
        ]
    tx.execute(
        insert(target), [{"run_id": run_id, **{keys[name]: value for name, value in row.items()}} for row in rows]
    )


def trunk_of(tx: Transaction, run_id: str) -> str | None:
    """The run that has the records that this one begins with; None if all are its own, or there is no such run."""
    found: str | None = tx.execute(select(runs.c.trunk).where(runs.c.id == run_id)).scalar_one_or_none()
    return found


def unneeded_trunks(tx: Transaction) -> list[str]:
    """Trunks of deleted runs that no run begins with any more."""
    fork = runs.alias()
    query = select(runs.c.id).where(
        runs.c.status == TRUNK, ~select(fork.c.id).where(fork.c.trunk == runs.c.id).exists()
    )
    return list(tx.execute(query).scalars())


def hide_trunks(tx: Transaction, run_ids: Sequence[str]) -> None:
    """Let any process remove them."""
    unneeded = runs.c.id.in_(run_ids) & (runs.c.status == TRUNK)
    tx.execute(update(runs).where(unneeded).values(status=HIDDEN, pid=None, pid_started=None))


def remove_hidden_part(tx: Transaction, run_id: str, after: int = 0) -> bool:
    """Delete some rows of a hidden run beyond `after`, without that the run itself at last; returns if there are more.

    Trunks that no run needs any more become hidden with it.
    """
    mine = (episodes.c.run_id == run_id, episodes.c.episode > after)
    oldest = tx.execute(select(func.min(episodes.c.episode)).where(*mine)).scalar_one()
    if oldest is not None:
        for table in (expert_loads, evaluations, episodes):
            c = table.c
            some = (c.run_id == run_id, c.episode > after, c.episode < oldest + REMOVED_EPISODES)
            tx.execute(delete(table).where(*some))
        return True
    if not after:
        trunk = trunk_of(tx, run_id)
        tx.execute(delete(runs).where(runs.c.id == run_id, runs.c.status == HIDDEN))  # other tables' rows go with it
        hide_trunks(tx, [one for one in unneeded_trunks(tx) if one == trunk])
    remove_empty(tx)
    return False
