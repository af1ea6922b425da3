"""Hundreds of runs as a season of work leaves them: written once per kind, then copied in the database, in seconds."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, literal, select, update

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.database import Database
from v3core.store.schema import Transaction, metadata, runs

_KINDS = (
    (Status.COMPLETED, "v3", "CartPole-v1", 400, 400),
    (Status.COMPLETED, "direct-sparsemax", "CartPole-v1", 400, 400),
    (Status.COMPLETED, "softmax-only", "MiniGrid-Empty-5x5-v0", 600, 600),
    (Status.FAILED, "v3", "MiniGrid-DoorKey-5x5-v0", 800, 130),
    (Status.STOPPED, "v3", "Acrobot-v1", 500, 260),
    (Status.LOST, "direct-sparsemax", "Acrobot-v1", 500, 90),
    (Status.COMPLETED, "v3", "CartPole-v1", 40, 40),
    (Status.STOPPED, "softmax-only", "CartPole-v1", 400, 0),
)
TAGS = ("baseline", "paper", "sparse", "try-again")


def add_wall(db: Database, count: int) -> list[str]:
    """Add `count` ended runs of eight kinds, the newest last; returns their ids.

    Names, seeds, tags (every third), notes (every tenth) and ages differ.
    """
    made = [
        add_recorded_run(
            db,
            status,
            preset=preset,
            env=env,
            episodes=planned,
            recorded=recorded,
            name=f"{preset} · {env} · seed 1",
            reason="The environment returned an observation of another shape." if status == Status.FAILED else None,
        )
        for status, preset, env, planned, recorded in _KINDS[:count]
    ]
    now = datetime.now(UTC)
    with db.write() as tx:
        while len(made) < count:
            original = made[len(made) % len(_KINDS)]
            made.append(_copy(tx, original, len(made)))
        for number, run_id in enumerate(made):
            began = now - timedelta(hours=count - number, minutes=7 * number % 60)
            values = {
                "seed": number // len(_KINDS) + 1,
                "tags": TAGS[number // 3 % len(TAGS)] if number % 3 == 0 else None,
                "notes": f"Looks promising after episode {number}." if number % 10 == 0 else None,
                "created_at": began,
                "queued_at": began,
                "started_at": began,
                "ended_at": began + timedelta(minutes=3 + number % 50),
            }
            kind = _KINDS[number % len(_KINDS)]
            name = f"{kind[1]} · {kind[2]} · seed {values['seed']}"
            tx.execute(update(runs).where(runs.c.id == run_id).values(name=name, **values))
    return made


def _copy(tx: Transaction, run_id: str, number: int) -> str:
    """Another run with the same rows."""
    new = str(uuid.UUID(int=(0xA0000000 + number * 7919) << 96 | number))
    for table in metadata.sorted_tables:
        key = "id" if table is runs else "run_id"
        if key not in table.c:
            continue
        columns = [column for column in table.columns if column.name not in (key, "id")]
        copied = select(literal(new), *columns).where(table.c[key] == run_id)
        tx.execute(insert(table).from_select([key, *(column.key for column in columns)], copied))
    return new
