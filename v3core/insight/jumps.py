"""The steps of a replay that are worth a look: expert switches, disagreements of experts, large value errors."""

import math

import numpy as np
from numpy.typing import NDArray

from v3core.insight.actions import ActionFacts, mean_distance, most_probable, normal_distances
from v3core.insight.replays import Replay
from v3core.messages import _

SWITCHES, DISAGREEMENTS, VALUE_ERRORS = "switches", "disagreements", "value_errors"
"""The kinds of jumps."""
LEAST_SHARE = 0.05
"""An expert takes part in a step if its normalised gate is at least this."""
FAR_APART = 0.5
"""Jensen-Shannon distance from which two experts with continuous actions disagree."""

RULES = {
    SWITCHES: _("Another expert has the largest gate than at the step before."),
    DISAGREEMENTS: _(
        "The experts with at least {least_share:.0%} of the gates would not act alike: the most probable action of "
        "one is not that of another, among the allowed actions. Of continuous actions: the Jensen-Shannon distance "
        "of two of their action distributions is {far_apart:g} or more (0 if they are the same, 1 if they share no "
        "action).",
        least_share=LEAST_SHARE,
        far_apart=FAR_APART,
    ),
    VALUE_ERRORS: _(
        "The value before the step minus the discounted return that really followed, in units of the reward scale, "
        "largest first; of neighbouring steps only the one with the largest error. What would have followed an "
        "episode that was truncated or cut off is not known: the value before its last step stands for it. None if "
        "the discount or the reward scale was not recorded."
    ),
}
"""What each kind is, for people."""


def jumps(replay: Replay) -> dict[str, list[int]]:
    """The steps, from 1, of each kind of `RULES`: in their order, but value errors from the largest on."""
    errors = np.abs(value_errors(replay))
    return {
        SWITCHES: (replay.switches + 1).tolist(),
        DISAGREEMENTS: (np.flatnonzero(_disagree(replay)) + 1).tolist(),
        VALUE_ERRORS: (_peaks(errors) + 1).tolist(),
    }


def returns_that_followed(replay: Replay) -> NDArray[np.float64]:
    """The discounted return from each step on, [T], in units of the reward scale; NaN if that was not recorded.

    G_t = r_t / scale + discount · G_(t+1), with 0 after an episode that terminated and the value before the last step
    after another one.
    """
    steps = len(replay)
    if replay.discount is None or replay.reward_scale is None or not steps:
        return np.full(steps, np.nan)
    found = np.empty(steps)
    following = 0.0 if replay.ended == "terminated" else float(replay.values[-1])
    for step in range(steps - 1, -1, -1):
        following = float(replay.rewards[step]) / replay.reward_scale + replay.discount * following
        found[step] = following
    return found


def return_that_followed(replay: Replay, step: int) -> float:
    """That of `returns_that_followed` from one step, from 0, without those of the others."""
    if replay.discount is None or replay.reward_scale is None:
        return math.nan
    left = len(replay) - step
    beyond = 0.0 if replay.ended == "terminated" else replay.discount**left * float(replay.values[-1])
    weights = replay.discount ** np.arange(left)
    return float(replay.rewards[step:] @ weights) / replay.reward_scale + beyond


def value_errors(replay: Replay) -> NDArray[np.float64]:
    """The value before each step minus the return that followed, [T], in units of the reward scale; NaN if unknown."""
    return replay.values.astype(np.float64) - returns_that_followed(replay)


def space_of(replay: Replay) -> ActionFacts | None:
    """What its outputs mean: as recorded, or as far as its arrays show it; None if they do not."""
    if replay.space is not None:
        return replay.space
    outputs, components = replay.outputs.shape[1], replay.actions.shape[1]
    if replay.actions.dtype.kind == "f":
        return ActionFacts("continuous")
    if components == 1 < outputs:
        return ActionFacts("discrete", (outputs,), (0,))
    return None


def _disagree(replay: Replay) -> NDArray[np.bool_]:
    """Whether the experts that take part in each step would not act alike, [T]."""
    outputs, facts = replay.expert_outputs, space_of(replay)
    steps, experts = replay.gates.shape
    none = np.zeros(steps, dtype=np.bool_)
    if outputs is None or facts is None or experts < 2:
        return none
    total = replay.gates.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        takes_part = replay.gates >= LEAST_SHARE * total
    takes_part &= np.isfinite(outputs).all(2) & (replay.gates > 0)
    if facts.is_continuous:
        return _far_apart(outputs, takes_part, facts) if facts.deviation else none
    masks = None if replay.masks is None else replay.masks[:, None]
    best = most_probable(facts, np.where(np.isfinite(outputs), outputs, 0), masks)
    # Every expert that takes part against the first of them.
    first = np.take_along_axis(best, takes_part.argmax(1)[:, None, None], axis=1)
    found: NDArray[np.bool_] = ((best != first).any(2) & takes_part).any(1)
    return found


def _far_apart(outputs: NDArray[np.float32], takes_part: NDArray[np.bool_], facts: ActionFacts) -> NDArray[np.bool_]:
    at, root = normal_distances()
    least = float(np.interp(FAR_APART, root, at))  # the distance of means at which the divergence is as large
    found = np.zeros(len(outputs), dtype=np.bool_)
    for one in range(outputs.shape[1] - 1):
        for other in range(one + 1, outputs.shape[1]):
            both = takes_part[:, one] & takes_part[:, other]
            found[both] |= mean_distance(facts, outputs[both, one], outputs[both, other]) >= least
    return found


def _peaks(errors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Steps, from 0, whose error is not below that of a neighbour, the largest first; of equal neighbours the first."""
    known = np.where(np.isfinite(errors), errors, -np.inf)
    around = np.concatenate(([-np.inf], known, [-np.inf]))
    peaks = np.flatnonzero((known > around[:-2]) & (known >= around[2:]))
    order: NDArray[np.int64] = peaks[np.argsort(-known[peaks], kind="stable")]
    return order
