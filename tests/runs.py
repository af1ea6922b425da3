"""Small real runs for tests: what they are, waiting for them, and whether what they recorded is whole."""

from tests.episode_table import EpisodeTable, read_episodes
from tests.waiting import wait_for
from v3core.config import BaseConfig, PolicyConfig, PPOConfig, Recipe, RunConfig, build_run_config
from v3core.curriculum import parse
from v3core.jobs.lifecycle import ENDED, Status
from v3core.jobs.logs import read_log_tail
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run

# The smallest network at a learning rate at which CartPole's episodes stay short: hundreds of episodes a second.
TINY = Recipe(
    name="tiny",
    match=("*",),
    base=BaseConfig(lr=1e-6),
    ppo=PPOConfig(environments=4, rollout_steps=32, minibatch=128, epochs=1),
    policy=PolicyConfig(width=4, heads=1, layers=1, experts=2),
)


def tiny_config(
    *,
    episodes: int | None = 60,
    steps: int | None = None,
    boundary: int | None = None,
    env: str = "CartPole-v1",
    name: str = "tiny",
    seed: int = 1,
) -> RunConfig:
    """Two phases, or one if the boundary is None."""
    first = f"{{name: early, until: {{episode: {boundary}}}, routing: softmax}}, " if boundary else ""
    curriculum = parse(f"{{name: test, phases: [{first}{{name: late, routing: sparsemax}}]}}")
    return build_run_config(
        name=name, env=env, seed=seed, episodes=episodes, steps=steps, curriculum=curriculum, recipe=TINY
    )


def wait_until(db: Database, run_id: str, *, status: Status | None = None, episode: int = 0) -> RunRow:
    """Wait until a run has reached a status, or an episode; fails with its log if it ends otherwise."""

    def reached() -> bool:
        run = get_run(db, run_id)
        if status is None:
            assert run.status not in ENDED, f"{run.status}: {run.reason}\n{read_log_tail(run_id)}"
            return run.status == Status.RUNNING and run.episode >= episode
        assert run.status not in ENDED or run.status == status, f"{run.reason}\n{read_log_tail(run_id)}"
        return run.status == status

    wait_for(reached, f"run is {get_run(db, run_id).status}, not {status}, {episode}")
    return get_run(db, run_id)


def assert_whole(db: Database, run_id: str, loads_known: int | None = None) -> EpisodeTable:
    """Every episode is recorded once, with its loads (all, or the first so many); nothing runs backwards."""
    table, run = read_episodes(db, run_id), get_run(db, run_id)
    assert table["episode"].tolist() == list(range(1, run.episode + 1))
    assert (table["step"][1:] >= table["step"][:-1]).all()
    assert (table["at"][1:] >= table["at"][:-1]).all()
    if len(table):
        assert abs(table.loads.sum(axis=1)[:loads_known] - 1).max() < 1e-5
    return table
