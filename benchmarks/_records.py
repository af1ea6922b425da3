"""What the benchmarks of the store share: a database with runs, and episodes of random numbers."""

import random
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from v3core.config import build_run_config, recipe_for
from v3core.curriculum import load_preset, scaled
from v3core.jobs.launcher import create
from v3core.metrics import METRICS, EpisodeRecord
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.store.writer import EpisodeWriter

ENV = "CartPole-v1"
EXPERTS = 4
STEPS = 20
"""Environment steps of each episode."""
PER_ROLLOUT = 32
"""Episodes that are recorded at once."""

_GIVEN: dict[str, Any] = {
    "env": ENV,
    "routing": "sparsemax",
    "top_k_weights": None,
    "length": STEPS,
    "phase_steps": STEPS,
}
_VECTORS = ("loads", "hard_loads", "expert_grad_norms")
_WHOLE = {metric.field for metric in METRICS.values() if metric.kind is int}
_DRAWN = [
    field.name for field in fields(EpisodeRecord) if field.name not in {"episode", "phase", "step", *_GIVEN, *_VECTORS}
]


def open_sqlite(folder: Path) -> Database:
    """A store on SQLite."""
    return open_database(f"sqlite:///{folder / 'v3.db'}", folder)


def new_run(db: Database, episodes: int) -> str:
    """A run that is taken for training."""
    curriculum = scaled(load_preset("v3"), episodes)
    config = build_run_config(
        name="benchmark", env=ENV, seed=1, episodes=episodes, curriculum=curriculum, recipe=recipe_for(ENV)
    )
    with db.write() as tx:
        run_id = create(tx, config, now=datetime.now(UTC))
        update_run(tx, run_id, {"status": "running"}, only_in=["queued"])
    return run_id


def open_writer(db: Database, run_id: str) -> EpisodeWriter:
    """What a worker writes with."""
    return EpisodeWriter(db, run_id, generation=0, writable_in=["running"])


def drawn(first: int, last: int, *, total: int) -> Iterator[EpisodeRecord]:
    """Episodes of a run of `total`, every number random."""
    draw = random.Random(first).random
    for number in range(first, last + 1):
        phase = ("warmup", "transition", "fine-tune")[min(3 * number // (total + 1), 2)]
        vectors = {name: tuple(draw() for _ in range(EXPERTS)) for name in _VECTORS}
        numbers: dict[str, Any] = {name: int(3 * draw()) if name in _WHOLE else draw() for name in _DRAWN}
        yield EpisodeRecord(episode=number, phase=phase, step=number * STEPS, **_GIVEN, **vectors, **numbers)


def fill(db: Database, run_id: str, count: int, *, first: int = 1, total: int | None = None) -> None:
    """Record episodes as a worker does."""
    writer = open_writer(db, run_id)
    for start in range(first, first + count, 4096):
        rows = list(drawn(start, min(start + 4096, first + count) - 1, total=total or count))
        writer.record(rows, rows[-1].step)
    writer.close()
