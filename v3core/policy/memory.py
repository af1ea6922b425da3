"""Memory: gated recurrent units between the scene embedding and what reads it, for environments that hide something.

The unit of Cho et al., 2014 (arXiv:1406.1078), in the form of torch's `nn.GRU`, which the tests compare: with inputs x
and state h, r = σ(W_r x + b_r + U_r h + c_r), z = σ(W_z x + b_z + U_z h + c_z),
n = tanh(W_n x + b_n + r ∘ (U_n h + c_n)), and h' = (1 − z) ∘ n + z ∘ h.

Two units side by side: one for router and experts, one for the value head, which has a readout of its own too. Not
`nn.GRU` itself: it cannot forget in the middle of a sequence, where an episode ends.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

UNITS = 2
"""One for router and experts, one for the value head."""


@dataclass(frozen=True)
class Sequences:
    """How the rows of a batch follow each other in time: they are its places in order, first by step."""

    before: Tensor  # memory before the first step of each sequence, [sequences, size]
    places: Tensor  # whether a sequence has a step there, [steps, sequences]; all have the first
    begins: Tensor  # whether an episode begins at the step, so that nothing is remembered, [steps, sequences]


class Memory(nn.Module):
    """What is remembered of an episode: [..., size], the states of both units side by side; 0 where one begins."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight_input = nn.Parameter(torch.stack([_three(inputs, width) for _ in range(UNITS)]))
        self.bias_input = nn.Parameter(torch.zeros(UNITS, 1, 3 * width))
        self.weight_state = nn.Parameter(torch.stack([_three(width, width) for _ in range(UNITS)]))
        self.bias_state = nn.Parameter(torch.zeros(UNITS, 1, 3 * width))

    @property
    def size(self) -> int:
        """Numbers that are remembered of an episode."""
        return UNITS * self.width

    def forward(self, inputs: Tensor, before: Tensor | Sequences) -> Tensor:
        """States [units, batch, width] after inputs [units, batch, inputs].

        `before` is the memory before each row, [batch, size], or how the rows follow each other.
        """
        projected = torch.baddbmm(self.bias_input, inputs, self.weight_input)
        if not isinstance(before, Sequences):
            return self._next(projected, self.apart(before))
        places = before.places.flatten()
        whole = projected.shape[1] == len(places)
        if not whole:
            padded = projected.new_zeros(UNITS, len(places), projected.shape[2])
            projected = padded.index_copy(1, places.nonzero().squeeze(1), projected)
        continues = (~before.begins).to(projected.dtype).unsqueeze(2)
        found: Tensor = _Unrolled.apply(  # type: ignore[no-untyped-call]
            projected, self.apart(before.before), self.weight_state, self.bias_state, continues
        )
        return found if whole else found[:, places]

    def apart(self, memory: Tensor) -> Tensor:
        """Memory [batch, size] by unit, [units, batch, width]."""
        return torch.stack(torch.split(memory, self.width, 1))

    @staticmethod
    def together(states: Tensor) -> Tensor:
        """The inverse."""
        return torch.cat(states.unbind(0), 1)

    def _next(self, projected: Tensor, state: Tensor) -> Tensor:
        recalled = torch.baddbmm(self.bias_state, state, self.weight_state)
        width = 2 * self.width
        reset, update = (projected[..., :width] + recalled[..., :width]).sigmoid().chunk(2, -1)
        candidate = torch.addcmul(projected[..., width:], reset, recalled[..., width:]).tanh()
        return torch.lerp(candidate, state, update)


class _Unrolled(torch.autograd.Function):
    """States [units, steps · sequences, width] of whole sequences; gradients by hand.

    Autograd would take some thirty small operations for each step, where this takes twelve: `benchmarks/memory.py`.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, first: Tensor, weight: Tensor, bias: Tensor, continues: Tensor) -> Tensor:
        steps, count = continues.shape[:2]
        width = first.shape[2]
        entering = projected.view(UNITS, steps, count, 3 * width)
        before, states = (projected.new_empty(UNITS, steps, count, width) for _ in range(2))
        recalled, gates = torch.empty_like(entering), torch.empty_like(entering)
        reset, update, candidate = torch.split(gates, width, 3)
        state = first
        for step in range(steps):
            # The first memory is as it was when it was acted on: empty already where an episode begins.
            state = torch.mul(state, continues[step] if step else 1, out=before[:, step])
            torch.baddbmm(bias, state, weight, out=recalled[:, step])
            own, given, said = gates[:, step], entering[:, step], recalled[:, step]
            torch.add(given[..., : 2 * width], said[..., : 2 * width], out=own[..., : 2 * width]).sigmoid_()
            torch.addcmul(
                given[..., 2 * width :], reset[:, step], said[..., 2 * width :], out=own[..., 2 * width :]
            ).tanh_()
            state = torch.lerp(candidate[:, step], state, update[:, step], out=states[:, step])
        ctx.save_for_backward(weight, continues, before, gates, recalled[..., 2 * width :])
        return states.flatten(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        weight, continues, before, gates, said = ctx.saved_tensors
        (steps, count), width = continues.shape[:2], before.shape[3]
        gradient = gradient.view(UNITS, steps, count, width)
        reset, update, candidate = torch.split(gates, width, 3)
        to_candidate = (1 - update) * (1 - candidate.square())
        # What the gradient of a state is multiplied by, for each of the three that were recalled from the state before.
        factors = torch.stack(
            (
                to_candidate * said * reset * (1 - reset),
                (before - candidate) * update * (1 - update),
                to_candidate * reset,
            ),
            3,
        )
        of_states, of_recalled = torch.empty_like(gradient), torch.empty_like(factors)
        turned, later = weight.transpose(1, 2), torch.zeros_like(gradient[:, 0])
        for step in reversed(range(steps)):
            own = torch.add(gradient[:, step], later, out=of_states[:, step])
            back = torch.mul(own.unsqueeze(2), factors[:, step], out=of_recalled[:, step])
            later = torch.baddbmm(own * update[:, step], back.flatten(2), turned)
            if step:
                later *= continues[step]
        recalled = of_recalled.view(UNITS, steps * count, 3 * width)
        projected = recalled.clone()
        torch.mul(of_states, to_candidate, out=projected.view_as(gates)[..., 2 * width :])
        of_weight = torch.bmm(before.flatten(1, 2).transpose(1, 2), recalled)
        return projected, later, of_weight, recalled.sum(1, keepdim=True), None


def kept(memory: Tensor | None, ended: Tensor) -> Tensor | None:
    """Memory [batch, size] for the next step: empty after the end of an episode, [batch], and of what is no number.

    An observation that is not finite would otherwise stay in memory until the end of its episode.
    """
    if memory is None:
        return None
    return memory.masked_fill((ended | ~torch.isfinite(memory).all(1)).unsqueeze(1), 0.0)


def in_a_row(memory: Tensor | None, steps: int) -> Sequences | None:
    """A batch that is one sequence: consecutive steps of an episode that has the memory [1, size] before them."""
    if memory is None:
        return None
    inside = torch.zeros(steps, 1, dtype=torch.bool, device=memory.device)
    return Sequences(memory, ~inside, inside)


def _three(inputs: int, outputs: int) -> Tensor:
    """Orthogonal weights [inputs, 3 · outputs] of reset, update and candidate, each by itself."""
    return torch.cat([nn.init.orthogonal_(torch.empty(inputs, outputs)) for _ in range(3)], 1)
