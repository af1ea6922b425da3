"""Recorded runs for comparisons: short, with a few episodes and evaluations of given numbers."""

import itertools
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import update

from tests.runs import TINY
from v3core.config import Recipe, build_run_config
from v3core.curriculum import parse
from v3core.environment_setup import EnvironmentSetup
from v3core.metrics import METRICS, EpisodeRecord
from v3core.store.commands import add_revision
from v3core.store.database import Database
from v3core.store.history import PhaseChangeRow, add_evaluation, add_event, add_phase_change
from v3core.store.run_row import RunRow
from v3core.store.runs import add_run, get_run, update_run
from v3core.store.schema import episodes
from v3core.store.writer import EpisodeWriter

START = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
STEPS = 10
"""Of each episode."""


def made_run(
    db: Database,
    *,
    curriculum: str = "v3",
    seed: int = 1,
    returns: Sequence[float] = (),
    evaluations: Sequence[tuple[int, float]] = (),
    status: str = "completed",
    env: EnvironmentSetup | str = "CartPole-v1",
    planned: int | None = None,
    recipe: Recipe = TINY,
    load_balance: float = 0.01,
    name: str | None = None,
    boundary: int = 5,
    ended_in: str | None = None,
    second: str = "late",
    steps: int | None = None,
    temperature: float = 1.0,
    dead_experts: Sequence[int | None] = (),
    early: int = 0,
    solved: Mapping[str, float] = MappingProxyType({}),
    loads: Sequence[tuple[int, tuple[float, ...]]] = (),
    straddling: Collection[int] = (),
) -> RunRow:
    """A run with these returns, and evaluations `(episode, mean return)`; two phases, `early` and `late`.

    `dead_experts` are those of each episode's window; 1 by default. `early` episodes are recorded as of the first
    phase, the others as of `late`. `solved` is the success of each task in all of its episodes; tasks take turns, as do
    `loads`, which are lengths and the loads of the experts. Episodes that are `straddling` began in another phase.
    """
    text = f"{{name: {curriculum}, phases: [{{name: early, until: {{episode: {boundary}}}, routing: softmax}}, "
    late = f"routing: sparsemax, load_balance: {load_balance}" + (
        f", temperature: {temperature}" if temperature != 1 else ""
    )
    text += f"{{name: {second}, {late}}}]}}"
    config = build_run_config(
        name=name or f"{curriculum} {seed}",
        env=env,
        seed=seed,
        episodes=steps or planned or max(len(returns), 10),
        steps=steps,
        curriculum=parse(text),
        recipe=recipe,
    )
    run_id = str(uuid.uuid4())
    with db.write() as tx:
        add_run(tx, run_id, config, status="running", now=START)
        add_revision(tx, run_id, config.curriculum, actor="user", now=START, applied_episode=0)
        add_event(tx, run_id, actor="worker", kind="running", message="Began.", now=START + timedelta(seconds=60))
        for phase, (phase_name, begins) in enumerate((("early", 0), (second, boundary))):
            if begins <= len(returns):
                row = PhaseChangeRow(phase, phase_name, begins, begins, begins * STEPS, 0, START)
                add_phase_change(tx, run_id, row)
    if returns:
        rows = [_episode(number, value, str(env)) for number, value in enumerate(returns, 1)]
        for recorded, dead in zip(rows, dead_experts, strict=False):
            recorded.recent_dead_experts = dead
        for recorded, task in zip(rows, itertools.cycle(solved), strict=False):
            recorded.task, recorded.success = task, solved[task]
        for recorded, (length, of_each) in zip(rows, itertools.cycle(loads), strict=False):
            recorded.length = recorded.phase_steps = length
            recorded.loads = of_each
        for number in straddling:
            rows[number - 1].phase_steps = 1
        for recorded in rows[:early]:
            recorded.phase = "early"
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
        writer.record(rows, len(returns) * STEPS)
        writer.close()
    with db.write() as tx:
        for episode, mean in evaluations:
            results = [(mean - 1, STEPS, None), (mean + 1, STEPS, None)]
            add_evaluation(tx, run_id, episode=episode, step=episode * STEPS, env=str(env), results=results, now=START)
        ended = {} if status in ("running", "queued") else {"ended_at": START + timedelta(hours=1)}
        phases = {} if ended_in is None else {"phase": ended_in}
        update_run(tx, run_id, {"status": status, **ended, **phases}, only_in=["running"])
    return get_run(db, run_id)


def _episode(number: int, value: float, env: str) -> EpisodeRecord:
    values: dict[str, Any] = {metric.field: 0.5 for metric in METRICS.values()}
    values |= {metric.field: 1 for metric in METRICS.values() if metric.kind is int}
    values |= {"episode": number, "phase": "late", "env": env, "return_": value, "length": STEPS, "success": None}
    values["phase_steps"] = STEPS
    values |= {
        "step": number * STEPS,
        "routing": "softmax",
        "alpha": None,
        "top_k": None,
        "top_k_weights": None,
        "task": None,
    }
    values |= dict.fromkeys(("loads", "hard_loads", "expert_grad_norms"), (0.25, 0.75))
    return EpisodeRecord(**values)


def made_groups(db: Database, finals: dict[str, Sequence[float]], **more: Any) -> list[RunRow]:
    """One completed run per value, with that final evaluation; seeds count from 1 in each curriculum."""
    return [
        made_run(db, curriculum=curriculum, seed=seed, evaluations=[(10, value)], returns=[value] * 10, **more)
        for curriculum, values in finals.items()
        for seed, value in enumerate(values, start=1)
    ]


def with_words(
    db: Database, run: RunRow, facts: Sequence[Any] = (), situations: Mapping[str, Any] | None = None
) -> None:
    """Facts of the run's episodes, one after the other, and the situations of all of them."""
    with db.write() as tx:
        for number in range(1, run.episode + 1):
            mine = (episodes.c.run_id == run.id) & (episodes.c.episode == number)
            said = {
                "facts": json.dumps(facts[number - 1]) if facts else None,
                "situations": json.dumps(situations) if situations else None,
            }
            tx.execute(update(episodes).where(mine).values(said))


def with_epochs(epochs: int) -> Recipe:
    """The smallest recipe with another number of epochs."""
    return replace_recipe(TINY, epochs=epochs)


WITH_FACTS = TINY.model_copy(update={"episode_facts": {"score": "game.score", "cause": "game.cause"}})
"""Its runs record two facts of each episode."""


def replace_recipe(recipe: Recipe, **ppo: Any) -> Recipe:
    """A recipe with other settings of PPO."""
    return recipe.model_copy(update={"ppo": recipe.ppo.model_copy(update=ppo)})
