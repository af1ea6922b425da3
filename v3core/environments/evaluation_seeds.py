"""How the episodes of an evaluation begin: the same for all runs."""

from v3core.environments.batch import seeds_of

EVALUATION_SEED = 0x76334C6162  # "v3Lab"
"""The same for all runs, so that runs are evaluated on the same episodes, and no run trains on them."""

AT_ONCE = 16
"""Environments stepped side by side."""


def evaluation_seed(number: int, tasks: int = 0) -> int:
    """What an episode of an evaluation, by its number from 1, is reset with.

    `tasks` is how many environments the run was on at once then; 0 for a single one.
    """
    batch, place = divmod(number - 1, AT_ONCE)
    return seeds_of(place + 1, EVALUATION_SEED, batch, tasks=tasks, first=batch * AT_ONCE)[-1]
