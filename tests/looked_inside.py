"""Policies that treat no two things alike, with states that they have seen, and replays of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tests.made_replays import made
from v3core.config import PolicyConfig
from v3core.environments import EnvironmentBatch, EnvironmentSpec, check_environment
from v3core.insight.inside import Inside
from v3core.insight.replays import Replay
from v3core.policy import Gating, GATMoEPolicy
from v3core.training.explaining import look_inside

STEPS = 19


def look_at(
    env: str, gating: Gating | None = None, **sizes: Any
) -> tuple[GATMoEPolicy, EnvironmentSpec, np.ndarray[Any, Any]]:
    """An untrained policy that does not treat all alike, its environment, and observations of random actions."""
    spec = check_environment(env, allow_import=False)
    torch.manual_seed(1)
    policy = GATMoEPolicy(spec, PolicyConfig(**{"width": 16, "heads": 4, "layers": 2, "experts": 4} | sizes))
    for parameter in policy.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    policy.gating = gating or Gating()
    batch = EnvironmentBatch(spec, 1, 0)
    random = np.random.default_rng(0)
    seen = []
    for _ in range(STEPS):
        seen.append(batch.observations[0].copy())
        facts = policy.actions.facts()
        action = random.normal(size=(1, spec.actions.components)).astype(np.float32)
        batch.step(action if facts.is_continuous else random.integers(0, spec.actions.sizes)[None])
    batch.close()
    return policy, spec, np.stack(seen)


def looked(env: str, gating: Gating | None = None, **sizes: Any) -> tuple[Replay, Inside]:
    """A replay of the most likely actions in those states, and what is inside."""
    policy, spec, observations = look_at(env, gating, **sizes)
    inside = look_inside(policy, spec, observations)
    alone = inside.expert_outputs if inside.shared is None else inside.expert_outputs + inside.shared[:, None]
    actions = policy.actions.to_environment(policy.actions.mode(torch.from_numpy(inside.outputs))).detach().numpy()
    replay = made(len(observations), inside.gates.shape[1], discount=0.9, reward_scale=2.0)
    replay = replace(
        replay,
        environment=spec.environment,
        space=policy.actions.facts(),
        actions=actions,
        values=inside.values,
        gates=inside.gates,
        outputs=inside.outputs,
        expert_outputs=alone,
    )
    return replay, inside
