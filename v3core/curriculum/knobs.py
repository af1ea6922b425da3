"""What a phase can set: the names of its settings and the values each may have."""

from dataclasses import dataclass
from typing import Literal

Routing = Literal["softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel"]
"""How router logits become gate weights."""
TopKWeights = Literal["renormalised", "probabilities", "sigmoid"]
"""What the k chosen experts weigh. renormalised: softmax over the chosen logits (Mixtral). probabilities: softmax over
all, the chosen kept as they are (Switch, DeepSeekMoE). sigmoid: affinities normalised over the chosen (DeepSeek-V3)."""
Metric = Literal["return", "length", "success"]
"""What a trigger watches."""
Graph = Literal["gatv1", "gatv2", "mlp"]
"""What stands between the state graph and the router."""

ROUTINGS: tuple[Routing, ...] = ("softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel")
TOP_K_WEIGHTS: tuple[TopKWeights, ...] = ("renormalised", "probabilities", "sigmoid")
METRICS: tuple[Metric, ...] = ("return", "length", "success")

KNOBS = (
    "temperature",
    "lr",
    "alpha",
    "jitter",
    "load_balance",
    "expert_balance",
    "z_loss",
    "diversity",
    "consistency",
    "gate_entropy",
    "bias_speed",
    "entropy",
)
"""Settings that are numbers, and may ramp."""

CHOICES = ("routing", "top_k", "top_k_weights", "env", "env_args")
"""Settings that do not ramp."""

FROM_RECIPE = ("temperature", "lr", "load_balance", "entropy")
"""Knobs with a base value in the recipe, so that a factor of it means something."""

MOST_EXPERTS = 64
"""Also the largest `top_k`."""


@dataclass(frozen=True)
class Range:
    """The numbers that a knob may have."""

    low: float = 0.0
    """Smallest."""
    high: float = float("inf")
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
    def words(self) -> str:
        """As in `must be 0 or more`."""
        if self.high == float("inf"):
            return f"greater than {self.low:g}" if self.low_open else f"{self.low:g} or more"
        if not self.low_open and not self.high_open:
            return f"from {self.low:g} to {self.high:g}"
        low = f"greater than {self.low:g}" if self.low_open else f"at least {self.low:g}"
        return f"{low} and below {self.high:g}" if self.high_open else f"{low} and at most {self.high:g}"


RANGES: dict[str, Range] = {
    **dict.fromkeys(KNOBS, Range()),
    "temperature": Range(low_open=True),
    "lr": Range(low_open=True),
    "alpha": Range(1.0, 2.0),
    "jitter": Range(0.0, 1.0, high_open=True),
    "gate_entropy": Range(float("-inf")),
}
"""What each knob may be."""

TITLES: dict[str, str] = {
    "temperature": "Temperature",
    "lr": "Learning rate",
    "alpha": "Entmax alpha",
    "jitter": "Router jitter",
    "load_balance": "Load balance",
    "expert_balance": "Expert balance",
    "z_loss": "Z-loss",
    "diversity": "Diversity",
    "consistency": "Consistency",
    "gate_entropy": "Gate entropy",
    "bias_speed": "Bias speed",
    "entropy": "Entropy bonus",
    "routing": "Routing",
    "top_k": "Top k",
    "top_k_weights": "Top-k weights",
    "env": "Environment",
    "env_args": "Its arguments",
}
"""What people call each setting."""
