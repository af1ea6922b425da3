"""A first look at an environment: what the policy would see of it."""

import numpy as np

from v3core.environment_setup import EnvironmentSetup
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.registry import check_environment


def look(setup: EnvironmentSetup, *, allow_import: bool) -> str:
    """What the policy would see and obey, and what would be left out, found out by a reset and a step.

    Raises:
        V3Error: if it cannot be trained on.
    """
    spec = check_environment(setup, allow_import=allow_import)
    batch = EnvironmentBatch(spec, 1, 1)
    try:
        firsts = np.cumsum((0, *spec.actions.sizes[:-1]))
        action = np.zeros((1, spec.actions.components), dtype=np.int64)
        if batch.masks is not None:
            action[0] = [part.argmax() for part in np.split(batch.masks[0], firsts[1:])]
        batch.step(action)
        return batch.sees()
    finally:
        batch.close()
