"""`thin`: the single episodes of old ended runs go, and all that is drawn of them stays."""

import math
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import bindparam, update

import v3core
from tests.pages.recorded import add_recorded_run
from v3core.archive import write_archive
from v3core.cli import main
from v3core.comparison import compare
from v3core.comparison.run_traces import final_value, forget, training_seconds
from v3core.comparison.tables import group_rows
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.forks import fork
from v3core.jobs.lifecycle import Status
from v3core.jobs.retention import carry_out, plan_of, thinned_sentence
from v3core.store.alarms import ACTIVE, AlarmRow, put_alarm, read_alarms
from v3core.store.curve import read_phase_sums, read_series
from v3core.store.history import read_evaluations, read_events, read_phase_changes
from v3core.store.returns import read_mean_return, read_sparkline
from v3core.store.run_tables import stream
from v3core.store.runs import get_run, list_runs, update_run
from v3core.store.schema import episodes, events
from v3core.store.thinning import EVENT
from v3core.ui.run_data import load_seconds

LENGTH = 3000
LATER = datetime.now(UTC) + timedelta(days=40)


@pytest.fixture
def old(db):
    """A completed run of 3000 episodes in three phases, with evaluations and its alarms recorded."""
    return add_recorded_run(db, Status.COMPLETED, episodes=LENGTH, recorded=LENGTH, evaluated=(1000, LENGTH))


def drawn(db, run_id):
    """What pages show of it, from buckets of the size that a thinned run has at least."""
    run = get_run(db, run_id)
    with db.read() as tx:
        return {
            "series": [read_series(db, run_id, width=width) for width in (40, 100, 180)],
            "sparkline": read_sparkline(tx, run).tolist(),
            "phases": [replace(sums, squares=0.0) for sums in read_phase_sums(db, run_id)],
            "changes": read_phase_changes(tx, run_id),
            "evaluations": read_evaluations(tx, run_id),
        }


def same(one, other):
    for a, b in zip(one["series"], other["series"], strict=True):
        assert (a.size, a.numbers.tolist(), a.newest) == (b.size, b.numbers.tolist(), b.newest)
        np.testing.assert_array_equal(a.stats, b.stats)
    for a, b in zip(one["phases"], other["phases"], strict=True):
        for name, value in vars(a).items():
            np.testing.assert_allclose(value, getattr(b, name)) if not isinstance(value, str) else None
    assert {name: repr(one[name]) for name in ("sparkline", "changes", "evaluations")} == {
        name: repr(other[name]) for name in ("sparkline", "changes", "evaluations")
    }


def thin_it(db):
    return carry_out(db, plan_of(db, 30, LATER).found, LATER)


def test_charts_phases_and_evaluations_are_as_before_and_most_episodes_are_gone(db, old):
    before = drawn(db, old)
    plan = plan_of(db, 30, LATER)
    assert 0.7 * LENGTH < plan.episodes < LENGTH
    assert thin_it(db) == plan.episodes
    same(before, drawn(db, old))
    with db.read() as tx:
        rows = [row[0] for row in stream(tx, "episodes", old)]
        loads = {row[0] for row in stream(tx, "expert_loads", old)}
    assert len(rows) == LENGTH - plan.episodes
    assert loads == set(rows)
    assert rows[-1] == LENGTH
    assert all(np.isnan(sums.deviation) for sums in read_phase_sums(db, old))
    said = f"Thinned: {plan.episodes:,} single episodes are gone, and their means stay."
    assert [event.message for event in read_events(db, old) if event.kind == EVENT] == [said]
    assert str(thinned_sentence(get_run(db, old))) == (
        f"Raw rows were thinned on {LATER:%Y-%m-%d}: of most episodes only the means of 16 are left."
    )
    assert plan_of(db, 30, LATER).found == ()


def test_a_zoom_into_what_is_gone_shows_buckets_of_sixteen(db, old):
    thin_it(db)
    zoomed = read_series(db, old, first=400, last=500)
    assert zoomed.size == 16
    assert zoomed.numbers.tolist() == list(range(24, 32))


def test_what_cannot_be_done_with_a_thinned_run_is_refused_in_a_sentence(db, old, tmp_path):
    thin_it(db)
    why = f"its raw rows were thinned on {LATER:%Y-%m-%d}, and only means of its episodes are left"
    with pytest.raises(V3Error, match=f"cannot be archived: {why}"):
        write_archive(db, old, tmp_path / "run.v3run")
    with pytest.raises(V3Error, match=f"cannot be resumed: {why}"):
        control.resume(db, old, episodes=2 * LENGTH)
    with pytest.raises(V3Error, match=f"cannot be forked: {why}"):
        fork(db, old)
    assert not list(tmp_path.glob("*.v3run"))


def test_runs_that_are_young_active_or_without_recorded_alarms_are_left(db, old):
    assert plan_of(db, 30).found == ()
    running = add_recorded_run(db, Status.RUNNING, episodes=LENGTH, recorded=200)
    with db.write() as tx:
        update_run(tx, old, {"watched": None}, only_in=[Status.COMPLETED])
    plan = plan_of(db, 30, LATER)
    assert (plan.found, plan.left) == ((), 1)
    assert {run.id: run.thinned_at for run in list_runs(db)} == {old: None, running: None}


def test_a_run_that_was_resumed_meanwhile_is_left(db, old, monkeypatch):
    monkeypatch.setattr("v3core.jobs.control.drain", lambda *_: [])
    plan = plan_of(db, 30, LATER)
    with db.write() as tx:
        update_run(tx, old, {"generation": 1}, only_in=[Status.COMPLETED])
    assert carry_out(db, plan.found, LATER) == 0
    assert get_run(db, old).thinned_at is None


def test_alarms_stay_those_that_were_recorded(db, old):
    alarm = AlarmRow(1, "dead_experts", "dead", 12, 12, 1.0, 0.5, ACTIVE, "Expert 1 is dead.")
    with db.write() as tx:
        put_alarm(tx, old, alarm, actor="worker", now=LATER, notify=False)
    before = read_alarms(db, old)
    thin_it(db)
    assert get_run(db, old).has_alarms_recorded
    assert read_alarms(db, old) == before != []


def test_the_command_says_what_it_would_free_asks_and_does_it(db, old, capsys, tmp_path):
    with db.write() as tx:
        long_ago = datetime.now(UTC) - timedelta(days=40)
        update_run(tx, old, {"ended_at": long_ago}, only_in=[Status.COMPLETED])

    def said(*arguments, code=0):
        assert main(["thin", "--older-than", "30", *arguments]) == code
        out = capsys.readouterr()
        return (out.out + out.err).strip()

    assert said("--dry-run").startswith("Would drop 2,")
    assert "with their facts, situations and results of tasks." in said("--dry-run")
    refused = said(code=1)
    assert "would go for good, with their facts, situations and results of tasks; add --yes" in refused
    assert get_run(db, old).thinned_at is None
    assert said("--yes").startswith("Dropped 2,")
    assert said("--dry-run") == "Nothing to thin."
    assert main(["export", old, "--to", str(tmp_path / "rows.csv")]) == 0
    assert "Raw rows were thinned on" in capsys.readouterr().err
    assert "days are out of range" in said("--older-than", "-1", code=1)


def test_the_mean_of_the_last_episodes_is_that_of_the_rows_and_a_crossing_is_not_known(db, old):
    run = get_run(db, old)
    before = final_value(db, run, "return", LENGTH, 100)
    forget()
    thin_it(db)
    run = get_run(db, old)
    assert final_value(db, run, "return", LENGTH, 100) == before
    assert read_series(db, old, first=LENGTH - 99).size == 1
    found = compare(db, [run], metric="return", threshold=0.5)
    assert math.isnan(found.groups[0].runs[0].steps_to)
    assert found.groups[0].reached == 0
    said = "When the threshold is reached is not known of runs whose raw rows were thinned: a completed run."
    assert said in found.notes
    assert group_rows(found)[0]["Reached 0.5"] == "–"


def test_a_mean_return_is_only_known_where_every_row_is_left(db, old):
    with db.read() as tx:
        before = read_mean_return(tx, old, LENGTH, 50)
    thin_it(db)
    with db.read() as tx:
        assert read_mean_return(tx, old, LENGTH, 50) == before
        assert math.isnan(read_mean_return(tx, old, 500, 50))


def test_on_an_axis_of_seconds_a_thinned_run_is_as_long_as_before_without_gaps(db, old):
    wanted = np.array([1, 16, 500, 1500, 2500, LENGTH])
    run = get_run(db, old)
    with db.write() as tx:
        times = {number: run.created_at + timedelta(seconds=number) for number in range(1, LENGTH + 1)}
        one = (episodes.c.run_id == old, episodes.c.episode == bindparam("number"))
        tx.execute(
            update(episodes).where(*one).values(at=bindparam("time")),
            [{"number": number, "time": at} for number, at in times.items()],
        )
        tx.execute(update(events).where(events.c.run_id == old, events.c.kind == "running").values(at=run.created_at))
        ended = (events.c.run_id == old, events.c.kind == "completed")
        tx.execute(update(events).where(*ended).values(at=run.created_at + timedelta(hours=1)))
    assert training_seconds(db, run, wanted).tolist() == pytest.approx(wanted.tolist())
    thin_it(db)
    run = get_run(db, old)
    assert training_seconds(db, run, wanted).tolist() == pytest.approx(wanted.tolist())
    curve = read_series(db, old, width=100)
    assert load_seconds(db, run, curve) == pytest.approx(curve.episode)


def test_a_frame_of_a_thinned_run_warns_that_it_is_partial(db, old):
    thin_it(db)
    for table, run in ((v3core.episodes, old), (v3core.experts, [old])):
        with pytest.warns(UserWarning, match="Raw rows were thinned on") as said:
            table(run)
        assert [one.filename for one in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        v3core.evaluations(old)


def test_an_interrupted_thinning_is_finished_by_the_next_one(db, old, monkeypatch):
    monkeypatch.setattr("v3core.store.thinning.REMOVED_EPISODES", 100)
    plan = plan_of(db, 30, LATER)
    writes, write = [], db.write

    def interrupted():
        writes.append(1)
        if len(writes) == 4:
            raise KeyboardInterrupt
        return write()

    with monkeypatch.context() as patch:
        patch.setattr(db, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            carry_out(db, plan.found, LATER)
    assert get_run(db, old).thinned_at == LATER
    again = plan_of(db, 30, LATER)
    assert 0 < again.episodes < plan.episodes
    assert carry_out(db, again.found, LATER + timedelta(days=1)) == again.episodes
    assert get_run(db, old).thinned_at == LATER
    assert len([event for event in read_events(db, old) if event.kind == EVENT]) == 1
    last = plan_of(db, 30, LATER)
    assert (last.found, last.left) == ((), 0)
    with db.read() as tx:
        assert len(list(stream(tx, "episodes", old))) == LENGTH - plan.episodes


def test_a_run_so_short_that_its_coarse_curve_is_of_single_episodes_is_left(db):
    add_recorded_run(db, Status.COMPLETED, episodes=512, recorded=512)
    plan = plan_of(db, 30, LATER)
    assert (plan.found, plan.left) == ((), 1)
