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
"""Losses that are to bring experts back. The z-loss is about the size of logits, diversity about what experts say, and
consistency about gates that flicker: a gate of 0 does not."""


def gradient_of_logits(knob, gating, logits, balance_on, gradient):
    """Of one loss alone, by a router that gives every sample the same logits. [experts]"""
    case = Case("features", "discrete", gating, 1, experts=len(logits))
    case.policy.router.weight.data.zero_()
    case.policy.router.bias.data.copy_(torch.tensor(logits))
    samples = replace(case.samples(40), advantages=torch.zeros(40), noise=None)
    config = CONFIG.model_copy(update={"balance_on": balance_on})
    owner = case if gradient is native_gradient else case.eager
    gradient(owner, samples, torch.arange(30), {knob: 1.0}, config)
    return case.policy.router.bias.grad.clone()


@pytest.mark.parametrize("gradient", [torch_gradient, native_gradient])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("routing", GATINGS)
@pytest.mark.parametrize("knob", ROUTING_LOSSES)
def test_a_loss_that_promises_it_raises_every_expert_that_is_off(monkeypatch, knob, routing, state, gradient):
    monkeypatch.setenv("V3_NATIVE", "1")
    logits = STATES[state]
    found = gradient_of_logits(knob, GATINGS[routing], logits, "softmax", gradient)
    assert found.isfinite().all()
    if knob in PROMISES:
        off = torch.tensor(logits) <= 0
        if GATINGS[routing].routing == "topk":
            off &= gate_weights(torch.tensor(logits), GATINGS[routing]) == 0
        assert (found[off] < 0).all(), "what is minimised falls where the logits of these experts rise"
        assert found.sum().item() == pytest.approx(0, abs=1e-6)  # a softmax does not see a shift of all logits


@pytest.mark.parametrize("gradient", [torch_gradient, native_gradient])
@pytest.mark.parametrize("routing", [name for name, gating in GATINGS.items() if gating.routing in SPARSE])
@pytest.mark.parametrize("knob", PROMISES)
def test_on_the_gates_they_do_not(monkeypatch, knob, routing, gradient):
    """As before version 0.3: the reason for the default."""
    monkeypatch.setenv("V3_NATIVE", "1")
    assert not gradient_of_logits(knob, GATINGS[routing], STATES["all on one"], "gates", gradient)[1:].any()


@pytest.mark.parametrize("routing", [name for name, gating in GATINGS.items() if gating.routing not in SPARSE])
@pytest.mark.parametrize("knob", ROUTING_LOSSES)
def test_other_routings_have_one_answer(knob, routing):
    both = [
        gradient_of_logits(knob, GATINGS[routing], STATES["two alive"], balance_on, torch_gradient)
        for balance_on in ("softmax", "gates")
    ]
    assert torch.equal(*both)


class FromCollapse(trainer.TrainingState):
    """A run whose router begins with everything on one expert."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        with torch.no_grad():
            self.policy.router.weight.zero_()
            self.policy.router.bias[:] = torch.tensor([3.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(("balance_on", "dead"), [("softmax", 0), ("gates", 3)])
def test_a_run_recovers_from_a_collapse_under_sparsemax_by_the_softmax_only(
    small_run, recorder, monkeypatch, balance_on, dead
):
    monkeypatch.setattr(trainer, "TrainingState", FromCollapse)
    phase = {"name": "one", "routing": "sparsemax", "temperature": 1.0, "load_balance": 0.05, "lr": 0.01}
    sizes = {"environments": 4, "rollout_steps": 64, "minibatch": 64, "epochs": 6, "balance_on": balance_on}
    config = small_run(episodes=100, curriculum=ONE_PHASE | {"phases": [phase]}, **sizes)
    hooks = recorder()
    train(config, curriculum=config.curriculum, hooks=hooks)
    assert hooks.episodes[9].recent_dead_experts == 3
    assert hooks.episodes[-1].recent_dead_experts == dead


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
