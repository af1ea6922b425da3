"""Situations of episodes as they come back from the store, and summed up."""

import math
from datetime import UTC, datetime

import pytest

from tests.store.recorded import record_run
from v3core.insight.situation_loads import situation_points, situation_results
from v3core.store import situation_records
from v3core.store.export import table_of
from v3core.store.situation_records import GrowingSituations, has_situations, read_situations
from v3core.store.writer import EpisodeWriter, truncate

NOW = datetime(2026, 11, 27, tzinfo=UTC)
TEXTS = [
    '{"hungry":[2,0.75,0.25],"none of these":[1,0.25,0.75]}',
    None,
    '{"hungry":[6,0.25,0.75]}',
    '{"none of these":[3,null,null]}',
    "[1",
    '{"hungry":[0,1,0]}',
]


@pytest.fixture
def recorded(db, new_run, episode):
    """A run of 60 episodes of 4 steps."""
    return record_run(
        db, new_run, [episode(number, situations=TEXTS[(number - 1) % 6], length=4) for number in range(1, 61)]
    )


def test_they_are_read_and_pooled_by_steps(db, recorded):
    found = read_situations(db, recorded, after=6, last=9)
    assert [(one.episode, one.steps) for one in found] == [(7, 4), (9, 4)]
    hungry, other = situation_results(found)
    assert (hungry.name, hungry.steps, hungry.share) == ("hungry", 8, 1.0)
    assert hungry.loads == pytest.approx((0.375, 0.625))
    assert (other.name, other.steps, other.loads) == ("none of these", 1, (0.25, 0.75))
    assert other.distance == 0
    entropies = [-sum(p * math.log2(p) for p in each) for each in ((0.3125, 0.6875), hungry.loads, other.loads)]
    assert hungry.distance == pytest.approx(math.sqrt(entropies[0] - (entropies[1] + entropies[2]) / 2))


def test_what_is_not_known_is_no_number(db, recorded):
    (other,) = situation_results(read_situations(db, recorded, after=3, last=4))
    assert all(map(math.isnan, other.loads))


def test_points_are_loads_of_parts(db, recorded):
    points = situation_points(read_situations(db, recorded, after=0, last=60), last=60, parts=10)
    assert [episode for episode, _ in points["hungry"]] == list(range(6, 61, 6))
    assert points["hungry"][0][1] == pytest.approx((0.375, 0.625))


def test_of_many_episodes_evenly_spaced_ones_are_read(db, recorded, monkeypatch):
    monkeypatch.setattr(situation_records, "MOST_READ", 30)
    assert {one.episode % 2 for one in read_situations(db, recorded, after=0, last=60)} == {0}


def test_they_are_exported_and_taken_back_with_their_episodes(db, recorded):
    with db.write() as tx:
        truncate(tx, recorded, episode=3, step=30, now=NOW)
    assert has_situations(db, recorded, last=3)
    with db.read() as tx:
        fields, rows = table_of(tx, [recorded], "episodes")
        names = [field.name for field in fields]
        assert [row[names.index("situations")] for row in rows] == TEXTS[:3]
    with db.write() as tx:
        truncate(tx, recorded, episode=0, step=0, now=NOW)
    assert not has_situations(db, recorded, last=0)


@pytest.mark.parametrize(("somewhere", "found"), [((1, 5), True), ((150, 160), False), ((295, 300), True)])
def test_only_the_first_and_the_newest_episodes_tell_whether_there_are_any(db, new_run, episode, somewhere, found):
    """All of a run without any were looked at, each time its page was drawn."""
    run_id, (first, last) = new_run(db), somewhere
    text = '{"hungry":[2,0.75,0.25]}'
    rows = [episode(number, situations=text if first <= number <= last else None) for number in range(1, 301)]
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record(rows, rows[-1].step)
    writer.close()
    assert has_situations(db, run_id, last=300) is found


def test_of_a_run_that_trains_each_episode_is_read_once(db, recorded, monkeypatch):
    read, original = [], situation_records.read_situations

    def counted(*args, **ranges):
        found = original(*args, **ranges)
        read.extend(one.episode for one in found)
        return found

    monkeypatch.setattr(situation_records, "read_situations", counted)
    monkeypatch.setattr(situation_records, "MOST_READ", 8)
    whole, window = GrowingSituations(), GrowingSituations()
    for last in (*range(3, 60, 4), 60):
        assert whole.read(db, recorded, after=0, last=last) == original(db, recorded, after=0, last=last)
        after = max(0, last - 8)
        assert window.read(db, recorded, after=after, last=last) == original(db, recorded, after=after, last=last)
    assert max(map(read.count, read)) == 2, "once for the whole run, and once for the newest episodes"
