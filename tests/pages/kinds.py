"""Runs of which there is little, much or nothing to show, one of each kind."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Double, delete, null, update

from tests.pages.recorded import add_recorded_run
from v3core.archive import import_archive, write_archive
from v3core.insight.experts import ExpertProfile, ExpertReport, StateMap
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.commands import PAUSE
from v3core.store.database import Database
from v3core.store.expert_records import add_expert_report, add_knockouts
from v3core.store.schema import alarms, evaluations, expert_loads, rollups, runs
from v3core.store.schema import episodes as episode_table

FAILURE = "NaN from the first update on."
DEAD = (0.5, 0.5, 0.0, 0.0)


def add_experts(db: Database, run_id: str, experts: int, *, at: int = 20, known: bool = True) -> None:
    """What an evaluation and a knock-out record of the experts; without `known`, nothing in it is a number."""
    actions = {"probabilities": [[0.25, 0.75]], "first": [0]}
    row = tuple(
        ExpertProfile(
            1 / experts if known else None,
            1 / experts if known else None,
            actions,
            actions if known and expert else None,
            tuple((0.0 if one == expert else 0.5) if known else None for one in range(experts)),
        )
        for expert in range(experts)
    )
    points = StateMap((0.0, 1.0), (0.0, 1.0), (0, experts - 1), (0.9, 0.8), (1, 2), (0, 5), (0.7, 0.2))
    returns = {expert: [(40.0 + number if known else float("nan"), 9, None) for number in range(3)] for expert in (
        -1, *range(experts)
    )}  # fmt: skip
    with db.write() as tx:
        add_expert_report(tx, run_id, at, ExpertReport(2, 2, row, points))
        if experts > 1:
            add_knockouts(tx, run_id, episode=at, results=returns, now=datetime.now(UTC))


def _with_experts(experts: int) -> Callable[[Database, str], str]:
    def add(db: Database, name: str) -> str:
        run_id = add_recorded_run(db, Status.COMPLETED, name=name, recorded=40, experts=experts, evaluated=(20,))
        add_experts(db, run_id, experts)
        return run_id

    return add


def _of_nothing(status: Status, recorded: int) -> Callable[[Database, str], str]:
    return lambda db, name: add_recorded_run(db, status, name=name, recorded=recorded)


def _without_numbers(db: Database, name: str) -> str:
    """Every number that may be missing is: a policy that was NaN from its first update on."""
    run_id = add_recorded_run(db, Status.FAILED, name=name, evaluated=(20,), reason=FAILURE)
    add_experts(db, run_id, 4, known=False)
    with db.write() as tx:
        for table in (episode_table, expert_loads, evaluations):
            numbers = [one for one in table.c if isinstance(one.type, Double) and one.nullable]
            tx.execute(update(table).where(table.c.run_id == run_id).values({one: null() for one in numbers}))
        tx.execute(delete(rollups).where(rollups.c.run_id == run_id))
    return run_id


def _older(db: Database, name: str) -> str:
    """Recorded by a version without alarms and most metrics; two experts are dead."""
    run_id = add_recorded_run(db, Status.COMPLETED, name=name, recorded=40, loads=DEAD, older=True)
    with db.write() as tx:
        tx.execute(delete(alarms).where(alarms.c.run_id == run_id))
        tx.execute(update(runs).where(runs.c.id == run_id).values(watched=None))
    return run_id


def _imported(db: Database, name: str) -> str:
    """Archived, deleted and imported again."""
    run_id = add_recorded_run(db, Status.COMPLETED, name=name, recorded=40, loads=DEAD, evaluated=(20,))
    add_experts(db, run_id, 4)
    file = db.data_dir / "archived.v3run"
    write_archive(db, run_id, file)
    control.delete(db, run_id)
    assert import_archive(db, file) == run_id
    return run_id


KINDS: Mapping[str, Callable[[Database, str], str]] = {
    "queued": _of_nothing(Status.QUEUED, 0),
    "trains without an episode": _of_nothing(Status.RUNNING, 0),
    "ended without an episode": _of_nothing(Status.FAILED, 0),
    "one episode": _of_nothing(Status.RUNNING, 1),
    "one expert": _with_experts(1),
    "64 experts": _with_experts(64),
    "no numbers": _without_numbers,
    "older": _older,
    "imported": _imported,
}
"""Each adds a run with a name to a store, and returns its id."""


NAME = "Sparse routing with a long warmup · MiniGrid-DoorKey-5x5-v0 · seed 20261126"
TAGS = "baseline paper-2026 sparse"
NOTES = "Compare with the run of last week. " * 4
EXPERIMENT = "Of all kinds"


def add_each_kind(db: Database) -> dict[str, str]:
    """One of each kind, and `real`: a run as people have it, that trains; all in one experiment. Their ids by name."""
    made = {kind: add(db, kind) for kind, add in KINDS.items()}
    made["real"] = add_recorded_run(
        db,
        Status.RUNNING,
        name=NAME,
        preset="demo-with-curriculum",
        loads=(*DEAD, *(0.0,) * 12),
        success=True,
        evaluated=(10, 20),
    )
    add_experts(db, made["real"], 16)
    control.ask(db, made["real"], kind=PAUSE)
    with db.write() as tx:
        tx.execute(update(runs).where(runs.c.id == made["real"]).values(tags=TAGS, notes=NOTES))
        tx.execute(update(runs).values(experiment=EXPERIMENT))
    return made
