"""PPO (Schulman et al., 2017, arXiv:1707.06347): from a rollout to samples, and from samples to an update."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from v3core.config import PPOConfig
from v3core.interruption import never, raise_if
from v3core.metrics import Update
from v3core.training.eager import EagerBackend
from v3core.training.losses import Samples
from v3core.training.rollout import Rollout
from v3core.training.sequences import pieces_of, steps_of

Floats = NDArray[np.float64]

LEAST_DEVIATION = 0.2
"""In units of the value head, which predicts returns divided by their running deviation."""


def generalised_advantages(
    rewards: Floats, values: Floats, ended: NDArray[np.bool_], last_values: Floats, gamma: float, gae_lambda: float
) -> Floats:
    """GAE (Schulman et al., 2016, arXiv:1506.02438, eq. 16), backwards in time, each environment by itself.

    δ_t = r_t + γ·V_{t+1} − V_t and A_t = δ_t + γλ·A_{t+1}; after a step that ended an episode V_{t+1} and A_{t+1}
    are 0. If the end was a time limit, the caller has added γ·V(final observation) to that step's reward.

    Rewards, values V_t, `ended` (whether the step ended an episode) and the result are [T, N], `last_values` of the
    observation after the last step [N]. Advantages plus `values` are the targets of the value head.
    """
    continues = 1.0 - ended
    next_values = np.concatenate((values[1:], last_values[None]))
    deltas = rewards + gamma * continues * next_values - values
    decay = gamma * gae_lambda * continues
    advantages = np.empty_like(deltas)
    following = np.zeros_like(last_values)
    for step in reversed(range(len(deltas))):
        following = deltas[step] + decay[step] * following
        advantages[step] = following
    return advantages


def normalised(advantages: Tensor) -> Tensor:
    """Advantages with mean 0 and deviation 1; those that hardly differ are left small.

    Once every action does equally well, advantages are the value head's noise. Blown up to deviation 1 they would
    push a solved policy about at random, so they are never divided by less than `LEAST_DEVIATION`.
    """
    centred = advantages - advantages.mean()
    return centred / centred.square().mean().sqrt().clamp(min=LEAST_DEVIATION)


def samples_of(rollout: Rollout, advantages: Floats, targets: Floats, device: torch.device) -> Samples:
    """A rollout with its advantages and targets, both [T, N]; the samples are ordered by time first."""
    steps, count = rollout.ended.shape
    successors = np.arange(count, (steps + 1) * count).reshape(steps, count)
    successors[-1] = -1
    successors[rollout.ended] = -1
    begins = np.zeros_like(rollout.ended)
    begins[1:] = rollout.ended[:-1]
    return Samples(
        observations=rollout.observations.flatten(0, 1),
        actions=rollout.actions.flatten(0, 1),
        log_probs=rollout.log_probs.flatten(),
        advantages=normalised(torch.from_numpy(advantages).float().flatten()).to(device),
        targets=torch.from_numpy(targets).float().flatten().to(device),
        gates=rollout.gates.flatten(0, 1),
        noise=None if rollout.noise is None else rollout.noise.flatten(0, 1),
        masks=None if rollout.masks is None else rollout.masks.flatten(0, 1),
        successors=torch.from_numpy(successors.ravel()).to(device),
        memory=None if rollout.memory is None else rollout.memory.flatten(0, 1),
        begins=None if rollout.memory is None else torch.from_numpy(begins.ravel()).to(device),
    )


class NonFiniteUpdateError(Exception):
    """A loss or gradient of the update was infinite or not a number; the policy must be restored."""


def update(
    backend: EagerBackend,
    samples: Samples,
    coefficients: Mapping[str, float],
    config: PPOConfig,
    random: np.random.Generator,
    interrupted: Callable[[], bool] = never,
) -> Update:
    """Several passes of clipped PPO over the samples, in another random order each pass.

    A rollout that a boundary cut to less than a minibatch gets proportionally fewer passes, at least one: a handful
    of samples must not be learned by heart. Minibatches of a pass are of even size, for the same reason.

    Of a policy with memory, samples are drawn in pieces of at most `config.sequence_steps` consecutive steps.

    Nothing is copied from the device before the end, so a GPU is never waited for between gradient steps.

    Raises:
        NonFiniteUpdateError: the policy and the optimiser are spoilt then.
        Interrupted: if `interrupted()` is true before a gradient step; they are half updated then.
    """
    count = len(samples.actions)
    enough = min(config.minibatch, config.environments * config.rollout_steps)
    passes = max(1, round(config.epochs * min(1, count / enough)))
    minibatches = max(1, round(count / config.minibatch))
    # One sample each without memory.
    together = pieces_of(samples, config) if samples.memory is not None else None
    units = count if together is None else together.shape[1]
    minibatches = min(minibatches, units)
    rows: list[Tensor] = []
    for _ in range(passes):
        order = torch.from_numpy(random.permutation(units)).to(samples.actions.device)
        for drawn in order.tensor_split(minibatches):
            raise_if(interrupted)
            chosen, places = (drawn, None) if together is None else steps_of(together, drawn)
            step = backend.gradient_step(samples, chosen, coefficients, config, places)
            # One tensor a step: many small ones that live on would leave no room in one piece for the large ones.
            rows.append(torch.cat([value.reshape(-1) for value in step.values()]))
    return Update(**_summary(rows, step, minibatches), **backend.health(samples, config.minibatch))


_MOVES = ("approx_kl", "clip_fraction", "router_shift")
"""What grows over the gradient steps of an update, from 0: a mean over all of them hides where it got to."""


def _summary(rows: list[Tensor], like: dict[str, Tensor], minibatches: int) -> dict[str, Any]:
    """Means of the rows, one a gradient step, by the names of `like`: numbers, and tuples of what is [experts].

    Of how far the update moves also its first step, the mean of its last pass of `minibatches`, and the maximum.
    """
    steps = torch.stack(rows).cpu().numpy()
    if not np.isfinite(steps).all():
        raise NonFiniteUpdateError
    means = iter(steps.mean(0, dtype=np.float64).tolist())
    found: dict[str, Any] = {}
    moves: dict[str, Any] = {}
    column = 0
    for name, value in like.items():
        found[name] = tuple(islice(means, len(value))) if value.ndim else next(means)
        if name in _MOVES:
            moved = steps[:, column].astype(np.float64)
            last = moved[-minibatches:].mean()
            moves |= {f"{name}_first": moved[0].item(), f"{name}_last": last.item(), f"{name}_max": moved.max().item()}
        column += value.numel()
    return found | moves
