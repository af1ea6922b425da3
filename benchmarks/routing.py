"""Routing: sparsemax and entmax against package `entmax`."""

from collections.abc import Callable

import entmax
import torch
from _bench import Result, compare, main
from torch import Tensor

from v3core.policy.routing import Gating, gate_weights

SHAPES = [(256, 4), (256, 8), (2048, 16)]
PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "sparsemax": (lambda z: gate_weights(z, Gating("sparsemax")), entmax.sparsemax),
    "entmax15": (lambda z: gate_weights(z, Gating("entmax15")), entmax.entmax15),
    "entmax 1.3": (
        lambda z: gate_weights(z, Gating("entmax", alpha=1.3)),
        lambda z: entmax.entmax_bisect(z, alpha=1.3),
    ),
}


def benchmark() -> list[Result]:
    """Forward alone, and forward with backward, on each shape."""
    results = []
    for shape in SHAPES:
        logits, direction = torch.randn(shape), torch.randn(shape)
        leaf = logits.clone().requires_grad_()

        def train(routing: Callable[[Tensor], Tensor], leaf: Tensor = leaf, direction: Tensor = direction) -> None:
            leaf.grad = None
            routing(leaf).backward(direction)

        for name, (ours, peer) in PAIRS.items():
            title = f"{name} [{shape[0]}, {shape[1]}]"
            forward = compare(
                f"{title} forward", lambda f=ours, z=logits: f(z), lambda f=peer, z=logits: f(z), seconds=1
            )
            both = compare(
                f"{title} forward+backward", lambda f=ours, t=train: t(f), lambda f=peer, t=train: t(f), seconds=1
            )
            results += [forward, both]
    return results


if __name__ == "__main__":
    main(benchmark, "Routing: ours, package entmax, ratio")
