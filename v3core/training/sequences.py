"""A rollout in pieces of consecutive steps, which a policy with memory learns from: the gradient goes back within each.

Truncated backpropagation through time. A piece begins with the memory that the policy had there when it acted, as in
Stable-Baselines3's RecurrentPPO and the "stored state" of R2D2 (Kapturowski et al., 2019); it is as old as the rollout,
like the probabilities that PPO compares with, and no gradient goes into it. There is no burn-in as in R2D2: the memory
is never older than one update. Where an episode ends inside of a piece, what was remembered and its gradient end too.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from v3core.config import PPOConfig
from v3core.policy.memory import Sequences
from v3core.training.losses import Samples


def pieces(steps: int, environments: int, longest: int) -> NDArray[np.int64]:
    """The samples of each piece in order, [length, pieces], −1 after the end of shorter ones.

    Samples are ordered by step first: number t·N + i is step t of environment i. The steps are cut into as few pieces
    as hold at most `longest` each, of lengths that differ by one at most, longer ones first.
    """
    cuts = np.array_split(np.arange(steps), -(-steps // longest))
    found = np.full((len(cuts[0]), len(cuts), environments), -1, dtype=np.int64)
    for place, cut in enumerate(cuts):
        found[: len(cut), place] = cut[:, None] * environments + np.arange(environments)
    return found.reshape(len(cuts[0]), -1)


def pieces_of(samples: Samples, config: PPOConfig) -> Tensor:
    """The pieces of a rollout, as of `pieces`."""
    steps = len(samples.actions) // config.environments
    return torch.from_numpy(pieces(steps, config.environments, config.sequence_steps)).to(samples.actions.device)


def steps_of(together: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """The samples of the drawn pieces in order, [batch], and where these have a step, [length, pieces]."""
    own = together[:, drawn]
    places = own >= 0
    return own[places], places


def sequences_of(samples: Samples, chosen: Tensor, places: Tensor | None) -> Sequences | None:
    """How the chosen samples [batch] follow each other in pieces; None of a policy without memory.

    `places` [length, pieces] are true where a piece has a step: `chosen` are these in order.
    """
    if places is None:
        return None
    assert samples.memory is not None
    assert samples.begins is not None
    begins = torch.zeros_like(places)
    begins[places] = samples.begins[chosen]
    return Sequences(before=samples.memory[chosen[: places.shape[1]]], places=places, begins=begins)
