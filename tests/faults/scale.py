"""How much is done: a short form with every test run, the whole where V3_FAULTS=100 is set, as `make faults` does."""

import os
import random

from tests.waiting import PATIENCE_SECONDS

KILLS = int(os.environ.get("V3_FAULTS") or 10)
WHOLE = KILLS >= 100
SEED = int(os.environ.get("V3_FAULTS_SEED") or random.SystemRandom().randrange(10**6))
"""Decides the moments of the kills; printed, to be given again by V3_FAULTS_SEED."""
STATUS_SECONDS = 10 if WHOLE else PATIENCE_SECONDS
"""Within which a run's status must say what befell it. How soon is measured by `make faults`, which has the machine to
itself; the short form runs wherever tests run, beside anything."""
