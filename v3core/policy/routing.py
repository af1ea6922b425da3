"""Router logits to gate weights. A switch, not an architecture: routings have no parameters.

The α-entmax family (Peters et al., 2019, arXiv:1905.05702) is p_i = [(α − 1) z_i − τ]_+^(1/(α − 1)), with τ such that
the row sums to 1: softmax as α → 1, sparsemax (Martins and Astudillo, 2016, arXiv:1602.02068) at α = 2. Between 1 and 2
weak experts get exactly 0, the more of them the larger α is. Not package `entmax`, which the tests hold these against:
they take between a tenth and nine tenths of its time (`benchmarks/routing.py`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from v3core.curriculum import Routing, Settings, TopKWeights

NEARLY_SOFTMAX = 1e-6
"""For α − 1 below it, entmax is softmax to 3e-7: less than single precision shows."""
NEWTON_STEPS = 24
"""Bound on the steps to τ. A Newton step on a decreasing convex f lowers f·f' by 4 or more, from at most E here; so the
bound leaves an error below 1e-12 for 64 experts. In practice 5 or 6 steps do."""


NOISY = ("gumbel", "random")
"""Routings that take noise of the standard Gumbel distribution while training."""


@dataclass(frozen=True)
class Gating:
    """How router logits become gate weights: those settings of a phase that the policy itself uses."""

    routing: Routing = "softmax"
    """softmax, sparsemax, entmax15 (entmax at 1.5), entmax (at `alpha`), topk, gumbel (Gumbel-softmax,
    Jang et al., 2017, arXiv:1611.01144: softmax of (logits + noise) / temperature), or a control without a router:
    uniform, every expert alike, and random, one expert drawn at each step."""
    temperature: float = 1.0  # above 0; lower is sharper
    alpha: float = 1.5  # of `entmax`, in [1, 2]
    top_k: int = 2  # experts that `topk` chooses; more than there are means all
    top_k_weights: TopKWeights = "renormalised"
    """`renormalised`, softmax over the chosen (Mixtral, arXiv:2401.04088); `probabilities`, softmax over all without
    renormalising (Switch, arXiv:2101.03961; DeepSeekMoE, arXiv:2401.06066); `sigmoid`, sigmoid affinities normalised
    over the chosen (DeepSeek-V3, arXiv:2412.19437)."""
    jitter: float = 0.0  # of what the router reads

    @classmethod
    def of(cls, settings: Settings) -> "Gating":
        """Those of a phase."""
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})


def gate_weights(logits: Tensor, gating: Gating, noise: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Gate weights [..., experts] of finite router logits [..., experts]: none negative, each row sums to 1.

    All but `gumbel` take z = logits / temperature. The rows of top-k with weights `probabilities` sum to less than 1.

    Gumbel `noise` has the shape of `logits`; without it `gumbel` is softmax, and `random` uniform. The `bias`
    [experts] is added to the affinities of `topk` for choosing only, never to the weights (DeepSeek-V3).
    """
    routing, temperature = gating.routing, gating.temperature
    if routing == "gumbel" and noise is not None:
        logits = logits + noise
    scaled = logits if temperature == 1 else logits / temperature
    if routing in ("softmax", "gumbel"):
        return torch.softmax(scaled, dim=-1)
    if routing == "uniform" or (routing == "random" and noise is None):
        return torch.full_like(logits, 1 / logits.shape[-1])
    if routing == "random":
        assert noise is not None
        return torch.nn.functional.one_hot(noise.argmax(-1), logits.shape[-1]).to(logits.dtype)
    if routing == "topk":
        chosen = _choose(scaled, gating.top_k, gating.top_k_weights, bias)
        return torch.zeros_like(scaled).scatter(-1, chosen, _weights_of(chosen, scaled, gating.top_k_weights))
    return entmax(scaled, {"sparsemax": 2.0, "entmax15": 1.5, "entmax": gating.alpha}[routing])


def entmax(logits: Tensor, alpha: float) -> Tensor:
    """α-entmax of each row of logits [..., experts], for α in [1, 2]: softmax at 1, sparsemax at 2."""
    if alpha - 1 < NEARLY_SOFTMAX:
        return torch.softmax(logits, dim=-1)
    return _Entmax.apply(logits, alpha)  # type: ignore[no-any-return, no-untyped-call]


def _choose(scaled: Tensor, top_k: int, weights: TopKWeights, bias: Tensor | None) -> Tensor:
    """Indices [..., k] of the k experts with the largest affinity."""
    affinities = scaled.detach()
    if bias is not None:
        affinities = (affinities.sigmoid() if weights == "sigmoid" else torch.softmax(affinities, dim=-1)) + bias
    return affinities.topk(min(top_k, scaled.shape[-1]), dim=-1).indices


def _weights_of(chosen: Tensor, scaled: Tensor, weights: TopKWeights) -> Tensor:
    """Weights [..., k] of the selected experts. None is exactly 0, so that a gate above 0 identifies the selected."""
    if weights == "probabilities":
        found = torch.softmax(scaled, dim=-1).gather(-1, chosen)
    else:
        kept = scaled.gather(-1, chosen)
        # σ(z) / Σ σ(z) by its logarithm: all sigmoids of very low logits would be 0.
        found = torch.softmax(torch.nn.functional.logsigmoid(kept) if weights == "sigmoid" else kept, dim=-1)
    return found.clamp_min(torch.finfo(found.dtype).tiny)


class _Entmax(torch.autograd.Function):
    """α-entmax for α above 1. Its Jacobian is diag(s) − s sᵀ / Σs with s = p^(2 − α) on the support."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        shifted = logits - logits.amax(-1, keepdim=True)
        if alpha == 2:
            gates = _sparsemax(shifted)
        elif alpha == 1.5:
            gates = _entmax15(shifted)
        else:
            gates = _entmax_newton(shifted, alpha)
        ctx.save_for_backward(gates)
        return gates

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (gates,) = ctx.saved_tensors
        if ctx.alpha == 1.5:
            slope = gates.sqrt()
        else:
            slope = (gates > 0).to(gates.dtype)
            if ctx.alpha != 2:
                slope *= gates.pow(2 - ctx.alpha)
        weighted = gradient * slope
        mean = weighted.sum(-1, keepdim=True) / slope.sum(-1, keepdim=True)
        return weighted.addcmul_(slope, mean, value=-1), None


def _sparsemax(shifted: Tensor) -> Tensor:
    """Sparsemax of rows with maximum 0. τ is the largest of (Σ of the k largest − 1) / k over k: no support needed."""
    ordered = shifted.sort(dim=-1, descending=True).values
    counts = torch.arange(1, shifted.shape[-1] + 1, dtype=shifted.dtype, device=shifted.device)
    threshold = ordered.cumsum(-1).sub_(1).div_(counts).amax(-1, keepdim=True)
    return (shifted - threshold).clamp_min_(0)


def _entmax15(shifted: Tensor) -> Tensor:
    """1.5-entmax of rows with maximum 0: algorithm 2 of Peters et al., 2019."""
    halved = shifted / 2
    ordered = halved.sort(dim=-1, descending=True).values
    counts = torch.arange(1, shifted.shape[-1] + 1, dtype=shifted.dtype, device=shifted.device)
    means = ordered.cumsum(-1).div_(counts)
    spread = ordered.square().cumsum_(-1).div_(counts).addcmul_(means, means, value=-1)
    thresholds = means.sub_((1 / counts).sub(spread).clamp_min_(0).sqrt_())
    size = (thresholds <= ordered).sum(-1, keepdim=True)
    return (halved - thresholds.gather(-1, (size - 1).clamp_min_(0))).clamp_min_(0).square_()  # of NaN the size is 0


def _entmax_newton(shifted: Tensor, alpha: float) -> Tensor:
    """α-entmax of rows with maximum 0, by Newton's method on f(τ) = ‖[(α − 1) z − τ]_+‖_p − 1 with p = 1/(α − 1).

    f is decreasing and convex, nearly straight, and not negative at τ = −1; from there the steps approach τ from
    the left and never pass it. In double precision, for p is large when α is near 1.
    """
    power = 1 / (alpha - 1)
    scaled = shifted.double() * (alpha - 1)
    threshold = scaled.new_full((*scaled.shape[:-1], 1), -1.0)
    for _ in range(NEWTON_STEPS):
        base = (scaled - threshold).clamp_min_(0)
        slopes = base.pow(power - 1)
        total = (base * slopes).sum(-1, keepdim=True)
        step = total.sub_(total.pow(1 - 1 / power)).div_(slopes.sum(-1, keepdim=True))
        threshold += step
        # Looking at the result would make an accelerator wait, so only the processor stops early.
        if step.device.type == "cpu" and bool(step.max() < 1e-13):
            break
    gates = (scaled - threshold).clamp_min_(0).pow_(power)
    return gates.div_(gates.sum(-1, keepdim=True)).to(shifted.dtype)
