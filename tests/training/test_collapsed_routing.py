"""The losses of the routing from states in which experts are off: does their gradient bring these back, as promised?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.native.networks import CONFIG, Case, native_gradient, torch_gradient
from tests.training.conftest import ONE_PHASE, reported
from v3core.config import RunConfig
from v3core.curriculum import Curriculum, with_boundaries
from v3core.policy import Gating
from v3core.policy.routing import gate_weights
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint, save_checkpoint
from v3core.training.hooks import Edit, Orders
from v3core.training.losses import ROUTING_LOSSES, SPARSE
from v3core.training.trainer import train

STATES = {
    "all on one": [4.0, 0.0, -0.1, -0.2, -0.3],
    "two alive": [4.0, 3.9, 0.0, 0.0, 0.0],
    "ties": [4.0, 4.0, 4.0, 0.0, 0.0],
    "beyond the support": [30.0, 0.0, -1.0, -2.0, -3.0],
}
"""Router logits of every sample."""
GATINGS = {
    "softmax": Gating(),
    "sparsemax": Gating(routing="sparsemax"),
    "entmax15": Gating(routing="entmax15"),
    "entmax": Gating(routing="entmax", alpha=1.7),
    "sharp sparsemax": Gating(routing="sparsemax", temperature=0.5),
    "topk renormalised": Gating(routing="topk", top_k=2),
    "topk probabilities": Gating(routing="topk", top_k=1, top_k_weights="probabilities"),
    "topk sigmoid": Gating(routing="topk", top_k=2, top_k_weights="sigmoid"),
    "gumbel": Gating(routing="gumbel"),
}
PROMISES = ("load_balance", "expert_balance", "gate_entropy")
"""Losses that are to bring experts back. The others have tests of their own below: the z-loss is about the size of
logits, diversity about what experts say, and consistency about gates that flicker, which a gate of 0 does not."""
BOTH = pytest.mark.parametrize("gradient", [torch_gradient, native_gradient])


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """As it ships; a test that computes by torch alone says so."""
    monkeypatch.setenv("V3_NATIVE", "1")


def gradient_of(knob, gating, logits, balance_on, gradient, weight=0.0):
    """Of the logits by one loss alone, [experts], and its norm in each expert.

    The router gives every sample the same logits, but for `weight` times what it reads of the sample.
    """
    case = Case("features", "discrete", gating, 1, experts=len(logits))
    case.policy.router.weight.data.mul_(weight)
    case.policy.router.bias.data.copy_(torch.tensor(logits))
    samples = replace(case.samples(40), advantages=torch.zeros(40), noise=None)
    config = CONFIG.model_copy(update={"balance_on": balance_on})
    owner = case if gradient is native_gradient else case.eager
    terms, _ = gradient(owner, samples, torch.arange(30), {knob: 1.0}, config)
    return case.policy.router.bias.grad.clone(), terms["expert_grad_norms"]


def gradient_of_logits(*arguments, **named):
    return gradient_of(*arguments, **named)[0]


@BOTH
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("routing", GATINGS)
@pytest.mark.parametrize("knob", PROMISES)
def test_a_loss_that_promises_it_raises_every_expert_that_is_off(knob, routing, state, gradient):
    logits = STATES[state]
    found = gradient_of_logits(knob, GATINGS[routing], logits, "softmax", gradient)
    assert found.isfinite().all()
    off = torch.tensor(logits) <= 0
    if GATINGS[routing].routing == "topk":
        off &= gate_weights(torch.tensor(logits), GATINGS[routing]) == 0
    assert (found[off] < 0).all(), "what is minimised falls where the logits of these experts rise"
    assert found.sum().item() == pytest.approx(0, abs=1e-6)  # a softmax does not see a shift of all logits


@BOTH
@pytest.mark.parametrize("routing", SPARSE)
@pytest.mark.parametrize("knob", PROMISES)
def test_sixteen_experts_at_a_low_temperature_are_raised_by_the_softmax_alone(knob, routing, gradient):
    """Six of 16 are off at a temperature of 0.1, by 0.3: three times the temperature."""
    gating = Gating(routing=routing, temperature=0.1)
    logits = [0.05, 0.04, 0.03, 0.02, 0.01, *[0.0] * 5, *[-0.3] * 6]
    assert not gate_weights(torch.tensor(logits), gating)[10:].any()
    assert (gradient_of_logits(knob, gating, logits, "softmax", gradient)[10:] < 0).all()
    assert not gradient_of_logits(knob, gating, logits, "gates", gradient)[10:].any()


@BOTH
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("routing", GATINGS)
def test_the_z_loss_lowers_the_logits_of_the_experts_that_have_the_weight(routing, state, gradient):
    """By 2·logsumexp·softmax, whatever the routing."""
    logits = torch.tensor(STATES[state])
    found = gradient_of_logits("z_loss", GATINGS[routing], STATES[state], "softmax", gradient)
    torch.testing.assert_close(found, 2 * logits.logsumexp(0) * logits.softmax(0), rtol=1e-4, atol=1e-6)


@BOTH
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("routing", GATINGS)
def test_diversity_trains_every_expert_whatever_the_gates(routing, state, gradient):
    of_logits, of_experts = gradient_of("diversity", GATINGS[routing], STATES[state], "softmax", gradient)
    assert not of_logits.any()
    assert (of_experts > 0).all()


@BOTH
@pytest.mark.parametrize("routing", [name for name, gating in GATINGS.items() if gating.routing != "gumbel"])
def test_consistency_acts_on_the_experts_that_flicker(routing, gradient):
    """Not at all on gates that stay; on two experts that take turns; under sparse routing on none that is off."""
    still = gradient_of_logits("consistency", GATINGS[routing], STATES["two alive"], "softmax", gradient)
    assert not still.any()
    logits = [4.0, 3.9, -30.0, -30.0, -30.0]
    found = gradient_of_logits("consistency", GATINGS[routing], logits, "softmax", gradient, weight=1.0)
    assert found.isfinite().all()
    if "topk" not in routing:  # whose two gates may be chosen at every step
        assert found[:2].abs().min() > 1e-5
    if GATINGS[routing].routing in SPARSE:
        assert not found[2:].any()


@BOTH
@pytest.mark.parametrize("routing", [name for name, gating in GATINGS.items() if gating.routing in SPARSE])
@pytest.mark.parametrize("knob", PROMISES)
def test_on_the_gates_they_do_not(knob, routing, gradient):
    """As before version 0.3: the reason for the default."""
    assert not gradient_of_logits(knob, GATINGS[routing], STATES["all on one"], "gates", gradient)[1:].any()


@pytest.mark.parametrize("routing", [name for name, gating in GATINGS.items() if gating.routing not in SPARSE])
@pytest.mark.parametrize("knob", ROUTING_LOSSES)
def test_other_routings_have_one_answer(knob, routing):
    both = [
        gradient_of_logits(knob, GATINGS[routing], STATES["two alive"], balance_on, torch_gradient)
        for balance_on in ("softmax", "gates")
    ]
    assert torch.equal(*both)


COLLAPSED = {4: [3.0, 0.0, 0.0, 0.0], 16: [*[0.0] * 10, *[-0.3] * 6]}
"""Router logits by the number of experts: one has everything, or ten of sixteen."""


class FromCollapse(trainer.TrainingState):
    """A run whose router begins with experts that are off."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        with torch.no_grad():
            self.policy.router.weight.zero_()
            self.policy.router.bias[:] = torch.tensor(COLLAPSED[len(self.policy.router.bias)])


@pytest.mark.parametrize(("balance_on", "recovers"), [("softmax", True), ("gates", False)])
@pytest.mark.parametrize(
    ("experts", "temperature", "balance", "lr", "off"), [(4, 1.0, 0.05, 0.01, 3), (16, 0.1, 0.02, 0.003, 6)]
)
def test_a_run_recovers_from_a_collapse_under_sparsemax_by_the_softmax_only(
    small_run, recorder, monkeypatch, experts, temperature, balance, lr, off, balance_on, recovers
):
    monkeypatch.setattr(trainer, "TrainingState", FromCollapse)
    phase = {"name": "one", "routing": "sparsemax", "temperature": temperature, "load_balance": balance, "lr": lr}
    sizes = {"environments": 4, "rollout_steps": 64, "minibatch": 64, "epochs": 6, "balance_on": balance_on}
    config = small_run(episodes=100, experts=experts, curriculum=ONE_PHASE | {"phases": [phase]}, **sizes)
    hooks = recorder()
    train(config, curriculum=config.curriculum, hooks=hooks)
    assert hooks.episodes[9].recent_dead_experts == off
    if recovers:
        assert hooks.episodes[-1].recent_dead_experts == 0
    else:
        assert hooks.episodes[-1].recent_dead_experts >= off


SOFT_THEN_HARD = [
    {"name": "soft", "until": {"episode": 30}, "routing": "softmax", "lr": {"times": 1e-9}},
    {"name": "hard", "routing": "sparsemax", "temperature": 1.0, "lr": {"times": 1e-9}},
]


def windows(episodes):
    """Dead experts of each episode's window, from the loads and lengths of the episodes alone."""
    found = []
    for place, last in enumerate(episodes):
        own = [one for one in episodes[: place + 1] if one.phase == last.phase and one.phase_steps == one.length][-100:]
        steps = np.array([one.length for one in own])
        loads = np.array([one.loads for one in own]).T @ steps / steps.sum() if len(own) else np.ones(4)
        found.append(int((loads < 0.01).sum()) if len(own) >= 10 else None)
    return found


@pytest.fixture
def soft_then_hard(small_run, recorder, monkeypatch):
    """Trains four experts of which three have 4 % each in the first phase, and nothing in the second."""
    monkeypatch.setattr(trainer, "TrainingState", FromCollapse)
    config = small_run(
        episodes=150, curriculum={"name": "two", "phases": SOFT_THEN_HARD}, environments=4, rollout_steps=64
    )

    def run(orders=None, checkpoint=None):
        hooks = recorder(orders)
        train(config, curriculum=config.curriculum, hooks=hooks, checkpoint=checkpoint)
        return hooks

    return run


def test_experts_that_die_at_a_boundary_are_dead_in_the_first_window_of_the_phase(soft_then_hard):
    hooks = soft_then_hard()
    hard = [one for one in hooks.episodes if one.phase == "hard"]
    assert len(hard) > 110
    assert any(one.phase_steps < one.length for one in hard), "one was in progress at the boundary"
    dead = [one.recent_dead_experts for one in hooks.episodes]
    assert dead == windows(hooks.episodes)
    assert set(dead[: -len(hard)]) == {None, 0}
    assert set(dead[-len(hard) :]) == {None, 3}
    assert (
        load_checkpoint(next(path for path, episode, _ in hooks.saved if episode == hard[0].episode - 1))[
            "routing_in_phase"
        ]
        == []
    )


def test_the_window_follows_a_boundary_that_is_moved_while_it_trains(soft_then_hard):
    curriculum = Curriculum.model_validate({"name": "two", "phases": SOFT_THEN_HARD})
    edit = Edit(1, with_boundaries(curriculum, [60]))
    hooks = soft_then_hard(
        lambda hooks: Orders(edits=(edit,) if len(hooks.episodes) > 15 and not hooks.applied else ())
    )
    assert hooks.applied
    assert [one.phase for one in hooks.episodes].index("hard") >= 60
    assert [one.recent_dead_experts for one in hooks.episodes] == windows(hooks.episodes)


def test_the_window_of_a_phase_is_resumed_exactly_and_begins_from_scratch_after_an_older_checkpoint(soft_then_hard):
    whole = soft_then_hard()
    first = soft_then_hard(lambda hooks: Orders(stop=len(hooks.episodes) >= 60))
    path = first.saved[-1][0]
    assert first.episodes[-1].recent_dead_experts == 3
    assert reported(first, soft_then_hard(checkpoint=path))[0] == reported(whole)[0]
    older = load_checkpoint(path)
    del older["routing_in_phase"]
    save_checkpoint(path, older | {"recent_routing": [(500, (0.25,) * 4, 1.0)] * 50})
    found = [one.recent_dead_experts for one in soft_then_hard(checkpoint=path).episodes]
    assert (found[8], found[9], set(found)) == (None, 3, {None, 3})


@pytest.mark.parametrize("backend", ["0", "1"])
def test_a_run_that_was_saved_without_the_setting_continues_on_the_gates(small_run, recorder, monkeypatch, backend):
    """As runs and checkpoints up to version 0.2.0; to the bit."""
    monkeypatch.setenv("V3_NATIVE", backend)
    phase = {"name": "one", "routing": "sparsemax", "load_balance": 0.05, "gate_entropy": 0.01}
    new = small_run(episodes=12, curriculum=ONE_PHASE | {"phases": [phase]})
    assert new.ppo.balance_on == "softmax"
    saved = new.model_dump(mode="json")
    del saved["ppo"]["balance_on"]
    old = RunConfig.model_validate(saved)
    assert RunConfig.model_validate_json(old.model_dump_json()) == old
    assert RunConfig.model_validate_json(new.model_dump_json()) == new
    assert old == new.model_copy(update={"ppo": new.ppo.model_copy(update={"balance_on": "gates"})})
    returns = {}
    for config in (old, new):
        hooks = recorder()
        train(config, curriculum=config.curriculum, hooks=hooks)
        returns[config.ppo.balance_on] = [episode.load_balance_loss for episode in hooks.episodes]
    assert returns["gates"] != returns["softmax"]
