"""What is asked of a run while it trains is done: checkpoint, pause, stop, and to leave at once."""

import itertools
import shutil
import sys

import pytest
import torch

from tests.training.conftest import ONE_PHASE, assert_same_checkpoint, reported
from v3core.environments import EnvironmentBatch
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint
from v3core.training.hooks import Orders
from v3core.training.trainer import Outcome, train


def run(config, hooks, **kwargs):
    return train(config, curriculum=config.curriculum, hooks=hooks, **kwargs)


@pytest.fixture
def config(small_run):
    """A run of three phases with evaluations."""
    return small_run(rollout_steps=8, evaluate=2, every=4)


@pytest.fixture
def whole(config, recorder):
    """What an undisturbed run reports."""
    hooks = recorder()
    run(config, hooks)
    assert hooks.evaluations[-1].episode == config.episodes
    return hooks


def once(rollouts, **orders):
    """Orders that ask once, before the rollout after so many."""
    asked = []

    def ask(hooks):
        if asked or hooks.calls.count("record") < rollouts:
            return Orders()
        asked.append(True)
        return Orders(**orders)

    return ask


def test_a_checkpoint_that_was_asked_for_is_written_and_training_goes_on(config, recorder, whole):
    hooks = recorder(once(4, checkpoint=True))
    assert run(config, hooks) is Outcome.COMPLETED
    assert reported(hooks) == reported(whole)
    assert len(hooks.saved) == len(whole.saved) + 1
    rollouts = [place for place, call in enumerate(hooks.calls) if call == "record"]
    assert "checkpoint_saved" in hooks.calls[rollouts[3] : rollouts[4]]


def test_a_pause_writes_a_checkpoint_holds_and_goes_on(config, recorder, whole):
    hooks = recorder(once(4, pause=True))
    assert run(config, hooks) is Outcome.COMPLETED
    assert reported(hooks) == reported(whole)
    place = hooks.calls.index("hold")
    assert hooks.calls[place - 1] == "checkpoint_saved"
    assert len(hooks.held) == 1
    assert hooks.held[0] in [episode for _, episode, _ in hooks.saved]
    resumed = recorder()
    run(config, resumed, checkpoint=hooks.folder / f"{hooks.held[0]}.pt")
    assert repr(resumed.episodes) == repr(whole.episodes[hooks.held[0] :])


def test_orders_are_looked_at_again_after_a_pause(config, recorder):
    """A stop asked for meanwhile comes before any step."""
    hooks = recorder(lambda hooks: Orders(stop=bool(hooks.held), pause=hooks.calls.count("record") >= 4))
    assert run(config, hooks) is Outcome.STOPPED
    assert hooks.calls[-3:] == ["checkpoint_saved", "hold", "checkpoint_saved"]
    assert hooks.calls.count("record") == 4


def test_a_stop_wins_over_a_pause(config, recorder):
    hooks = recorder(lambda _: Orders(stop=True, pause=True, checkpoint=True))
    assert run(config, hooks) is Outcome.STOPPED
    assert hooks.calls == ["checkpoint_saved"]


def after_asked(times):
    """Interrupts from so many times on that it is asked."""
    asked = itertools.count()
    return lambda: next(asked) >= times


@pytest.fixture
def asked_in(config, recorder):
    """For every time that an undisturbed run asks whether to leave, in which long work it was asked."""
    hooks, where = recorder(), []

    def note():
        frame = sys._getframe()
        while frame.f_code.co_name not in LONG_WORK:
            frame = frame.f_back
        where.append(frame.f_code.co_name)
        return False

    hooks._interrupted = note
    run(config, hooks)
    return where


LONG_WORK = ("__init__", "replay", "collect", "update", "evaluate")


@pytest.mark.parametrize("work", ["__init__", "collect", "update", "evaluate"])
def test_long_work_left_in_the_middle_is_dropped_and_done_again_as_it_was(config, recorder, whole, asked_in, work):
    """Making environments, acting, learning, evaluating; the last checkpoint comes out the same too."""
    moments = [moment for moment, where in enumerate(asked_in) if where == work]
    for moment in sorted({*moments[:2], moments[len(moments) // 2], moments[-1]}):
        first = recorder(interrupted=after_asked(moment))
        assert run(config, first) is Outcome.STOPPED
        assert first.calls[-1] == "checkpoint_saved"
        second = recorder()
        assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
        assert reported(first, second) == reported(whole), (work, moment)
        assert not second.remarks
        assert_same_checkpoint(second.saved[-1][0], whole.saved[-1][0])


def test_a_replay_left_in_the_middle_keeps_the_checkpoint_that_it_is_of(config, recorder, whole):
    """Nothing was trained since, and a new checkpoint would not have the unfinished episodes."""
    first = recorder(lambda hooks: Orders(stop=hooks.calls.count("record") >= 5))
    run(config, first)
    path = first.saved[-1][0]
    before = path.read_bytes()
    for moment in (0, 1, 2, 5):
        left = recorder(interrupted=after_asked(moment))
        assert run(config, left, checkpoint=path) is Outcome.STOPPED
        assert not left.calls
        assert path.read_bytes() == before
    second = recorder()
    run(config, second, checkpoint=path)
    assert reported(first, second) == reported(whole)


@pytest.mark.parametrize("work", ["__init__", "collect", "update", "evaluate"])
def test_a_checkpoint_and_a_pause_do_not_wait_for_long_work(config, recorder, whole, asked_in, work):
    """The checkpoint is of the end of the rollout before, training continues in the middle, and nothing is lost."""
    moments = [moment for moment, where in enumerate(asked_in) if where == work]
    for moment in {moments[len(moments) // 2], moments[-1]}:
        hooks, asked = recorder(), itertools.count()
        path = hooks.folder / "asked.pt"
        hooks.urgent = lambda asked=asked, moment=moment: Orders(pause=next(asked) == moment)
        hooks.at_hold = lambda hooks=hooks, path=path: shutil.copy(hooks.saved[-1][0], path)
        assert run(config, hooks) is Outcome.COMPLETED
        assert hooks.calls[hooks.calls.index("hold") - 1] == "checkpoint_saved"
        assert reported(hooks) == reported(whole), (work, moment)
        assert_same_checkpoint(hooks.saved[-1][0], whole.saved[-1][0])
        resumed = recorder()
        run(config, resumed, checkpoint=path)
        done = load_checkpoint(path)["completed"]
        assert repr(resumed.episodes) == repr(whole.episodes[done:])
        assert_same_checkpoint(resumed.saved[-1][0], whole.saved[-1][0])


def test_it_is_left_before_the_next_step(small_run, recorder, monkeypatch):
    """Asked once before each step, and not one step more is made."""
    made = []
    original = EnvironmentBatch.step
    monkeypatch.setattr(EnvironmentBatch, "step", lambda self, actions: made.append(1) or original(self, actions))
    hooks = recorder(interrupted=lambda: len(made) == 37)
    assert run(small_run(curriculum=ONE_PHASE), hooks) is Outcome.STOPPED
    assert len(made) == 37
    assert hooks.step == 64


def test_an_evaluation_is_left_at_once_and_taken_after_the_resume(config, recorder, whole, monkeypatch):
    """At the same episode count, before any training; the run is not complete without its last one."""
    original = trainer.evaluate
    for left in range(len(whole.evaluations)):
        first, number = recorder(), itertools.count()

        def evaluate(*args, interrupted, number=number, left=left, **kwargs):
            gone = next(number) == left
            return original(*args, interrupted=after_asked(3) if gone else interrupted, **kwargs)

        monkeypatch.setattr(trainer, "evaluate", evaluate)
        assert run(config, first) is Outcome.STOPPED
        monkeypatch.setattr(trainer, "evaluate", original)
        assert len(first.evaluations) == left
        assert first.calls[-2:] == ["record", "checkpoint_saved"]
        second = recorder()
        assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
        assert second.calls[0] == "evaluated"
        assert reported(first, second) == reported(whole)


def test_a_last_evaluation_that_an_earlier_version_left_is_taken(small_run, recorder, monkeypatch):
    """Its checkpoints do not have the step of the newest evaluation, the oldest not even its episode."""
    config, whole = small_run(rollout_steps=8, evaluate=2, every=9), recorder()
    run(config, whole)
    original, number = trainer.evaluate, itertools.count()

    def evaluate(*args, interrupted, **kwargs):
        gone = next(number) == len(whole.evaluations) - 1
        return original(*args, interrupted=after_asked(3) if gone else interrupted, **kwargs)

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    first = recorder()
    assert run(config, first) is Outcome.STOPPED
    monkeypatch.setattr(trainer, "evaluate", original)
    path = first.saved[-1][0]
    kept = load_checkpoint(path)
    del kept["evaluated_step"]
    assert kept["evaluated"] < kept["completed"] == config.episodes
    torch.save(kept, path)
    second = recorder()
    assert run(config, second, checkpoint=path) is Outcome.COMPLETED
    assert reported(first, second) == reported(whole)
    del kept["evaluated"]
    torch.save(kept, path)
    third = recorder()
    assert run(config, third, checkpoint=path) is Outcome.COMPLETED
    assert not third.evaluations


def test_a_stop_does_not_wait_for_an_evaluation(config, recorder, whole):
    for evaluation in whole.evaluations:
        first = recorder(lambda hooks, at=evaluation.episode: Orders(stop=len(hooks.episodes) == at))
        assert run(config, first) is Outcome.STOPPED
        assert len(first.episodes) == evaluation.episode
        assert evaluation not in first.evaluations
        second = recorder()
        assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
        assert second.evaluations[0] == evaluation
        assert reported(first, second) == reported(whole)


def test_an_evaluation_is_taken_once(config, recorder, whole):
    """A checkpoint written after it says so."""
    for evaluation in whole.evaluations:
        first = recorder(lambda hooks, taken=evaluation: Orders(stop=taken in hooks.evaluations))
        run(config, first)
        second = recorder()
        assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
        assert reported(first, second) == reported(whole)
