"""Evaluation: episodes separate from training, without routing noise or learning, on reserved seeds."""

from collections.abc import Callable

import numpy as np
import torch

from v3core.environments import EnvironmentBatch, EnvironmentSpec
from v3core.interruption import never, raise_if
from v3core.training.backend import Backend
from v3core.training.hooks import EvaluationEpisode

EVALUATION_SEED = 0x76334C6162  # "v3Lab"
"""The same for all runs, so that runs are evaluated on the same episodes, and no run trains on them."""

AT_ONCE = 16
"""Environments stepped side by side."""

MAX_STEPS = 20_000
"""An episode that lasts longer ends there: an environment without a time limit may never end by itself."""


@torch.inference_mode()
def evaluate(
    backend: Backend,
    spec: EnvironmentSpec,
    episodes: int,
    seed: int = EVALUATION_SEED,
    *,
    sampled: bool = False,
    interrupted: Callable[[], bool] = never,
) -> tuple[EvaluationEpisode, ...]:
    """Play `episodes` episodes in the routing that the policy is set to.

    Args:
        backend: computes the policy that is evaluated; nothing of it changes.
        spec: the environment.
        episodes: how many.
        seed: decides the episodes' beginnings, and all chance in them.
        sampled: sample the actions, as in training, instead of taking the most likely one at every step.
        interrupted: asked before every step, and between the making of two environments, whether to leave at once.

    Raises:
        V3Error: if the environment fails.
        Interrupted: if `interrupted` said so.
    """
    played: list[EvaluationEpisode] = []
    policy = backend.policy
    backend.prepare()
    device = policy.router.weight.device
    for first in range(0, episodes, AT_ONCE):
        count = min(AT_ONCE, episodes - first)
        envs = EnvironmentBatch(spec, count, seed, first // AT_ONCE, interrupted=interrupted)
        generator = torch.Generator(device).manual_seed(seed + first)
        try:
            returns, lengths = np.zeros(count), np.zeros(count, dtype=np.int64)
            ended: dict[int, EvaluationEpisode] = {}
            while len(ended) < count:
                raise_if(interrupted)
                masks = None if envs.masks is None else torch.from_numpy(envs.masks).to(device)
                noise = policy.actions.noise((count,), generator) if sampled else None
                chosen = backend.decide(torch.from_numpy(envs.observations).to(device), masks, noise)
                taken = envs.step(policy.actions.to_environment(chosen).cpu().numpy())
                returns += taken.rewards
                lengths += 1
                cut = range(count) if lengths[0] == MAX_STEPS else ()
                for env in {*taken.finals, *cut} - ended.keys():
                    success = taken.successes.get(env)
                    ended[env] = EvaluationEpisode(
                        number=first + env + 1,
                        return_=float(returns[env]),
                        length=int(lengths[env]),
                        success=None if success is None else float(success),
                    )
            played += [ended[env] for env in range(count)]
        finally:
            envs.close()
    return tuple(played)
