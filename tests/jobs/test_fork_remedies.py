"""The remedy of an alarm tried from before it began."""

import pytest

from tests.jobs.test_forks import assert_same_records, rows
from v3core.errors import V3Error
from v3core.insight.alarms import RULES
from v3core.jobs.fork_remedies import fork_before, origin_before, remedied
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_checkpoints
from v3core.store.runs import get_run


def test_a_fork_begins_before_the_alarm_with_the_first_remedy_that_helps(db, make, train, monkeypatch):
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    parent = make(episodes=80, curriculum="{name: one, phases: [{name: only, load_balance: 0}]}", every=1000)
    assert train(parent, every=2) is Status.COMPLETED
    began = next(row.episode for row in read_checkpoints(db, parent) if row.episode >= 35)
    before = max(row.episode for row in read_checkpoints(db, parent) if row.episode < began)
    rule = next(rule for rule in RULES.values() if rule.remedies and rule.remedies[0] == "raise_load_balance")
    child = fork_before(db, parent, began, rule.remedies)
    assert get_run(db, child).parent_episode == before
    assert get_run(db, child).name.endswith(f"from {before} · double load balance")
    assert train(child) is Status.COMPLETED
    assert_same_records(db, child, parent, until=before)
    assert {row["load_balance"] for row in rows(db, child, "episodes", after=before)} == {"0.01"}
    (db.data_dir / read_checkpoints(db, parent)[0].path).unlink()
    with pytest.raises(V3Error, match="no checkpoint from before episode 1"):
        origin_before(db, parent, 1)
    with pytest.raises(V3Error, match="train the run longer instead"):
        remedied(origin_before(db, parent, began), ("lengthen_phase",))
