"""Generalised advantage estimation."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def generalised_advantages(
    rewards: Floats, values: Floats, ended: NDArray[np.bool_], last_values: Floats, gamma: float, gae_lambda: float
) -> Floats:
    """GAE (Schulman et al., 2016, arXiv:1506.02438, eq. 16), backwards in time, each environment by itself.

    δ_t = r_t + γ·V_{t+1} − V_t and A_t = δ_t + γλ·A_{t+1}; after a step that ended an episode V_{t+1} and A_{t+1}
    are 0. Where the end was a time limit, the caller has added γ·V(final observation) to that step's reward.

    Args:
        rewards: [T, N], in the order they were received.
        values: V_t, [T, N].
        ended: whether the step ended an episode, [T, N].
        last_values: value of the observation after the last step, [N].
        gamma: discount.
        gae_lambda: 0 trusts the value head, 1 the rewards.

    Returns:
        Advantages [T, N]; added to `values` they are the targets of the value head.
    """
    goes_on = 1.0 - ended
    next_values = np.concatenate((values[1:], last_values[None]))
    deltas = rewards + gamma * goes_on * next_values - values
    decay = gamma * gae_lambda * goes_on
    advantages = np.empty_like(deltas)
    following = np.zeros_like(last_values)
    for step in reversed(range(len(deltas))):
        following = deltas[step] + decay[step] * following
        advantages[step] = following
    return advantages
