"""What phases were like, against values worked by hand; read at once or bit by bit."""

import math
import random
import statistics

import pytest
from sqlalchemy import delete, insert, select

from tests.store.conftest import START
from v3core.comparison.run_traces import window_of
from v3core.curriculum import Length
from v3core.store import curve
from v3core.store.curve import merged, read_phase_sums, read_series
from v3core.store.pace import read_mean, recent_returns
from v3core.store.runs import UnknownRunError, get_run
from v3core.store.schema import episodes, expert_loads
from v3core.store.writer import EpisodeWriter, truncate


@pytest.fixture
def record(db, new_run, episode):
    """Record episodes of a new run, `changes` of each from the first on; returns the run's id."""

    def write(changes, **run):
        run_id = new_run(db, **run)
        writer = EpisodeWriter(db, run_id, generation=0, writable_in=["running"])
        rows = [episode(number, **{"phase_steps": 10**6, **each}) for number, each in enumerate(changes, start=1)]
        writer.record(rows, len(rows))
        writer.close()
        return run_id

    return write


def test_phases_are_described_in_training_order(db, record):
    run_id = record(
        [
            {"phase": "warmup", "return_": 10.0, "length": 10, "loads": (0.5, 0.5, 0.0, 0.0)},
            {"phase": "warmup", "return_": 20.0, "length": 20, "loads": (0.3, 0.7, 0.0, 0.0)},
            {"phase": "fine-tune", "return_": 40.0, "length": 40, "success": 1.0, "loads": (1.0, 0.0, 0.0, 0.0)},
        ]
    )
    first, second = read_phase_sums(db, run_id)
    assert (first.phase, first.first_episode, first.last_episode, first.episodes) == ("warmup", 1, 2, 2)
    assert (first.steps, first["return"], first.closing_return) == (30, 15, 15)
    assert first.deviation == pytest.approx(math.sqrt(50))
    assert math.isnan(first["success"])
    assert (second.phase, second["success"]) == ("fine-tune", 1.0)
    assert math.isnan(second.deviation)


def test_the_closing_return_is_of_a_tenth_of_the_run(db, record):
    run_id = record([{"phase": "a", "return_": float(number > 120)} for number in range(1, 151)])
    (only,) = read_phase_sums(db, run_id)
    assert only.closing_return == 1.0
    assert only["return"] == pytest.approx(30 / 150)


def test_what_experts_did_at_the_end_of_a_phase_is_weighted_by_steps(db, record):
    """The last 10 of 100 planned: expert 2 has 10 of 505 steps. Over the phase, or by episodes, nobody is dead."""
    one, two = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)
    before = [{"phase": "a", "length": 99, "loads": (0.0, 0.0, 0.5, 0.5), "routing_entropy": math.log(2)}] * 20
    after = [{"phase": "a", "length": 99 if n % 2 else 1, "loads": one if n % 2 else two} for n in range(10)]
    after = [each | {"routing_entropy": 0.0} for each in after]
    (only,) = read_phase_sums(db, record(before + after, episodes=100))
    shares = (5 * 99 / 500, 5 / 500)
    assert only.closing_loads == pytest.approx((*shares, 0, 0))
    assert only.closing_specialisation == pytest.approx(-sum(share * math.log(share) for share in shares))


def test_an_episode_that_began_before_a_phase_hides_no_death_at_its_end(db, record):
    """Of 110 steps of the second phase's episodes, 50 of expert 2 are before it."""
    one, two = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)
    before = {"phase": "a", "length": 10, "loads": two, "routing_entropy": 0.0}
    straddling = before | {"phase": "b", "length": 50, "phase_steps": 5, "routing_entropy": 0.5, "return_": 9.0}
    own = {"phase": "b", "length": 10, "loads": one, "routing_entropy": 0.25, "return_": 1.0}
    _, found = read_phase_sums(db, record([before, straddling, *[own] * 6]))
    assert found.closing_loads == one
    assert found.closing_specialisation == 0, "not below it: of one expert in all steps"
    assert found.closing_return == pytest.approx(15 / 7), "the return of every episode that ended in it"
    _, alone = read_phase_sums(db, record([before, straddling]))
    assert (alone.closing_loads, alone.closing_return) == ((), 9)
    assert math.isnan(alone.closing_specialisation)


def test_the_mean_return_is_of_the_phase_in_force(db, record):
    """Not of a window that crosses into the phase before, whose returns say nothing of this one."""
    run_id = record([{"phase": "a", "return_": 240.0}] * 30 + [{"phase": "b", "return_": 160.0}] * 5, episodes=300)
    assert get_run(db, run_id).mean_return == 160
    with db.read() as tx:
        found = recent_returns(tx, run_id)
    assert (found.mean, found.latest) == (160, 160)
    found.add(7.0, "c")
    assert found.mean == 7
    found.add(None, "c")
    assert (found.mean, found.latest) == (7, None)


@pytest.mark.parametrize("planned", [120, 300, 5000])
def test_the_mean_of_the_newest_returns_is_the_same_wherever_it_is_shown(db, config, record, planned):
    returns = [math.nan if number % 7 == 0 else number**2 / 100 for number in range(1, 151)]
    chosen = config.model_copy(update={"episodes": planned})
    run_id = record([{"phase": "a", "return_": value} for value in returns], chosen=chosen)
    run = get_run(db, run_id)
    wanted = statistics.fmean(value for value in returns[-run.mean_window :] if not math.isnan(value))
    shown = run.mean_return, read_phase_sums(db, run_id)[0].closing_return
    drawn = read_series(db, run_id, width=10_000).trailing("return", run.mean_window)[-1]
    assert (*shown, drawn) == pytest.approx((wanted,) * 3)


def test_where_steps_end_a_run_means_are_over_a_tenth_of_the_episodes_that_they_make(db, config, new_run, episode):
    """Of 9,000 steps, 100 episodes of 10 steps make 900 episodes of the run, with 50 further of 100 steps 230."""
    run_id = new_run(db, chosen=config.model_copy(update=vars(Length.of(None, 9000))))
    parts = [(range(1, 101), 1000), (range(101, 151), 6000)]
    wanted = [statistics.fmean(range(11, 101)), statistics.fmean(range(128, 151))]

    def means():
        run = get_run(db, run_id)
        with db.read() as tx:
            read = read_mean(tx, run)
        assert read.count == run.mean_window == window_of([run])
        return [run.mean_return, read.value, read_phase_sums(db, run_id)[-1].closing_return]

    def write(numbers, step, generation):
        writer = EpisodeWriter(db, run_id, generation=generation, writable_in=["running"])
        writer.record([episode(number, phase="a", return_=float(number)) for number in numbers], step)
        writer.close()

    for (numbers, step), mean in zip(parts, wanted, strict=True):
        write(numbers, step, 0)
        assert means() == pytest.approx([mean] * 3)
    with db.write() as tx:
        truncate(tx, run_id, episode=100, step=1000, now=START, phases=1)
    assert means() == pytest.approx([wanted[0]] * 3)
    write(*parts[1], 1)
    assert means() == pytest.approx([wanted[1]] * 3)


def test_a_phase_of_which_only_buckets_are_left_keeps_its_means(db, record):
    run_id = record([{"phase": "a", "return_": float(number % 2)} for number in range(64)] + [{"phase": "b"}])
    with db.write() as tx:
        tx.execute(delete(episodes).where(episodes.c.phase == "a"))
    first = read_phase_sums(db, run_id)[0]
    assert (first.phase, first["return"]) == ("a", 0.5)
    assert math.isnan(first.closing_return)
    assert math.isnan(first.deviation)


def test_a_phase_of_which_some_episodes_are_left_has_no_deviation(db, record):
    run_id = record([{"phase": "a", "return_": float(number % 2)} for number in range(64)])
    assert read_phase_sums(db, run_id)[0].deviation == pytest.approx(statistics.stdev([0, 1] * 32))
    with db.write() as tx:
        tx.execute(delete(episodes).where(episodes.c.episode <= 32))
    only = read_phase_sums(db, run_id)[0]
    assert only["return"] == 0.5
    assert math.isnan(only.deviation)


def test_no_episodes_no_phases(db, new_run):
    assert read_phase_sums(db, new_run(db)) == ()


def test_the_routing_of_a_phase_is_reported_by_the_episodes_acted_wholly_in_it(db, record):
    """The third episode began in the warmup: its routing is of both phases, its return is not."""
    warm = {"phase": "warmup", "length": 10, "routing_entropy": 1.0, "loads": (0.5, 0.5, 0, 0)}
    fine = {"phase": "fine-tune", "routing_entropy": 0.0, "return_": 60.0, "length": 60, "loads": (1.0, 0, 0, 0)}
    between = fine | {"length": 40, "phase_steps": 15, "routing_entropy": 0.7, "return_": 40.0}
    between["loads"] = (0.6, 0.4, 0, 0)
    first, second = read_phase_sums(db, record([warm, warm, between, fine]))
    assert (first["routing_entropy"], second["routing_entropy"]) == (1.0, 0.0)
    assert second.closing_loads == (1, 0, 0, 0)
    assert (second.episodes, second["return"], second.steps) == (2, 50, 100)
    (alone,) = read_phase_sums(db, record([between]))
    assert alone["routing_entropy"] == 0.7


def test_what_is_not_finite_counts_as_missing(db, record):
    values = [math.nan, math.inf, 3.0, -math.inf, 5.0]
    (only,) = read_phase_sums(db, record([{"phase": "a", "return_": value} for value in values]))
    assert (only.count[0, 0], only["return"], only.closing_return) == (2, 4.0, 4.0)


def test_numbers_near_the_largest_and_the_smallest_break_no_sum(db, record):
    largest = [{"phase": "a", "return_": value, "routing_entropy": 1.7e308} for value in (1.7e308, -1.7e308, 4.0, 4.0)]
    (only,) = read_phase_sums(db, record(largest))
    assert (only.count[0, 0], only["return"], only.deviation) == (2, 4.0, 0.0)
    assert math.isnan(only["routing_entropy"])
    (only,) = read_phase_sums(db, record([{"phase": "a", "return_": value} for value in (5e-324, 1e-200, 0.0)]))
    assert (only.count[0, 0], only.deviation) == (3, 0.0)


def long_run(count):
    """Episodes of phases that end within buckets; two began before their phase, and ended long after it had begun."""
    draw = random.Random(count).random
    for number in range(1, count + 1):
        length = int(1 + 500 * draw())
        yield {
            "phase": ("warmup", "transition", "fine-tune")[(number > 777) + (number > 1000)],
            "length": length,
            "phase_steps": length - (number in {780, 1201}),
            "return_": {50: math.nan, 900: math.inf}.get(number, 1e6 + draw()),
            "success": None if number < 500 else float(draw() < 0.5),
            "routing_entropy": 50.0 if number in {780, 1201} else draw(),
            "router_shift": draw(),
            "router_shift_last": draw(),
            "loads": tuple(draw() for _ in range(4)),
        }


def test_numbers_near_the_largest_are_left_out_of_long_runs_too(db, record):
    recorded = [{"phase": "a", "return_": 1.7e308 if number == 90 else 4.0} for number in range(1, 301)]
    (only,) = read_phase_sums(db, record(recorded))
    assert (only.count[0, 0], only["return"]) == (299, 4.0)


def finite(rows, name):
    return [row[name] for row in rows if row[name] is not None and math.isfinite(row[name])]


@pytest.mark.parametrize("after", [0, 1, 63, 64, 777, 900])
def test_a_long_run_is_reported_from_its_buckets_as_from_its_episodes(db, record, after):
    recorded = list(long_run(1500))
    run_id = record(recorded)
    known = list(enumerate(recorded, start=1))[after:]
    found = read_phase_sums(db, run_id, after=after)
    assert [sums.phase for sums in found] == list(dict.fromkeys(row["phase"] for _, row in known))
    for sums in found:
        numbers, rows = zip(*((number, row) for number, row in known if row["phase"] == sums.phase), strict=True)
        own = [row for row in rows if row["phase_steps"] == row["length"]]
        assert (sums.first_episode, sums.last_episode, sums.episodes) == (numbers[0], numbers[-1], len(rows))
        assert sums.steps == sum(row["length"] for row in rows)
        returns = finite(rows, "return_")
        assert tuple(sums.count[0, :2]) == (len(returns), len(finite(rows, "success")))
        assert sums["return"] == pytest.approx(statistics.fmean(returns), rel=1e-14)
        assert sums.deviation == pytest.approx(statistics.stdev(returns), rel=1e-6)
        for name in ("router_shift", "router_shift_last"):
            assert sums[name] == pytest.approx(statistics.fmean(finite(rows, name)))
        assert sums.count[:, 4].tolist() == [len(rows), len(own)]
        assert sums["routing_entropy"] == pytest.approx(statistics.fmean(finite(own, "routing_entropy")))


def test_a_long_run_is_not_read_episode_by_episode(db, record, monkeypatch):
    run_id = record(list(long_run(1500)))
    read, spans = curve._read_span, []
    monkeypatch.setattr(curve, "_read_span", lambda *args: spans.append(args[-2:]) or read(*args))
    read_phase_sums(db, run_id)
    assert sum(end - begin for begin, end in spans) < 150


def test_there_are_no_phases_of_no_run(db):
    with pytest.raises(UnknownRunError):
        read_phase_sums(db, "none")


@pytest.mark.parametrize("cut", [0, 1, 99, 100, 101, 180, 239, 240])
def test_reading_on_gives_what_reading_at_once_gives(db, record, cut):
    run_id = record(
        [{"return_": math.sin(number), "routing_entropy": number % 7, "length": 5} for number in range(1, 241)]
    )
    whole = read_phase_sums(db, run_id)
    older = read_before(db, run_id, cut)
    both = merged(older, read_phase_sums(db, run_id, after=cut))
    assert [sums.phase for sums in both] == ["early", "late"]
    for one, other in zip(both, whole, strict=True):
        assert (one.first_episode, one.last_episode, one.episodes, one.steps, one.closing_return) == (
            (other.first_episode, other.last_episode, other.episodes, other.steps, other.closing_return)
        )
        assert one["return"] == pytest.approx(other["return"])
        assert one.deviation == pytest.approx(other.deviation)
        assert one["routing_entropy"] == pytest.approx(other["routing_entropy"])
        assert one.closing_loads == other.closing_loads


def read_before(db, run_id, last):
    """What was read when only the first episodes were there."""
    kept = []
    with db.write() as tx:
        for table in (expert_loads, episodes):
            beyond = (table.c.run_id == run_id, table.c.episode > last)
            kept.append((table, [dict(row) for row in tx.execute(select(table).where(*beyond)).mappings()]))
            tx.execute(delete(table).where(*beyond))
    before = read_phase_sums(db, run_id)
    with db.write() as tx:
        for table, rows in reversed(kept):
            if rows:
                tx.execute(insert(table), [{c.key: row[c.name] for c in table.c} for row in rows])
    return before
