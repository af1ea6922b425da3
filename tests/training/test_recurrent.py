"""A policy with memory: what it remembers as it acts, that it learns from just that, and that it learns to recall."""

import itertools

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import v3core
from tests.training.conftest import ONE_PHASE, Recorder
from v3core.config import EvaluationConfig, build_run_config, recipe_for
from v3core.curriculum import load_preset, setup_at
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, check_environment, make_environment
from v3core.policy import Gating
from v3core.training.inference import evaluate
from v3core.training.losses import at
from v3core.training.ppo import generalised_advantages, samples_of, update
from v3core.training.rollout import Collector
from v3core.training.sequences import pieces, pieces_of, steps_of
from v3core.training.state import TrainingState
from v3core.training.tape import expert_outputs
from v3core.training.trainer import Outcome, train


class Recall(gymnasium.Env):
    """Shows a sign once, then nothing; reward 1 for the action that repeats it at the last of `length` steps."""

    def __init__(self, length=4):
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps, self._sign = 0, int(self.np_random.integers(2))
        return np.array([2 * self._sign - 1, 0], np.float32), {}

    def step(self, action):
        self._steps += 1
        last = self._steps == self._length
        observation = np.array([0, self._steps + 1 == self._length], np.float32)
        return observation, float(last and action == self._sign), last, False, {}


@pytest.fixture
def recall_env():
    """Registers `Recall` as `TestRecall-v0`."""
    gymnasium.register("TestRecall-v0", entry_point=Recall)
    yield "TestRecall-v0"
    gymnasium.registry.pop("TestRecall-v0", None)


@pytest.fixture
def collector_of(small_run):
    """Makes a state and a collector of a run with memory."""

    def build(env, *, steps=16, environments=2, gating=None, **changes):
        options = {"memory": "gru"} | changes
        config = small_run(env, environments=environments, rollout_steps=steps, **options)
        spec = check_environment(env, allow_import=False)
        state = TrainingState(config, spec)
        state.policy.gating = gating or Gating()
        return state, Collector(EnvironmentBatch(spec, environments, 1), steps, state.backend, state.generator)

    return build


def copied(rollout):
    """What is read of a rollout after the next one was collected."""
    names = ("memory", "observations", "values", "ended", "cut_off_values", "last_values")
    return {name: np.copy(torch.as_tensor(getattr(rollout, name)).numpy()) for name in names}


def test_memory_begins_empty_and_is_emptied_at_the_ends_of_episodes(collector_of):
    """CartPole's episodes are of many lengths; only what follows an end, and the run's start, is 0."""
    _, collector = collector_of("CartPole-v1", steps=64)
    ended_before = np.ones(2, dtype=bool)
    for _ in range(3):
        rollout = copied(collector.collect(1000))
        empty = (rollout["memory"] == 0).all(2)
        begins = np.concatenate((ended_before[None], rollout["ended"][:-1]))
        assert (empty == begins).all()
        assert begins[1:].any()
        ended_before = rollout["ended"][-1]


@pytest.mark.parametrize("cuts", [(1, 22), (5, 18), (7, 7, 9), (22, 1)])
def test_rollouts_cut_anywhere_remember_the_same(collector_of, clock_env, cuts):
    """Nothing in `Clock` depends on actions; episodes end at time limits, every 5 steps."""
    _, whole = collector_of(clock_env, steps=23)
    expected = copied(whole.collect(1000))
    _, collector = collector_of(clock_env, steps=23)
    parts = [copied(collector.collect(1000, steps)) for steps in cuts]
    together = {name: np.concatenate([part[name] for part in parts]) for name in expected if name != "last_values"}
    for name in ("memory", "observations", "values", "ended"):
        np.testing.assert_array_equal(together[name], expected[name], err_msg=name)
    # These are computed in one batch of each rollout, whose size decides the last bit.
    np.testing.assert_allclose(together["cut_off_values"], expected["cut_off_values"], atol=1e-6)
    np.testing.assert_allclose(parts[-1]["last_values"], expected["last_values"], atol=1e-6)
    # What follows a cut is worth what it was seen to be worth after it.
    for before, after in itertools.pairwise(parts):
        np.testing.assert_allclose(before["last_values"], after["values"][0], atol=1e-6)


def test_the_end_at_a_time_limit_is_worth_what_the_memory_of_its_episode_says(collector_of, clock_env):
    state, collector = collector_of(clock_env, steps=12)
    rollout = collector.collect(1000)
    final = torch.full((2, 1), 5.0)
    seen = state.policy(rollout.observations[4], memory=rollout.memory[4])
    expected = state.policy.values(final, seen.memory)
    np.testing.assert_allclose(rollout.cut_off_values[4], expected.detach(), atol=1e-6)
    assert not np.allclose(rollout.cut_off_values[4], state.policy.values(final).detach(), atol=1e-3)


@pytest.mark.parametrize(("steps", "environments", "longest"), [(128, 8, 64), (23, 3, 10), (5, 1, 64), (7, 2, 1)])
def test_pieces_are_consecutive_steps_of_one_environment(steps, environments, longest):
    found = pieces(steps, environments, longest)
    assert sorted(found[found >= 0]) == list(range(steps * environments))
    assert len(found) <= longest
    assert (found[0] >= 0).all()
    for piece in found.T:
        own = piece[piece >= 0]
        assert (np.diff(own) == environments).all()
        assert len(found) - len(own) <= 1


def samples_from(state, rollout):
    """As the trainer makes them."""
    advantages = generalised_advantages(
        rollout.rewards, rollout.values, rollout.ended, rollout.last_values, gamma=0.99, gae_lambda=0.95
    )
    return samples_of(rollout, advantages, advantages + rollout.values, state.device)


@pytest.mark.parametrize("longest", [1, 7, 64])
@pytest.mark.parametrize("gating", [Gating(), Gating(routing="gumbel", jitter=0.1), Gating(routing="topk", top_k=1)])
@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"])
def test_learning_sees_the_policy_that_acted(collector_of, env, gating, longest):
    """In pieces of any length, the second rollout too, whose episodes began in the first."""
    state, collector = collector_of(env, steps=23, environments=3, gating=gating, sequence_steps=longest)
    collector.collect(1000)
    samples = samples_from(state, collector.collect(1000))
    together = pieces_of(samples, state.config.ppo)
    chosen, places = steps_of(together, torch.randperm(together.shape[1]))
    output = state.backend.forward(samples, chosen, places)
    log_probs, _ = state.policy.actions.log_prob_and_entropy(output.outputs, samples.actions[chosen])
    assert (log_probs - samples.log_probs[chosen]).abs().max() < 1e-5
    torch.testing.assert_close(output.gates, samples.gates[chosen], atol=1e-5, rtol=0)
    # Memory after a step is that before the next one of the same episode.
    following = samples.successors[chosen]
    pairs = following >= 0
    torch.testing.assert_close(output.memory[pairs], samples.memory[following[pairs]], atol=1e-5, rtol=0)


def test_the_gradient_of_an_update_is_that_of_stepping_through_the_episodes(collector_of):
    """Every loss, in pieces, against autograd through single steps as they were acted."""
    state, collector = collector_of("CartPole-v1", steps=20, environments=3, sequence_steps=20)
    collector.collect(1000)
    samples = samples_from(state, collector.collect(1000))
    coefficients = {"entropy": 0.01, "load_balance": 0.1, "consistency": 0.3, "diversity": 0.1, "z_loss": 0.1}
    chosen, places = steps_of(pieces_of(samples, state.config.ppo), torch.arange(3))
    total, _ = state.backend.loss(samples, chosen, coefficients, state.config.ppo, places)
    state.parameters.gradient.zero_()
    total.backward()
    found = state.parameters.gradient.clone()

    def stepped(samples, chosen, places):
        memory = samples.memory[:3]
        parts = []
        for step in range(20):
            rows = slice(3 * step, 3 * step + 3)
            memory = memory * ~samples.begins[rows, None]
            parts.append(state.policy(samples.observations[rows], at(samples.noise, rows), memory))
            memory = parts[-1].memory
        return type(parts[0])(*(torch.cat(each, 1 if each[0].ndim == 3 else 0) for each in zip(*parts, strict=True)))

    state.backend.forward = stepped
    again, _ = state.backend.loss(samples, torch.arange(60), coefficients, state.config.ppo, places)
    state.parameters.gradient.zero_()
    again.backward()
    torch.testing.assert_close(again, total)
    torch.testing.assert_close(found, state.parameters.gradient, atol=1e-6, rtol=1e-4)
    own = state.policy.memory.weight_state.grad
    assert own[0].abs().max() > 0
    assert own[1].abs().max() > 0


@pytest.mark.parametrize("environments", [1, 3])
@pytest.mark.parametrize("steps", [1, 5, 16])
def test_an_update_takes_rollouts_of_any_length(collector_of, steps, environments):
    """One environment has fewer pieces than minibatches; a rollout that a boundary cut may be one step long."""
    state, collector = collector_of("CartPole-v1", environments=environments, sequence_steps=4, minibatch=2)
    samples = samples_from(state, collector.collect(1000, steps))
    before = state.policy.memory.weight_input.detach().clone()
    done = update(state.backend, samples, {}, state.config.ppo, np.random.default_rng(0))
    assert done.approx_kl_first == pytest.approx(0, abs=1e-6)
    assert np.isfinite(done.dormant_share)
    assert not torch.equal(before, state.policy.memory.weight_input)


class Gap(gymnasium.Env):
    """Observes NaN at its third step; episodes last 200."""

    def __init__(self):
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._steps += 1
        return np.full(1, np.nan if self._steps == 3 else 0.5, np.float32), 1.0, self._steps == 200, False, {}


def test_what_is_no_number_is_not_remembered(small_run, recorder):
    """One rollout is not learned from; without this, no rollout until the end of the episode would be."""
    gymnasium.register("TestGap-v0", entry_point=Gap)
    try:
        config = small_run("TestGap-v0", episodes=2, memory="gru", curriculum=ONE_PHASE)
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
    finally:
        gymnasium.registry.pop("TestGap-v0")
    assert len(hooks.undone) == 1


@pytest.fixture
def trained(small_run, tmp_path):
    """Trains a small run with memory; its newest checkpoint as a policy, and its hooks."""

    def make(env, **changes):
        options = {"episodes": 4, "rollout_steps": 64, "evaluate": 4, "memory": "gru", "curriculum": ONE_PHASE}
        config = small_run(env, **(options | changes))
        hooks = Recorder(tmp_path)
        train(config, curriculum=config.curriculum, hooks=hooks)
        return v3core.load_policy(hooks.saved[-1][0]), hooks

    return make


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-DoorKey-5x5-v0"])
def test_a_loaded_policy_plays_what_the_evaluation_played(trained, env):
    """Step by step through its own API, in which `reset` begins an episode."""
    policy, hooks = trained(env)
    assert policy.evaluate(4) == hooks.evaluations[-1].episodes
    tape = policy.tape()
    evaluate(policy.backend, policy.spec, 1, tape=tape)
    replay = tape.chosen(policy.network)["best"]
    world = v3core.environments.make_environment(env)
    for attempt in range(2):
        observation, _ = world.reset(seed=replay.seed)
        policy.reset()
        assert (policy.memory == 0).all()
        for step, action in enumerate(replay.actions):
            assert policy(observation) == action[0], (attempt, step)
            observation, *_ = world.step(action[0])
        assert (policy.memory != 0).any()


def test_two_episodes_can_be_played_by_turns(trained):
    policy, _ = trained("CartPole-v1")
    random = np.random.default_rng(1)
    episodes = random.normal(size=(2, 6, 4)).astype(np.float32)
    alone = []
    for episode in episodes:
        policy.reset()
        for observation in episode:
            policy(observation)
        alone.append(policy.memory)
    assert not np.allclose(*alone)
    policy.reset()
    memories = [policy.memory, policy.memory]
    for step in range(6):
        for number in (0, 1):
            policy.memory = memories[number]
            policy(episodes[number, step])
            memories[number] = policy.memory
    np.testing.assert_array_equal(memories, alone)


def test_a_memory_of_another_policy_is_refused(trained):
    policy, _ = trained("CartPole-v1")
    with pytest.raises(ValueError, match=r"^The memory of this policy is 32 numbers, not an array of shape \(3,\)\.$"):
        policy.memory = np.zeros(3)
    with pytest.raises(ValueError, match=r"is 32 numbers; set what `memory` was"):
        policy.memory = None
    without, _ = trained("CartPole-v1", memory="none")
    without.reset()
    without.memory = None
    assert without.memory is None
    with pytest.raises(ValueError, match="is none, because it was trained without"):
        without.memory = np.zeros(3)


def test_replays_have_the_numbers_of_the_policy_that_acted(trained, monkeypatch):
    """The tape's own, those computed from the checkpoint, and those of a look inside, beyond one chunk of each."""
    from v3core.environments.replaying import play_again
    from v3core.jobs.played_episodes import explain
    from v3core.training import explaining, tape

    monkeypatch.setattr(tape, "_CHUNK", 7)
    monkeypatch.setattr(explaining, "CHUNK", 7)
    policy, hooks = trained("MiniGrid-DoorKey-5x5-v0")
    replay = hooks.evaluations[-1].replays["best"]
    assert len(replay) > 14
    seen = np.stack([moment.observation for moment in play_again(policy.spec, replay, frames=False)])[:-1]
    inside, whole = explain(policy, policy.spec, replay, seen)
    for name in ("values", "gates", "outputs"):
        np.testing.assert_allclose(getattr(inside, name), getattr(replay, name), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(np.einsum("te,teo->to", replay.gates, whole.expert_outputs), replay.outputs, atol=1e-5)
    # Without what came before, they would be others.
    later = expert_outputs(policy.network, seen[3:])
    assert not np.allclose(later, whole.expert_outputs[3:], atol=1e-5)


def test_the_report_of_the_experts_is_of_what_they_read(trained, monkeypatch):
    """Gates of the sampled states are those that acted there."""
    acted = {}
    original = v3core.training.tape.Tape.end

    def keep(self, env, episode, last, ended):
        original(self, env, episode, last, ended)
        acted[episode.number] = self._replays[self._first + env].gates

    monkeypatch.setattr(v3core.training.tape.Tape, "end", keep)
    _, hooks = trained("CartPole-v1")
    states = hooks.evaluations[-1].experts.map
    assert len(states.number) > 20
    for number, step, gate in zip(states.number, states.step, states.gate, strict=True):
        assert acted[number][step].max() == pytest.approx(gate, abs=2e-3)
    assert len(hooks.evaluations[-1].knockouts) in (0, 5)


@pytest.mark.parametrize(("native", "backend"), [("1", "native"), ("0", "eager")])
def test_either_backend_trains_it_and_plays_what_was_evaluated(trained, monkeypatch, native, backend):
    monkeypatch.setenv("V3_NATIVE", native)
    policy, hooks = trained("CartPole-v1")
    assert hooks.backend == policy.backend.name == backend
    assert not [remark for remark in hooks.remarks if "does not cover" in remark]
    assert policy.evaluate(4) == hooks.evaluations[-1].episodes


@pytest.mark.parametrize("architecture", [{"graph": "mlp"}, {"single_expert": True}])
def test_flat_and_single_expert_networks_have_it_too(small_run, recorder, architecture):
    from v3core.config import Recipe, build_run_config
    from v3core.curriculum import Curriculum

    small = small_run("CartPole-v1", memory="gru")
    curriculum = Curriculum.model_validate({**ONE_PHASE, "policy": architecture})
    recipe = Recipe(name="small", match=("*",), ppo=small.ppo, policy=small.policy, evaluation=small.evaluation)
    config = build_run_config(name="x", env="CartPole-v1", seed=1, episodes=4, curriculum=curriculum, recipe=recipe)
    assert config.policy.memory == "gru"
    hooks = recorder()
    train(config, curriculum=config.curriculum, hooks=hooks)
    assert len(hooks.episodes) == 4


def test_it_learns_to_recall_what_a_policy_without_memory_cannot(small_run, recorder, recall_env):
    successes = {}
    for memory in ("gru", "none"):
        options = {"environments": 8, "rollout_steps": 32, "minibatch": 64, "epochs": 4}
        config = small_run(recall_env, episodes=4000, memory=memory, curriculum=ONE_PHASE, **options)
        config = config.model_copy(update={"base": config.base.model_copy(update={"lr": 3e-3})})
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        successes[memory] = np.mean([episode.return_ for episode in hooks.episodes[-300:]])
    assert successes["gru"] > 0.95
    assert 0.4 < successes["none"] < 0.6


def test_the_preset_of_memorys_tasks_trains_on_one_size_after_the_other(tmp_path):
    """With the recipe of their environments, whose policy remembers; triggers that hold at once."""
    curriculum, env = load_preset("memory-tasks"), "MiniGrid-MemoryS11-v0"
    assert [phase.until.metric for phase in curriculum.phases[:-1]] == ["success"] * 3
    at_once = {"at_least": 0, "window": 1, "min_episodes": 0, "max_episodes": 1}
    phases = [
        phase.model_copy(update={"until": phase.until and phase.until.model_copy(update=at_once)})
        for phase in curriculum.phases
    ]
    curriculum = curriculum.model_copy(update={"phases": tuple(phases)})
    config = build_run_config(name="x", env=env, seed=1, episodes=9, curriculum=curriculum, recipe=recipe_for(env))
    assert (config.policy.memory, config.ppo.sequence_steps) == ("gru", config.ppo.rollout_steps)
    sizes = {"environments": 2, "rollout_steps": 128, "minibatch": 128, "epochs": 1}
    config = config.model_copy(
        update={"ppo": config.ppo.model_copy(update=sizes), "evaluation": EvaluationConfig(episodes=0)}
    )
    recorder = Recorder(tmp_path)
    assert train(config, curriculum=curriculum, hooks=recorder) is Outcome.COMPLETED
    assert [*dict.fromkeys(episode.phase for episode in recorder.episodes)] == [
        f"size-{size}" for size in (5, 7, 9, 11)
    ]
    worlds = [make_environment(setup_at(EnvironmentSetup(env), curriculum, phase)).unwrapped for phase in range(4)]
    assert [world.width for world in worlds] == [5, 7, 9, 11]
