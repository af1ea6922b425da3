"""How the episodes of an evaluation begin: the same for all runs."""

from v3core.environments.batch import seeds_of

EVALUATION_SEED = 0x76334C6162  # "v3Lab"
"""The same for all runs, so that runs are evaluated on the same episodes, and no run trains on them."""

AT_ONCE = 16
"""Environments stepped side by side."""


def evaluation_seed(number: int) -> int:
    """What an episode of an evaluation, by its number from 1, is reset with, in a run on a single environment."""
    place = number - 1
    return seeds_of(place % AT_ONCE + 1, EVALUATION_SEED, place // AT_ONCE)[-1]
