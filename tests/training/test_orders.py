"""What is asked of a run while it trains is done: checkpoint, pause, stop, and to leave at once."""

import itertools

import pytest

from tests.training.conftest import ONE_PHASE, told
from v3core.environments import EnvironmentBatch
from v3core.training import trainer
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
    assert told(hooks) == told(whole)
    assert len(hooks.saved) == len(whole.saved) + 1
    rollouts = [place for place, call in enumerate(hooks.calls) if call == "record"]
    assert "checkpoint_saved" in hooks.calls[rollouts[3] : rollouts[4]]


def test_a_pause_writes_a_checkpoint_holds_and_goes_on(config, recorder, whole):
    hooks = recorder(once(4, pause=True))
    assert run(config, hooks) is Outcome.COMPLETED
    assert told(hooks) == told(whole)
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


@pytest.mark.parametrize("moment", [0, 1, 7, 8, 13, 29, 50, 71])
def test_an_interrupted_rollout_is_dropped_and_trained_again_as_it_was(config, recorder, whole, moment):
    """Also in the middle of an evaluation, of the last one too."""
    first = recorder(interrupted=after_asked(moment))
    assert run(config, first) is Outcome.STOPPED
    assert first.calls[-1] == "checkpoint_saved"
    second = recorder()
    assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
    assert told(first, second) == told(whole)
    assert not second.remarks


def test_it_is_left_before_the_next_step(small_run, recorder, monkeypatch):
    """Asked once before each step, and not one step more is made."""
    made = []
    original = EnvironmentBatch.step
    monkeypatch.setattr(EnvironmentBatch, "step", lambda self, actions: made.append(1) or original(self, actions))
    hooks = recorder(interrupted=after_asked(37))
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
        assert told(first, second) == told(whole)


def test_a_stop_does_not_wait_for_an_evaluation(config, recorder, whole):
    for evaluation in whole.evaluations:
        first = recorder(lambda hooks, at=evaluation.episode: Orders(stop=len(hooks.episodes) == at))
        assert run(config, first) is Outcome.STOPPED
        assert len(first.episodes) == evaluation.episode
        assert evaluation not in first.evaluations
        second = recorder()
        assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
        assert second.evaluations[0] == evaluation
        assert told(first, second) == told(whole)


def test_an_evaluation_is_taken_once(config, recorder, whole):
    """A checkpoint written after it says so."""
    for evaluation in whole.evaluations:
        first = recorder(lambda hooks, taken=evaluation: Orders(stop=taken in hooks.evaluations))
        run(config, first)
        second = recorder()
        assert run(config, second, checkpoint=first.saved[-1][0]) is Outcome.COMPLETED
        assert told(first, second) == told(whole)
