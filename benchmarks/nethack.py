"""NetHackScore-v0: steps per second of whole training with its recipe, of the environment, of NLE alone, and of a peer.

The peer is Stable-Baselines3's PPO with its own `MultiInputPolicy` on the same observation, without the message, which
it cannot take: no graph, no experts. By turns in one process and one thread, in wall time and in processor time.

`--random EPISODES` times nothing: it prints what a policy reaches that chooses each action with equal probability.
`--policy CHECKPOINT EPISODES` prints the same of a trained one, which draws its actions as in training; of both,
`--limit STEPS` cuts the episodes.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import _bench
import gymnasium
import numpy as np
from _game_ends import Ends
from _training import ROLLOUTS, Times, config_of, now, ours
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from v3core import load_policy
from v3core.config import recipe_for
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import make_environment
from v3core.environments.nethack import ids
from v3core.environments.nethack.game import FACTS
from v3core.environments.nethack.surroundings import KEYS
from v3core.training.inference import evaluate

ENVIRONMENT = "NetHackScore-v0"
TURNS = 3
SEED = 1000
"""Of the first game of a trained policy."""
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


def alone(env: gymnasium.Env[Any, Any], seed: int) -> Times:
    """Steps per second of an environment with random actions."""
    random = np.random.default_rng(seed)
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

    def trained(seed: int, *, native: bool) -> Times:
        return ours(config_of(ENVIRONMENT, seed, ppo=RECIPE.ppo, policy=RECIPE.policy), native=native)

    contenders: dict[str, Callable[[int], Times]] = {
        "native": lambda seed: trained(seed, native=True),
        "ours on torch": lambda seed: trained(seed, native=False),
        "SB3, MultiInputPolicy: no graph, no experts": peer,
        "the environment alone": lambda seed: alone(make_environment(ENVIRONMENT), seed),
        "NLE alone, the keys that are used": lambda seed: alone(
            gymnasium.make(ENVIRONMENT, observation_keys=KEYS), seed
        ),
        "NLE alone, all its keys": lambda seed: alone(gymnasium.make(ENVIRONMENT), seed),
    }
    taken = [{name: run(turn) for name, run in contenders.items()} for turn in range(TURNS)]
    turns = {name: np.median([turn[name] for turn in taken], 0) for name in contenders}
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


def random_policy(episodes: int, limit: int | None) -> dict[str, tuple[float, float]]:
    """Mean and standard error (NaN of one episode) of a uniform random policy, in episodes with the seeds 1 to N.

    `limit` is the environment's `max_episode_steps`, by default its own.
    """
    env = make_environment(EnvironmentSetup(ENVIRONMENT, {} if limit is None else {"max_episode_steps": limit}))
    assert isinstance(env.action_space, gymnasium.spaces.Discrete)
    found: dict[str, list[float]] = {name: [] for name in ("return", "score", "depth", "steps")}
    for seed in range(1, episodes + 1):
        random = np.random.default_rng(seed)
        env.reset(seed=seed)
        total, steps, ended = 0.0, 0, False
        while not ended:
            _, reward, terminated, truncated, info = env.step(int(random.integers(env.action_space.n)))
            total, steps, ended = total + float(reward), steps + 1, terminated or truncated
        facts = info[FACTS]
        for name, value in zip(found, (total, facts["score"], facts["depth"], steps), strict=True):
            found[name].append(value)
    env.close()
    return {name: _mean(values) for name, values in found.items()}


def trained_policy(checkpoint: str, episodes: int, limit: int | None) -> dict[str, tuple[float, float]]:
    """Mean and standard error of the policy of a checkpoint, in episodes that are the same for all policies."""
    policy = load_policy(checkpoint)
    setup = policy.spec.environment
    if limit is not None:
        setup = replace(setup, args={**setup.args, "max_episode_steps": limit})
    setup = replace(setup, wrappers=(*setup.wrappers, f"{Ends.__module__}:Ends"))
    Ends.facts.clear()
    found = evaluate(policy.backend, replace(policy.spec, environment=setup), episodes, SEED, sampled=True)
    ends = {name: _mean([facts[name] for facts in Ends.facts]) for name in ("score", "depth")}
    return {"return": _mean([one.return_ for one in found]), **ends, "steps": _mean([one.length for one in found])}


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """With its standard error, NaN of one value."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return float(np.mean(values)), float(error)


def main() -> None:
    """What a policy reaches, if it is asked for; else the comparison, with the options of all benchmarks."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--random", type=int, metavar="EPISODES")
    parser.add_argument("--policy", nargs=2, metavar=("CHECKPOINT", "EPISODES"))
    parser.add_argument("--limit", type=int, metavar="STEPS")
    asked, others = parser.parse_known_args()
    if not all(map(ids.is_installed, ids.PACKAGES)):
        print(f"nle and minihack are not installed: {ids.how_to_install()}.", file=sys.stderr)
        sys.exit(asked.random is not None or asked.policy is not None)  # the benchmarks after it still run
    if asked.random is asked.policy is asked.limit is None:
        _bench.main(
            benchmark, "NetHackScore-v0: steps per second of training, of the environment alone, and of a peer."
        )
        return
    checkpoint, episodes = asked.policy or (None, asked.random)
    is_number = str(episodes).isdecimal() and int(episodes) > 0 and (asked.limit is None or asked.limit > 0)
    if others or not is_number or None not in (asked.random, asked.policy):
        sys.exit(
            "--random or --policy, not both, needs a number of episodes; --limit, of steps, goes with it, and nothing "
            "else does."
        )
    found = (
        random_policy(int(episodes), asked.limit)
        if checkpoint is None
        else trained_policy(checkpoint, int(episodes), asked.limit)
    )
    what = f"uniform random policy, {episodes} episodes, seeds 1 to {episodes}" if checkpoint is None else checkpoint
    print(f"{ENVIRONMENT}, {what}:")
    for name, (mean, error) in found.items():
        print(f"  {name:<6}  {mean:>10,.2f} ± {error:,.2f}")


if __name__ == "__main__":
    main()
