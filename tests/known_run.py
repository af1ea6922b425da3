"""A recorded run whose every number is known here, as columns that no code of the project has touched."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from v3core.config import build_run_config, recipe_for
from v3core.curriculum import parse
from v3core.metrics import METRICS, EpisodeRecord
from v3core.store.commands import add_revision
from v3core.store.database import Database
from v3core.store.history import PhaseChangeRow, add_phase_change
from v3core.store.runs import add_run
from v3core.store.writer import EpisodeWriter

RUN, EXPERTS = "known", 4
PHASES = {"early": slice(0, 900), "late": slice(900, None)}
_CURRICULUM = "{name: two, phases: [{name: early, until: {episode: 900}}, {name: late, temperature: {from: 1, to: 2}}]}"
_LOADS = {"loads": (9.0, 5.0, 2.0, 1.0), "hard_loads": (3.0, 1.0, 9.0, 2.0), "expert_grad_norms": (2.0, 9.0, 1.0, 4.0)}
"""How much of each the experts have, on average: their order is seen."""


def known_columns(count: int, *, seed: int = 5) -> dict[str, np.ndarray]:
    """Each metric by its name, shape [count], those of experts as `load_1 …`: every one of another size and spread."""
    random = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for place, metric in enumerate(METRICS.values(), start=1):
        if metric.field in _LOADS:
            shares = random.dirichlet(_LOADS[metric.field], size=count)
            found |= {f"{metric.name}_{number}": share for number, share in enumerate(shares.T, start=1)}
        elif metric.kind is float:
            found[metric.name] = place / 10 + random.random(count) * (1 + place % 3)
        elif metric.kind is int:
            found[metric.name] = random.integers(0, EXPERTS, count)
    found["length"] = random.integers(5, 60, count)
    found["phase_steps"], found["step"] = found["length"], np.cumsum(found["length"])
    found["success"] = random.integers(0, 2, count).astype(float)
    return found


def add_known_run(db: Database, columns: Mapping[str, np.ndarray], *, run_id: str = RUN, name: str = "known") -> str:
    """Record these episodes as a worker does; returns the run's id."""
    count, now = len(columns["length"]), datetime.now(UTC)
    config = build_run_config(
        name=name,
        env="CartPole-v1",
        seed=1,
        episodes=count,
        curriculum=parse(_CURRICULUM),
        recipe=recipe_for("CartPole-v1"),
    )
    with db.write() as tx:
        add_run(tx, run_id, config, status="running", now=now)
        add_revision(tx, run_id, config.curriculum, actor="user", now=now, applied_episode=0)
        for number, (phase, place) in enumerate(PHASES.items()):
            step = int(columns["step"][place.start - 1]) if place.start else 0
            add_phase_change(tx, run_id, PhaseChangeRow(number, phase, place.start, place.start, step, 0, now))
    writer = EpisodeWriter(db, run_id, generation=0, writable_in={"running"})
    rows = [_episode(columns, place) for place in range(count)]
    writer.record(rows, rows[-1].step)
    writer.close()
    return run_id


def _episode(columns: Mapping[str, np.ndarray], place: int) -> EpisodeRecord:
    values: dict[str, Any] = {}
    for metric in METRICS.values():
        if metric.per_expert:
            each = (columns[f"{metric.name}_{number}"][place] for number in range(1, EXPERTS + 1))
            values[metric.field] = tuple(map(float, each))
        elif metric.name in columns:
            values[metric.field] = columns[metric.name][place].item()
    phase = "early" if place < PHASES["early"].stop else "late"
    words = {
        "phase": phase,
        "env": "CartPole-v1",
        "routing": "entmax",
        "task": None,
        "top_k_weights": None,
        "facts": None,
        "situations": None,
    }
    return EpisodeRecord(episode=place + 1, **values | words)
