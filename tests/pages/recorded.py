"""Runs in any state, written as a worker would write them, without training."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast

import numpy as np

from v3core.config import BalanceOn, build_run_config, recipe_for
from v3core.curriculum import BaseValues, Curriculum, Progress, environments_of, load_preset, scaled, settings_at
from v3core.jobs import identity
from v3core.jobs.control import current_curriculum
from v3core.jobs.files import run_folder
from v3core.jobs.launcher import claim, create
from v3core.jobs.lifecycle import ACTIVE, RESUMABLE, Status, change_status
from v3core.metrics import DEAD_LOAD, METRICS, EpisodeRecord
from v3core.store.database import Database
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_checkpoint,
    add_evaluation,
    add_phase_change,
)
from v3core.store.runs import get_run, update_run
from v3core.store.writer import EpisodeWriter

PATHS: dict[Status, Sequence[Status]] = {
    Status.QUEUED: (),
    Status.STARTING: (),
    Status.RUNNING: (Status.RUNNING,),
    Status.PAUSED: (Status.RUNNING, Status.PAUSED),
    Status.STALLED: (Status.RUNNING, Status.STALLED),
    Status.STOPPING: (Status.RUNNING, Status.STOPPING),
    Status.STOPPED: (Status.RUNNING, Status.STOPPING, Status.STOPPED),
    Status.COMPLETED: (Status.RUNNING, Status.COMPLETED),
    Status.FAILED: (Status.RUNNING, Status.FAILED),
    Status.LOST: (Status.RUNNING, Status.LOST),
}


def add_recorded_run(
    db: Database,
    status: Status,
    *,
    episodes: int = 40,
    recorded: int = 25,
    name: str | None = None,
    reason: str | None = None,
    preset: str = "v3",
    env: str | None = None,
    evaluated: Sequence[int] = (),
    success: bool = False,
    rollbacks: Sequence[int] = (),
    older: bool = False,
    loads: Sequence[float] | None = None,
    experts: int | None = None,
    balance_on: BalanceOn = "softmax",
) -> str:
    """A run of this test process in `status`, with its first `recorded` episodes in the store.

    Args:
        db: an open store.
        status: what the run is left in.
        episodes: planned.
        recorded: complete.
        name: made from the status if left out.
        reason: of the last change of status.
        preset: its curriculum.
        env: the environment; CartPole, or the curriculum's first. Several at once take turns.
        evaluated: at which episodes; each time returns 30, 40 and 50, two of three solved if there is success.
        success: whether the environment says if a task was solved; every other episode is.
        rollbacks: the episodes with which an update was undone.
        older: recorded by a version that did not know the numbers of schema 2.
        loads: of the experts in every episode; made up if left out.
        experts: how many; the recipe's if left out.
        balance_on: what its balance losses read.
    """
    now = datetime.now(UTC)
    curriculum = scaled(load_preset(preset), episodes)
    env = env or (environments_of(curriculum) or ("CartPole-v1",))[0]
    recipe = recipe_for(env)
    if experts is not None:
        recipe = recipe.model_copy(update={"policy": recipe.policy.model_copy(update={"experts": experts})})
    recipe = recipe.model_copy(update={"ppo": recipe.ppo.model_copy(update={"balance_on": balance_on})})
    config = build_run_config(
        name=name or f"a {status} run",
        env=env,
        seed=1,
        episodes=episodes,
        curriculum=curriculum,
        recipe=recipe,
    )
    with db.write() as tx:
        run_id = create(tx, config, now=now)
        if status is Status.QUEUED:
            return run_id
        claim(tx, get_run(tx, run_id), now=now, actor="worker")
        me = identity.current()
        values = {"host": me.host, "boot_id": me.boot_id, "pid": me.pid, "pid_started": me.pid_started}
        update_run(tx, run_id, values, only_in=ACTIVE)
        for phase, start in enumerate((0, *curriculum.boundaries)):
            if start < recorded:
                name_of_phase = curriculum.phases[phase].name
                change = PhaseChangeRow(phase, name_of_phase, start, start, start * 20, 0, now)
                add_phase_change(tx, run_id, change)
    if recorded:
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=ACTIVE)
        tasks = config.environment.task_names
        rows = [_episode(number, curriculum, episodes, config.policy.experts) for number in range(1, recorded + 1)]
        for place, row in enumerate(rows):
            undone = sum(row.episode >= episode for episode in rollbacks)
            solved = float(row.episode % 2) if success else None
            task = tasks[row.episode % len(tasks)] if tasks else None
            rows[place] = replace(row, env=env, task=task, rollbacks=undone, success=solved)
            if loads is not None:
                dead = sum(load < DEAD_LOAD for load in loads)
                rows[place] = replace(rows[place], loads=tuple(loads), dead_experts=dead)
            if older:
                rows[place] = _as_older(rows[place])
        writer.record(rows, recorded * 20)
        writer.close()
    if status in RESUMABLE and recorded:
        add_checkpoint_file(db, run_id, recorded)
    with db.write() as tx:
        for episode in evaluated:
            results = [
                (value, 20, solved if success else None) for value, solved in ((30.0, 0.0), (40.0, 1.0), (50.0, 1.0))
            ]
            add_evaluation(tx, run_id, episode=episode, step=episode * 20, env=env, results=results, now=now)
        for step in PATHS[status]:
            last = step is PATHS[status][-1]
            change_status(tx, get_run(tx, run_id), step, "", actor="test", now=now, reason=reason if last else None)
        # It sends no heartbeat, and is not stalled however long a page takes to be drawn.
        update_run(tx, run_id, {"heartbeat_due_at": now + timedelta(hours=1)}, only_in=ACTIVE)
    return run_id


def record_more(
    db: Database, run_id: str, count: int, *, returns: float = 0.0, random: np.random.Generator | None = None
) -> None:
    """The next episodes of a run, as its worker writes them; `returns` is added to the return of each.

    With `random`, every number that is not counted is one of its own.
    """
    run = get_run(db, run_id)
    curriculum = current_curriculum(db, run_id)
    numbers = range(run.episode + 1, run.episode + count + 1)
    rows = [_episode(number, curriculum, run.episodes, run.experts) for number in numbers]
    rows = [replace(row, env=run.env, return_=row.return_ + returns) for row in rows]
    if random is not None:
        rows = [_with_noise(row, random) for row in rows]
    writer = EpisodeWriter(db, run_id, generation=run.generation, writable_in=ACTIVE)
    writer.record(rows, rows[-1].step)
    writer.close()


def add_checkpoint_file(db: Database, run_id: str, episode: int) -> None:
    """A checkpoint whose file is whole, though there is no policy in it."""
    path = run_folder(run_id, db.data_dir) / "checkpoints" / f"episode-{episode:08}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", "nothing")
    row = CheckpointRow(episode, episode * 20, str(path.relative_to(db.data_dir)), datetime.now(UTC))
    with db.write() as tx:
        add_checkpoint(tx, run_id, row)


def _with_noise(row: EpisodeRecord, random: np.random.Generator) -> EpisodeRecord:
    values: dict[str, Any] = {name: random.random() for name, value in vars(row).items() if isinstance(value, float)}
    values["success"] = float(random.integers(2))
    shares = {name: random.dirichlet(np.ones(len(row.loads))) for name in ("loads", "hard_loads", "expert_grad_norms")}
    return replace(row, **values | {name: tuple(map(float, found)) for name, found in shares.items()})


def _as_older(row: EpisodeRecord) -> EpisodeRecord:
    unknown = [metric.field for metric in METRICS.values() if metric.since > 1 and not metric.per_expert]
    values: dict[str, Any] = dict.fromkeys(unknown)
    return replace(row, **values, expert_grad_norms=cast("tuple[float, ...]", (None,) * len(row.loads)))


@cache
def _base() -> BaseValues:
    return recipe_for("CartPole-v1").base.values()


def _episode(number: int, curriculum: Curriculum, episodes: int, experts: int = 4) -> EpisodeRecord:
    settings = settings_at(curriculum, Progress(number - 1, episodes), _base())
    used = {"alpha": "entmax", "top_k": "topk", "top_k_weights": "topk"}
    in_force = {
        name: value if used.get(name, settings.routing) == settings.routing else None
        for name, value in vars(settings).items()
        if name in METRICS
    }
    shares, hard_shares, norms = (
        ((0.4, 0.3, 0.2, 0.1), (0.7, 0.1, 0.1, 0.1), (0.2, 0.1, 0.1, 0.05))
        if experts == 4
        else ((1 / experts,) * experts, (1 / experts,) * experts, (0.1,) * experts)
    )
    values: dict[str, Any] = dict.fromkeys((metric.field for metric in METRICS.values()), 0) | {
        **{
            "return_": 20.0 + number,
            "length": 20,
            "phase_steps": 20,
            "success": None,
            "step": 20 * number,
            "task": None,
            "facts": None,
            "situations": None,
        },
        **{"policy_loss": -0.01, "value_loss": 1.0 / number, "load_balance_loss": settings.load_balance},
        **{"action_entropy": 0.6, "total_loss": 0.5, "approx_kl": 0.01, "clip_fraction": 0.1, "router_shift": 0.02},
        **{"approx_kl_last": 0.015, "clip_fraction_last": 0.15, "router_shift_last": 0.03},
        **{"grad_norm": 0.3, "explained_variance": 0.8, "node_distance": 0.6},
        **{"routing_entropy": 1.15, "load_entropy": 1.28, "specialisation": 0.13, "effective_experts": 3.6},
        **{"support": 4.0, "load_cv": 0.45},
        **{"loads": shares, "hard_loads": hard_shares, "expert_grad_norms": norms},
    }
    return EpisodeRecord(**values | in_force | {"episode": number, "phase": settings.phase_name, "env": "CartPole-v1"})
