"""Alarms of real runs: raised with their episodes, kept through resumes, muted, sent once, never in training's way."""

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete

from tests.same_tables import assert_same_tables
from v3core.errors import V3Error
from v3core.insight.alarms import Watch
from v3core.jobs import control
from v3core.jobs.lifecycle import Status, change_status
from v3core.jobs.notice import alarm_notice
from v3core.store.alarms import (
    AlarmRow,
    active_alarms,
    alarm_notices_due,
    claim_alarm_notice,
    put_alarm,
    read_alarms,
    settle_alarm_notice,
)
from v3core.store.history import read_events
from v3core.store.runs import get_run
from v3core.store.schema import alarms, runs
from v3core.store.watching import alarms_of, computed_alarms

COLLAPSING = """
{name: collapsing, phases: [
  {name: even, until: {episode: 20}, temperature: 50},
  {name: sharp, routing: topk, top_k: 1, top_k_weights: probabilities, temperature: {from: 1, to: 0.5}}]}
"""


@pytest.fixture
def collapsed(make, train):
    """A run whose router comes to choose one of its two experts at every step."""
    run_id = make(curriculum=COLLAPSING, seed=9)
    assert train(run_id) is Status.COMPLETED
    return run_id


def facts(rows):
    return [{name: value for name, value in row.to_dict().items() if name != "number"} for row in rows]


def test_a_collapsing_run_raises_alarms_with_its_episodes(db, collapsed):
    found = read_alarms(db, collapsed)
    rules = {alarm.rule: alarm for alarm in found}
    assert rules["dead_expert"].detail.startswith("1 of 2 experts dead, last used at episode ")
    assert rules["collapse"].value >= 0.9
    assert rules["collapse"].state == "active"
    assert rules["collapse"].last_episode == get_run(db, collapsed).episode == get_run(db, collapsed).watched
    assert [alarm.number for alarm in found] == list(range(1, len(found) + 1))
    with db.read() as tx:
        assert facts(computed_alarms(tx, collapsed)) == facts(found)
    told = [event.message for event in read_events(db, collapsed) if event.kind == "alarm"]
    first = rules["collapse"].first_episode
    assert any(message.startswith(f"Alarm 'Collapse onto one expert' of episode {first}: Expert ") for message in told)
    assert active_alarms(db)[collapsed] == [alarm for alarm in found if alarm.state == "active"]


@pytest.mark.parametrize("deaths", [[2], [5, 3], [9]])
def test_a_run_that_died_has_the_alarms_of_one_that_did_not(db, make, train, collapsed, deaths):
    run_id = make(curriculum=COLLAPSING, seed=9)
    for rollouts in deaths:
        assert train(run_id, rollouts, 2) is Status.FAILED
        control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED
    assert facts(read_alarms(db, run_id)) == facts(read_alarms(db, collapsed))
    assert_same_tables(db, run_id, collapsed)
    told = [event.message.partition(":")[0] for event in read_events(db, run_id) if event.kind == "alarm"]
    assert len(told) == len(set(told))


def test_a_longer_run_has_the_alarms_of_its_new_length(db, make, train, collapsed):
    control.resume(db, collapsed, episodes=300)
    assert train(collapsed) is Status.COMPLETED
    with db.read() as tx:
        assert facts(computed_alarms(tx, collapsed)) == facts(read_alarms(db, collapsed))


def test_alarms_of_an_older_version_are_computed(db, collapsed):
    stored = read_alarms(db, collapsed)
    assert alarms_of(db, collapsed) == (stored, False)
    with db.write() as tx:
        tx.execute(delete(alarms))
        tx.execute(runs.update().values(watched=None))
    found, computed = alarms_of(db, collapsed)
    assert computed
    assert facts(found) == facts(stored)
    assert {alarm.number for alarm in found} == {0}
    assert read_alarms(db, collapsed) == []


def test_a_run_without_episodes_has_none(db, make):
    assert alarms_of(db, make()) == ([], False)


def test_muting_an_alarm_lasts_and_covers_its_rule(db, make, train):
    run_id = make(curriculum=COLLAPSING, seed=9)
    assert train(run_id, 12, 2) is Status.FAILED
    dead = next(alarm for alarm in read_alarms(db, run_id) if alarm.rule == "dead_expert")
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(V3Error, match="reason"):
            control.mute_alarm(db, run_id, dead.number, reason)
    with pytest.raises(V3Error, match="no alarm 77"):
        control.mute_alarm(db, run_id, 77, "why")
    control.mute_alarm(db, run_id, dead.number, " one expert\nis enough ", "test")
    control.resume(db, run_id)
    assert train(run_id) is Status.COMPLETED
    of_rule = [alarm for alarm in read_alarms(db, run_id) if alarm.rule == "dead_expert"]
    assert {(alarm.state, alarm.reason) for alarm in of_rule} == {("muted", "one expert is enough")}
    assert "dead_expert" not in {alarm.rule for alarm in active_alarms(db).get(run_id, [])}
    control.unmute_alarm(db, run_id, of_rule[-1].number)
    assert read_alarms(db, run_id)[of_rule[-1].number - 1].state == "active"


def test_a_later_alarm_of_a_muted_rule_is_muted_too(db, run_in):
    run_id, now = run_in(Status.RUNNING), datetime.now(UTC)
    first = AlarmRow(0, "dead_expert", "early", 10, 20, 1.0, 1.0, "active", "1 of 2 experts dead")
    with db.write() as tx:
        put_alarm(tx, run_id, first, actor="test", now=now, notify=True)
    control.mute_alarm(db, run_id, 1, "known")
    with db.write() as tx:
        put_alarm(tx, run_id, replace(first, last_episode=22, state="cleared"), actor="test", now=now, notify=True)
        put_alarm(tx, run_id, replace(first, first_episode=40, last_episode=50), actor="test", now=now, notify=True)
        put_alarm(tx, run_id, replace(first, rule="collapse"), actor="test", now=now, notify=True)
    one, other, two = read_alarms(db, run_id)  # by their first episodes
    assert (one.state, one.last_episode) == ("muted", 22)
    assert (two.state, two.reason) == ("muted", "known")
    assert other.state == "active"
    with db.read() as tx:
        assert alarm_notices_due(tx, now) == [(run_id, 1), (run_id, 3)]


def test_the_webhook_advises_nothing_that_cannot_work(db, make):
    """Balance losses of the gates reach no dead expert under sparsemax."""
    sparse = "{name: one, phases: [{name: only, routing: sparsemax}]}"
    run_id, now = make(curriculum=sparse, balance_on="gates"), datetime.now(UTC)
    alarm = AlarmRow(0, "dead_expert", "only", 10, 20, 1.0, 1.0, "active", "1 of 2 experts dead")
    with db.write() as tx:
        put_alarm(tx, run_id, alarm, actor="test", now=now, notify=True)
        claimed = claim_alarm_notice(tx, run_id, 1, message="Calling.", now=now)
    content = alarm_notice(get_run(db, run_id), claimed)
    assert "1 of 2 experts dead; fork it with ppo.balance_on=softmax" in content["text"]
    assert content["alarm"] == read_alarms(db, run_id)[0].to_dict()


def test_the_webhook_is_due_once_for_each_alarm(db, make, train, monkeypatch):
    monkeypatch.setenv("V3_WEBHOOK_URL", "http://127.0.0.1:9/secret")
    run_id, now = make(curriculum=COLLAPSING, seed=9), datetime.now(UTC)
    assert train(run_id, 9, 100) is Status.FAILED
    with db.read() as tx:
        due = alarm_notices_due(tx, now)
    assert due == [(run_id, alarm.number) for alarm in read_alarms(db, run_id)]
    assert due
    for run, number in due:
        with db.write() as tx:
            claimed = claim_alarm_notice(tx, run, number, message="Calling.", now=now)
            assert claimed is not None
            assert claim_alarm_notice(tx, run, number, message="Calling.", now=now) is None
            settle_alarm_notice(tx, run, number, called=True, message="Done.", now=now)
    content = alarm_notice(get_run(db, run_id), claimed)
    assert content["alarm"]["rule"] == claimed.rule
    assert content["text"].startswith(f"Run 'same', episode {claimed.first_episode}: ")
    sent = {(alarm.rule, alarm.first_episode) for alarm in read_alarms(db, run_id)}
    control.resume(db, run_id)  # from the boundary: the same alarms are raised again
    assert train(run_id) is Status.COMPLETED
    with db.read() as tx:
        numbers = {number for _, number in alarm_notices_due(tx, now)}
    found = read_alarms(db, run_id)
    assert sent <= {(alarm.rule, alarm.first_episode) for alarm in found}
    assert not sent & {(alarm.rule, alarm.first_episode) for alarm in found if alarm.number in numbers}


def test_a_rule_that_fails_does_not_end_training(db, make, train, monkeypatch):
    def fails(*_):
        raise ZeroDivisionError("a mistake in a rule")

    monkeypatch.setattr(Watch, "watch", fails)
    run_id = make(curriculum=COLLAPSING, seed=9)
    assert train(run_id) is Status.COMPLETED
    run = get_run(db, run_id)
    assert run.episode >= 60
    assert (run.watched or 0) < run.episode
    monkeypatch.undo()
    found, computed = alarms_of(db, run_id)
    assert computed
    assert found


def test_a_stalled_worker_is_an_alarm_until_it_is_heard(db, run_in):
    run_id = run_in(Status.STALLED)
    (alarm,) = read_alarms(db, run_id)
    assert (alarm.rule, alarm.state) == ("stalled_worker", "active")
    with db.write() as tx:
        assert change_status(tx, get_run(tx, run_id), Status.RUNNING, "m", actor="test", now=datetime.now(UTC))
    (alarm,) = read_alarms(db, run_id)
    assert alarm.state == "cleared"
    assert os.environ.get("V3_WEBHOOK_URL") is None
