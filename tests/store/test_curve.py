"""Reading a run as a curve: few points, every spike, and nothing that moves as episodes are added."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.reference import assert_summary_is, plain_summary
from v3core.rollup import bucket_size
from v3core.store.bulk import metric_names
from v3core.store.curve import read_series
from v3core.store.runs import UnknownRunError
from v3core.store.writer import EpisodeWriter

COUNT = 3000
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def values():
    """Quiet, but for spikes up and down, and a stretch without numbers."""
    found = np.random.default_rng(1).normal(size=COUNT)
    found[[0, 17, 1023, 1024, 2999]] = 1e6
    found[[400, 2047]] = -1e6
    found[500:700] = np.nan
    return found.tolist()


@pytest.fixture
def run_id(db, new_run, episode, values):
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(number, return_=value) for number, value in enumerate(values, start=1)], COUNT)
    writer.close()
    return run_id


@pytest.mark.parametrize("width", [3, 12, 47, 94, 188, 375, 750, 1500, 3000])
def test_every_spike_and_every_gap_shows_at_every_level(db, run_id, values, width):
    read = read_series(db, run_id, width=width)
    assert len(read) <= width
    assert read.newest == COUNT
    assert_summary_is(read.summary("return"), plain_summary(values, read.size))
    assert read.episode.tolist() == [min((bucket + 1) * read.size, COUNT) for bucket in range(len(read))]
    if read.size <= 64:  # a bucket of only NaN is a gap, never zero
        assert np.isnan(read.summary("return").mean[512 // read.size])


@SLOW
@given(first=st.integers(1, COUNT), length=st.integers(0, COUNT), width=st.integers(2, 400))
def test_the_level_bounds_the_number_of_points(sqlite_db, new_run, episode, first, length, width):
    if not hasattr(sqlite_db, "made"):
        sqlite_db.made = new_run(sqlite_db)
        writer = EpisodeWriter(sqlite_db, sqlite_db.made, generation=0, writable_in=["running"])
        writer.record([episode(number) for number in range(1, COUNT + 1)], COUNT)
        writer.close()
    last = first + length
    read = read_series(sqlite_db, sqlite_db.made, first=first, last=last, width=width)
    end = min(last, COUNT)
    assert 1 <= len(read) <= width
    assert read.size == bucket_size(end, width, first)
    assert read.size == 1 or end - first + 1 > (width - 2) * read.size / 2  # no coarser than it must be
    begin = (first - 1) // read.size * read.size
    stop = min(-(-end // read.size) * read.size, COUNT)
    assert_summary_is(read.summary("return"), plain_summary([float(n) for n in range(begin + 1, stop + 1)], read.size))


def test_what_was_drawn_does_not_move(db, new_run, episode):
    """Buckets that were complete stay as they were, to the last bit, while the size is the same."""
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    random = np.random.default_rng(2)
    done, before, followed = 0, None, None
    for count in random.integers(1, 120, size=25).tolist():
        writer.record(
            [episode(done + 1 + place, return_=float(random.normal())) for place in range(count)], done + count
        )
        writer.flush()
        done += count
        now = read_series(db, run_id, width=50)
        followed = read_series(db, run_id, width=50, after=followed)
        assert (followed.size, followed.newest) == (now.size, now.newest)
        np.testing.assert_allclose(followed.stats, now.stats, rtol=1e-12)
        if before is not None and before.size == now.size:
            complete = before.newest // before.size
            np.testing.assert_array_equal(now.numbers[:complete], before.numbers[:complete])
            np.testing.assert_allclose(now.stats[:complete], before.stats[:complete], rtol=1e-13)
        before = now
    writer.close()


def test_reading_on_reads_only_what_is_new(db, run_id, episode, monkeypatch):
    before = read_series(db, run_id)
    read = []
    original = read_series.__globals__["read_rows"]

    def counted(*arguments, **options):
        for rows in original(*arguments, **options):
            read.append(len(rows.episode))
            yield rows

    monkeypatch.setattr("v3core.store.curve.read_rows", counted)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(COUNT + number) for number in range(1, 101)], COUNT + 100)
    writer.close()
    after = read_series(db, run_id, after=before)
    assert read == [100]
    assert after.newest == COUNT + 100
    np.testing.assert_allclose(after.stats, read_series(db, run_id).stats, rtol=1e-12)


def test_far_behind_it_reads_buckets_not_episodes(db, run_id, episode, monkeypatch):
    early = read_series(db, run_id, last=200)
    monkeypatch.setattr("v3core.store.curve._MANY", 500)
    after = read_series(db, run_id, after=early)
    assert after.newest == COUNT
    np.testing.assert_array_equal(after.stats, read_series(db, run_id).stats)


def test_a_run_without_episodes_has_no_points(db, new_run):
    read = read_series(db, new_run(db))
    assert (len(read), read.newest, read.episode.tolist()) == (0, 0, [])
    assert read.summary("return").mean.shape == (0,)
    assert read_series(db, new_run(db), first=10, last=20).newest == 9


def test_what_does_not_exist_is_said(db, run_id):
    with pytest.raises(UnknownRunError):
        read_series(db, "nothing")
    assert set(read_series(db, run_id).metrics) == set(metric_names(4))
