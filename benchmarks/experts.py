"""Experts: eight in two batched products against a loop over modules."""

import torch
from _bench import Result, compare, main
from torch import nn

from v3core.policy.network import Experts

EXPERTS, WIDTH, OUTPUTS = 8, 64, 4


def benchmark() -> list[Result]:
    """The forward pass without gradients, and forward with backward, at the batch of a rollout and of an update."""
    ours = Experts(EXPERTS, WIDTH, WIDTH, OUTPUTS)
    peer = nn.ModuleList(
        nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, OUTPUTS)) for _ in range(EXPERTS)
    )
    results = []
    for batch in (8, 256):
        scene, direction = torch.randn(batch, WIDTH), torch.randn(EXPERTS, batch, OUTPUTS)

        def loop(scene: torch.Tensor = scene) -> torch.Tensor:
            return torch.stack([expert(scene) for expert in peer])

        def inference(call: object) -> None:
            with torch.inference_mode():
                call()  # type: ignore[operator]

        results.append(
            compare(f"batch {batch} forward", lambda s=scene: inference(lambda: ours(s)), lambda f=loop: inference(f))
        )
        results.append(
            compare(
                f"batch {batch} forward+backward",
                lambda s=scene, d=direction: ours(s)[0].backward(d),
                lambda f=loop, d=direction: f().backward(d),
            )
        )
    return results


if __name__ == "__main__":
    main(benchmark, f"{EXPERTS} experts: ours, a loop over modules, ratio")
