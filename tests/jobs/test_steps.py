"""Runs whose length is a number of environment steps."""

import re
from datetime import UTC, datetime

import pytest

from tests.jobs.conftest import FOUR_PHASES, TINY, assert_whole
from tests.jobs.test_longer import assert_same
from v3core.curriculum import Length
from v3core.environments.registry import check_run
from v3core.errors import V3Error
from v3core.jobs import control, forks, recorder
from v3core.jobs.lifecycle import Status
from v3core.jobs.sweep import expand
from v3core.store.alarms import read_alarms
from v3core.store.commands import read_commands, read_revisions
from v3core.store.expert_records import add_knockouts, read_knockouts
from v3core.store.history import read_checkpoints, read_evaluations, read_events, read_phase_changes
from v3core.store.runs import get_run
from v3core.training.state import TrainingState

pytestmark = pytest.mark.long_on_postgresql

STEPS = 1000
"""Not a multiple of a rollout, which is 128: the last one is cut."""
ONE = "{name: one, phases: [{name: all}]}"
RAMP = "{name: ramp, phases: [{name: one, until: {episode: 12}}, {name: two, temperature: {from: 2.0, to: 0.5}}]}"
LATE = "{name: late, phases: [{name: one, until: {episode: 900}}, {name: two}]}"
LONG_EPISODES = "Pendulum-v1"
"""Each is of 200 steps: with four environments only every sixth or seventh rollout completes any."""


OF_EACH_KIND = pytest.mark.parametrize(
    ("backend", "env", "steps"),
    [("native", "CartPole-v1", STEPS), ("eager", LONG_EPISODES, 1900), ("native", LONG_EPISODES, 1900)],
    indirect=["backend"],
)


@pytest.fixture(params=["native", "eager"])
def backend(request, monkeypatch):
    monkeypatch.setenv("V3_NATIVE", str(int(request.param == "native")))
    return request.param


def messages(db, run_id):
    return [event.message for event in read_events(db, run_id)]


def test_three_curricula_take_the_same_steps_to_the_exact_number(db, make, train, backend):
    runs = []
    for curriculum in (FOUR_PHASES, ONE, RAMP):
        run_id = make(steps=STEPS, curriculum=curriculum)
        assert train(run_id) is Status.COMPLETED
        assert_whole(db, run_id)
        runs.append(get_run(db, run_id))
    assert [(run.step, run.steps, run.status) for run in runs] == [(STEPS, STEPS, "completed")] * 3
    assert {run.config.backend for run in runs} == {backend}
    assert len({run.episode for run in runs}) > 1, "as many episodes by chance: nothing is shown"
    assert all(run.part == 1 and run.progress_words == "1,000 of 1,000 steps" for run in runs)
    for run in runs:
        newest = read_evaluations(db, run.id)[-1]
        assert (newest.episode, newest.step) == (run.episode, STEPS)
        assert read_checkpoints(db, run.id)[-1].step == STEPS


def test_the_last_ramp_ends_with_the_steps_and_is_monotonic(db, make, train):
    run_id = make(steps=STEPS, curriculum=RAMP)
    assert train(run_id) is Status.COMPLETED
    table = assert_whole(db, run_id)
    temperature, step = table["temperature"][table["phase"] == "two"], table["step"][table["phase"] == "two"]
    assert temperature[0] == 2.0
    assert (temperature[1:] <= temperature[:-1]).all()
    begun = read_phase_changes(db, run_id)[-1].step
    # Settings are read before a rollout, so the newest value is that of at most one rollout before the end.
    at_most = 2.0 - 1.5 * (step[-1] - 2 * 128 - begun) / (STEPS - begun)
    assert 0.5 < temperature[-1] <= at_most
    assert not [alarm for alarm in read_alarms(db, run_id) if alarm.rule == "ineffective_setting"], "it was as planned"


def test_whichever_of_episodes_and_steps_is_reached_first_ends_the_run(db, make, train):
    for episodes, steps, ended in ((20, 100_000, "episodes"), (600, 1000, "steps")):
        run_id = make(episodes=episodes, steps=steps, curriculum=ONE)
        assert train(run_id) is Status.COMPLETED
        run = get_run(db, run_id)
        assert (run.episode == episodes, run.step == steps) == (ended == "episodes", ended == "steps")
        assert run.part == 1
        assert str(run.length) == f"{episodes:,} episodes or {steps:,} steps"


def test_a_budget_that_is_used_before_the_first_phase_ends_is_said(db, make, train):
    run_id = make(steps=STEPS, curriculum=LATE)
    assert train(run_id) is Status.COMPLETED
    run = get_run(db, run_id)
    assert [change.name for change in read_phase_changes(db, run_id)] == ["one"]
    assert f"Completed at episode {run.episode}, before two began." in messages(db, run_id)


@pytest.mark.usefixtures("backend")
def test_episodes_that_end_together_with_the_budget_are_all_recorded(db, make, train):
    """All four environments end an episode at their step 200: at 800 steps of the run."""
    run_id = make(steps=800, curriculum=ONE, env=LONG_EPISODES)
    assert train(run_id) is Status.COMPLETED
    table = assert_whole(db, run_id)
    assert table["step"].tolist() == [800] * 4
    assert get_run(db, run_id).step == 800


def test_a_budget_before_the_first_episode_completes_without_one(db, make, train):
    run_id = make(steps=128, curriculum=ONE, env=LONG_EPISODES)
    assert train(run_id) is Status.COMPLETED
    run = get_run(db, run_id)
    assert (run.episode, run.step, run.expected_episodes) == (0, 128, 1)
    assert read_evaluations(db, run_id) == []


def test_the_last_evaluation_is_of_the_last_policy_also_without_an_episode_since(db, make, train):
    run_id = make(steps=1900, curriculum=ONE, env=LONG_EPISODES, every=4)
    assert train(run_id) is Status.COMPLETED
    found = read_evaluations(db, run_id)
    assert [(row.episode, row.step) for row in found][-1] == (get_run(db, run_id).episode, 1900)
    assert [row.episode for row in found] == [4, 8]


def test_where_a_longer_run_continues_is_known_after_a_resume_at_its_end(db, make, train):
    """As after a stop during the last evaluation: what the checkpoint says of it goes into the next one."""
    run_id = make(steps=1900, curriculum=ONE, env=LONG_EPISODES)
    assert train(run_id) is Status.COMPLETED
    config, path = get_run(db, run_id).config, db.data_dir / read_checkpoints(db, run_id)[-1].path
    state = TrainingState(config, check_run(config.environment, config.curriculum, allow_import=False))
    content = state.load(path)
    assert (state.step, state.last_rollout) == (1900, content["last_rollout"])
    assert state.before_end is not None
    assert state.before_end["step"] == content["last_rollout"][1] < 1900
    longer = TrainingState(config.model_copy(update=vars(Length.of(None, 4000))), state.spec)
    longer.load(path)
    assert (longer.step, longer.last_rollout, longer.before_end) == (content["last_rollout"][1], None, None)


@OF_EACH_KIND
def test_a_resumed_run_is_to_the_bit_what_it_would_have_been(db, make, train, backend, env, steps):
    whole = make(steps=steps, curriculum=RAMP, env=env)
    assert train(whole, every=2) is Status.COMPLETED
    died = make(steps=steps, curriculum=RAMP, env=env)
    assert train(died, 6, every=2) is Status.FAILED
    control.resume(db, died)
    assert train(died, every=2) is Status.COMPLETED
    assert get_run(db, died).step == steps
    assert get_run(db, died).config.backend == backend
    assert_same(db, died, whole)


@OF_EACH_KIND
def test_a_completed_run_made_longer_is_what_a_run_of_that_length_is(db, make, train, backend, env, steps):
    """Also where its last rollout completed no episode, so that both ends are at the same episode."""
    longer = 2 * steps + 2  # rounded up to a multiple of the four environments
    run_id = make(steps=steps, env=env)
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, steps=longer)
    run = get_run(db, run_id)
    assert (run.status, run.steps, run.config.steps, run.episodes) == ("queued", longer + 2, longer + 2, longer + 2)
    assert f"Length changed from {steps:,} to {longer + 2:,} steps." in messages(db, run_id)
    assert train(run_id) is Status.COMPLETED
    at_once = make(steps=longer + 2, env=env)
    assert train(at_once) is Status.COMPLETED
    assert (get_run(db, run_id).step, get_run(db, run_id).config.backend) == (longer + 2, backend)
    assert_same(db, run_id, at_once)


def test_a_knockout_goes_with_the_evaluation_of_its_policy(db, make, train, monkeypatch):
    """The end of the run is at the episode at which the longer one continues, but of a later policy."""
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    run_id = make(steps=1900, curriculum=ONE, env=LONG_EPISODES)
    assert train(run_id) is Status.COMPLETED
    end = get_run(db, run_id).episode
    played = {-1: [(1.0, 200, None)], 0: [(2.0, 200, None)]}
    with db.write() as tx:
        for episode in (end - 1, end):
            add_knockouts(tx, run_id, episode=episode, results=played, now=datetime.now(UTC))
    child = forks.fork(db, run_id, episode=end, steps=4000)
    assert [row.episode for row in read_knockouts(db, child)] == [end - 1, end], "until its worker knows better"
    assert train(child, 1) is Status.FAILED
    assert [row.episode for row in read_knockouts(db, child)] == [end - 1]
    control.resume(db, run_id, steps=4000)
    assert train(run_id, 1) is Status.FAILED
    assert [row.episode for row in read_knockouts(db, run_id)] == [end - 1], "of no evaluation: a person asked for it"


def test_a_run_that_trains_is_made_longer_by_steps(db, make, train, monkeypatch):
    monkeypatch.setattr(recorder, "POLL_SECONDS", 0.0)
    run_id, asked = make(steps=STEPS), []

    def ask():
        if not asked:
            asked.append(True)
            control.extend(db, run_id, steps=1500)
            control.extend(db, run_id, steps=1500)  # a double click

    assert train(run_id, 2, then=ask) is Status.COMPLETED
    (command,) = read_commands(db, run_id)
    assert (command.kind, command.value) == ("extend", "1500 steps")
    at_once = make(steps=1500)
    assert train(at_once) is Status.COMPLETED
    assert_same(db, run_id, at_once)


def test_a_ramp_to_the_end_keeps_its_slope_over_steps(db, make, train):
    run_id = make(steps=STEPS, curriculum=RAMP)
    assert train(run_id) is Status.COMPLETED
    control.resume(db, run_id, steps=2000)
    begun = read_phase_changes(db, run_id)[-1].step
    assert read_revisions(db, run_id)[-1].curriculum.phases[1].temperature.over.steps == STEPS - begun
    assert train(run_id) is Status.COMPLETED
    table = assert_whole(db, run_id)
    assert set(table["temperature"][table["step"] > STEPS + 2 * 128].tolist()) == {0.5}


def test_a_length_that_cannot_be_is_refused_in_one_sentence(db, run_in, config):
    by_steps = config(episodes=None, steps=2000)
    trains = run_in(Status.RUNNING, chosen=by_steps)
    done = run_in(Status.COMPLETED, chosen=by_steps)
    by_episodes = run_in(Status.RUNNING)
    for ask, sentence in (
        (lambda: control.extend(db, trains, steps=1500), "planned for 2,000 steps; choose more"),
        (lambda: control.extend(db, trains, steps=-1), "already trained 0 steps; choose more"),
        (lambda: control.extend(db, trains, steps=10**12), "too many; choose at most 10,000,000,000"),
        (
            lambda: control.extend(db, trains, 90),
            "planned for 2,000 steps, not by episodes; give its new length in env",
        ),
        (
            lambda: control.extend(db, by_episodes, steps=9000),
            "not by environment steps; give its new length in episod",
        ),
        (lambda: control.extend(db, trains), "The new length is missing; give steps"),
        (lambda: control.resume(db, done), "already completed; train it longer on Live, or with: .* --steps 4000"),
    ):
        with pytest.raises(V3Error, match=sentence) as refused:
            ask()
        assert "\n" not in str(refused.value)
    assert get_run(db, trains).steps == 2000


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (0, "A run cannot have 0 environment steps; choose 1 or more."),
        (-3, "A run cannot have −3 environment steps; choose 1 or more."),
        (
            100,
            "A budget of 100 environment steps is less than one rollout, which is 128 (4 environments × 32 steps); "
            "choose at least that many.",
        ),
        (10**12, "1,000,000,000,000 environment steps are too many; choose at most 10,000,000,000."),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(config, steps, sentence):
    with pytest.raises(V3Error, match=re.escape(sentence)):
        config(episodes=None, steps=steps)


def test_a_run_without_a_length_is_refused(config):
    with pytest.raises(V3Error, match="no length; give a number of episodes or of environment steps"):
        config(episodes=None)


def test_expand_passes_steps_on_and_rounds_them_up_to_whole_steps_of_the_environments(config):
    of_one = config()
    runs = expand([of_one.curriculum], [1, 2], env=of_one.environment, steps=1001, recipe=TINY)
    assert [(run.steps, run.episodes, run.length.is_by_steps) for run in runs] == [(1004, 1004, True)] * 2
    both = expand([of_one.curriculum], [1], env=of_one.environment, episodes=50, steps=1001, recipe=TINY)
    assert (both[0].episodes, both[0].steps, both[0].length.is_by_steps) == (50, 1004, False)


def test_a_fork_is_planned_in_the_unit_of_its_parent(db, make, train, monkeypatch):
    monkeypatch.setattr("v3core.jobs.forks.drain", lambda *_: [])
    parent = make(steps=STEPS, curriculum=RAMP)
    assert train(parent) is Status.COMPLETED
    checkpoint = read_checkpoints(db, parent)[1]
    child = get_run(db, forks.fork(db, parent, episode=checkpoint.episode, seed=9))
    assert (child.steps, child.length.is_by_steps) == (STEPS, True)
    assert train(child.id) is Status.COMPLETED
    assert get_run(db, child.id).step == STEPS
    longer = get_run(db, forks.fork(db, parent, episode=checkpoint.episode, steps=1501))
    assert (longer.steps, longer.length.is_by_steps) == (1504, True)
    with pytest.raises(V3Error, match=r"has [\d,]+ steps at that checkpoint, and the fork is planned for 128") as why:
        forks.fork(db, parent, episode=read_checkpoints(db, parent)[-1].episode, steps=128)
    chinese = why.value.message.in_language("zh_CN")
    assert re.search(r"在该检查点已有 [\d,]+ 步，而分叉的计划为 128；请用 --steps ", chinese)
    with pytest.raises(V3Error, match=r"has 1,000 steps at that checkpoint.* give it more with --steps"):
        forks.fork(db, parent, episode=get_run(db, parent).episode)
