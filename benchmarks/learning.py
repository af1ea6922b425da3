"""Time until CartPole-v1 is learned, beside Stable-Baselines3's PPO with the hyperparameters that rl-zoo3 tuned for it.

Learned means that the mean return of the last 100 episodes reaches 475. Ours is a whole training as a user starts it:
the recipe of the environment, curriculum v3, checkpoints, but no database (`recorder_overhead.py` measures that). The
two train by turns, seed after seed, in one process on one thread; imports do not count. Ours ends after the update that
follows, the peer at the very step.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from backends import Returns  # which puts the project on the path
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from v3core.config import build_run_config, recipe_for
from v3core.curriculum.fit import scaled
from v3core.curriculum.presets import load_preset
from v3core.metrics import EpisodeRecord
from v3core.training.hooks import Orders
from v3core.training.trainer import train

ENV = "CartPole-v1"
GOAL, WINDOW = 475.0, 100
PEER_STEPS = (100_000, 300_000)
"""What rl-zoo3 trains for, and the length of a second training where the first does not reach the goal."""


@dataclass(frozen=True)
class Learned:
    """One training, up to the goal or to its end."""

    seed: int
    reached: bool
    wall: float
    """Seconds."""
    processor: float
    """Seconds."""
    steps: int
    """Environment steps."""
    episodes: int
    planned: int
    """Length that its schedules are made for: episodes of ours, environment steps of the peer's."""


class Goal:
    """Clocks, and the returns until their mean reaches the goal."""

    def __init__(self, seed: int, planned: int) -> None:
        self._seed, self._planned = seed, planned
        self._newest: deque[float] = deque(maxlen=WINDOW)
        self._began = time.perf_counter(), time.process_time()
        self.episodes = 0
        self.reached = False

    def add(self, returns: Sequence[float]) -> None:
        """Take the returns of further episodes."""
        for return_ in returns:
            self._newest.append(return_)
            self.episodes += 1
            self.reached |= len(self._newest) == WINDOW and statistics.mean(self._newest) >= GOAL

    def learned(self, steps: int) -> Learned:
        """The training so far."""
        wall, processor = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return Learned(self._seed, self.reached, wall, processor, steps, self.episodes, self._planned)


class _Hooks(Returns):
    """Stops the training at the goal."""

    def __init__(self, folder: Path, goal: Goal) -> None:
        super().__init__(folder)
        self._goal = goal

    def record(self, episodes: Sequence[EpisodeRecord], step: int) -> None:
        super().record(episodes, step)
        self._goal.add([episode.return_ for episode in episodes])

    def orders(self) -> Orders:
        return Orders(stop=self._goal.reached)


class _Callback(BaseCallback):
    """Likewise."""

    def __init__(self, goal: Goal) -> None:
        super().__init__()
        self._goal = goal

    def _on_step(self) -> bool:
        self._goal.add([info["episode"]["r"] for info in self.locals["infos"] if "episode" in info])
        return not self._goal.reached


def ours(seed: int) -> Learned:
    """Train with the recipe, for as many episodes as it says."""
    recipe = recipe_for(ENV)
    curriculum = scaled(load_preset("v3"), recipe.episodes)
    with tempfile.TemporaryDirectory() as folder:
        goal = Goal(seed, recipe.episodes)
        hooks = _Hooks(Path(folder), goal)
        config = build_run_config(
            name="learning", env=ENV, seed=seed, episodes=recipe.episodes, curriculum=curriculum, recipe=recipe
        )
        train(config, curriculum=config.curriculum, hooks=hooks)
        assert hooks.backend == "native", "the library cannot be used; see doctor"
        return goal.learned(hooks.steps)


def peer(seed: int, steps: int) -> Learned:
    """Train with the hyperparameters of `CartPole-v1` in hyperparams/ppo.yml of github.com/DLR-RM/rl-baselines3-zoo."""
    goal = Goal(seed, steps)
    model = PPO(
        "MlpPolicy",
        make_vec_env(ENV, n_envs=8, seed=seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 0.001,  # lin_0.001
        clip_range=lambda left: left * 0.2,  # lin_0.2
        seed=seed,
        device="cpu",
    )
    model.learn(steps, callback=_Callback(goal))
    return goal.learned(model.num_timesteps)


def train_by_turns(seeds: int) -> dict[str, list[Learned]]:
    """Ours and the peer, seed after seed."""
    found: dict[str, list[Learned]] = {"ours": [], "peer": []}
    for seed in range(1, seeds + 1):
        found["ours"].append(ours(seed))
        for steps in PEER_STEPS:
            found["peer"].append(peer(seed, steps))
            if found["peer"][-1].reached:
                break
    return found


def main() -> None:
    """Every training, then medians over the seeds that reached the goal, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="every training, as JSON in place of tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = train_by_turns(arguments.seeds)
    if arguments.json:
        print(json.dumps({name: [asdict(run) for run in runs] for name, runs in found.items()}, indent=2))
        return
    print(f"{ENV}, until the mean return of {WINDOW} episodes is {GOAL:g}")
    for name, runs in found.items():
        for run in runs:
            print(
                f"  {name} of {run.planned:>7,}, seed {run.seed}: {run.wall:6.1f} s, {run.processor:6.1f} s of the "
                f"processor, {run.steps:>7,} steps, {run.episodes:>4,} episodes{'' if run.reached else ', NOT reached'}"
            )
    kinds: dict[str, Callable[[Learned], Any]] = {
        "wall time, s": lambda run: run.wall,
        "processor time, s": lambda run: run.processor,
        "steps": lambda run: run.steps,
    }
    for what, of in kinds.items():
        mine, theirs = (
            statistics.median([of(run) for run in runs if run.reached] or [float("nan")]) for runs in found.values()
        )
        print(f"  median {what}: {mine:,.1f} and {theirs:,.1f}, ×{theirs / mine:.2f}")


if __name__ == "__main__":
    main()
