"""NetHackScore-v0: steps per second of whole training with its recipe, of the environment alone, and of a peer.

The peer is Stable-Baselines3's PPO with its own `MultiInputPolicy` on the same observation, without the message, which
it cannot take: no graph, no experts. By turns in one process and one thread, in wall time and in processor time.
"""

from collections.abc import Callable
from typing import Any

import _bench
import gymnasium
import numpy as np
from _training import ROLLOUTS, Times, config_of, now, ours
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from v3core.config import recipe_for
from v3core.environments import make_environment
from v3core.environments.nethack import ids

ENVIRONMENT = "NetHackScore-v0"
TURNS = 3
RECIPE = recipe_for(ENVIRONMENT)
STEPS = RECIPE.ppo.environments * RECIPE.ppo.rollout_steps


class _Clock(BaseCallback):
    """When each rollout began."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[Times] = []

    def _on_rollout_start(self) -> None:
        self.starts.append(now())

    def _on_step(self) -> bool:
        return True


def _without_message() -> gymnasium.Env[Any, Any]:
    env = make_environment(ENVIRONMENT)
    keys = [key for key in env.observation_space.spaces if key != "message"]  # type: ignore[attr-defined]
    return gymnasium.wrappers.FilterObservation(env, keys)


def peer(seed: int) -> Times:
    """Steps per second of Stable-Baselines3."""
    ppo = RECIPE.ppo
    envs = DummyVecEnv([_without_message] * ppo.environments)
    model = PPO(
        "MultiInputPolicy", envs, n_steps=ppo.rollout_steps, batch_size=ppo.minibatch, n_epochs=ppo.epochs,
        learning_rate=RECIPE.base.lr, ent_coef=0.01, gamma=ppo.gamma, device="cpu", seed=seed,
    )  # fmt: skip
    clock = _Clock()
    model.learn(STEPS * (ROLLOUTS + 1), callback=clock)
    envs.close()
    return STEPS * ROLLOUTS / (now() - clock.starts[1])


def alone(seed: int) -> Times:
    """Steps per second of the environment, as the policy sees it, with random actions."""
    env, random = make_environment(ENVIRONMENT), np.random.default_rng(seed)
    env.reset(seed=seed)
    before = now()
    for _ in range(STEPS * ROLLOUTS):
        _, _, terminated, truncated, _ = env.step(int(random.integers(23)))
        if terminated or truncated:
            env.reset()
    taken = now() - before
    env.close()
    return STEPS * ROLLOUTS / taken


def benchmark() -> list[_bench.Result]:
    """Native training against everything else."""
    if not all(map(ids.is_installed, ids.PACKAGES)):
        return []

    def trained(seed: int, *, native: bool) -> Times:
        return ours(config_of(ENVIRONMENT, seed, ppo=RECIPE.ppo, policy=RECIPE.policy), native=native)

    contenders: dict[str, Callable[[int], Times]] = {
        "native": lambda seed: trained(seed, native=True),
        "ours on torch": lambda seed: trained(seed, native=False),
        "SB3, MultiInputPolicy: no graph, no experts": peer,
        "the environment alone": alone,
    }
    turns = {name: np.median([run(turn) for turn in range(TURNS)], 0) for name, run in contenders.items()}
    return [
        _bench.Result(
            f"{ENVIRONMENT}, native / {name}",
            round(float(turns["native"][clock]), 1),
            round(float(rate[clock]), 1),
            round(float(turns["native"][clock] / rate[clock]), 3),
            unit,
        )
        for name, rate in turns.items()
        if name != "native"
        for clock, unit in enumerate(("steps/s", "steps per processor second"))
    ]


if __name__ == "__main__":
    _bench.main(benchmark, "NetHackScore-v0: steps per second of training, of the environment alone, and of a peer.")
