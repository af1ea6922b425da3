"""Remedies that cannot work: held against the gradients that they would have."""

import pytest
import torch

from tests.insight.test_remedies import BASE
from tests.native.networks import torch_gradient
from tests.training.test_collapsed_routing import GATINGS, STATES, gradient_of_logits
from v3core.config import EvaluationConfig, PolicyConfig, PPOConfig, Recipe, build_run_config
from v3core.curriculum import Progress, parse, settings_at
from v3core.insight.alarms import RULES
from v3core.insight.alarms.advice import ADAM_EPSILON, ASSUMED_LEAD, advice, in_order, remedies_of_fork, why_not
from v3core.policy import Gating
from v3core.policy.routing import gate_weights
from v3core.training.optimizer import EPSILON

ROUTINGS = GATINGS | {
    "entmax at 1": Gating(routing="entmax", alpha=1.0),
    "uniform": Gating(routing="uniform"),
    "random": Gating(routing="random"),
}


def in_force(gating, **more):
    values = {name: getattr(gating, name) for name in ("routing", "temperature", "alpha", "top_k", "top_k_weights")}
    phase = {"name": "all"} | values | more
    return settings_at(parse(f"{{name: x, phases: [{phase}]}}"), Progress(5, 10), BASE)


def config(balance_on="softmax", sampled=False, **policy):
    return build_run_config(
        name="x",
        env="CartPole-v1",
        seed=1,
        episodes=10,
        curriculum=parse("{name: x, phases: [{name: all}]}"),
        recipe=Recipe(
            name="x",
            match=("*",),
            ppo=PPOConfig(balance_on=balance_on),
            evaluation=EvaluationConfig(sampled=sampled),
            policy=PolicyConfig(**policy),
        ),
    )


@pytest.mark.parametrize("balance_on", ["softmax", "gates"])
@pytest.mark.parametrize("routing", ROUTINGS)
def test_load_balance_is_refused_just_where_no_gradient_reaches_the_experts_that_are_off(routing, balance_on):
    logits, now = STATES["all on one"], in_force(ROUTINGS[routing])
    gradient = gradient_of_logits("load_balance", ROUTINGS[routing], logits, balance_on, torch_gradient)
    assert (why_not("raise_load_balance", now, config(balance_on)) is None) == bool(gradient[1:].any())
    for rule in RULES.values():
        if "raise_load_balance" not in rule.remedies:
            continue
        helps = bool(gradient[1:].any())
        assert ("raise load balance" in advice(rule, now, config(balance_on))) == helps
        assert ("raise_load_balance" in remedies_of_fork(rule, now, config(balance_on))) == helps
        is_forked = ROUTINGS[routing].routing not in ("uniform", "random") and not helps
        assert ("balance_on_softmax" in remedies_of_fork(rule, now, config(balance_on))) == is_forked


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize(("remedy", "factor"), [("raise_temperature", 3), ("lower_temperature", 1 / 3)])
def test_the_temperature_is_refused_just_where_it_does_not_change_who_has_a_gate(routing, remedy, factor):
    """Under top-k with one expert nothing is left for it to do, unless something pulls at the experts that are off."""
    logits, gating = torch.tensor([1.0, 0.8, 0.5, 0.1]), ROUTINGS[routing]
    changed = Gating(**(vars(gating) | {"temperature": factor * gating.temperature}))
    shares = [one / one.sum() for one in (gate_weights(logits, gating), gate_weights(logits, changed))]
    changes = not torch.allclose(*shares)
    free = {"load_balance": 0}
    assert (why_not(remedy, in_force(gating, **free), config()) is None) == changes
    if gating.routing == "topk":
        for knob in ("load_balance", "expert_balance", "bias_speed"):
            assert why_not(remedy, in_force(gating, **free | {knob: 0.1}), config()) is None


@pytest.mark.parametrize("routing", ["softmax", "sparsemax", "topk renormalised"])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.35, 0.25, 0.1])
def test_the_temperature_is_first_just_where_the_gradient_of_balance_is_below_adams_epsilon(routing, temperature):
    """One expert of five is ahead by the assumed lead, and the coefficient is what the remedy would make it."""
    gating = Gating(**(vars(ROUTINGS[routing]) | {"temperature": temperature}))
    logits, now = [ASSUMED_LEAD, 0.0, 0.0, 0.0, 0.0], in_force(gating, load_balance=0.005)
    gradient = 0.01 * gradient_of_logits("load_balance", gating, logits, "softmax", torch_gradient)[1:].abs()
    is_small = bool((gradient < EPSILON).all())
    assert is_small == (temperature <= 0.25)
    for name in ("collapse", "dead_expert", "shared_experts"):
        first, second, _ = in_order(RULES[name], now, config(experts=5))
        assert (first == "raise_temperature", second == "raise_load_balance") == (is_small, is_small)
        assert remedies_of_fork(RULES[name], now, config(experts=5))[0] == first
        said = advice(RULES[name], now, config(experts=5))
        assert ("may be too small" in said) == said.startswith("raise the temperature") == is_small
    assert ADAM_EPSILON == EPSILON
    assert in_order(RULES["entropy_cliff"], now, config(experts=5)) == RULES["entropy_cliff"].remedies


def test_without_balance_the_temperature_is_not_first_where_it_changes_nothing():
    gating = Gating(routing="topk", top_k=1, temperature=0.1)
    assert in_order(RULES["collapse"], in_force(gating, load_balance=0), config())[0] == "raise_load_balance"
    gates = config(balance_on="gates")
    now = in_force(Gating(routing="sparsemax", temperature=0.1))
    assert remedies_of_fork(RULES["dead_expert"], now, gates)[0] == "balance_on_softmax", "what gates are read is first"
    for routing in ("uniform", "random", "gumbel"):
        now = in_force(Gating(routing=routing, temperature=0.1))
        assert in_order(RULES["collapse"], now, config()) == RULES["collapse"].remedies


@pytest.mark.parametrize("routing", ["uniform", "random"])
def test_a_control_without_a_router_is_not_advised_to_change_what_the_router_does(routing):
    for name in ("uniform_routing", "entropy_cliff", "collapse"):
        assert "only another routing" in advice(RULES[name], in_force(Gating(routing=routing)), config())
    assert advice(RULES["high_kl"], in_force(Gating(routing=routing)), config()) == "lower the learning rate"
    assert remedies_of_fork(RULES["return_drop"], in_force(Gating(routing=routing)), config()) == (
        "lower_lr",
        "lengthen_phase",
    )


def test_evaluations_that_sample_are_not_advised_to():
    rule = RULES["evaluation_gap"]
    now = in_force(Gating())
    assert "evaluate with sampled actions" in advice(rule, now, config())
    assert "evaluate with sampled actions" not in advice(rule, now, config(sampled=True))


@pytest.mark.parametrize(("graph", "layers", "fewer"), [("gatv1", 2, True), ("gatv1", 1, False), ("mlp", 2, False)])
def test_fewer_graph_layers_are_advised_only_where_there_are_fewer(graph, layers, fewer):
    said = advice(RULES["over_smoothing"], in_force(Gating()), config(graph=graph, layers=layers))
    assert ("use fewer graph layers" in said) == fewer
