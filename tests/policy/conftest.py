"""Policies for both kinds of state graph."""

import pytest
import torch

from v3core.config import PolicyConfig
from v3core.environments import check_environment
from v3core.policy import GATMoEPolicy

torch.set_num_threads(1)  # as in training; several threads only get in each other's way on tensors this small

ENVIRONMENTS = ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"]


@pytest.fixture
def build_policy():
    """Makes small untrained policies."""

    def build(env_id, seed=0, **sizes):
        spec = check_environment(env_id, allow_import=False)
        torch.manual_seed(seed)
        return GATMoEPolicy(spec, 3, PolicyConfig(**{"width": 16, "heads": 4, "layers": 2, "experts": 4} | sizes))

    return build


@pytest.fixture
def observations_for():
    """Makes observations such as an environment could give."""

    def make(env_id, count, seed=0):
        generator = torch.Generator().manual_seed(seed)
        if env_id == "CartPole-v1":
            return torch.randn(count, 4, generator=generator)
        return torch.randint(0, 4, (count, 7, 7, 3), generator=generator, dtype=torch.uint8)

    return make


@pytest.fixture(params=ENVIRONMENTS)
def env_id(request):
    """One environment of each kind."""
    return request.param
