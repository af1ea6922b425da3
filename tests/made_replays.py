"""Replays of random numbers."""

from dataclasses import replace
from typing import Any

import numpy as np

from v3core.environment_setup import EnvironmentSetup
from v3core.environments.encode import encoder
from v3core.environments.make import make_environment
from v3core.environments.registry import check_environment
from v3core.insight.replays import Digest, Replay


def made(steps: int = 5, experts: int = 3, outputs: int = 2, seed: int = 0, **more: Any) -> Replay:
    """One of that many steps; `more` are other fields."""
    random = np.random.default_rng(seed)
    gates = random.random((steps, experts)).astype(np.float32)
    arrays: dict[str, Any] = {
        "actions": random.integers(0, outputs, (steps, 1)),
        "rewards": random.random(steps),
        "values": random.random(steps).astype(np.float32),
        "gates": gates / gates.sum(1, keepdims=True),
        "outputs": random.random((steps, outputs)).astype(np.float32),
        "expert_outputs": random.random((steps, experts, outputs)).astype(np.float32),
    }
    facts: dict[str, Any] = {
        "environment": EnvironmentSetup("CartPole-v1"),
        "number": 3,
        "seed": 2**31,
        "return_": 1.5,
        "success": None,
        "ended": "terminated",
        "seen": "ab",
    }
    return Replay(**(facts | arrays | more))


def played(env: str, steps: int, seed: int = 1, **args: Any) -> Replay:
    """One that an environment really has, of random actions: it can be played again. It ends after `steps` at most."""
    setup = EnvironmentSetup(env, args)
    spec = check_environment(setup, allow_import=True)
    world = make_environment(setup)
    encode, row, digest = encoder(spec.graph), np.zeros(spec.graph.size, dtype=spec.graph.dtype), Digest()
    actions = np.random.default_rng(seed).integers(0, spec.actions.sizes[0], (steps, 1))
    rewards: list[float] = []
    observation, _ = world.reset(seed=seed)
    for action in spec.actions.to_environment(actions):
        encode(observation, row)
        digest.add(row)
        observation, reward, terminated, truncated, _ = world.step(action)
        rewards.append(float(reward))
        if terminated or truncated:
            break
    encode(observation, row)
    digest.add(row)
    world.close()
    numbers = made(len(rewards), actions=actions[: len(rewards)], rewards=np.array(rewards), seen=digest.text())
    return replace(numbers, environment=setup, seed=seed, return_=sum(rewards))
