"""Facts of episodes as they come back from the store, and summed up."""

import math

import pytest

from tests.store.recorded import record_run
from v3core.store import fact_records
from v3core.store.export import table_of
from v3core.store.fact_records import fact_points, fact_results, read_facts

TEXTS = ['{"score": 3, "cause": "a newt"}', None, '{"score": 5, "cause": "time limit"}', '{"score": 4}', "[1", "[]"]


@pytest.fixture
def recorded(db, new_run, episode):
    """A run of 60 episodes."""
    return record_run(db, new_run, [episode(number, facts=TEXTS[(number - 1) % 6]) for number in range(1, 61)])


def test_they_are_read_and_summed_up(db, recorded):
    facts = read_facts(db, recorded, after=6, last=12)
    assert facts == [
        (7, {"score": 3.0, "cause": "a newt"}),
        (9, {"score": 5.0, "cause": "time limit"}),
        (10, {"score": 4.0}),
    ]
    cause, score = fact_results(facts, ["cause", "unknown", "score"])
    assert (score.name, score.episodes, score.mean, score.least, score.most, score.words) == ("score", 3, 4, 3, 5, ())
    assert (cause.name, cause.episodes, cause.words) == ("cause", 2, (("a newt", 1), ("time limit", 1)))
    assert math.isnan(cause.mean)
    mixed = [(1, {"cause": "a newt"}), (2, {"cause": 4.0}), (3, {"cause": 2.0})]
    (cause,) = fact_results(mixed, ["cause"])
    assert (cause.episodes, cause.numbers, cause.mean, cause.words) == (3, 2, 3.0, (("a newt", 1),))
    assert [one.name for one in fact_results(facts, ["score"])] == ["score"], "an imported row can have any names"


def test_they_are_exported(db, recorded):
    with db.read() as tx:
        fields, rows = table_of(tx, [recorded], "episodes")
        names = [field.name for field in fields]
        assert [row[names.index("facts")] for row in rows] == TEXTS * 10


def test_points_are_means_of_parts(db, recorded):
    facts = read_facts(db, recorded, after=0, last=60)
    assert fact_points(facts, "score", last=60, parts=10) == [(6 * part, 4.0) for part in range(1, 11)]
    assert fact_points(facts, "cause", last=60, parts=10) == []


def test_of_many_episodes_evenly_spaced_ones_are_read(db, recorded, monkeypatch):
    monkeypatch.setattr(fact_records, "MOST_READ", 30)
    assert {episode % 2 for episode, _ in read_facts(db, recorded, after=0, last=60)} == {0}
