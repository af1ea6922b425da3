"""The remedy of an alarm tried from before it began."""

import pytest

from tests.jobs.test_forks import assert_same_records, rows
from v3core.errors import V3Error
from v3core.insight.alarms import RULES
from v3core.insight.alarms.advice import remedies_of_fork
from v3core.jobs.fork_remedies import fork_before, origin_before, remedied
from v3core.jobs.lifecycle import Status
from v3core.store.advising import settings_of
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


@pytest.mark.parametrize(("balance", "in_fork"), [(0, "0.01"), (0.03, "0.03")])
def test_where_balance_losses_read_gates_the_fork_reads_the_softmax(db, make, train, monkeypatch, balance, in_fork):
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    curriculum = f"{{name: one, phases: [{{name: only, routing: sparsemax, load_balance: {balance}}}]}}"
    parent = make(episodes=80, curriculum=curriculum, every=1000, balance_on="gates")
    assert train(parent, every=2) is Status.COMPLETED
    run = get_run(db, parent)
    remedies = remedies_of_fork(RULES["dead_expert"], settings_of(db, parent)(40), run.config)
    child = fork_before(db, parent, 40, remedies)
    assert get_run(db, child).config.ppo == run.config.ppo.model_copy(update={"balance_on": "softmax"})
    assert train(child) is Status.COMPLETED
    after = get_run(db, child).parent_episode
    assert {row["load_balance"] for row in rows(db, child, "episodes", after=after)} == {in_fork}
