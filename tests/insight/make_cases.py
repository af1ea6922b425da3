"""Trains the runs that rules of alarms are tested with and keeps their rows: `python -m tests.insight.make_cases`.

Each run is real, small, and kept as JSON in `cases/`: its configuration, what was noted between its episodes, and of
each episode what the rules read, to five digits. With names, only these are made again.
"""

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from tests.runs import TINY
from v3core.config import EvaluationConfig, RunConfig, build_run_config, recipe_for
from v3core.curriculum import PhaseStart, dump, load_preset, parse
from v3core.insight.alarms import NEEDED, Began, Episodes, Evaluated, Plan, Watch
from v3core.insight.alarms.plan import COMPARED
from v3core.store.database import Database
from v3core.store.history import read_evaluations, read_phase_changes
from v3core.store.opening import open_database
from v3core.store.runs import get_run
from v3core.store.schema import episodes, expert_loads

CASES = Path(__file__).parent / "cases"
_DIGITS, _EXACT = 5, 12


@dataclass(frozen=True)
class Case:
    """A run to train."""

    curriculum: str
    episodes: int
    fires: tuple[str, ...]
    """Rules that must hold at some time; no other may."""
    env: str = "CartPole-v1"
    seed: int = 1
    tiny: bool = True
    """Whether it is trained by the smallest network instead of the environment's recipe."""
    policy: dict[str, Any] = field(default_factory=dict)
    evaluated: bool = False
    evaluate_every: int | None = None


_V3 = """{name: v3, phases: [
  {name: warmup, until: {episode: 65}, routing: softmax, temperature: 1, load_balance: 0.02},
  {name: transition, until: {episode: 195}, routing: sparsemax, temperature: {from: 1, to: 0.5}, lr: {times: 0.5}},
  {name: fine-tune, routing: sparsemax, temperature: 0.5, lr: {times: 0.1}}]}"""
_TOO_FAST = """{name: too-fast, phases: [
  {name: learn, until: {episode: 120}, routing: softmax}, {name: jump, lr: {times: 40}}]}"""

CASES_BY_NAME = {
    "healthy": Case(_V3, 260, (), tiny=False, evaluated=True, evaluate_every=60),
    "collapsing": Case(
        "{name: x, phases: [{name: even, until: {episode: 20}, temperature: 50}, "
        "{name: sharp, routing: topk, top_k: 1, temperature: {from: 1, to: 0.5}}]}",
        60,
        ("collapse", "dead_expert", "entropy_cliff"),
        seed=9,
    ),
    "two-of-four": Case(
        "{name: x, phases: [{name: pair, routing: topk, top_k: 2, temperature: 100}]}",
        60,
        ("dead_expert", "shared_experts"),
        seed=8,
        policy={"experts": 4},
    ),
    "never-specialised": Case(
        "{name: x, phases: [{name: even, until: {episode: 20}}, {name: late, temperature: 20}]}",
        60,
        ("uniform_routing",),
    ),
    "too-fast": Case(_TOO_FAST, 200, ("return_drop", "high_kl"), tiny=False),
    "demo": Case(
        dump(load_preset("demo-without-curriculum")),
        400,
        ("dead_expert", "exploding_gradient", "evaluation_gap"),
        seed=3,
        tiny=False,
        evaluated=True,
    ),
    "not-finite": Case(
        "{name: x, phases: [{name: fine, until: {episode: 20}}, {name: overflow, lr: 1.0e+30}]}",
        60,
        ("undone_updates",),
    ),
    "over-smoothed": Case(
        "{name: x, phases: [{name: all, lr: 0.1}]}", 60, ("over_smoothing",), policy={"layers": 6, "width": 16}
    ),
    "ineffective": Case(
        "{name: x, phases: [{name: early, until: {episode: 20}, routing: softmax, bias_speed: 0.01}, "
        "{name: late, routing: sparsemax, alpha: 1.3}]}",
        60,
        ("ineffective_setting",),
    ),
}


def config_of(name: str) -> RunConfig:
    """The configuration of a case."""
    case = CASES_BY_NAME[name]
    recipe = TINY if case.tiny else recipe_for(case.env)
    recipe = recipe.model_copy(
        update={
            "policy": recipe.policy.model_copy(update=case.policy),
            "evaluation": EvaluationConfig(episodes=10 if case.evaluated else 0, every=case.evaluate_every),
        }
    )
    curriculum = parse(case.curriculum)
    return build_run_config(
        name=name, env=case.env, seed=case.seed, episodes=case.episodes, curriculum=curriculum, recipe=recipe
    )


def make(name: str) -> None:
    """Train a case and keep it."""
    from v3core.jobs.launcher import create
    from v3core.jobs.signals import StopRequest
    from v3core.jobs.worker import adopt, train_run

    with tempfile.TemporaryDirectory() as folder:
        os.environ["V3_DATA_DIR"] = folder
        database = open_database(f"sqlite:///{folder}/v3.db")
        with database.write() as tx:
            run_id = create(tx, config_of(name), now=datetime.now(UTC))
        train_run(database, adopt(database, run_id), StopRequest())
        keep(database, run_id, name)
        database.close()


def keep(database: Database, run_id: str, name: str) -> None:
    """Write what the rules read of a run that was trained."""
    named = {column.name: column for column in episodes.c}
    query = select(episodes.c.phase, *(named[column] for column in NEEDED)).where(episodes.c.run_id == run_id)
    loads = select(expert_loads.c.load).where(expert_loads.c.run_id == run_id)
    with database.read() as tx:
        rows = tx.execute(query.order_by(episodes.c.episode)).all()
        shares = tx.execute(loads.order_by(expert_loads.c.episode, expert_loads.c.expert)).scalars().all()
    content = {
        "config": get_run(database, run_id).config.model_dump(mode="json", by_alias=True),
        "began": [[change.episode, change.phase, change.step] for change in read_phase_changes(database, run_id)],
        "evaluated": [[row.episode, list(row.returns)] for row in read_evaluations(database, run_id)],
        "phases": [row[0] for row in rows],
        "values": {
            column: _short((row[place] for row in rows), _EXACT if column in COMPARED else _DIGITS)
            for place, column in enumerate(NEEDED, start=1)
        },
        "loads": [_short(one, _DIGITS) for one in np.array(shares, dtype=float).reshape(len(rows), -1).tolist()],
    }
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    file = CASES / f"{name}.json.gz"
    file.write_bytes(gzip.compress(text, mtime=0))
    print(f"{file.name}: {len(rows)} episodes, {file.stat().st_size:,} bytes")
    for alarm in alarms_of(name):
        print("  ", alarm.rule, alarm.first_episode, alarm.last_episode, alarm.detail)


def _short(values: Iterable[Any], digits: int) -> list[Any]:
    return [None if value is None else float(f"{value:.{digits}g}") for value in values]


def alarms_of(name: str) -> list[Any]:
    """The alarms that the rules find in a case that is kept."""
    content = json.loads(gzip.decompress((CASES / f"{name}.json.gz").read_bytes()))
    config = RunConfig.model_validate(content["config"])
    unknown = [None] * len(content["phases"])  # of what the rules did not read when the case was made: the length
    values = np.array([content["values"].get(column, unknown) for column in NEEDED], dtype=np.float64).T
    loads = np.array(content["loads"], dtype=np.float64)
    watch = Watch(Plan(config, config.curriculum), loads.shape[1])
    marks: list[Any] = [Evaluated(episode, returns) for episode, returns in content["evaluated"]]
    marks += [Began(episode, phase, PhaseStart(episode, step)) for episode, phase, step in content["began"]]
    for mark in sorted(marks, key=lambda mark: mark.episode):
        watch.mark(mark)
    watch.watch(Episodes(np.arange(1, len(values) + 1), values, loads, content["phases"]))
    return watch.alarms


if __name__ == "__main__":
    CASES.mkdir(exist_ok=True)
    for each in sys.argv[1:] or CASES_BY_NAME:
        make(each)
