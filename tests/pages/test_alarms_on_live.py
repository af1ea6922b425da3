"""Alarms on Live: the verdict on top, evidence, remedies that edit the curriculum, muting; and editing all phases."""

import pytest
from sqlalchemy import delete, update

from tests.pages.recorded import add_checkpoint_file, add_recorded_run
from tests.pages.test_states import text_of
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store import commands
from v3core.store.alarms import read_alarms
from v3core.store.runs import list_runs
from v3core.store.schema import alarms, runs
from v3core.store.watching import BEHIND, COMPUTED
from v3core.ui.text import plain

DEAD = (0.5, 0.5, 0.0, 0.0)


@pytest.fixture
def dead_run(database):
    return lambda status=Status.RUNNING, **more: add_recorded_run(database, status, loads=DEAD, **more)


def test_a_complete_run_over_dead_experts_is_no_success(open_page, dead_run):
    run_id = dead_run(Status.COMPLETED, recorded=40)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert [message.value for message in app.success] == []
    assert "All 40 episodes are trained, with active alarms." in [message.value for message in app.info]
    (verdict,) = app.warning
    assert verdict.value.startswith("**2 of 4 experts dead, never used; raise load balance.**")
    assert "Experts 1 and 2 share 100.0%" in text_of(app)
    assert "Alarms: 2 active" in text_of(app)
    remedy = next(button for button in app.button if button.label == "Double load balance")
    assert remedy.disabled


def test_a_complete_run_without_alarms_is_one(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.COMPLETED, recorded=40))
    assert [message.value for message in app.success] == ["All 40 episodes are trained."]
    assert list(app.warning) == []


def test_a_remedy_asks_for_another_curriculum(open_page, database, dead_run):
    run_id = dead_run()
    before = control.current_curriculum(database, run_id)
    app = open_page("pages/live.py", run=run_id)
    button = next(button for button in app.button if button.label == "Double load balance")
    assert "load balance" in button.help
    assert " to " in button.help
    button.click().run()
    assert not app.exception
    (command,) = commands.read_commands(database, run_id)
    assert (command.kind, command.actor) == ("edit_curriculum", "page")
    after = command.revision.curriculum
    assert after.boundaries == before.boundaries
    for was, now in zip(before.phases[1:], after.phases[1:], strict=True):
        assert now.load_balance == pytest.approx(2 * was.load_balance)
    assert after.phases[0] == before.phases[0]  # over


def test_a_remedy_that_cannot_work_is_not_offered_but_a_fork_is(open_page, database, dead_run, monkeypatch):
    """Of a run whose balance losses read the gates, under sparsemax: no gradient reaches an expert whose gate is 0."""
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    monkeypatch.setattr("v3core.jobs.checkpoints.is_whole", lambda file: file.is_file())
    run_id = dead_run(Status.STOPPED, balance_on="gates", recorded=30)
    add_checkpoint_file(database, run_id, 5)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert "raise load balance" not in app.warning[0].value
    assert "fork it with ppo.balance_on=softmax" in app.warning[0].value.replace("\\", "")
    raising = [button for button in app.button if "double load balance" in button.label]
    assert len(raising) == 2
    assert all(button.disabled and "brings no dead expert back" in button.help for button in raising)
    assert not next(button for button in app.button if "raise temperature" in button.label).disabled
    with pytest.raises(V3Error, match="brings no dead expert back"):
        control.apply_remedy(database, run_id, "raise_load_balance", resume_it=True)
    first = next(row.first_episode for row in read_alarms(database, run_id) if row.rule == "dead_expert")
    fork = app.button(key=f"fork-dead_expert-{first}-{run_id}")
    assert "ppo.balance_on=softmax" in fork.help.replace("\\", "")
    fork.click().run()
    assert not app.exception
    (child,) = [one for one in list_runs(database) if one.parent == run_id]
    assert (child.parent_episode, child.config.ppo.balance_on) == (5, "softmax")
    assert child.name.endswith("balance on the softmax")


def test_what_if_names_the_fork_in_which_balance_can_work(open_page, dead_run, monkeypatch):
    monkeypatch.setattr("v3core.jobs.checkpoints.is_whole", lambda file: file.is_file())
    for balance_on, is_named in (("gates", True), ("softmax", False)):
        run_id = dead_run(Status.STOPPED, balance_on=balance_on, name=balance_on)
        app = open_page("pages/live.py", run=run_id, **{"what-if": "true"})
        assert not app.exception
        assert (f"fork {run_id[:8]} --episode 25 --set ppo.balance_on=softmax" in text_of(app)) is is_named


def test_alarms_that_are_over_are_shown_on_request(open_page, database, dead_run):
    run_id = dead_run()
    with database.write() as tx:
        tx.execute(update(alarms).where(alarms.c.rule == "shared_experts").values(state="cleared"))
    (first,) = [row.first_episode for row in read_alarms(database, run_id) if row.rule == "shared_experts"]
    app = open_page("pages/live.py", run=run_id)
    assert "**Alarms: 1 active, 1 cleared**" in text_of(app)
    assert "Experts 1 and 2 share" not in text_of(app)
    app.toggle(key="cleared").set_value(True).run()
    assert not app.exception
    assert "Experts 1 and 2 share" in text_of(app)
    app = open_page("pages/live.py", run=run_id, **{f"evidence-shared_experts-{first}": "true"})
    assert "Experts 1 and 2 share" in text_of(app), "a link to its evidence"


def test_an_alarm_is_muted_with_a_reason(open_page, database, dead_run):
    run_id = dead_run()
    app = open_page("pages/live.py", run=run_id)
    dead = next(row for row in read_alarms(database, run_id) if row.rule == "dead_expert")
    app.button(key=f"mute-dead_expert-{dead.first_episode}-{run_id}").click().run()
    app.text_input(key="mute-reason").set_value("two are enough")
    app.button(key="confirm-mute").click().run()
    assert not app.exception
    row = next(row for row in read_alarms(database, run_id) if row.rule == "dead_expert")
    assert (row.state, row.reason) == ("muted", "two are enough")
    app.run()
    assert "Muted: two are enough" in text_of(app)
    app.button(key=f"unmute-dead_expert-{dead.first_episode}-{run_id}").click().run()
    assert next(row for row in read_alarms(database, run_id) if row.rule == "dead_expert").state == "active"


def test_alarms_of_an_older_version_are_computed_and_said_so(open_page, database, dead_run):
    run_id = dead_run(Status.COMPLETED, recorded=40)
    with database.write() as tx:
        tx.execute(delete(alarms))
        tx.execute(runs.update().values(watched=None))
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert plain(COMPUTED) in text_of(app)
    assert app.warning[0].value.startswith("**2 of 4 experts dead")
    assert not [button for button in app.button if button.label == "Mute"]


def test_while_the_worker_is_behind_the_stored_alarms_are_shown_and_it_is_said(open_page, database, dead_run):
    run_id = dead_run(recorded=30)
    with database.write() as tx:
        tx.execute(runs.update().values(watched=29))
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    assert plain(BEHIND) in text_of(app)
    assert plain(COMPUTED) not in text_of(app)
    assert [button for button in app.button if button.label == "Mute"]


@pytest.mark.parametrize("recorded", [0, 1])
def test_runs_with_hardly_an_episode(open_page, database, recorded):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING, recorded=recorded))
    assert not app.exception
    assert "Alarms" not in text_of(app)


def test_numbers_that_are_none(open_page, dead_run):
    run_id = dead_run()
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    app = open_page("pages/live.py", run=dead_run(older=True, name="older"))
    assert not app.exception
    assert "2 of 4 experts dead" in text_of(app)  # loads are all that it has


def test_every_setting_of_the_phases_ahead_is_edited_with_a_preview(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)  # at 25 of 40, in the second phase of three
    app = open_page("pages/live.py", run=run_id)
    app.session_state["phases"] = True
    app.run()
    key = f"edit-{run_id}-1"
    assert not [field for field in app.text_input if (field.key or "").startswith(f"{key}-0")]  # that phase is over
    app.toggle(key=f"all-settings-{run_id}").set_value(True).run()
    app.text_input(key=f"{key}-1-load_balance").set_value("0.07").run()
    app.text_input(key=f"{key}-2-z_loss").set_value("0.001").run()
    app.text_input(key=f"{key}-1-until").set_value("33").run()
    assert not app.exception
    assert "transition: load balance" in text_of(app)
    assert "fine-tune: z-loss unset to 0.001" in text_of(app)
    app.button(key="apply-phases").click().run()
    (command,) = commands.read_commands(database, run_id)
    after = command.revision.curriculum
    assert after.phases[1].load_balance == 0.07
    assert after.phases[2].z_loss == 0.001
    assert after.boundaries == (10, 33)


@pytest.mark.parametrize(
    ("field", "typed", "problem"),
    [("until", "20", "would end at episode 20"), ("lr", "abc", "cannot be parsed"), ("top_k", "99", "from 1 to 64")],
)
def test_what_cannot_be_is_said_and_not_asked_for(open_page, database, field, typed, problem):
    run_id = add_recorded_run(database, Status.RUNNING)
    app = open_page("pages/live.py", run=run_id)
    app.session_state["phases"] = True
    app.run()
    app.toggle(key=f"all-settings-{run_id}").set_value(True).run()
    app.text_input(key=f"edit-{run_id}-1-1-{field}").set_value(typed).run()
    assert not app.exception
    assert any(problem in message.value for message in app.error)
    assert not [button for button in app.button if button.key == "apply-phases" and not button.disabled]


@pytest.mark.parametrize(
    ("preset", "env", "said"),
    [
        ("v3", None, "transition: load balance 0.01 to 0.5: requested"),
        ("bengio-minigrid", "MiniGrid-Empty-5x5-v0", "empty-5x5: load balance 0.01 to 0.5: requested"),
    ],
    ids=["ends that do not move", "no planned end"],
)
def test_an_edit_is_named_by_what_it_changes(open_page, database, preset, env, said):
    run_id = add_recorded_run(database, Status.RUNNING, preset=preset, env=env, recorded=5 if env else 25)
    app = open_page("pages/live.py", run=run_id, phases="true")
    next(field for field in app.text_input if field.label == "Load balance").set_value("0.5").run()
    app.button(key="apply-phases").click().run()
    assert not app.exception
    assert said in text_of(app)
    assert "Boundaries" not in text_of(app)
    (command,) = app.table[0].value["Command"]
    assert said.startswith(command.replace("\\", ""))
