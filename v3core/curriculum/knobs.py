"""The settings of a phase, each declared once: title, meaning, allowed values and where it acts.

The fields of `Phase`, `Settings`, `BaseValues` and a recipe's base values, the fields and columns of the editor,
`--set`, the coefficients of the losses, the charts of a curriculum and the table in docs/curricula.md follow from it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from v3core.messages import _

Routing = Literal["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel", "uniform", "random"]
"""How router logits become gate weights; uniform and random ignore them: controls."""
SPARSE: tuple[Routing, ...] = ("sparsemax", "entmax15", "entmax")
"""Whose gates may be 0 and are no softmax. Those of `gumbel` are one, of the logits and their noise."""
WITHOUT_ROUTER: tuple[Routing, ...] = ("uniform", "random")
"""Whose gates are the same whatever the router's logits are."""
TopKWeights = Literal["renormalised", "probabilities", "sigmoid"]
"""Weights of the k selected experts. renormalised: softmax over the selected logits (Mixtral). probabilities: softmax
over all experts, without renormalising (Switch, DeepSeekMoE). sigmoid: affinities normalised over the selected experts
(DeepSeek-V3)."""
Metric = Literal["return", "length", "success"]
"""What a trigger watches."""
Graph = Literal["gatv1", "gatv2", "mlp"]
"""The layers between the state graph and the router."""

ROUTINGS: tuple[Routing, ...] = get_args(Routing)
TOP_K_WEIGHTS: tuple[TopKWeights, ...] = get_args(TopKWeights)
METRICS: tuple[Metric, ...] = get_args(Metric)

MAX_EXPERTS = 64
"""Also the largest `top_k`."""


@dataclass(frozen=True)
class Range:
    """The allowed numbers of a setting, from `low` to `high`; an open end is excluded."""

    low: float = 0.0
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def holds(self, number: float) -> bool:
        """Whether `number` is allowed."""
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return above and below

    @property
    def bounds(self) -> dict[str, Any]:
        """As pydantic's `Field` takes them, such as `{"gt": 0, "le": 1}`."""
        low: dict[str, Any] = {} if self.low == -math.inf else {"gt" if self.low_open else "ge": self.low}
        return low if self.high == math.inf else {**low, "lt" if self.high_open else "le": self.high}

    @property
    def words(self) -> str:
        """As in `must be 0 or more`."""
        if self.low == -math.inf:
            return _("a finite number")
        if self.high == math.inf:
            return _("greater than {low:g}", low=self.low) if self.low_open else _("{low:g} or more", low=self.low)
        if not self.low_open and not self.high_open:
            return _("from {low:g} to {high:g}", low=self.low, high=self.high)
        if self.low_open and self.high_open:
            return _("greater than {low:g} and below {high:g}", low=self.low, high=self.high)
        if self.low_open:
            return _("greater than {low:g} and at most {high:g}", low=self.low, high=self.high)
        return _("at least {low:g} and below {high:g}", low=self.low, high=self.high)


@dataclass(frozen=True)
class Knob:
    """A numeric setting, which can ramp."""

    title: str
    """Shown on pages."""
    meaning: str
    """One sentence."""
    acts: Literal["router", "optimiser", "loss"]
    """Where it acts: `loss` makes it the coefficient of the loss with its name in `training/losses.py`."""
    default: float = 0.0
    """If neither a phase nor the recipe sets it. A loss with coefficient 0 is not computed."""
    allowed: Range = Range()
    from_recipe: bool = False
    """Whether recipes have a base value, which `{times: F}` multiplies."""
    most_in_recipe: float = math.inf
    """The largest base value."""
    source: str = ""
    """The paper or program that it comes from."""
    since: int = 2
    """The first schema version that records its value, and that of its loss."""


def _knob(title: str, meaning: str, acts: Literal["router", "optimiser", "loss"], **more: Any) -> Any:
    knob = Knob(title, meaning, acts, **more)
    return field(default=knob.default, metadata={"knob": knob})


@dataclass(frozen=True, kw_only=True)
class KnobValues:
    """A number for each knob. This is the table of knobs: a new entry declares a knob."""

    temperature: float = _knob(
        _("Temperature"),
        _("Divides the router logits before the routing; lower is sharper."),
        "router",
        default=1.0,
        allowed=Range(low_open=True),
        from_recipe=True,
        since=1,
    )
    lr: float = _knob(
        _("Learning rate"),
        _("Learning rate of Adam."),
        "optimiser",
        default=1e-3,
        allowed=Range(low_open=True),
        from_recipe=True,
        most_in_recipe=1.0,
        since=1,
    )
    alpha: float = _knob(
        _("Entmax alpha"),
        _("For entmax routing: 1 is softmax, 2 is sparsemax."),
        "router",
        default=1.5,
        allowed=Range(1.0, 2.0),
        source="arXiv:1905.05702",
    )
    jitter: float = _knob(
        _("Router jitter"),
        _("During training, router inputs are multiplied by U(1 − jitter, 1 + jitter)."),
        "router",
        allowed=Range(0.0, 1.0, high_open=True),
        source=_("Switch, arXiv:2101.03961"),
    )
    load_balance: float = _knob(
        _("Load balance"),
        _("Coefficient of the load-balance loss, N·Σ fᵢ·Pᵢ."),
        "loss",
        from_recipe=True,
        source=_("Switch, arXiv:2101.03961"),
        since=1,
    )
    expert_balance: float = _knob(
        _("Expert balance"),
        _(
            "Coefficient of the expert-level balance loss, Σ fᵢ·Pᵢ with fᵢ = N/(K·T)·count; without top-k routing "
            "only the largest gate counts (K = 1)."
        ),
        "loss",
        source=_("DeepSeekMoE, arXiv:2401.06066"),
    )
    z_loss: float = _knob(
        _("Z-loss"),
        _("Coefficient of the router z-loss, mean(logsumexp(logits)²)."),
        "loss",
        source=_("ST-MoE, arXiv:2202.08906"),
    )
    diversity: float = _knob(
        _("Diversity"),
        _("Coefficient of the experts' mean pairwise Bhattacharyya coefficient."),
        "loss",
        source=_("ours"),
    )
    consistency: float = _knob(
        _("Consistency"),
        _("Coefficient of the squared change of the gates from one step to the next."),
        "loss",
        source=_("ours"),
    )
    gate_entropy: float = _knob(
        _("Gate entropy"),
        _("Coefficient of the gate entropy: positive values reward spread, negative values sharpness."),
        "loss",
        allowed=Range(-math.inf),
        source=_("ours"),
    )
    bias_speed: float = _knob(
        _("Bias speed"),
        _("Step size per update of the balancing bias, for topk routing."),
        "router",
        source=_("DeepSeek-V3, arXiv:2412.19437"),
    )
    entropy: float = _knob(
        _("Entropy bonus"),
        _("Coefficient of PPO's action-entropy bonus."),
        "loss",
        from_recipe=True,
        source=_("PPO, arXiv:1707.06347"),
        since=1,
    )


KNOBS: Mapping[str, Knob] = {entry.name: entry.metadata["knob"] for entry in fields(KnobValues)}
"""By name, in the order of the table."""
FROM_RECIPE = tuple(name for name, knob in KNOBS.items() if knob.from_recipe)
COEFFICIENTS = tuple(name for name, knob in KNOBS.items() if knob.acts == "loss")
"""Knobs that are the coefficient of the loss with their name."""


@dataclass(frozen=True)
class Choice:
    """A setting that is not a number, or does not ramp; fields as of `Knob`."""

    title: str
    meaning: str
    allowed: tuple[str, ...] | str
    """The allowed names, or a description of the allowed values."""
    default: str
    """If no phase sets it."""
    source: str = ""
    since: int = 2


CHOICES: Mapping[str, Choice] = {
    "routing": Choice(
        _("Routing"),
        _("How router logits become gate weights; uniform and random ignore them: controls."),
        ROUTINGS,
        "softmax",
    ),
    "top_k": Choice(
        _("Top k"),
        _("Number of experts that topk routing selects."),
        _("from 1 to {max_experts}", max_experts=MAX_EXPERTS),
        "2",
    ),
    "top_k_weights": Choice(
        _("Top-k weights"),
        _(
            "Weights of the selected experts. renormalised: softmax over the selected; probabilities: softmax over "
            "all, not renormalised; sigmoid: affinities normalised over the selected."
        ),
        TOP_K_WEIGHTS,
        "renormalised",
        _("Mixtral; Switch, DeepSeekMoE; DeepSeek-V3"),
    ),
    "env": Choice(_("Environment"), _("Environment that the phase trains in."), _("an environment id"), _("the run's")),
    "env_args": Choice(
        _("Env arguments"),
        _(
            "Arguments of the environment, added to the current ones. A phase that sets an environment starts from "
            "the run's arguments if it is the run's environment, otherwise from none."
        ),
        _("such as {size: 8}"),
        _("the run's"),
    ),
}

SETTINGS: Mapping[str, Knob | Choice] = {**KNOBS, **CHOICES}
"""Everything in a phase except its name and its end."""
