"""A run with something in every table, and values that are easily lost on the way."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert

from tests.store.conftest import START
from v3core.insight.experts import ExpertProfile, ExpertReport, StateMap
from v3core.insight.slowness import ProcessSample
from v3core.metrics import EpisodeRecord
from v3core.store import commands
from v3core.store.database import Database
from v3core.store.expert_records import add_expert_report, add_knockouts
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_checkpoint,
    add_evaluation,
    add_event,
    add_phase_change,
)
from v3core.store.process_samples import add_process_sample
from v3core.store.runs import update_run
from v3core.store.schema import alarms, events
from v3core.store.writer import EpisodeWriter

TINY, LARGE = 5e-324, 1.7976931348623157e308
THIRD = 0.1 + 0.2


def record(db: Database, run_id: str, episode: Callable[..., EpisodeRecord], count: int = 12) -> str:
    """Record `count` episodes and all that goes with them; the run is running afterwards."""
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    odd: dict[int, dict[str, Any]] = {
        3: {"return_": math.nan},
        4: {"return_": math.inf},
        5: {"return_": -math.inf},
        6: {"return_": TINY},
        7: {"return_": THIRD},
        8: {"return_": LARGE},
        9: {"phase": 'a "quoted", phase\nin two lines'},
    }
    rows = [episode(number, **odd.get(number, {})) for number in range(1, count + 1)]
    writer.record(rows, rows[-1].step)
    writer.close()
    with db.write() as tx:
        for number in (5, 10):
            path = f"runs/{run_id}/checkpoints/episode-{number:08d}.pt"
            add_checkpoint(tx, run_id, CheckpointRow(number, number * 10, path, START, 7))
        add_evaluation(
            tx, run_id, episode=10, step=100, env="CartPole-v1", results=[(1.5, 3, None), (math.inf, 4, 1.0)], now=START
        )
        actions = {"probabilities": [[THIRD, 1 - THIRD]], "first": [0]}
        experts = (
            ExpertProfile(1.0, TINY, actions, actions, (0, THIRD)),
            ExpertProfile(None, 0.0, actions, None, (1, 0)),
        )
        map_ = StateMap((0.5,), (-1e-3,), (1,), (0.25,), (1,), (7,), (0.5, 0.25))
        add_expert_report(tx, run_id, 10, ExpertReport(1, 1, experts, map_))
        add_knockouts(tx, run_id, episode=10, results={-1: [(1.5, 3, None)], 0: [(-math.inf, 4, 0.0)]}, now=START)
        for waited in (None, 0.5):
            add_process_sample(tx, run_id, process_sample(waited=waited))
        add_phase_change(tx, run_id, PhaseChangeRow(0, "early", 0, 0, 0, 0, START))
        curriculum = commands.curriculum_in_force(tx, run_id)
        revision = commands.add_revision(tx, run_id, curriculum, actor="user", now=START, applied_episode=None)
        commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor="user", now=START, revision_id=revision)
        commands.add_command(tx, run_id, commands.PRIORITY, actor="user", now=START, value="3")
        content = {"rule": "dead_expert", "phase": "early", "value": 2.0, "threshold": 1.0, "detail": "2 of 4 dead"}
        where = {"run_id": run_id, "first_episode": 3, "last_episode": 9, "raised_at": START}
        muted = {"state": "muted", "reason": '"so", it is', "webhook": "due"}
        # In numbers that only say where they stand, rules find alarms; here is one that is known instead.
        tx.execute(delete(alarms).where(alarms.c.run_id == run_id))
        tx.execute(delete(events).where(events.c.run_id == run_id, events.c.kind == "alarm"))
        tx.execute(insert(alarms).values(number=1, **muted, **content, **where))
        for number in range(3):
            add_event(tx, run_id, actor="worker", kind="note", message=f"Ä {number}.", now=START + timedelta(hours=1))
    return run_id


def record_run(db: Database, new_run: Callable[..., str], rows: list[EpisodeRecord]) -> str:
    """A run of which these episodes are recorded by the writer; its id."""
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record(rows, rows[-1].step)
    writer.close()
    return run_id


def process_sample(**values: Any) -> ProcessSample:
    """Fifteen seconds of an ordinary run."""
    given: dict[str, Any] = {
        "at": START,
        "seconds": 15.0,
        "steps": 30_000,
        "updates": 10,
        "acting": 4.0,
        "environments": 5.0,
        "learning": 3.0,
        "recording": 0.5,
        "cpu": 14.0,
        "waited": 0.25,
        "machine": 0.5,
        "memory": 3 * 10**8,
        "threads": 3,
        "gpu_memory": None,
        "gpu": None,
    }
    return ProcessSample(**given | values)


def end(db: Database, run_id: str, status: str = "stopped") -> None:
    """Give the run another status."""
    with db.write() as tx:
        update_run(tx, run_id, {"status": status}, only_in=["running"])
