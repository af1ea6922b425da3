"""The pyramid holds what the episodes say, whatever happens to a run, and is the one that would be built anew."""

import json
import math
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete

from tests.store.reference import assert_summary_is, full_rows, plain_summary, stored_rows
from v3core.rollup import MEAN
from v3core.store.bulk import COLUMNS, metric_names, read_rows
from v3core.store.curve import read_series
from v3core.store.opening import open_database
from v3core.store.rollups import read_buckets, rebuild_rollups
from v3core.store.runs import remove_hidden_part, update_run
from v3core.store.schema import HIDDEN, episodes, expert_loads, rollups
from v3core.store.writer import EpisodeWriter, truncate

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300]))


def write(db, run_id, rows, step):
    """Record episodes as a worker does that ends there."""
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record(rows, step)
    writer.close()


def rebuilt(db, run_id):
    """The rows that the episodes alone give."""
    with db.write() as tx:
        rebuild_rollups(tx, run_id)
    return stored_rows(db, run_id)


def test_every_numeric_column_of_the_episodes_is_in_the_pyramid():
    numeric = {column.name for column in episodes.c if column.type.python_type in (int, float)}
    assert set(COLUMNS) == numeric - {"episode"}
    assert len(set(metric_names(4))) == len(COLUMNS) + 2 + 3 * 4


def test_rows_are_written_with_the_episode_that_fills_them(db, new_run, episode):
    run_id = new_run(db)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    for number in range(1, 260):
        writer.record([episode(number)], number)
        if number in {63, 64, 255, 256}:
            writer.flush()
            assert set(stored_rows(db, run_id)) == full_rows(number)
    writer.close()
    rows = stored_rows(db, run_id)
    assert json.loads(rows[16, 1][0]) == [["early"], ["early"], ["early", "late"], ["late"]]
    assert json.loads(rows[64, 0][0]) == [["early"], ["early", "late"], ["late"], ["late"]]
    assert rebuilt(db, run_id) == rows


def test_a_restart_reads_the_episodes_that_are_in_no_row_and_continues_with_them(db, new_run, episode, monkeypatch):
    read, original = [], read_rows

    def counted(*arguments, **options):
        for rows in original(*arguments, **options):
            read.append(len(rows.episode))
            yield rows

    run_id, last = new_run(db), 0
    with monkeypatch.context() as patch:
        patch.setattr("v3core.store.rollups.read_rows", counted)
        for until in (1, 10, 63, 64, 66, 130, 300):
            write(db, run_id, [episode(number) for number in range(last + 1, until + 1)], until)
            last = until
    assert read == [1, 10, 63, 2, 2], "none of the rows of 64"
    rows = stored_rows(db, run_id)
    assert set(rows) == full_rows(300)
    assert rebuilt(db, run_id) == rows


def test_buckets_of_a_fork_are_its_own_from_where_it_begins(db, new_run, episode):
    """It goes another way than the run whose records it begins with, which has as many episodes."""
    parent = new_run(db)
    write(db, parent, [episode(number) for number in range(1, 601)], 600)
    fork = new_run(db, trunk=parent, parent=parent, parent_episode=100, parent_evaluated=100)
    write(db, fork, [episode(number, return_=-1.0) for number in range(101, 601)], 600)
    values = [*map(float, range(1, 101)), *[-1.0] * 500]
    for width in (10, 40, 600):
        read = read_series(db, fork, width=width)
        assert_summary_is(read.summary("return"), plain_summary(values, read.size))
    with db.read() as tx:
        stored = read_buckets(tx, fork, 16, experts=4, first=0, last=35)
    assert stored.numbers.tolist() == list(range(36))
    assert (stored.stats[7:, MEAN, metric_names(4).index("return")] == -1).all()


def test_a_deleted_run_leaves_no_rows(db, new_run, episode):
    run_id = new_run(db)
    write(db, run_id, [episode(number) for number in range(1, 200)], 200)
    with db.write() as tx:
        update_run(tx, run_id, {"status": HIDDEN}, only_in=["running"])
        while remove_hidden_part(tx, run_id):
            pass
    assert stored_rows(db, run_id) == {}


def test_what_a_run_without_a_pyramid_lacks_is_made_when_it_goes_on(db, new_run, episode):
    """A database of an older version may hold episodes and no buckets; it is readable, and a writer completes it."""
    run_id = new_run(db)
    write(db, run_id, [episode(number) for number in range(1, 1501)], 1500)
    before, whole = stored_rows(db, run_id), read_series(db, run_id)
    with db.write() as tx:
        tx.execute(delete(rollups).where(rollups.c.run_id == run_id))
    np.testing.assert_allclose(read_series(db, run_id).stats, whole.stats, rtol=1e-12)
    write(db, run_id, [episode(1501)], 1501)
    assert stored_rows(db, run_id) == before


def lose(db, run_id, *rows):
    with db.write() as tx:
        for size, number in rows:
            row = rollups.c.run_id == run_id, rollups.c.size == size, rollups.c.number == number
            tx.execute(delete(rollups).where(*row))


@pytest.mark.parametrize(
    "lost",
    [
        [(16, number) for number in range(15, 23)] + [(64, number) for number in (3, 4)] + [(256, 0)],
        [(16, 0)],
        [(16, number) for number in (3, 4, 9, 22)],
        [(64, 2)],
        [(64, 0), (16, 2), (16, 3)],
        [(256, 0)],
        [(256, 0), (64, 1), (64, 2), (16, 6), (16, 11)],
    ],
    ids=lambda lost: f"{len(lost)} from {lost[0]}",
)
def test_a_gap_in_the_pyramid_is_read_over_and_filled(db, new_run, episode, config, lost):
    """A worker of schema 3 knows no pyramid, and trains on while another process migrates the database.

    Another run, whose network is smaller, lacks nothing.
    """
    smaller = config.model_copy(update={"policy": config.policy.model_copy(update={"experts": 2})})
    of_two = dict.fromkeys(("loads", "hard_loads", "expert_grad_norms"), (0.5, 0.5))
    write(db, new_run(db, chosen=smaller), [episode(number, **of_two) for number in range(1, 1501)], 1500)
    run_id = new_run(db)
    write(db, run_id, [episode(number) for number in range(1, 1501)], 1500)
    before = stored_rows(db, run_id)
    lose(db, run_id, *lost)
    for width in (5, 20, 40, 90, 2000):
        read = read_series(db, run_id, width=width)
        assert read.newest == 1500
        assert_summary_is(read.summary("return"), plain_summary([float(n) for n in range(1, 1501)], read.size))
        middle = read_series(db, run_id, first=300, last=1200, width=width)
        begin, end = (300 - 1) // middle.size * middle.size, min(-(-1200 // middle.size) * middle.size, 1500)
        expected = plain_summary([float(n) for n in range(begin + 1, end + 1)], middle.size)
        assert_summary_is(middle.summary("return"), expected)
    writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
    writer.record([episode(1501)], 1501)
    writer.flush()
    assert stored_rows(db, run_id) == before
    writer.record([episode(number) for number in range(1502, 2100)], 2099)
    writer.close()
    written = stored_rows(db, run_id)
    assert rebuilt(db, run_id) == written


def test_rows_of_episodes_that_are_gone_are_not_read_and_are_replaced(db, new_run, episode):
    """A resume by a process of schema 3 takes episodes back, and leaves what lies over them."""
    run_id = new_run(db)
    write(db, run_id, [episode(number) for number in range(1, 1501)], 1500)
    with db.write() as tx:
        for table in (expert_loads, episodes):
            tx.execute(delete(table).where(table.c.episode > 700))
    for width in (5, 20, 2000):
        read = read_series(db, run_id, width=width)
        assert read.newest == 700
        assert_summary_is(read.summary("return"), plain_summary([float(n) for n in range(1, 701)], read.size))
    write(db, run_id, [episode(number, return_=-1.0) for number in range(701, 1401)], 1400)
    written = stored_rows(db, run_id)
    assert set(written) == full_rows(1400)
    assert rebuilt(db, run_id) == written


def test_buckets_that_lack_a_newer_metric_stay_readable(db, new_run, episode):
    run_id = new_run(db)
    write(db, run_id, [episode(number) for number in range(1, 65)], 64)
    names = metric_names(4)
    with db.write() as tx:
        stats = np.frombuffer(stored_rows(db, run_id)[16, 0][1]).reshape(4, 5, len(names))
        tx.execute(rollups.update().values(stats=stats[:, :, :-1].tobytes()))
    read = read_series(db, run_id, width=10)
    assert read.size == 16 or read.size == 8
    coarse = read_series(db, run_id, width=4)
    assert coarse.summary(names[-1]).count.tolist() == [0, 0, 0, 0]
    assert np.isnan(coarse.summary(names[-1]).mean).all()
    assert coarse.summary("return").count.tolist() == [16] * 4


def test_buckets_in_which_only_the_lengths_are_numbers_are_there(db, new_run, episode):
    """Of a thinned run nothing else says how many episodes there were."""
    nothing = {name: math.nan for name, value in vars(episode(1)).items() if isinstance(value, float)}
    run_id = new_run(db)
    write(db, run_id, [episode(number, **nothing) for number in range(1, 65)], 64)
    with db.read() as tx:
        assert read_buckets(tx, run_id, 16, experts=4, first=0, last=3).numbers.tolist() == [0, 1, 2, 3]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(NUMBERS, min_size=1, max_size=700),
    cuts=st.lists(st.integers(1, 300), max_size=6),
)
def test_batches_do_not_matter(sqlite_db, new_run, episode, values, cuts):
    """However the episodes come, and with whatever numbers, the pyramid is the same to the last bit."""
    run_id = new_run(sqlite_db)
    rows = [episode(number, return_=value) for number, value in enumerate(values, start=1)]
    writer = EpisodeWriter(sqlite_db, run_id, generation=0, writable_in=["running"])
    start = 0
    for cut in [*cuts, len(rows)]:
        writer.record(rows[start : start + cut], 1)
        writer.flush()
        start += cut
    writer.close()
    written = stored_rows(sqlite_db, run_id)
    assert set(written) == full_rows(len(rows))
    assert rebuilt(sqlite_db, run_id) == written


class Recording(RuleBasedStateMachine):
    """A run recorded, flushed, cut back and gone on with, beside a plain list of what it should hold."""

    episode = None
    new_run = None

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        self.db = open_database(f"sqlite:///{path / 'v3.db'}", path)
        self.run_id = type(self).new_run(self.db)
        self.generation = 0
        self.returns, self.loads = [], []
        self.followed = None
        self.open_writer()

    def open_writer(self):
        self.writer = EpisodeWriter(self.db, self.run_id, generation=self.generation, writable_in=["running"])

    @rule(values=st.lists(NUMBERS, min_size=1, max_size=150), load=st.floats(0, 1))
    def record(self, values, load):
        first = len(self.returns) + 1
        loads = (load, 1 - load, math.nan, 0.0)
        rows = [type(self).episode(first + place, return_=value, loads=loads) for place, value in enumerate(values)]
        self.writer.record(rows, first)
        self.returns += values
        self.loads += [load] * len(values)

    @rule()
    def restart(self):
        self.writer.close()
        self.open_writer()

    @rule(share=st.floats(0, 1))
    def cut_back(self, share):
        self.writer.close()
        kept = int(share * len(self.returns))
        with self.db.write() as tx:
            deleted = truncate(tx, self.run_id, episode=kept, step=kept, now=datetime.now(UTC))
        del self.returns[kept:], self.loads[kept:]
        if deleted:
            self.generation += 1
            self.followed = None
        self.open_writer()

    @invariant()
    def all_that_is_read_is_what_was_recorded(self):
        self.writer.flush()
        count = len(self.returns)
        assert set(stored_rows(self.db, self.run_id)) == full_rows(count)
        for width in (4, 37, 1000):
            read = read_series(self.db, self.run_id, width=width)
            assert len(read) <= width
            assert read.newest == count
            assert_summary_is(read.summary("return"), plain_summary(self.returns, read.size))
            assert_summary_is(read.summary("load_1"), plain_summary(self.loads, read.size))
            assert not read.summary("load_3").count.any()
        self.followed = read_series(self.db, self.run_id, width=37, after=self.followed)
        assert_summary_is(self.followed.summary("return"), plain_summary(self.returns, self.followed.size))
        last = read_series(self.db, self.run_id, width=1000).summary("mean_return").last
        known = [value for value in self.returns[-100:] if math.isfinite(value)]
        if known and max(map(abs, known)) < 1e9:
            assert last[-1] == pytest.approx(math.fsum(known) / len(known), abs=1e-6)

    def teardown(self):
        if not hasattr(self, "writer"):
            return
        self.writer.close()
        written = stored_rows(self.db, self.run_id)
        assert rebuilt(self.db, self.run_id) == written
        self.db.close()
        self.folder.cleanup()


def test_a_run_is_what_a_plain_list_says(new_run, episode):
    Recording.new_run, Recording.episode = staticmethod(new_run), staticmethod(episode)
    run_state_machine_as_test(Recording, settings=settings(max_examples=20, stateful_step_count=10, deadline=None))


def test_rows_are_read_in_chunks_that_join(db, new_run, episode, monkeypatch):
    monkeypatch.setattr("v3core.store.bulk._CHUNK", 50)
    run_id = new_run(db)
    write(db, run_id, [episode(number) for number in range(1, 181)], 180)
    with db.read() as tx:
        chunks = list(read_rows(tx, run_id, 4, after=20))
    assert [len(rows.episode) for rows in chunks] == [50, 50, 50, 10]
    place = metric_names(4).index("mean_return")
    means = np.concatenate([rows.values[:, place] for rows in chunks])
    assert means.tolist() == [np.mean(range(max(1, number - 99), number + 1)) for number in range(21, 181)]


def test_a_sum_too_large_for_a_number_is_no_mean_beyond_the_values(db, new_run, episode):
    run_id = new_run(db)
    write(db, run_id, [episode(number, return_=1.7e308) for number in range(1, 65)], 64)
    assert read_series(db, run_id, width=4).summary("return").mean.tolist() == [1.7e308] * 4


def test_numbers_too_large_on_both_sides_are_reported_by_their_extremes(db, new_run, episode):
    run_id = new_run(db)
    rows = [episode(number, return_=1.7e308 * (-1) ** (number // 2)) for number in range(1, 1025)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(db, run_id, rows, 1024)
        read = read_series(db, run_id, width=4).summary("return")
    assert (read.minimum.tolist(), read.maximum.tolist()) == ([-1.7e308] * 4, [1.7e308] * 4)
    assert read.count.tolist() == [256] * 4
