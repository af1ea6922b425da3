"""Which remedies cannot work under the settings that a run has, and what is advised instead: pure functions."""

import math

from v3core.config import RunConfig
from v3core.curriculum import Settings
from v3core.curriculum.knobs import SPARSE, WITHOUT_ROUTER
from v3core.insight.alarms.remedies import BALANCE_ON_SOFTMAX, SWITCH_LOAD_BALANCE
from v3core.insight.alarms.rules import (
    EVALUATION_GAP,
    LOWER_TEMPERATURE,
    RAISE_LOAD_BALANCE,
    RAISE_TEMPERATURE,
    Rule,
)
from v3core.messages import _

ADAM_EPSILON = 1e-5
"""As `training.optimizer.EPSILON`, which needs torch."""
ASSUMED_LEAD = 3.0
"""By how much the logit of an expert that is off is assumed to be behind, as logits are not recorded: of two experts, a
softmax at a temperature of 1 still gives it a twentieth."""
OF_ROUTER = ("uniform_routing", "entropy_cliff")
"""Rules about the routing that call for neither balance nor spread."""


def reads_zeros(now: Settings, config: RunConfig) -> bool:
    """Whether the balance losses read gates that may be exactly 0, where their gradient is exactly 0 too."""
    is_softmax = now.routing == "entmax" and now.alpha == 1
    return config.ppo.balance_on == "gates" and now.routing in SPARSE and not is_softmax


def is_too_sharp(now: Settings, config: RunConfig) -> bool:
    """Whether a raised load balance may reach no expert that is off, as its gradient on such a logit is too small.

    It is c·N·p/T, c the coefficient, N the experts, T the temperature and p ≈ exp(−lead/T) the expert's softmax
    (decision 41). Below Adam's ε its steps shrink with it, and other losses decide. Gumbel's noise reaches all.
    """
    if now.routing in (*WITHOUT_ROUTER, "gumbel"):
        return False
    coefficient = 2 * now.load_balance or SWITCH_LOAD_BALANCE
    share = math.exp(-ASSUMED_LEAD / now.temperature)
    return coefficient * config.policy.experts * share / now.temperature < ADAM_EPSILON


def in_order(rule: Rule, now: Settings, config: RunConfig) -> tuple[str, ...]:
    """The remedies of a rule, what is likely to help first."""
    of_both = {RAISE_LOAD_BALANCE, RAISE_TEMPERATURE} <= {*rule.remedies}
    sharp = is_too_sharp(now, config) and not reads_zeros(now, config)
    if not of_both or not sharp or why_not(RAISE_TEMPERATURE, now, config):
        return rule.remedies
    return (RAISE_TEMPERATURE, *(name for name in rule.remedies if name != RAISE_TEMPERATURE))


def why_not(remedy: str, now: Settings, config: RunConfig) -> str | None:
    """Why a remedy does nothing under these settings; None if it may help."""
    of_temperature = remedy in (RAISE_TEMPERATURE, LOWER_TEMPERATURE)
    if remedy != RAISE_LOAD_BALANCE and not of_temperature:
        return None
    if now.routing in WITHOUT_ROUTER:
        return _("Routing {routing} ignores the router, so that this does nothing.", routing=now.routing)
    if remedy == RAISE_LOAD_BALANCE and reads_zeros(now, config):
        return _(
            "The balance losses of this run read the gates, and those of {routing} have no gradient where they are 0: "
            "this brings no dead expert back. A fork can, with ppo.balance_on=softmax.",
            routing=now.routing,
        )
    is_balanced = now.load_balance or now.expert_balance or now.gate_entropy or now.bias_speed
    if of_temperature and now.routing == "topk" and now.top_k == 1 and not is_balanced:
        return _("The temperature does not change which expert top_k 1 chooses, and nothing balances the experts.")
    return None


def remedies_of_fork(rule: Rule, now: Settings, config: RunConfig) -> tuple[str, ...]:
    """The remedies of a rule that may help in a fork, which can change what the balance losses read."""
    remedies = in_order(rule, now, config)
    if rule.remedies and reads_zeros(now, config):
        return tuple(BALANCE_ON_SOFTMAX if name == RAISE_LOAD_BALANCE else name for name in remedies)
    return tuple(name for name in remedies if why_not(name, now, config) is None)


def advice(rule: Rule, now: Settings, config: RunConfig) -> str:
    """What helps, as `Rule.advice` says it, without what cannot."""
    if (RAISE_LOAD_BALANCE in rule.remedies or rule.name in OF_ROUTER) and now.routing in WITHOUT_ROUTER:
        return _("routing {routing} ignores the router, so that only another routing changes this", routing=now.routing)
    if RAISE_LOAD_BALANCE in rule.remedies and reads_zeros(now, config):
        return _(
            "fork it with ppo.balance_on=softmax, or raise the temperature: its balance losses read the gates, which "
            "have no gradient where they are 0"
        )
    if in_order(rule, now, config) != rule.remedies:
        return _(
            "raise the temperature: at {temperature:g} the gradient of load balance may be too small to bring an "
            "expert back, as it is where its logit is {lead:g} behind",
            temperature=now.temperature,
            lead=ASSUMED_LEAD,
        )
    if rule.name == EVALUATION_GAP and config.evaluation.sampled:
        return _("lengthen the phase: evaluations sample actions already")
    if rule.name == "over_smoothing" and config.policy.graph == "mlp":
        return _("its nodes send each other nothing, so that they are alike by what they observe")
    if rule.name == "over_smoothing" and config.policy.layers == 1:
        return _("it has one graph layer, the fewest: a run with policy.graph=mlp sends nothing between nodes")
    return rule.advice
