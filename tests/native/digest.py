"""`python -m tests.native.digest LIBRARY`: what a library computes of networks of every kind, as one checksum."""

import ctypes
import hashlib
import sys
from pathlib import Path
from typing import get_args
from unittest import mock

import torch

from tests.native.networks import ACTIONS, COEFFICIENTS, CONFIG, OBSERVATIONS, Case
from v3core.curriculum import Routing, TopKWeights
from v3core.native import library
from v3core.native.layouts import declare
from v3core.policy import Gating
from v3core.training.eager import EagerBackend


def digest(path: Path) -> str:
    """SHA-256 of the outputs, statistics, gradients and moved parameters that the library at `path` computes."""
    loaded, found = ctypes.CDLL(str(path)), hashlib.sha256()
    declare(loaded)
    with mock.patch.object(library, "load", return_value=loaded):
        for number in range(12):
            for tensor in _computed(number):
                found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def _computed(number: int) -> list[torch.Tensor]:
    """Everything of one network; every graph, observation, action, routing and token is in one of twelve."""
    observations, actions = [*sorted(OBSERVATIONS), "mission"], sorted(ACTIONS)
    case = Case(
        observations[number % len(observations)],
        actions[number % len(actions)],
        Gating(
            routing=get_args(Routing)[number // 2],
            temperature=(1.0, 0.01)[number % 2],
            alpha=1.3,
            top_k_weights=get_args(TopKWeights)[number % 3],
            jitter=(0.0, 0.2)[number % 2],
        ),
        number,
        bias=number % 2 == 1,
        graph=("gatv1", "gatv2", "mlp")[number % 3],
        heads=1 + number % 3,
        width=(1 + number % 3) * (4 + number % 5),
        layers=1 + number % 2,
        experts=1 + 3 * number,
        shared_experts=number % 3,
    )
    samples = case.samples(37, masks=number % 2 == 0)
    case.native.prepare()
    found = [*case.native.act(samples.observations, samples.noise)[:3]]
    case.eager.optimizer.lr = 1e-2
    for chosen in torch.randperm(37, generator=case.generator).tensor_split(3):
        found += case.native.gradient_step(samples, chosen, COEFFICIENTS, CONFIG).values()
    # The passes that torch's routing and losses are between.
    EagerBackend.gradient_step(case.native, samples, torch.arange(19), COEFFICIENTS, CONFIG)
    return [
        *found,
        case.eager.parameters.gradient,
        case.eager.parameters.values,
        *case.eager.optimizer.moments.values(),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(digest(Path(sys.argv[1])))
