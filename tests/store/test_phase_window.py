"""Windows of the newest episodes end where the phase in force began."""

import pytest
from sqlalchemy import delete

from v3core.store.phase_window import PhaseWindow, read_phase_window
from v3core.store.schema import episodes
from v3core.store.writer import EpisodeWriter


@pytest.fixture
def recorded(db, new_run, episode):
    """A run of 100 episodes of `early` and 50 of `late`."""
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(number) for number in range(1, 151)], 150)
    writer.close()
    return run_id


@pytest.mark.parametrize(
    ("last", "most", "phase", "after"),
    [
        (150, 40, "late", 110),
        (150, 60, "late", 100),
        (101, 10, "late", 100),
        (100, 10, "early", 90),
        (5, 10, "early", 0),
        (0, 10, "early", 0),
    ],
)
def test_no_episode_of_an_earlier_phase_is_in_it(db, recorded, last, most, phase, after):
    assert read_phase_window(db, recorded, last=last, most=most) == PhaseWindow(phase, after, last)


def test_of_a_thinned_run_it_begins_where_the_phase_did(db, recorded):
    """Only the last 10 episodes of each phase are left, so none of the phase is left up to some of its episodes."""
    with db.write() as tx:
        c = episodes.c
        tx.execute(delete(episodes).where(c.run_id == recorded, c.episode.between(1, 90)))
        tx.execute(delete(episodes).where(c.run_id == recorded, c.episode.between(101, 140)))
    assert read_phase_window(db, recorded, last=120, most=60) == PhaseWindow("late", 100, 120)
    assert read_phase_window(db, recorded, last=95, most=60) == PhaseWindow("early", 35, 95)


def test_without_an_episode_it_is_empty(db, new_run):
    assert read_phase_window(db, new_run(db), last=0, most=10) == PhaseWindow("", 0, 0)
