"""Runs in any state, written as a worker would write them, without training."""

from collections.abc import Sequence
from datetime import UTC, datetime

from v3core.config import build_run_config, recipe_for
from v3core.curriculum import Progress, load_preset, scaled, settings_at
from v3core.jobs import identity
from v3core.jobs.launcher import claim, create
from v3core.jobs.lifecycle import ACTIVE, Status, change_status
from v3core.store.database import Database
from v3core.store.history import PhaseChangeRow, add_phase_change
from v3core.store.runs import need_run, update_run
from v3core.store.writer import EpisodeRow, EpisodeWriter

PATHS: dict[Status, Sequence[Status]] = {
    Status.QUEUED: (),
    Status.STARTING: (),
    Status.RUNNING: (Status.RUNNING,),
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
) -> str:
    """A run of this test process in `status`, with its first `recorded` episodes in the store."""
    now = datetime.now(UTC)
    curriculum = scaled(load_preset(preset), episodes)
    recipe = recipe_for("CartPole-v1")
    config = build_run_config(
        name=name or f"a {status} run",
        env="CartPole-v1",
        seed=1,
        episodes=episodes,
        curriculum=curriculum,
        recipe=recipe,
    )
    with db.write() as tx:
        run_id = create(tx, config, now=now)
        if status is Status.QUEUED:
            return run_id
        claim(tx, need_run(tx, run_id), now=now, actor="worker")
        me = identity.current()
        values = {"host": me.host, "boot_id": me.boot_id, "pid": me.pid, "pid_started": me.started}
        update_run(tx, run_id, values, only_in=ACTIVE)
        for phase, start in enumerate((0, *curriculum.boundaries)):
            if start < recorded:
                name_of_phase = curriculum.phases[phase].name
                change = PhaseChangeRow(phase, name_of_phase, start, start, start * 20, 0, now)
                add_phase_change(tx, run_id, change)
    if recorded:
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=ACTIVE)
        writer.record([_episode(number, curriculum, episodes) for number in range(1, recorded + 1)], recorded * 20)
        writer.close()
    with db.write() as tx:
        for step in PATHS[status]:
            last = step is PATHS[status][-1]
            change_status(tx, run_id, step, actor="test", message="", now=now, reason=reason if last else None)
    return run_id


def _episode(number: int, curriculum, episodes: int) -> EpisodeRow:
    base = recipe_for("CartPole-v1").base.values()
    settings = settings_at(curriculum, Progress(number - 1, episodes), base)
    return EpisodeRow(
        episode=number,
        phase=settings.phase_name,
        return_=20.0 + number,
        length=20,
        step=20 * number,
        policy_loss=-0.01,
        value_loss=1.0 / number,
        load_balance_loss=settings.load_balance,
        action_entropy=0.6,
        total_loss=0.5,
        approx_kl=0.01,
        clip_fraction=0.1,
        grad_norm=0.3,
        lr=settings.lr,
        temperature=settings.temperature,
        routing=settings.routing,
        load_balance=settings.load_balance,
        entropy=settings.entropy,
        routing_entropy=1.3,
        loads=(0.4, 0.3, 0.2, 0.1),
        hard_loads=(0.7, 0.1, 0.1, 0.1),
    )
