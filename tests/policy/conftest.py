"""Policies for every kind of state graph."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from v3core.config import PolicyConfig
from v3core.environments import EnvironmentBatch, check_environment
from v3core.policy import GATMoEPolicy

torch.set_num_threads(1)  # as in training; several threads only get in each other's way on tensors this small

ENVIRONMENTS = ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"]


@pytest.fixture
def build_policy() -> Callable[..., GATMoEPolicy]:
    """Makes small untrained policies."""

    def build(env_id: str, seed: int = 0, **sizes: Any) -> GATMoEPolicy:
        spec = check_environment(env_id, allow_import=False)
        torch.manual_seed(seed)
        return GATMoEPolicy(spec, PolicyConfig(**{"width": 16, "heads": 4, "layers": 2, "experts": 4} | sizes))

    return build


@pytest.fixture
def observations_for() -> Callable[..., torch.Tensor]:
    """Observations that an environment gave, flat, under random actions."""

    def make(env_id: str, count: int, seed: int = 0) -> torch.Tensor:
        batch = EnvironmentBatch(check_environment(env_id, allow_import=False), 1, seed)
        random = np.random.default_rng(seed)
        seen = []
        for _ in range(count):
            seen.append(batch.observations[0].copy())
            batch.step(random.integers(0, 2, (1, 1)))
        return torch.from_numpy(np.stack(seen))

    return make


@pytest.fixture(params=ENVIRONMENTS)
def env_id(request: pytest.FixtureRequest) -> str:
    """One environment of each kind."""
    return str(request.param)
