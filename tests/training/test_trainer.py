"""The training loop, end to end on small runs."""

import copy
import itertools
import json
import math
import re
import time

import gymnasium
import pytest
import torch

from tests.environments.scored import Scored
from tests.training.conftest import ONE_PHASE
from v3core.config import BaseConfig, EvaluationConfig, PolicyConfig, PPOConfig, build_run_config, recipe_for
from v3core.curriculum import (
    Curriculum,
    Progress,
    environments_of,
    load_preset,
    preset_names,
    scaled,
    settings_at,
    with_boundaries,
)
from v3core.environments import EnvironmentBatch, EnvironmentFailureError, check_environment
from v3core.environments.nethack.ids import how_to_install, is_installed, package_of
from v3core.errors import V3Error
from v3core.policy import Gating
from v3core.recall import recalled
from v3core.training import ppo, trainer, world
from v3core.training.checkpoint import load_checkpoint
from v3core.training.hooks import Edit, Orders
from v3core.training.state import TrainingState
from v3core.training.trainer import CHECKPOINT_SECONDS, Outcome, train


def run(config, hooks, **kwargs):
    return train(config, curriculum=config.curriculum, hooks=hooks, **kwargs)


def test_nothing_is_recorded_beyond_the_last_episode(small_run, recorder, choice_env):
    """All environments end an episode at every step here, so the last step completes more than is left."""
    hooks = recorder()
    run(small_run(choice_env(), environments=8), hooks)
    assert len(hooks.episodes) == 12
    assert hooks.step == 16


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"])
def test_a_run_records_exactly_its_episodes_without_gaps(small_run, recorder, env):
    hooks = recorder()
    assert run(small_run(env, environments=3), hooks) is Outcome.COMPLETED
    assert [episode.episode for episode in hooks.episodes] == list(range(1, 13))
    steps = [episode.step for episode in hooks.episodes]
    assert steps == sorted(steps)
    assert steps[-1] <= hooks.step
    for episode in hooks.episodes:
        assert sum(episode.loads) == pytest.approx(1)
        assert sum(episode.hard_loads) == pytest.approx(1)
        assert episode.length >= 1


def test_cartpole_returns_are_its_lengths(small_run, recorder):
    hooks = recorder()
    run(small_run(), hooks)
    assert all(episode.return_ == episode.length for episode in hooks.episodes)


def test_the_same_seed_records_the_same_numbers_and_another_seed_others(small_run, recorder):
    runs = [recorder(), recorder(), recorder()]
    for hooks, seed in zip(runs, [3, 3, 4], strict=True):
        run(small_run(seed=seed), hooks)
    assert runs[0].episodes == runs[1].episodes
    assert runs[0].phases == runs[1].phases
    assert runs[0].episodes != runs[2].episodes


def test_with_one_environment_phases_change_exactly_at_their_boundaries(small_run, recorder):
    hooks = recorder()
    run(small_run(environments=1, rollout_steps=64), hooks)
    assert [episode.phase for episode in hooks.episodes] == ["one"] * 5 + ["two"] * 4 + ["three"] * 3
    assert [(change.phase, change.name, change.planned, change.episode) for change in hooks.phases] == [
        (0, "one", 0, 0),
        (1, "two", 5, 5),
        (2, "three", 9, 9),
    ]
    assert hooks.phases[1].step == hooks.episodes[4].step


def test_with_more_environments_a_phase_begins_when_it_really_did(small_run, recorder):
    hooks = recorder()
    run(small_run(environments=8, rollout_steps=64, episodes=20), hooks)
    for change, after in itertools.pairwise([*hooks.phases, None]):
        first = next(episode.episode for episode in hooks.episodes if episode.phase == change.name)
        assert first == change.episode + 1
        assert change.planned <= change.episode < change.planned + 8
        if after:
            assert {e.phase for e in hooks.episodes[change.episode : after.episode]} == {change.name}


def test_effective_values_are_those_of_the_curriculum_in_every_rollout(small_run, recorder):
    """Read back from the optimiser, the router and the loss: a schedule that overwrote them would show."""
    hooks = recorder()
    config = small_run(environments=1, rollout_steps=64)
    run(config, hooks)
    starts = [0, *(change.episode for change in hooks.phases[1:])]
    for episode in hooks.episodes:
        candidates = [
            settings_at(config.curriculum, Progress(start, 12), config.base.values())
            for start in range(max(s for s in starts if s < episode.episode), episode.episode)
        ]
        found = (episode.phase, episode.routing, episode.temperature, episode.lr, episode.load_balance, episode.entropy)
        assert found in [(s.phase_name, s.routing, s.temperature, s.lr, s.load_balance, s.entropy) for s in candidates]
    assert {episode.routing for episode in hooks.episodes} == {"softmax", "sparsemax"}


def test_what_overwrites_a_setting_shows(small_run, recorder, monkeypatch):
    """A scheduler that changes the learning rate, or code that changes the router, cannot hide behind the plan."""

    def meddle(backend, *rest):
        backend.optimizer.lr = 0.0123
        backend.policy.gating = Gating(routing="softmax", temperature=0.7)
        return original(backend, *rest)

    original = trainer.update
    monkeypatch.setattr(trainer, "update", meddle)
    hooks = recorder()
    run(small_run(), hooks)
    assert {(e.lr, e.temperature, e.routing) for e in hooks.episodes} == {(0.0123, 0.7, "softmax")}


def test_the_phases_settings_reach_optimiser_and_router(small_run, recorder, monkeypatch):
    """What the modules hold while they learn is what is recorded."""
    held = []

    def spy(backend, samples, coefficients, *rest):
        gating = backend.policy.gating
        held.append((gating.routing, gating.temperature, backend.optimizer.lr, coefficients))
        return original(backend, samples, coefficients, *rest)

    original = trainer.update
    monkeypatch.setattr(trainer, "update", spy)
    hooks = recorder()
    run(small_run(environments=1, rollout_steps=500), hooks)
    first, last = held[0], held[-1]
    assert first[:3] == ("softmax", 1.0, 1e-3)
    assert last[:3] == ("sparsemax", 0.5, 1e-4)
    assert (last[3]["load_balance"], last[3]["entropy"]) == (0.005, 0.002)
    assert hooks.episodes[-1].lr == 1e-4


def test_no_phase_changes_between_acting_and_learning(small_run, recorder):
    """With one gradient step per rollout the policy that learns is the one that acted, all through the curriculum."""
    hooks = recorder()
    run(small_run(environments=2, rollout_steps=32, minibatch=64, epochs=1, episodes=20), hooks)
    assert len(hooks.phases) == 3
    assert max(abs(episode.approx_kl) for episode in hooks.episodes) < 1e-6
    assert {episode.clip_fraction for episode in hooks.episodes} == {0}


def test_a_stop_order_ends_with_a_checkpoint_and_resume_goes_on_without_a_gap(small_run, recorder):
    config = small_run(environments=2, rollout_steps=8)
    first = recorder(lambda hooks: Orders(stop=len(hooks.episodes) >= 6))
    assert run(config, first) is Outcome.STOPPED
    path, episode, step = first.saved[-1]
    assert first.calls[-1] == "checkpoint_saved"
    assert episode == len(first.episodes) < 12
    assert step == first.step

    second = recorder()
    assert run(config, second, checkpoint=path) is Outcome.COMPLETED
    both = [*first.episodes, *second.episodes]
    assert [record.episode for record in both] == list(range(1, 13))
    assert second.episodes[0].step > step
    assert second.episodes[0].phase == first.episodes[-1].phase == "two"
    assert [change.name for change in [*first.phases, *second.phases]] == ["one", "two", "three"]


def test_resuming_twice_gives_the_same_numbers(small_run, recorder):
    config = small_run(rollout_steps=8)
    first = recorder(lambda hooks: Orders(stop=len(hooks.episodes) >= 3))
    run(config, first)
    again = [recorder(), recorder()]
    for hooks in again:
        run(config, hooks, checkpoint=first.saved[-1][0])
    assert again[0].episodes == again[1].episodes


def test_resumed_episodes_are_not_those_the_run_began_with(small_run, recorder, monkeypatch):
    seeded = []

    def spy(spec, count, *seeds, **options):
        seeded.append(seeds)
        return original(spec, count, *seeds, **options)

    original = world.EnvironmentBatch
    monkeypatch.setattr(world, "EnvironmentBatch", spy)
    config = small_run(rollout_steps=8, seed=5)
    stopped = recorder(lambda hooks: Orders(stop=len(hooks.episodes) >= 3))
    run(config, stopped)
    assert seeded == [(5,)]
    path, episode, _ = stopped.saved[-1]
    run(config, recorder(), checkpoint=path)
    assert seeded[1:] == [(5, episode)]


def test_a_stop_before_the_first_episode_can_be_resumed(small_run, recorder):
    stopped = recorder(lambda _: Orders(stop=True))
    assert run(small_run(), stopped) is Outcome.STOPPED
    assert not stopped.episodes
    resumed = recorder()
    assert run(small_run(), resumed, checkpoint=stopped.saved[-1][0]) is Outcome.COMPLETED
    assert next(change.episode for change in resumed.phases) == 0


def test_a_complete_run_has_nothing_to_resume(small_run, recorder):
    hooks, again = recorder(), recorder()
    run(small_run(), hooks)
    assert hooks.saved[-1][1] == 12
    assert run(small_run(), again, checkpoint=hooks.saved[-1][0]) is Outcome.COMPLETED
    assert not again.episodes


def test_every_checkpoint_comes_after_the_record_of_its_episodes(small_run, recorder):
    hooks = recorder()
    recorded_at_save = []
    hooks.checkpoint_saved = lambda path, episode, step: recorded_at_save.append((episode, len(hooks.episodes)))
    run(small_run(), hooks)
    assert recorded_at_save
    assert all(episode == recorded for episode, recorded in recorded_at_save)


def test_checkpoints_follow_the_clock_and_the_phases(small_run, recorder):
    config = small_run(environments=1, rollout_steps=8)
    still, fast = recorder(), recorder()
    run(config, still, clock=lambda: 0.0)
    assert [episode for _, episode, _ in still.saved] == [
        0,
        5,
        9,
        11,
        12,
    ]  # at 11 the last rollout begins: a longer run continues from there
    ticks = itertools.count(step=CHECKPOINT_SECONDS)
    run(config, fast, clock=lambda: next(ticks))
    assert fast.calls.count("checkpoint_saved") >= fast.calls.count("record") > 12


def test_the_time_between_checkpoints_counts_from_the_newest(small_run, recorder):
    """With a third of it for each rollout, there is one after every third."""
    hooks, at = recorder(), []
    saved = hooks.checkpoint_saved

    def rollouts():
        return hooks.calls.count("record")

    def noted(*arguments):
        at.append(rollouts())
        saved(*arguments)

    hooks.checkpoint_saved = noted
    config = small_run(environments=1, rollout_steps=8, curriculum=ONE_PHASE)
    run(config, hooks, clock=lambda: rollouts() * CHECKPOINT_SECONDS / 3)
    before_the_last = rollouts() - 1
    assert before_the_last > 9
    assert [number for number in at if number < before_the_last] == list(range(0, before_the_last, 3))


def test_where_the_time_goes_is_reported_after_each_rollout_without_pauses(small_run, recorder):
    """A pause in the middle of a rollout or an update lasts longer here than all training."""
    asked = itertools.count()
    hooks = recorder()
    hooks.urgent = lambda: Orders(pause=next(asked) % 40 == 17)
    hooks.at_hold = lambda: time.sleep(0.05)
    started = time.perf_counter()
    run(small_run(environments=2, rollout_steps=16), hooks)
    took, held = time.perf_counter() - started, 0.05 * len(hooks.held)
    assert hooks.held
    assert sum(steps for _, steps in hooks.times) == hooks.step
    assert len(hooks.times) == hooks.calls.count("record")
    for spent, _ in hooks.times:
        assert min(vars(spent).values()) > 0
    assert sum(sum(vars(spent).values()) for spent, _ in hooks.times) < took - held


def test_checkpoints_count_as_recording_wherever_they_are_written(small_run, recorder, monkeypatch):
    """Between rollouts, in the middle of one, and in the middle of each update, whose time is then without them."""
    asked, updates = itertools.count(), []
    hooks = recorder()

    def updating(*arguments):
        updates.append(True)
        return ppo.update(*arguments)

    def urgent():
        return Orders(checkpoint=bool(updates and updates.pop()) or next(asked) % 40 == 17)

    monkeypatch.setattr(trainer, "update", updating)
    hooks.urgent = urgent
    path = hooks.checkpoint_path

    def slow(episode):
        time.sleep(0.05)
        return path(episode)

    hooks.checkpoint_path = slow
    started = time.perf_counter()
    run(small_run(environments=2, rollout_steps=16), hooks)
    took = time.perf_counter() - started
    saved, after_the_last = hooks.calls.count("checkpoint_saved"), 2
    assert saved > 10
    assert sum(spent.recording for spent, _ in hooks.times) >= 0.05 * (saved - after_the_last)
    assert sum(sum(vars(spent).values()) for spent, _ in hooks.times) < took


def test_an_episode_that_began_in_the_phase_before_says_so(small_run, recorder):
    phases = [
        {"name": "soft", "until": {"episode": 6}, "routing": "softmax"},
        {"name": "one", "routing": "topk", "top_k": 1},
    ]
    hooks = recorder()
    run(small_run(curriculum={"name": "mix", "phases": phases}, environments=4, rollout_steps=64, episodes=20), hooks)
    own = [episode for episode in hooks.episodes if episode.phase == "one"]
    assert any(0 < episode.phase_steps < episode.length for episode in own)
    for episode in own:
        assert (episode.support == 1) == (episode.phase_steps == episode.length)
    assert all(e.phase_steps == e.length for e in hooks.episodes if e.phase == "soft")


def test_a_time_limit_is_learned_from_as_a_cut_not_as_an_end(small_run, recorder, monkeypatch, clock_env):
    """With λ = 0 the target is r + γ·V(next); at a time limit V is that of the observation before the reset."""
    seen = []

    def spy(backend, samples, *rest):
        if not seen:
            seen.append((samples, backend.values(torch.arange(6.0).unsqueeze(1)).tolist()))
        return original(backend, samples, *rest)

    original = trainer.update
    monkeypatch.setattr(trainer, "update", spy)
    run(small_run(clock_env, environments=1, rollout_steps=5, gamma=0.9, gae_lambda=0.0), recorder())
    samples, values = seen[0]
    assert samples.observations.flatten().tolist() == [0, 1, 2, 3, 4]
    assert samples.targets.tolist() == pytest.approx([1 + 0.9 * value for value in values[1:]], abs=1e-5)


def test_normalisation_follows_what_was_acted(small_run, recorder):
    hooks = recorder()
    run(small_run(), hooks)
    state = load_checkpoint(hooks.saved[-1][0])
    assert state["policy"]["tokens.parts.0.count"] == state["return_scale"]["count"] == hooks.step


def test_every_random_source_follows_the_seed(small_run):
    spec = check_environment("CartPole-v1", allow_import=False)
    first, same, other = (TrainingState(small_run(seed=seed), spec) for seed in (1, 1, 2))
    drawn = [
        (
            torch.rand(1, generator=state.generator).item(),
            state.random.random(),
            state.policy.router.weight[0, 0].item(),
        )
        for state in (first, same, other)
    ]
    assert drawn[0] == drawn[1]
    assert all(ours != theirs for ours, theirs in zip(drawn[0], drawn[2], strict=True))


def test_an_edit_of_the_future_is_applied_between_two_rollouts(small_run, recorder):
    config = small_run(environments=1, rollout_steps=8)
    edit = Edit(7, with_boundaries(config.curriculum, [8, 10]))
    hooks = recorder(lambda hooks: Orders(edits=(edit,) if len(hooks.episodes) == 3 and not hooks.applied else ()))
    run(config, hooks)
    assert hooks.applied == [(7, 3)]
    assert [(change.planned, change.episode) for change in hooks.phases] == [(0, 0), (8, 8), (10, 10)]
    assert [episode.phase for episode in hooks.episodes] == ["one"] * 8 + ["two"] * 2 + ["three"] * 2


def test_an_environment_of_ones_own_does_not_keep_edits_out(small_run, recorder, tmp_path, monkeypatch):
    entry = "import gymnasium\ngymnasium.register('Edited-v0', entry_point=gymnasium.spec('CartPole-v1').entry_point)\n"
    (tmp_path / "edited_environment.py").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    config = small_run("edited_environment:Edited-v0")
    edit = Edit(7, with_boundaries(config.curriculum, [8, 10]))
    hooks = recorder(lambda hooks: Orders(edits=() if hooks.applied or hooks.rejected else (edit,)))
    run(config, hooks)
    gymnasium.registry.pop("Edited-v0")
    assert (hooks.applied, hooks.rejected) == ([(7, 0)], [])


def test_an_edit_of_the_past_is_rejected_in_one_sentence_and_training_goes_on(small_run, recorder):
    config = small_run(environments=1, rollout_steps=8)
    edit = Edit(8, with_boundaries(config.curriculum, [2, 9]))
    hooks = recorder(lambda hooks: Orders(edits=(edit,) if len(hooks.episodes) >= 6 and not hooks.rejected else ()))
    assert run(config, hooks) is Outcome.COMPLETED
    assert not hooks.applied
    assert hooks.rejected[0][0] == 8
    assert "only future phases can be changed" in hooks.rejected[0][1]
    assert [change.episode for change in hooks.phases] == [0, 5, 9]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"env": "Acrobot-v1"},
            "Phase 'three' trains on Acrobot-v1, whose observations differ from those of CartPole-v1",
        ),
        ({"env": "CartPol-v1"}, "Did you mean CartPole-v1"),
        ({"routing": "topk", "top_k": 9}, "has top_k 9, but the router has 4 experts"),
    ],
)
def test_an_edit_that_the_network_cannot_follow_is_rejected(small_run, recorder, change, reason):
    config = small_run(environments=1, rollout_steps=8)
    phases = [dict(phase) for phase in config.curriculum.to_dict()["phases"]]
    phases[-1] |= change
    edit = Edit(9, Curriculum.model_validate({"name": "other", "phases": phases}))
    hooks = recorder(lambda hooks: Orders(edits=() if hooks.rejected else (edit,)))
    assert run(config, hooks) is Outcome.COMPLETED
    assert reason in hooks.rejected[0][1]


def test_an_edit_with_a_trigger_on_a_fact_that_is_not_recorded_is_rejected(small_run, recorder):
    config = small_run(environments=1, rollout_steps=8)
    phases = [dict(phase) for phase in config.curriculum.to_dict()["phases"]]
    phases[1]["until"] = {"metric": "fact:score", "at_least": 1, "window": 2, "max_episodes": 4}
    edit = Edit(9, Curriculum.model_validate({"name": "other", "phases": phases}))
    hooks = recorder(lambda hooks: Orders(edits=() if hooks.rejected else (edit,)))
    assert run(config, hooks) is Outcome.COMPLETED
    assert "waits for the episode fact 'score', which the run does not record" in hooks.rejected[0][1]


def test_two_edits_at_once_are_taken_in_order_and_a_stop_comes_after_them(small_run, recorder):
    config = small_run(environments=1, rollout_steps=8)
    edits = (
        Edit(1, with_boundaries(config.curriculum, [6, 9])),
        Edit(2, with_boundaries(config.curriculum, [7, 9])),
    )
    hooks = recorder(lambda _: Orders(stop=True, edits=edits))
    assert run(config, hooks) is Outcome.STOPPED
    assert hooks.applied == [(1, 0), (2, 0)]


def test_three_updates_in_a_row_that_are_not_finite_fail_the_run_with_the_reason(small_run, recorder, choice_env):
    hooks = recorder()
    sentence = (
        r"^Update 3, at episode 48 and step 96 in phase 'one': step\(action\) of environment \d returned a reward of "
        r"(inf|nan) at step \d+ of the rollout, which is not a finite number, 3 times in a row; fix the environment\.$"
    )
    with pytest.raises(V3Error, match=sentence):
        run(small_run(choice_env(length=2, reward=float("inf")), episodes=999, curriculum=ONE_PHASE), hooks)
    assert [in_a_row for _, in_a_row in hooks.undone] == [1, 2, 3]
    assert [episode.episode for episode in hooks.episodes] == list(range(1, 49))  # each is kept


def test_a_reward_too_large_is_named_as_such_and_not_the_learning_rate(small_run, recorder, choice_env):
    sentence = (
        r"returned a reward of -?1e\+19 at step \d+ of the rollout, too large to learn from \(at most 1e\+12\), "
        r"3 times in a row; scale its rewards down\.$"
    )
    with pytest.raises(V3Error, match=sentence):
        run(small_run(choice_env(length=2, reward=1e19), episodes=999, curriculum=ONE_PHASE), recorder())


def test_the_largest_reward_that_is_taken_is_learned_from(small_run, recorder, choice_env):
    """Also where nothing is discounted over a long rollout."""
    env, sizes = choice_env(length=200, reward=-1e12), {"rollout_steps": 256, "gamma": 1.0, "gae_lambda": 1.0}
    hooks = recorder()
    assert run(small_run(env, episodes=8, curriculum=ONE_PHASE, **sizes), hooks) is Outcome.COMPLETED
    assert not hooks.undone
    assert all(math.isfinite(episode.total_loss) for episode in hooks.episodes)


def test_a_success_that_does_not_count_is_noted_once(small_run, recorder, clock_env, monkeypatch):
    clock = gymnasium.spec(clock_env).entry_point
    original = clock.step
    monkeypatch.setattr(clock, "step", lambda self, action: (*original(self, action)[:4], {"success": 0.1}))
    hooks = recorder()
    run(small_run(clock_env, episodes=20, curriculum=ONE_PHASE), hooks)
    assert [episode.success for episode in hooks.episodes] == [None] * 20
    assert hooks.remarks == [
        "Environment TestClock-v0: step(action) returned info['success'] = 0.1 at the end of an episode, which is "
        "neither True nor False; the success of such an episode is not recorded."
    ]


def test_a_single_bad_reward_is_not_learned_from_and_training_goes_on(small_run, recorder, monkeypatch):
    """What the policy, the optimiser and the normalisation were before the bad rollout they are after it."""
    before_and_after, original = [], trainer.Trainer.learn

    def poison(self, rollout, settings):
        state = self.state
        bad = state.updates in {3, 6}
        if bad:
            rollout.rewards[1, 0] = float("nan")
        before = copy.deepcopy(state.state_dict())
        learned = original(self, rollout, settings)
        if bad:
            before_and_after.append((before, copy.deepcopy(state.state_dict())))
        return learned

    monkeypatch.setattr(trainer.Trainer, "learn", poison)
    hooks = recorder()
    assert run(small_run(rollout_steps=8, episodes=12), hooks) is Outcome.COMPLETED
    assert [in_a_row for _, in_a_row in hooks.undone] == [1, 1]
    assert hooks.episodes[-1].rollbacks == 2
    for before, after in before_and_after:
        for part in ("policy", "return_scale"):
            torch.testing.assert_close(after[part], before[part], rtol=0, atol=0)


def test_a_loss_that_becomes_infinite_is_undone(small_run, recorder):
    """A learning rate that throws the policy out of all bounds: the last good one is put back each time."""
    config = small_run(curriculum={"name": "wild", "phases": [{"name": "one", "lr": 1e30}]}, episodes=300)
    hooks = recorder()
    with pytest.raises(V3Error, match=r"the loss or its gradient is not finite at learning rate 1e\+30") as raised:
        run(config, hooks)
    assert len(hooks.undone) >= 3
    said = recalled(str(raised.value), "zh_CN")
    assert re.fullmatch(r"第 \d+ 次更新，位于阶段“one”的第 .* 步：在学习率 1e\+30 下，.*；请调低它。", said)


def test_episodes_before_an_environment_fails_are_kept(small_run, recorder, choice_env, monkeypatch):
    """Also those of the rollout in which it fails."""
    steps = itertools.count(1)
    original = EnvironmentBatch.step

    def failing(self, actions):
        if next(steps) == 37:
            raise EnvironmentFailureError("It broke at step 37.")
        return original(self, actions)

    monkeypatch.setattr(EnvironmentBatch, "step", failing)
    hooks = recorder()
    with pytest.raises(V3Error, match=r"^It broke at step 37\.$"):
        run(small_run(choice_env(), episodes=999, curriculum=ONE_PHASE), hooks)
    assert [episode.episode for episode in hooks.episodes] == list(range(1, 2 * 36 + 1))
    assert hooks.episodes[-1].step == 72
    assert math.isnan(hooks.episodes[-1].policy_loss)
    assert math.isfinite(hooks.episodes[60].policy_loss) == (60 < 64)


def test_losses_of_a_rollout_that_taught_nothing_are_not_numbers(small_run, recorder, choice_env):
    hooks = recorder()
    with pytest.raises(V3Error):
        run(
            small_run(
                choice_env(reward=float("nan")), episodes=999, curriculum={"name": "o", "phases": [{"name": "o"}]}
            ),
            hooks,
        )
    first = hooks.episodes[0]
    assert math.isnan(first.policy_loss)
    assert math.isnan(first.grad_norm)
    assert first.rollbacks == 1
    assert sum(first.loads) == pytest.approx(1)


def test_a_damaged_checkpoint_is_refused_by_name(small_run, recorder, tmp_path):
    path = tmp_path / "bad.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(V3Error, match=r"bad\.pt"):
        run(small_run(), recorder(), checkpoint=path)


def test_a_phase_may_end_by_step(small_run, recorder):
    phases = [{"name": "one", "until": {"step": 100}}, {"name": "two"}]
    hooks = recorder()
    run(small_run(curriculum={"name": "steps", "phases": phases}, rollout_steps=64), hooks)
    assert [(change.planned, change.step) for change in hooks.phases] == [(0, 0), (None, 100)]
    assert {episode.phase for episode in hooks.episodes if episode.step <= 100} == {"one"}
    assert {episode.phase for episode in hooks.episodes if episode.step > 100} == {"two"}


TRIGGERS = {
    "length": ("CartPole-v1", 12, lambda episode: episode.length),
    "return": ("CartPole-v1", 14.5, lambda episode: episode.return_),
    "success": ("MiniGrid-Empty-Random-5x5-v0", 0.6, lambda episode: episode.success),
    "fact:score": ("TriggersByScore-v0", 3.5, lambda episode: json.loads(episode.facts)["score"]),
}
gymnasium.register("TriggersByScore-v0", entry_point=Scored, kwargs={"longest": 5})


@pytest.mark.parametrize("metric", TRIGGERS)
def test_a_phase_may_end_by_a_trigger(small_run, recorder, metric):
    env, threshold, value = TRIGGERS[metric]
    until = {"metric": metric, "at_least": threshold, "window": 3, "min_episodes": 5}
    curriculum = {"name": "trigger", "phases": [{"name": "one", "until": until}, {"name": "two"}]}
    facts = {"score": "game.score"} if metric.startswith("fact:") else None
    hooks = recorder()
    run(small_run(env, episodes=40, curriculum=curriculum, facts=facts, environments=1, rollout_steps=8), hooks)
    values = [value(episode) for episode in hooks.episodes]
    began = hooks.phases[1].episode
    assert began >= 5
    assert sum(values[began - 3 : began]) / 3 >= threshold


def test_a_trigger_looks_at_its_own_phase_and_survives_a_resume(small_run, recorder):
    """The window is saved: a run stopped and resumed changes phase where the uninterrupted one could."""
    until = {"metric": "length", "at_least": 1, "window": 6}
    phases = [{"name": "one", "until": until}, {"name": "two", "until": until}, {"name": "three"}]
    config = small_run(curriculum={"name": "t", "phases": phases}, environments=1, rollout_steps=8, episodes=20)
    first = recorder(lambda hooks: Orders(stop=len(hooks.episodes) >= 9))
    run(config, first)
    second = recorder()
    run(config, second, checkpoint=first.saved[-1][0])
    starts = [change.episode for change in [*first.phases, *second.phases]]
    assert starts[:2] == [0, starts[1]]
    assert 6 <= starts[1] <= 7
    assert 12 <= starts[2] <= 14


def test_a_phase_may_have_an_environment_of_its_own(small_run, recorder):
    phases = [
        {"name": "easy", "until": {"episode": 4}, "env": "MiniGrid-Empty-5x5-v0"},
        {"name": "hard", "env": "MiniGrid-DoorKey-5x5-v0"},
    ]
    hooks = recorder()
    config = small_run(
        "MiniGrid-Empty-5x5-v0", curriculum={"name": "two", "phases": phases}, rollout_steps=128, episodes=8
    )
    run(config, hooks)
    assert {(episode.phase, episode.env) for episode in hooks.episodes} == {
        ("easy", "MiniGrid-Empty-5x5-v0"),
        ("hard", "MiniGrid-DoorKey-5x5-v0"),
    }
    assert max(episode.length for episode in hooks.episodes if episode.phase == "easy") <= 100
    assert {episode.success for episode in hooks.episodes} <= {0.0, 1.0}


def test_a_phase_may_change_the_arguments_of_its_environment(small_run, recorder):
    phases = [
        {"name": "easy", "until": {"episode": 4}},
        {"name": "hard", "env_args": {"size": 7}},
    ]
    hooks = recorder()
    config = small_run(
        "MiniGrid-Empty-5x5-v0",
        curriculum={"name": "sizes", "phases": phases},
        rollout_steps=256,
        episodes=8,
        args={"size": 4},
        evaluate=1,
    )
    run(config, hooks)
    assert {(episode.phase, episode.env) for episode in hooks.episodes} == {
        ("easy", "MiniGrid-Empty-5x5-v0 (size=4)"),
        ("hard", "MiniGrid-Empty-5x5-v0 (size=7)"),
    }
    # MiniGrid's own limit of steps is 4·size²: the worlds really were of these sizes.
    for phase, limit in (("easy", 64), ("hard", 196)):
        lengths = [episode.length for episode in hooks.episodes if episode.phase == phase]
        assert max(lengths) <= limit
    assert [evaluation.env for evaluation in hooks.evaluations] == ["MiniGrid-Empty-5x5-v0 (size=7)"]


def test_arguments_of_a_phase_must_not_change_what_is_observed(small_run, recorder):
    phases = [{"name": "a", "until": {"episode": 4}}, {"name": "b", "env_args": {"map_name": "8x8"}}]
    with pytest.raises(V3Error, match=r"'b' trains on FrozenLake-v1 \(map_name=8x8\), whose observations differ from"):
        run(small_run("FrozenLake-v1", curriculum={"name": "two", "phases": phases}), recorder())


def test_environments_of_one_run_must_look_alike(small_run, recorder):
    phases = [{"name": "easy", "until": {"episode": 4}}, {"name": "hard", "env": "Acrobot-v1"}]
    with pytest.raises(V3Error, match=r"'hard' trains on Acrobot-v1, whose observations differ from those of Cart"):
        run(small_run(curriculum={"name": "two", "phases": phases}), recorder())


@pytest.mark.parametrize("env", ["Pendulum-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_every_kind_of_space_trains(small_run, recorder, env):
    hooks = recorder()
    assert run(small_run(env, rollout_steps=64), hooks) is Outcome.COMPLETED
    assert all(math.isfinite(episode.total_loss) for episode in hooks.episodes)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_trains_and_records_what_it_used(small_run, recorder, preset):
    curriculum = load_preset(preset)
    env = (environments_of(curriculum) or ("CartPole-v1",))[0]
    if (package := package_of(env)) and not is_installed(package):
        pytest.skip(f"{package} is not installed: {how_to_install()}")
    recipe = recipe_for(env).model_copy(update={"policy": PolicyConfig(width=16, heads=4)})
    fitted = scaled(curriculum, 24)
    config = build_run_config(name="x", env=env, seed=1, episodes=24, curriculum=fitted, recipe=recipe)
    sizes = PPOConfig(environments=2, rollout_steps=64, minibatch=64, epochs=1)
    hooks = recorder()
    config = config.model_copy(update={"ppo": sizes, "evaluation": EvaluationConfig(episodes=0)})
    assert run(config, hooks) is Outcome.COMPLETED
    for episode in hooks.episodes:
        assert sum(episode.loads) == pytest.approx(1)
        assert (episode.alpha is not None) == (episode.routing == "entmax")
        assert (episode.top_k is not None) == (episode.routing == "topk")
        if episode.top_k is not None and len(fitted.phases) == 1:  # else it may have begun under another phase
            assert episode.support == pytest.approx(episode.top_k)


def test_bias_balancing_moves_the_choice_towards_the_unused(small_run, recorder):
    phases = [{"name": "one", "routing": "topk", "top_k": 1, "top_k_weights": "sigmoid", "bias_speed": 0.01}]
    hooks = recorder()
    run(small_run(curriculum={"name": "bias", "phases": phases}, episodes=30), hooks)
    state = load_checkpoint(hooks.saved[-1][0])
    bias = state["policy"]["expert_bias"]
    assert bias.abs().max() > 0.01
    assert {episode.bias_speed for episode in hooks.episodes} == {0.01}


def test_evaluation_is_apart_from_training(small_run, recorder):
    """With or without it, training records the same numbers; every so often and at the end."""
    without, with_it = recorder(), recorder()
    run(small_run(episodes=20), without)
    run(small_run(episodes=20, evaluate=3, every=6), with_it)
    assert without.episodes == with_it.episodes
    assert not without.evaluations
    points = [evaluation.episode for evaluation in with_it.evaluations]
    assert points[-1] == 20
    assert [point // 6 for point in points[:-1]] == [1, 2, 3]
    for evaluation in with_it.evaluations:
        assert [played.number for played in evaluation.episodes] == [1, 2, 3]
        assert all(played.return_ == played.length for played in evaluation.episodes)


def test_it_learns_to_choose(small_run, recorder, choice_env):
    """A right choice by the sign of one feature earns 1, and guessing a third: found through graph, router, experts."""
    phases = [
        {"name": "one", "until": {"episode": 2000}, "routing": "softmax", "load_balance": 0.02},
        {"name": "two", "routing": "sparsemax", "temperature": 0.5},
    ]
    config = small_run(
        choice_env(),
        episodes=6000,
        curriculum={"name": "two", "phases": phases},
        environments=8,
        rollout_steps=32,
        minibatch=64,
        epochs=4,
    ).model_copy(update={"base": BaseConfig(lr=3e-3)})
    hooks = recorder()
    run(config, hooks)
    first, last = hooks.episodes[:200], hooks.episodes[-500:]
    assert sum(episode.return_ for episode in first) / 200 < 0.6
    assert sum(episode.return_ for episode in last) / 500 > 0.95


def test_environments_of_a_later_phase_do_not_begin_with_the_episodes_of_the_start(small_run):
    """Nor with those of another place of the run, or of a run with another seed."""
    begins = []
    for seed, completed in ((1, 0), (1, 5), (1, 9), (2, 0)):
        config = small_run(seed=seed)
        state = TrainingState(config, check_environment(config.env, allow_import=False))
        state.completed = completed
        made = world.World.of(config.environment, state)
        begins.append(tuple(made.envs.seeds))
        made.envs.close()
    assert len(set(begins)) == 4
