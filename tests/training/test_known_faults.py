"""The sixteen faults of a published implementation of this policy, each looked for from the outside.

Most tests train a tiny run and look at what it recorded or left in its checkpoints, so that they hold however the
trainer is written inside. What is compared with a formula is computed here anew.
"""

import copy
import dataclasses
import itertools
import math
import random
from datetime import UTC, datetime
from unittest.mock import patch

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.charts.made import made_curve
from tests.databases import empty_database
from tests.episode_table import EPISODE_COLUMNS, read_episodes
from tests.training.conftest import Clock
from v3core.charts import schedule
from v3core.charts.compare import compare_figure
from v3core.charts.figures import (
    effective_experts_figure,
    entropy_figure,
    expert_gradients_figure,
    expert_loads_figure,
    return_figure,
    rows_figure,
    success_figure,
)
from v3core.charts.schedule import schedule_figure
from v3core.charts.series import RunSeries
from v3core.config import build_run_config, recipe_for
from v3core.curriculum import (
    KNOBS,
    PhaseStart,
    Progress,
    environments_of,
    load_preset,
    planned_starts,
    preset_names,
    scaled,
    settings_at,
)
from v3core.environments import EnvironmentBatch, check_environment
from v3core.errors import V3Error
from v3core.metrics import COMPARED, LOSSES, NETWORK, UPDATES, EpisodeRecord
from v3core.native import library
from v3core.store.commands import add_revision
from v3core.store.curve import read_series
from v3core.store.opening import open_database
from v3core.store.runs import add_run
from v3core.store.writer import EpisodeWriter
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint
from v3core.training.losses import Samples
from v3core.training.ppo import NonFiniteUpdateError, samples_of, update
from v3core.training.rollout import Collector
from v3core.training.state import TrainingState

ROUTINGS = ["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel"]


def one_phase(**settings):
    return {"name": "only", "phases": [{"name": "one", **settings}]}


def run(config, hooks):
    trainer.train(config, curriculum=config.curriculum, hooks=hooks)
    return hooks


@pytest.fixture
def spied(monkeypatch):
    """Puts a function in the place of `trainer.update`; it is given the true one before the arguments."""

    def spy(function):
        original = trainer.update
        monkeypatch.setattr(trainer, "update", lambda *arguments: function(original, *arguments))

    return spy


@pytest.fixture
def tilted(monkeypatch):
    """Makes the router of every new run prefer some experts: `tilted([…])` is its bias."""

    def tilt(bias):
        class Tilted(TrainingState):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                with torch.no_grad():
                    self.policy.router.bias.copy_(torch.tensor(bias))

        monkeypatch.setattr(trainer, "TrainingState", Tilted)

    return tilt


def registered(name, make):
    """An environment of this name, made by `make()`, for one test."""
    gymnasium.register(name, entry_point=lambda **_: make())
    return name


@pytest.fixture(autouse=True, params=["native", "eager"])
def backend(request, monkeypatch):
    """None of the faults is in either backend."""
    monkeypatch.setenv("V3_NATIVE", str(int(request.param == "native")))
    if request.param == "native":
        try:
            library.load()
        except V3Error as reason:
            pytest.skip(str(reason))
    return request.param


@pytest.fixture(autouse=True)
def registry_as_before():
    """No test leaves an environment behind."""
    before = set(gymnasium.registry)
    yield
    for added in set(gymnasium.registry) - before:
        if added.startswith("Test"):
            del gymnasium.registry[added]


def test_fault_1_sparsemax_is_a_softmax_of_the_top_two(small_run, recorder):
    """Fault 1: with it no episode uses more than 2 of 4 experts, and entropy stays below ln 2."""
    hooks = run(small_run(curriculum=one_phase(routing="sparsemax")), recorder())
    assert all(episode.support > 2.5 for episode in hooks.episodes)
    assert all(episode.routing_entropy > math.log(2) + 0.01 for episode in hooks.episodes)


def test_fault_1_two_experts_at_half_and_two_dead_are_told_apart_from_specialisation(small_run, recorder, tilted):
    """Fault 1: an entropy of 0.693 is not below any threshold; what shows it is counted: 2 dead, 2 effective."""
    tilted([5.0, 5.0, -5.0, -5.0])
    hooks = run(small_run(curriculum=one_phase(routing="sparsemax")), recorder())
    for episode in hooks.episodes:
        assert episode.routing_entropy == pytest.approx(math.log(2), abs=0.05)
        assert episode.dead_experts == 2
        assert episode.effective_experts == pytest.approx(2, abs=0.1)
        assert episode.specialisation < 0.01


@pytest.mark.parametrize("routing", ROUTINGS)
def test_fault_2_the_temperature_is_computed_and_never_read(small_run, recorder, tilted, routing):
    """Fault 2: a low temperature must sharpen the gates that acted, under every routing."""
    tilted([0.2, 0.1, 0.0, -0.1])
    entropy = {}
    for temperature in (0.2, 5.0):
        hooks = run(small_run(curriculum=one_phase(routing=routing, temperature=temperature)), recorder())
        entropy[temperature] = hooks.episodes[0].routing_entropy
    assert entropy[0.2] < entropy[5.0] - 0.01


def test_fault_3_the_phases_learning_rate_is_overwritten(small_run, recorder):
    """Fault 3: under a learning rate too small to move a number in single precision nothing may move."""
    phases = [{"name": "one", "until": {"episode": 6}, "lr": 1e-3}, {"name": "two", "lr": 1e-20}]
    hooks = run(small_run(curriculum={"name": "two", "phases": phases}, environments=1), recorder())
    begin, boundary, *_, end = (load_checkpoint(path)["policy"]["router.weight"] for path, _, _ in hooks.saved)
    assert not torch.equal(begin, boundary)
    assert torch.equal(boundary, end)
    assert [episode.lr for episode in hooks.episodes] == [1e-3] * 6 + [1e-20] * 6


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-Random-5x5-v0"])
def test_fault_4_the_update_runs_without_the_graph(small_run, recorder, env):
    """Fault 4: every parameter, those of the graph network first of all, moves from first to last checkpoint."""
    config = small_run(env, episodes=4, curriculum=one_phase())
    hooks = run(config, recorder())
    first, last = (load_checkpoint(hooks.saved[place][0])["policy"] for place in (0, -1))
    policy = TrainingState(config, check_environment(env, allow_import=False)).policy
    names = [name for name, _ in policy.named_parameters()]
    assert {name.partition(".")[0] for name in names} >= {"tokens", "gat", "readout", "router", "experts", "value"}
    assert not [name for name in names if torch.equal(first[name], last[name])]


def test_fault_4_a_loss_in_use_is_never_always_zero(small_run, recorder):
    """Fault 4: each loss whose coefficient is not 0 shows in the record and in the total."""
    used = dict.fromkeys(["load_balance", "expert_balance", "z_loss", "diversity", "consistency", "gate_entropy"], 0.1)
    hooks = run(small_run(curriculum=one_phase(routing="softmax", entropy=0.1, **used)), recorder())
    for episode in hooks.episodes:
        terms = [
            episode.load_balance_loss,
            episode.expert_balance_loss,
            episode.router_z_loss,
            episode.diversity_loss,
            episode.consistency_loss,
            episode.gate_entropy_loss,
        ]
        assert all(term != 0 for term in terms)
        rest = episode.policy_loss + 0.5 * episode.value_loss - 0.1 * episode.action_entropy
        assert episode.total_loss == pytest.approx(rest + sum(terms), abs=1e-5)


def test_fault_5_advantages_are_computed_over_shuffled_samples(small_run, recorder, spied, clock_env):
    """Fault 5: the value head's targets are those of each environment's own steps, in the order they were made."""
    gamma, lambda_, steps, count = 0.9, 0.8, 13, 2
    first = []

    def look(original, backend, samples, *rest):
        if not first:
            first.append((samples, backend.values(torch.arange(6.0).unsqueeze(1)).tolist()))
        return original(backend, samples, *rest)

    spied(look)
    config = small_run(
        clock_env, environments=count, rollout_steps=steps, gamma=gamma, gae_lambda=lambda_, curriculum=one_phase()
    )
    run(config, recorder())
    samples, value = first[0]
    expected, advantage = [], 0.0
    for step in reversed(range(steps)):
        now = step % 5
        last_of_its_episode = now == 4
        delta = 1 + gamma * value[now + 1] - value[now]
        advantage = delta + (0.0 if last_of_its_episode else gamma * lambda_ * advantage)
        expected.append(advantage + value[now])
    targets = samples.targets.reshape(steps, count)
    for env in range(count):
        assert targets[:, env].tolist() == pytest.approx(expected[::-1], abs=1e-5)


@pytest.mark.parametrize("jitter", [0.0, 0.3])
@pytest.mark.parametrize("routing", ROUTINGS)
def test_fault_6_acting_and_learning_differ_in_noise(small_run, recorder, routing, jitter):
    """Fault 6: at the only gradient step of each rollout gates and probabilities are those that acted."""
    curriculum = one_phase(routing=routing, jitter=jitter, top_k=2)
    config = small_run(curriculum=curriculum, rollout_steps=32, minibatch=64, epochs=1, episodes=20)
    hooks = run(config, recorder())
    for episode in hooks.episodes:
        assert episode.router_shift < 1e-5
        assert abs(episode.approx_kl) < 1e-6
        assert episode.clip_fraction == 0
        assert abs(episode.policy_loss) < 1e-5  # normalised advantages have mean 0, and every ratio is 1


def test_fault_6_no_layer_behaves_otherwise_in_training(small_run):
    """Fault 6: the network has neither dropout nor batch statistics."""
    state = TrainingState(small_run(), check_environment("CartPole-v1", allow_import=False))
    observations = torch.randn(8, 4)
    training, evaluating = (state.policy.train(mode)(observations) for mode in (True, False))
    outputs = [(one, other) for one, other in zip(training, evaluating, strict=True) if one is not None]
    assert len(outputs) == len(training) - 1, "all but the memory, of which there is none"
    assert all(torch.equal(one, other) for one, other in outputs)


class Ending(Clock):
    """Ends at its fifth step: by itself, by a limit, or by both at once."""

    def __init__(self, terminates, truncates):
        super().__init__()
        self._ends = terminates, truncates

    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        over = self._steps == 5
        return observation, reward, over and self._ends[0], over and self._ends[1], info


@pytest.mark.parametrize(("terminates", "truncates"), [(True, False), (False, True), (True, True)])
def test_fault_7_a_time_limit_is_treated_as_an_end(small_run, recorder, spied, terminates, truncates):
    """Fault 7: only an episode that a limit alone cut off is worth what its last observation promises."""
    env = registered("TestEnding-v0", lambda: Ending(terminates, truncates))
    first = []

    def look(original, backend, samples, *rest):
        if not first:
            at_the_end = (samples.observations == 4).flatten()
            first.append((samples.targets[at_the_end].tolist(), backend.values(torch.tensor([[5.0]])).item()))
        return original(backend, samples, *rest)

    spied(look)
    run(small_run(env, gamma=0.9, curriculum=one_phase()), recorder())
    targets, promised = first[0]
    assert len(targets) == 6
    assert abs(promised) > 1e-3
    assert targets == pytest.approx([1.0 if terminates else 1 + 0.9 * promised] * 6, abs=1e-5)


def test_fault_8_the_divergence_takes_logarithms_of_probabilities_twice(small_run):
    """Fault 8: the recorded KL is that of torch's own distributions, of those acted from those learned."""
    state = TrainingState(small_run(experts=2), check_environment("CartPole-v1", allow_import=False))
    count, observations = 20_000, torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        state.policy.experts.weight_out *= 100
        output = state.policy(observations)
        acted = torch.distributions.Categorical(logits=output.outputs.clone())
        torch.manual_seed(0)
        actions = acted.sample()
        log_probs = acted.log_prob(actions)
        state.policy.experts.weight_out *= 1.2
        learns = torch.distributions.Categorical(logits=state.policy(observations).outputs)
    exact = torch.distributions.kl_divergence(acted, learns).mean().item()
    assert exact > 0.001
    nothing = torch.zeros(count)
    samples = Samples(
        observations, actions.unsqueeze(1), log_probs, nothing, nothing, output.gates, None, -torch.ones(count).long()
    )
    config = small_run(minibatch=count, rollout_steps=count // 2, epochs=1).ppo
    found = update(state.backend, samples, {}, config, state.random)
    assert found.approx_kl == pytest.approx(exact, rel=0.1)


class Bonus(gymnasium.Env):
    """Three steps of reward 0 or 1, a last one of 10 and more with word of success; a reset clears the score."""

    played: list[tuple[float, int, bool]]

    def __init__(self, played):
        self.observation_space, self.action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)
        self.played = played

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._score = self._steps = 0
        return np.zeros(2, np.float32), {"is_success": False}

    def step(self, action):
        self._steps += 1
        over = self._steps == 4
        reward = 10.0 + len(self.played) if over else float(action)
        self._score += reward
        success = over and len(self.played) % 2 == 0
        if over:
            self.played.append((self._score, self._steps, success))
        return np.ones(2, np.float32), reward, over, False, {"is_success": success}


def test_fault_9_the_final_score_is_read_after_the_reset(small_run, recorder):
    """Fault 9: what is recorded is what the environment itself summed up, its last reward and its word included."""
    played = []
    env = registered("TestBonus-v0", lambda: Bonus(played))
    hooks = run(small_run(env, environments=1, curriculum=one_phase()), recorder())
    recorded = [(episode.return_, episode.length, bool(episode.success)) for episode in hooks.episodes]
    assert len(recorded) == 12
    assert recorded == played[:12]


@pytest.fixture
def stored(small_run, recorder, tmp_path):
    """A run with every loss and routing setting in use, in a real store: its config, records, and the store."""
    used = dict.fromkeys([knob for knob in KNOBS if knob not in {"lr", "temperature", "alpha"}], 0.01)
    phases = [
        {"name": "one", "until": {"episode": 12}, "routing": "entmax", "alpha": 1.5, **used},
        {"name": "two", "routing": "topk", "top_k": 2, "top_k_weights": "sigmoid"},
    ]
    env = registered("TestBonus-v0", lambda: Bonus([]))
    config = small_run(env, episodes=18, curriculum={"name": "two", "phases": phases})
    hooks = run(config, recorder())
    with empty_database("sqlite", tmp_path) as url:
        db = open_database(url, tmp_path)
        now = datetime.now(UTC)
        with db.write() as tx:
            add_run(tx, "run", config, status="running", now=now)
            add_revision(tx, "run", config.curriculum, actor="user", now=now, applied_episode=0)
        writer = EpisodeWriter(db, "run", generation=0, writable_in={"running"})
        writer.record(hooks.episodes, hooks.step)
        writer.close()
        yield config, hooks.episodes, db
        db.close()


PER_EXPERT = ("loads", "hard_loads", "expert_grad_norms")


def test_fault_10_a_metric_is_watched_that_is_never_logged(stored):
    """Fault 10: every number that training reports is in the store, none of them empty throughout, as it was."""
    _, records, db = stored
    table = read_episodes(db, "run")
    names = {field.name.rstrip("_") for field in dataclasses.fields(EpisodeRecord)}
    assert names == {*EPISODE_COLUMNS, *PER_EXPERT} - {"at"}
    for name in names - {
        *PER_EXPERT,
        "task",
        "facts",
        "situations",
    }:  # tests/store has tests of theirs
        expected = [getattr(record, "return_" if name == "return" else name) for record in records]
        assert any(value is not None and value == value for value in expected), f"{name} is never recorded"
        for found, value in zip(table[name].tolist(), expected, strict=True):
            same = found == value or found == pytest.approx(math.nan if value is None else value, nan_ok=True)
            assert same, (name, found, value)
            assert value is None or found is not None
    for name in PER_EXPERT:
        np.testing.assert_allclose(getattr(table, name), [getattr(record, name) for record in records])


def series_of(config, db):
    starts = (PhaseStart(0, 0), PhaseStart(12, 60))
    return RunSeries("run", read_series(db, "run"), total=config.episodes, starts=starts)


def figures_of(config, series):
    for figure in (return_figure, success_figure, expert_loads_figure, entropy_figure, effective_experts_figure):
        yield figure(series)
    yield expert_gradients_figure(series)
    yield from (rows_figure(series, chart) for chart in (LOSSES, UPDATES, NETWORK))
    with patch.object(schedule, "knobs_in_use", lambda *_: list(KNOBS)):
        yield schedule_figure(series, config.curriculum, config.base.values())
    yield from (compare_figure([series, series], metric=metric) for metric in COMPARED)


def test_fault_10_every_column_of_every_chart_is_recorded(stored):
    """Fault 10: a chart that reads a column which the store does not have would be empty, and nobody reported."""
    config, _, db = stored
    series = series_of(config, db)
    assert len(list(figures_of(config, series))) > len(COMPARED)
    with pytest.raises(KeyError, match="gate_entropies"):
        series.has("gate_entropies")


def test_fault_11_an_undone_update_keeps_the_optimisers_moments(small_run, recorder, spied):
    """Fault 11: after an update full of NaN the next one begins from the policy and the Adam before it."""
    before_each = []

    def poison(original, backend, *rest):
        before_each.append(copy.deepcopy((backend.optimizer.state_dict()["state"], dict(backend.policy.state_dict()))))
        if len(before_each) in {3, 6}:
            with torch.no_grad():
                backend.parameters.values.fill_(math.nan)
                for moment in backend.optimizer.moments.values():
                    moment.fill_(math.nan)
            raise NonFiniteUpdateError
        return original(backend, *rest)

    spied(poison)
    hooks = run(small_run(rollout_steps=8), recorder())
    for bad in (2, 5):
        torch.testing.assert_close(before_each[bad + 1], before_each[bad], rtol=0, atol=0)
    assert len(before_each[2][0]) == 1
    assert hooks.episodes[-1].rollbacks == 2
    last = load_checkpoint(hooks.saved[-1][0])["optimizer"]["state"][0]
    assert all(torch.isfinite(moment).all() for moment in last.values())


def disturb(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@pytest.mark.parametrize("routing", ["sparsemax", "gumbel"])
def test_fault_12_a_run_has_no_seed(small_run, recorder, routing):
    """Fault 12: the seed alone decides a run; nothing that others draw does, nor does the run disturb them."""
    curriculum = one_phase(routing=routing, jitter=0.1)
    records, drawn = [], []
    for seed, noise in ((1, 7), (1, 8), (2, 7)):
        disturb(noise)
        records.append(run(small_run(seed=seed, curriculum=curriculum), recorder()).episodes)
        drawn.append((torch.rand(1).item(), np.random.random(), random.random()))
    assert records[0] == records[1]
    assert records[0] != records[2]
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


def what_is_run(preset):
    """All that a preset makes a run do, but for names: the network, and the settings in use at each per cent."""
    curriculum = scaled(load_preset(preset), 100)
    env = (environments_of(curriculum) or ("CartPole-v1",))[0]
    recipe = recipe_for(env)
    config = build_run_config(name="x", env=env, seed=1, episodes=100, curriculum=curriculum, recipe=recipe)
    starts = planned_starts(curriculum)
    course = []
    for episode in range(100):
        begun = tuple(start for start in starts if start.episode <= episode)
        settings = vars(settings_at(curriculum, Progress(episode, 100, starts=begun), config.base.values())).copy()
        routing = settings["routing"]
        unused = {"phase", "phase_name"} | ({"alpha"} if routing != "entmax" else set())
        unused |= {"top_k", "top_k_weights", "bias_speed"} if routing != "topk" else set()
        course.append(tuple(sorted((name, value) for name, value in settings.items() if name not in unused)))
    return env, config.policy.model_dump_json(), tuple(map(str, course))


def test_fault_13_an_ablation_runs_the_same_command_again():
    """Fault 13: no two presets come to the same run, whatever their names."""
    runs = {preset: what_is_run(preset) for preset in preset_names()}
    assert len(runs) > 10
    for one, other in itertools.combinations(runs, 2):
        assert runs[one] != runs[other], f"{one} and {other} are the same run"


def test_fault_14_a_figure_comes_from_random_numbers(stored):
    """Fault 14: figures of the same recorded run are equal, and show the numbers that were recorded."""
    config, records, db = stored
    twice = [[figure.to_json() for figure in figures_of(config, series_of(config, db))] for _ in range(2)]
    assert twice[0] == twice[1]
    points = return_figure(series_of(config, db)).data[0]
    assert list(points.x) == [record.episode for record in records]
    assert list(points.y) == [record.return_ for record in records]


def test_fault_15_different_episodes_of_two_runs_are_compared():
    """Fault 15: runs of different lengths stand over the same episodes, each at its own episode numbers."""

    def made(name, count):
        return RunSeries(name, made_curve({"return": np.arange(1, count + 1)}), total=500)

    short, long = compare_figure([made("short", 400), made("long", 500)]).data[:2]
    numbers = list(range(1, 501))  # the return is the episode's number
    means = [np.mean(numbers[end - 50 : end]) if end >= 50 else np.nan for end in numbers]
    assert list(short.x) == numbers[:400]
    assert list(long.x) == numbers
    np.testing.assert_allclose(short.y, means[:400])
    np.testing.assert_allclose(long.y, means)


def test_fault_15_a_run_counts_its_episodes_from_one(small_run, recorder):
    """Fault 15: no episode of the warmup is left out of the record."""
    for seed in (1, 2):
        hooks = run(small_run(seed=seed), recorder())
        assert [episode.episode for episode in hooks.episodes] == list(range(1, 13))


def balanced_phases():
    """Each phase of each preset that has a loss for balance and more than one expert to balance, where it ends."""
    cases = []
    for preset in preset_names():
        curriculum = scaled(load_preset(preset), 100)
        env = (environments_of(curriculum) or ("CartPole-v1",))[0]
        recipe = recipe_for(env)
        config = build_run_config(name="x", env=env, seed=1, episodes=100, curriculum=curriculum, recipe=recipe)
        starts = planned_starts(curriculum)
        for place, after in enumerate([*starts[1:], PhaseStart(100, 0)], start=1):
            settings = settings_at(
                curriculum, Progress(after.episode - 1, 100, starts=starts[:place]), config.base.values()
            )
            if config.policy.experts > 1 and (settings.load_balance or settings.expert_balance):
                cases.append(pytest.param(config, settings, id=f"{preset}-{settings.phase_name}"))
    return cases


@pytest.mark.parametrize(("config", "settings"), balanced_phases())
def test_fault_16_the_load_balance_loss_is_negligible(config, settings):
    """Fault 16: where the load is uneven, a preset's own coefficient visibly turns the router's gradient.

    The experts act differently, so the policy's loss has something to say too; what balance adds is compared with it.
    """
    spec = check_environment(config.env, allow_import=False)
    used = settings.coefficients
    gradients = []
    for coefficients in (used, used | {"load_balance": 0.0, "expert_balance": 0.0}):
        state = TrainingState(config, spec)
        state.apply(dataclasses.replace(settings, lr=1e-20))
        with torch.no_grad():
            state.policy.experts.weight_out *= 100
            state.policy.router.bias[0] += 0.7 * settings.temperature
        envs = EnvironmentBatch(spec, 8, 1)
        rollout = Collector(envs, 64, state.backend, state.generator).collect(10_000)
        advantages, targets = np.random.default_rng(0).normal(size=(2, *rollout.ended.shape))
        samples = samples_of(rollout, advantages, targets, state.device)
        ppo = config.ppo.model_copy(update={"minibatch": 512, "epochs": 1, "max_grad_norm": 1e9})
        update(state.backend, samples, coefficients, ppo, state.random)
        gradients.append(state.policy.router.weight.grad.clone())
    with_it, without = gradients
    change = ((with_it - without).norm() / without.norm()).item()
    assert change > 0.05
