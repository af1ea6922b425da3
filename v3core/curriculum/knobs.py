"""What a phase can set, each declared once: what it is called, what it means, what it may be and where it acts.

From here follow the fields of `Phase`, `Settings`, `BaseValues` and a recipe's base values, the fields and columns of
the editor, `--set`, the coefficients of the losses, the charts of a curriculum and the table of docs/curricula.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Routing = Literal["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel"]
"""How router logits become gate weights."""
TopKWeights = Literal["renormalised", "probabilities", "sigmoid"]
"""What the k chosen experts weigh. renormalised: softmax over the chosen logits (Mixtral). probabilities: softmax over
all, the chosen kept as they are (Switch, DeepSeekMoE). sigmoid: affinities normalised over the chosen (DeepSeek-V3)."""
Metric = Literal["return", "length", "success"]
"""What a trigger watches."""
Graph = Literal["gatv1", "gatv2", "mlp"]
"""What stands between the state graph and the router."""

ROUTINGS: tuple[Routing, ...] = get_args(Routing)
TOP_K_WEIGHTS: tuple[TopKWeights, ...] = get_args(TopKWeights)
METRICS: tuple[Metric, ...] = get_args(Metric)

MOST_EXPERTS = 64
"""Also the largest `top_k`."""


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may be."""

    low: float = 0.0
    """Smallest."""
    high: float = math.inf
    """Largest."""
    low_open: bool = False
    """The smallest itself is not allowed."""
    high_open: bool = False
    """The largest itself is not allowed."""

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
            return "a finite number"
        if self.high == math.inf:
            return f"greater than {self.low:g}" if self.low_open else f"{self.low:g} or more"
        if not self.low_open and not self.high_open:
            return f"from {self.low:g} to {self.high:g}"
        low = f"greater than {self.low:g}" if self.low_open else f"at least {self.low:g}"
        return f"{low} and below {self.high:g}" if self.high_open else f"{low} and at most {self.high:g}"


@dataclass(frozen=True)
class Knob:
    """A setting that is a number, and may ramp."""

    title: str
    """What people call it."""
    meaning: str
    """One sentence."""
    acts: Literal["router", "optimiser", "loss"]
    """Where: `loss` makes it the coefficient of the loss of its name in `training/losses.py`."""
    default: float = 0.0
    """Where neither a phase nor the recipe says otherwise. A loss with coefficient 0 is not computed."""
    allowed: Range = Range()
    """What it may be."""
    from_recipe: bool = False
    """Whether recipes give a base value, so that a factor of it means something."""
    most_in_recipe: float = math.inf
    """The largest base value."""
    source: str = ""
    """The paper or program that it comes from."""
    since: int = 2
    """The first schema whose episodes have its value, and that of its loss."""


def _knob(title: str, meaning: str, acts: Literal["router", "optimiser", "loss"], **more: Any) -> Any:
    knob = Knob(title, meaning, acts, **more)
    return field(default=knob.default, metadata={"knob": knob})


@dataclass(frozen=True, kw_only=True)
class KnobValues:
    """A number for each knob. This is the table of knobs: a new entry at its place is all that declares one."""

    temperature: float = _knob(
        "Temperature",
        "Router logits are divided by it before the routing; lower is sharper.",
        "router",
        default=1.0,
        allowed=Range(low_open=True),
        from_recipe=True,
        since=1,
    )
    lr: float = _knob(
        "Learning rate",
        "Learning rate of Adam.",
        "optimiser",
        default=1e-3,
        allowed=Range(low_open=True),
        from_recipe=True,
        most_in_recipe=1.0,
        since=1,
    )
    alpha: float = _knob(
        "Entmax alpha",
        "Of routing entmax: 1 is softmax, 2 is sparsemax.",
        "router",
        default=1.5,
        allowed=Range(1.0, 2.0),
        source="arXiv:1905.05702",
    )
    jitter: float = _knob(
        "Router jitter",
        "While training, router inputs are multiplied by U(1 − jitter, 1 + jitter).",
        "router",
        allowed=Range(0.0, 1.0, high_open=True),
        source="Switch, arXiv:2101.03961",
    )
    load_balance: float = _knob(
        "Load balance",
        "Coefficient of the load-balance loss, N·Σ fᵢ·Pᵢ.",
        "loss",
        from_recipe=True,
        source="Switch, arXiv:2101.03961",
        since=1,
    )
    expert_balance: float = _knob(
        "Expert balance",
        "Coefficient of the expert-level balance loss, Σ fᵢ·Pᵢ with fᵢ = N/(K·T)·count; without top-k the largest gate "
        "counts (K = 1).",
        "loss",
        source="DeepSeekMoE, arXiv:2401.06066",
    )
    z_loss: float = _knob(
        "Z-loss",
        "Coefficient of the router z-loss, mean(logsumexp(logits)²).",
        "loss",
        source="ST-MoE, arXiv:2202.08906",
    )
    diversity: float = _knob(
        "Diversity", "Coefficient of the experts' mean pairwise Bhattacharyya coefficient.", "loss", source="ours"
    )
    consistency: float = _knob(
        "Consistency",
        "Coefficient of the squared change of the gates from one step to the next.",
        "loss",
        source="ours",
    )
    gate_entropy: float = _knob(
        "Gate entropy",
        "Coefficient of the gates' entropy: above 0 rewards spread, below 0 sharpness.",
        "loss",
        allowed=Range(-math.inf),
        source="ours",
    )
    bias_speed: float = _knob(
        "Bias speed",
        "Speed of the bias balancing of routing topk, per update.",
        "router",
        source="DeepSeek-V3, arXiv:2412.19437",
    )
    entropy: float = _knob(
        "Entropy bonus",
        "Coefficient of PPO's action-entropy bonus.",
        "loss",
        from_recipe=True,
        source="PPO, arXiv:1707.06347",
        since=1,
    )


KNOBS: Mapping[str, Knob] = {entry.name: entry.metadata["knob"] for entry in fields(KnobValues)}
"""By name, in the order of the table."""
FROM_RECIPE = tuple(name for name, knob in KNOBS.items() if knob.from_recipe)
COEFFICIENTS = tuple(name for name, knob in KNOBS.items() if knob.acts == "loss")
"""Knobs that are the coefficient of the loss of their name."""


@dataclass(frozen=True)
class Choice:
    """A setting that is no number, or does not ramp."""

    title: str
    """What people call it."""
    meaning: str
    """One sentence."""
    allowed: tuple[str, ...] | str
    """What it may be: names to choose among, or that in words."""
    default: str
    """Where no phase says otherwise."""
    source: str = ""
    """The paper or program that it comes from."""
    since: int = 2
    """The first schema whose episodes have it."""


CHOICES: Mapping[str, Choice] = {
    "routing": Choice("Routing", "How router logits become gate weights.", ROUTINGS, "softmax"),
    "top_k": Choice("Top k", "Experts that routing topk chooses.", f"from 1 to {MOST_EXPERTS}", "2"),
    "top_k_weights": Choice(
        "Top-k weights",
        "What the chosen experts weigh. Renormalised: softmax over the chosen; probabilities: softmax over all, the "
        "chosen kept; sigmoid: affinities normalised over the chosen.",
        TOP_K_WEIGHTS,
        "renormalised",
        "Mixtral; Switch, DeepSeekMoE; DeepSeek-V3",
    ),
    "env": Choice("Environment", "Environment id of the phase.", "an environment id", "the run's"),
    "env_args": Choice(
        "Its arguments",
        "Arguments of the environment, added to those in force; a phase that names an environment starts from the "
        "run's if it is the run's id, else from none.",
        "such as {size: 8}",
        "the run's",
    ),
}

SETTINGS: Mapping[str, Knob | Choice] = {**KNOBS, **CHOICES}
"""All that a phase has besides its name and its end."""
