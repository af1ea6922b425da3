"""SIGKILLs of workers at random moments of rollout, update, flush and checkpoint."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.board import PHASES
from tests.faults.kills import hits, kill_again_and_again
from tests.faults.scale import KILLS, SEED
from tests.faults.tables import table_of

RUNS = 2
"""Killed at the same time, so that each one's monitor meets the deaths of the other."""


@pytest.mark.timeout(300 + 20 * KILLS)
def test_no_kill_costs_more_than_a_second_of_episodes(db, spied):
    print(f"\nV3_FAULTS_SEED={SEED}")
    with ThreadPoolExecutor(RUNS) as pool:
        futures = [
            pool.submit(kill_again_and_again, db, spied, KILLS // RUNS, f"{SEED}/{number}") for number in range(RUNS)
        ]
        kills = [kill for future in futures for kill in future.result()]
    print(f"\n{table_of(kills, SEED)}")
    for kill in kills:
        print(kill)
    assert all(hits(kills)[phase] for phase in PHASES), hits(kills)
