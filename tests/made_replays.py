"""Replays of random numbers."""

from typing import Any

import numpy as np

from v3core.environment_setup import EnvironmentSetup
from v3core.insight.replays import Replay


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
