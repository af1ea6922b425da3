"""Router logits to gate weights. A switch, not an architecture: no routing has parameters of its own."""

import torch
from entmax import sparsemax
from torch import Tensor

from v3core.curriculum import Routing


def gate_weights(logits: Tensor, routing: Routing, temperature: float) -> Tensor:
    """Gate weights [..., experts] of router logits [..., experts]: none negative, each row sums to 1.

    softmax: exp(z/T) normalised; every expert takes part. sparsemax (Martins and Astudillo, 2016, arXiv:1602.02068):
    the nearest point of the simplex to z/T; weak experts get exactly 0.

    Args:
        logits: what the router says.
        routing: `softmax` or `sparsemax`.
        temperature: above 0; lower is sharper.
    """
    scaled = logits / temperature
    if routing == "softmax":
        return torch.softmax(scaled, dim=-1)
    return sparsemax(scaled, dim=-1)  # type: ignore[no-any-return]
