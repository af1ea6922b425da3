"""`thin`: the single episodes of old ended runs go, and all that is drawn of them stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.pages.recorded import add_recorded_run
from v3core.archive import write_archive
from v3core.cli import main
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.forks import fork
from v3core.jobs.lifecycle import Status
from v3core.jobs.retention import carry_out, plan_of, thinned_sentence
from v3core.store.alarms import ACTIVE, AlarmRow, put_alarm, read_alarms
from v3core.store.curve import read_phase_sums, read_series
from v3core.store.history import read_evaluations, read_events, read_phase_changes
from v3core.store.returns import read_sparkline
from v3core.store.run_tables import stream
from v3core.store.runs import get_run, list_runs, update_run

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
    assert read_events(db, old)[-1].message == said
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
    assert "would go for good; add --yes" in said(code=1)
    assert get_run(db, old).thinned_at is None
    assert said("--yes").startswith("Dropped 2,")
    assert said("--dry-run") == "Nothing to thin."
    assert main(["export", old, "--to", str(tmp_path / "rows.csv")]) == 0
    assert "Raw rows were thinned on" in capsys.readouterr().err
    assert "days are out of range" in said("--older-than", "-1", code=1)
