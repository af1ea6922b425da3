"""The losses of the routing from states in which experts are off: does their gradient bring these back, as promised?"""

from dataclasses import replace

import pytest
import torch

from tests.native.networks import CONFIG, Case, native_gradient, torch_gradient
from tests.training.conftest import ONE_PHASE
from v3core.config import RunConfig
from v3core.policy import Gating
from v3core.policy.routing import gate_weights
from v3core.training import trainer
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
