"""Whether two runs recorded the same: every table of the schema and every column, but for those named here."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import select

from v3core.store.database import Database
from v3core.store.schema import metadata

CLOCK = "when it happened"
WHOSE = "which run it belongs to"

MAY_DIFFER: dict[str, dict[str, str]] = {
    "meta": {},
    "runs": {
        "id": WHOSE,
        "generation": "how often it was resumed",
        "host": "where its process was",
        "boot_id": "where its process was",
        "pid": "where its process was",
        "pid_started": "where its process was",
        "heartbeat_at": CLOCK,
        "heartbeat_due_at": CLOCK,
        "rollout_at": CLOCK,
        "created_at": CLOCK,
        "queued_at": CLOCK,
        "started_at": CLOCK,
        "ended_at": CLOCK,
    },
    "episodes": {"run_id": WHOSE, "at": CLOCK},
    "expert_loads": {"run_id": WHOSE},
    "rollups": {"run_id": WHOSE},
    "evaluations": {"run_id": WHOSE, "at": CLOCK},
    "evaluation_experts": {"run_id": WHOSE},
    "state_maps": {"run_id": WHOSE},
    "knockouts": {"run_id": WHOSE, "at": CLOCK},
    "phase_changes": {"run_id": WHOSE, "at": CLOCK, "generation": "in which part of the run it was recorded"},
    "curriculum_revisions": {"id": "a serial number", "run_id": WHOSE, "requested_at": CLOCK, "decided_at": CLOCK},
    "checkpoints": {"run_id": WHOSE, "at": CLOCK, "path": WHOSE, "bytes": "the file has its run's names"},
    "alarms": {"run_id": WHOSE, "raised_at": CLOCK, "cleared_at": CLOCK, "webhook": "whether it was reported"},
    "events": {"id": "a serial number", "run_id": WHOSE, "at": CLOCK},
}
"""Of each table the columns that are not compared, and why. A table that is missing here is compared in full."""

ASKED = {
    "commands": "what people asked; an undisturbed run was asked nothing",
    "process_samples": "how busy the machine was",
}
"""Tables that are not compared."""

TRAINING = {"phase", "evaluation", "undone"}
"""Kinds of events that tell of training; the others tell of a run's life. What is trained again is reported again."""


def assert_same_tables(
    db: Database, run_id: str, other: str, *, but: Callable[[str, dict[str, Any]], bool] | None = None
) -> None:
    """Fail unless both runs have the same rows.

    Args:
        db: an open store that has both.
        run_id: full id.
        other: full id.
        but: rows (table, row) for which it is true are left out.
    """
    for name in (table.name for table in metadata.sorted_tables if table.name not in ASKED):
        one, two = ([row for row in _rows(db, name, run) if not (but and but(name, row))] for run in (run_id, other))
        differing = [pair for pair in zip(one, two, strict=False) if pair[0] != pair[1]]
        columns = [
            name for name in (differing[0][0] if differing else ()) if differing[0][0][name] != differing[0][1][name]
        ]
        assert one == two, (name, columns, differing[:1], len(one), len(two))


def _rows(db: Database, name: str, run_id: str) -> list[dict[str, Any]]:
    table = metadata.tables[name]
    query = select(table)
    if name == "runs":
        query = query.where(table.c.id == run_id)
    elif "run_id" in table.c:
        query = query.where(table.c.run_id == run_id)
    with db.read() as tx:
        rows = [dict(row) for row in tx.execute(query.order_by(*table.primary_key.columns)).mappings()]
    left_out = MAY_DIFFER.get(name, {}).keys()
    # PostgreSQL keeps NaN, which is not equal to itself.
    kept: list[dict[str, Any]] = [
        {key: "NaN" if value != value else value for key, value in row.items() if key not in left_out} for row in rows
    ]
    if name == "events":
        return sorted({(row["kind"], row["message"]): row for row in kept if row["kind"] in TRAINING}.values(), key=str)
    if name == "rollups":  # sums of the rows above, in an order that depends on which were committed together
        return [row | {"stats": [f"{number + 0.0:.12g}" for number in np.frombuffer(row["stats"])]} for row in kept]
    if name == "alarms":  # numbered as they were raised: of a run made longer, with another window, in another order
        numberless = [row | {"number": 0} for row in kept if row["rule"] != "stalled_worker"]
        return sorted(numberless, key=lambda row: (row["first_episode"], row["rule"]))
    if name == "checkpoints":  # which there are besides is up to the clock, and to whoever stopped the run
        lasting = _boundaries(db, run_id)
        return [row for row in kept if row["episode"] in lasting]
    return kept


def _boundaries(db: Database, run_id: str) -> set[int]:
    runs, phases = metadata.tables["runs"], metadata.tables["phase_changes"]
    with db.read() as tx:
        end = tx.execute(select(runs.c.episode).where(runs.c.id == run_id)).scalar_one()
        return {end, *tx.execute(select(phases.c.episode).where(phases.c.run_id == run_id)).scalars()}
