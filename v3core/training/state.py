"""All state that changes while a run trains, and how it is saved in and loaded from a checkpoint."""

import json
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from v3core.config import RunConfig
from v3core.curriculum import Curriculum, PhaseStart, Progress, Settings, longest_window, next_phase_due
from v3core.curriculum.until import MAX_WINDOW
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentSpec
from v3core.errors import V3Error
from v3core.messages import _
from v3core.native.library import VARIABLE
from v3core.policy import Gating, GATMoEPolicy
from v3core.training.checkpoint import check_actions, continued, load_checkpoint
from v3core.training.eager import EagerBackend
from v3core.training.native_backend import choose_backend
from v3core.training.optimizer import Adam, FlatParameters
from v3core.training.statistics import RecentRouting, ReturnScale

COUNTERS = ("completed", "evaluated", "evaluated_step", "step", "updates", "rollbacks", "failures_in_a_row")
"""Numbers of the state that checkpoints contain unchanged."""
MOST_ON_THE_CPU = 100_000_000
"""Multiply-adds of a minibatch's forward pass up to which one core with the native library is at least as fast as CUDA.

Measured by `benchmarks/devices.py`: a step on a GPU waits for the launches of its many small operations, at any size.
"""


@dataclass(frozen=True)
class Snapshot:
    """Of a `TrainingState`, in memory: copies that nothing writes to."""

    tensors: list[torch.Tensor]  # parameters, buffers and Adam's moments
    uses_bias: bool
    return_scale: dict[str, Any]
    torch_generator: torch.Tensor
    numpy_generator: Mapping[str, Any]
    updates: int


class TrainingState:
    """Policy, optimiser, random generators and counters of one run, seeded from its config."""

    def __init__(self, config: RunConfig, spec: EnvironmentSpec) -> None:
        self.config = config
        self.spec = spec
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.policy = GATMoEPolicy(spec, config.policy)
        self.choose_backend()
        self.return_scale = ReturnScale()
        self.random = np.random.default_rng(config.seed)
        """The source of the order of minibatches."""
        self.completed = 0  # episodes
        self.step = 0  # of the environments, all together
        self.updates = 0  # of PPO, undone ones included
        self.rollbacks = 0  # updates that were undone, or not made, because a number was not finite
        self.failures_in_a_row = 0  # of those, since the last good update
        self.evaluated = self.evaluated_step = 0  # complete episodes and steps at the last evaluation
        self.environment = config.environment
        """The environment of the phase in force."""
        self.last_rollout: tuple[int, int] | None = None
        """Complete episodes and steps before the rollout that the end of the run cuts short; None before that."""
        self.before_end: dict[str, Any] | None = None
        """What a checkpoint of that moment contains, if there is none apart; see `Trainer.keep_before_end`."""
        self.starts: tuple[PhaseStart, ...] = ()
        """Where each phase really began; empty before the first."""
        self.recent: deque[tuple[float, int, float | None]] = deque(maxlen=MAX_WINDOW)
        """Return, length and success (None if unknown) of this phase's newest episodes, for its trigger."""

        self.recent_facts: deque[dict[str, float]] = deque(maxlen=MAX_WINDOW)
        """The same of the numbers among the facts that the environment gave at their ends; empty if none are asked."""

        self.facts_seen: set[str] = set()
        """Names of facts that some episode had."""

        self.recent_routing = RecentRouting()

    def choose_backend(self, continues: str | None = None) -> None:
        """Choose what acts and learns, and on which device, for a policy that the named backend has trained so far.

        Optimiser and random generator are as at the beginning of a run afterwards.

        Raises:
            V3Error: if CUDA is asked for and there is none.
        """
        self._place(device_of(self.config))
        self.backend, self.backend_remarks = choose_backend(
            self.policy, self.parameters, self.optimizer, self.spec.graph, continues
        )
        if self.config.device == "auto" and (remarks := self._reasons_for_cuda(continues)) is not None:
            self._place(torch.device("cuda"))
            self.backend = EagerBackend(self.policy, self.parameters, self.optimizer)
            self.backend_remarks += remarks

    def _reasons_for_cuda(self, continues: str | None) -> list[str] | None:
        """Sentences for the run's history if CUDA is there and faster than what was chosen on the CPU, else None."""
        if self.backend.name == EagerBackend.name:
            return [] if torch.cuda.is_available() else None
        # A run that the library has trained so far continues exactly.
        if continues is not None or os.environ.get(VARIABLE) == "1":
            return None
        work = self.config.ppo.minibatch * self.policy.multiply_adds()
        if work <= MOST_ON_THE_CPU or not torch.cuda.is_available():
            return None
        return [_("CUDA computes the network, because it is too large for the native library to be faster.")]

    def _place(self, device: torch.device) -> None:
        """Move the policy to a device, with an optimiser and a random generator there."""
        self.device = device
        self.policy.to(device)
        self.parameters = FlatParameters(self.policy)
        self.optimizer = Adam(self.parameters.values, lr=self.config.base.lr)
        self.generator = torch.Generator(device).manual_seed(self.config.seed)
        """The source of random actions and routing noise."""

    def phase_due(self, curriculum: Curriculum, progress: Progress) -> bool:
        """Whether the phase in force is over."""
        window = longest_window(curriculum)
        newest = list(self.recent)[-window:] if window else []
        returns, lengths, successes = zip(*newest, strict=True) if newest else ((), (), ())
        facts = list(self.recent_facts)[-window:] if window else []
        return next_phase_due(curriculum, progress, returns=returns, lengths=lengths, successes=successes, facts=facts)

    def apply(self, settings: Settings) -> None:
        """Pass a phase's settings to the modules that use them."""
        self.policy.gating = Gating.of(settings)
        self.environment = self.config.environment.in_phase(settings.env, settings.env_args)
        self.optimizer.lr = settings.lr

    def _tensors(self) -> list[torch.Tensor]:
        """All tensors that learning changes; no copies."""
        return [self.parameters.values.data, *self.policy.buffers(), *self.optimizer.moments.values()]

    @torch.inference_mode(False)
    def snapshot(self) -> Snapshot:
        """What acting and learning change before a rollout is counted, for a rollback."""
        return Snapshot(
            tensors=[tensor.clone() for tensor in self._tensors()],
            uses_bias=self.policy.uses_bias,
            return_scale=self.return_scale.state_dict(),
            torch_generator=self.generator.get_state(),
            numpy_generator=self.random.bit_generator.state,
            updates=self.updates,
        )

    def rollback(self, snapshot: Snapshot) -> None:
        """Be as when the snapshot was taken, to the bit: a rollout that was left in the middle leaves no trace."""
        self.rollback_update(snapshot)
        self.generator.set_state(snapshot.torch_generator)
        self.random.bit_generator.state = snapshot.numpy_generator
        self.updates = snapshot.updates

    @torch.inference_mode(False)  # a rollout may be in progress, whose new tensors the optimiser could not use
    @torch.no_grad()
    def rollback_update(self, snapshot: Snapshot) -> None:
        """Undo what was learned since: a spoilt update leaves no trace, in Adam's moments either."""
        for tensor, kept in zip(self._tensors(), snapshot.tensors, strict=True):
            tensor.copy_(kept)
        self.policy.uses_bias = snapshot.uses_bias
        self.return_scale.load_state_dict(snapshot.return_scale)

    @torch.no_grad()
    def balance_bias(self, gates: torch.Tensor, speed: float) -> None:
        """DeepSeek-V3's balancing without a loss (arXiv:2412.19437): b_i −= γ if overloaded, += γ if underloaded.

        γ is the speed; an expert is overloaded if chosen more often than the mean by the gates as acted [..., experts].
        """
        uses = (gates > 0).flatten(0, -2).float().mean(0)
        self.policy.move_bias(-speed * torch.sign(uses - uses.mean()))

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that loading a checkpoint never runs code."""
        return {
            "config": self.config.model_copy(update={"backend": self.backend.name}).model_dump_json(),
            "env": self.environment.env_id,
            "env_args": dict(self.environment.args),
            "gating": dict(vars(self.policy.gating)),
            "uses_bias": self.policy.uses_bias,
            "policy": {name: value.clone() for name, value in self.policy.state_dict().items()},
            "optimizer": self.optimizer.state_dict(),
            "return_scale": self.return_scale.state_dict(),
            "torch_generator": self.generator.get_state(),
            "numpy_generator": self.random.bit_generator.state,
            "last_rollout": self.last_rollout,
            "before_end": self.before_end,
            **{name: getattr(self, name) for name in COUNTERS},
            "starts": [(start.episode, start.step) for start in self.starts],
            "recent": list(self.recent),
            **({"action_names": list(self.spec.actions.names)} if self.spec.actions.names else {}),
            **self._facts(),
            "routing_in_phase": self.recent_routing.state(),
        }

    def _facts(self) -> dict[str, Any]:
        if not self.config.episode_facts:
            return {}
        return {"recent_facts": list(self.recent_facts), "facts_seen": sorted(self.facts_seen)}

    def load(self, path: Path) -> dict[str, Any]:
        """Continue from a checkpoint; returns its whole content.

        Raises:
            V3Error: naming the file, if it is damaged or belongs to a run of another environment, other actions or
                another network.
        """
        state = continued(load_checkpoint(path), self.config.length)
        check_actions(path, state, self.spec.actions)
        try:
            self.policy.load_state_dict(state["policy"])
            self.choose_backend(json.loads(state["config"]).get("backend") or "eager")
            # A bias that was moved and came back to 0 cannot be seen; checkpoints before tell by its value alone.
            self.policy.uses_bias = state.get("uses_bias", self.policy.uses_bias)
            self.policy.gating = Gating(**state["gating"])
            config = self.config
            self.environment = EnvironmentSetup(state["env"], state.get("env_args", {}), config.wrappers, config.view)
            self.optimizer.load_state_dict(state["optimizer"])
            self.return_scale.load_state_dict(state["return_scale"])
            if json.loads(state["config"])["seed"] == self.config.seed:
                self._continue_generator(state["torch_generator"], state["step"])
                self.random.bit_generator.state = state["numpy_generator"]
            else:  # of the run that this one was forked from
                self.generator.manual_seed(self._seed_at(state["step"]))
                self.random = np.random.default_rng((self.config.seed, state["step"]))
            # The oldest checkpoints came after the last evaluation and do not say when it was; those after them say its
            # episode alone.
            evaluated = state.get("evaluated", state["completed"])
            at = state["step"] if evaluated >= state["completed"] else -1
            counters = {"evaluated": evaluated, "evaluated_step": at, **state}
            for name in COUNTERS:
                setattr(self, name, counters[name])
            if self.config.length.is_reached(self.completed, self.step):
                self.last_rollout, self.before_end = state.get("last_rollout"), state.get("before_end")
            self.starts = tuple(PhaseStart(*start) for start in state["starts"])
            self.recent.extend(tuple(episode) for episode in state["recent"])
            self.recent_facts.extend(state.get("recent_facts", ()))
            # Earlier checkpoints do not say: nothing is reported as missing.
            self.facts_seen = set(state.get("facts_seen", self.config.episode_facts))
            # Those of earlier versions have episodes of all phases as `recent_routing`, and do not say which are whose.
            self.recent_routing.load(state.get("routing_in_phase", ()))
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise V3Error(
                "Checkpoint {path} does not fit this run: it is for another environment or network size.", path=path
            ) from None
        return state

    def _continue_generator(self, kept: torch.Tensor, step: int) -> None:
        """Continue the random numbers of a checkpoint; those of another kind of device cannot be continued."""
        if len(kept) == len(self.generator.get_state()):
            self.generator.set_state(kept)
            return
        self.generator.manual_seed(self._seed_at(step))
        self.backend_remarks.append(
            _(
                "Continues on {device} with other random numbers, because the checkpoint was written on another kind "
                "of device.",
                device=self.device.type,
            )
        )

    def _seed_at(self, step: int) -> int:
        """A seed that follows from the run's and from its environment steps so far."""
        (seed,) = np.random.SeedSequence((self.config.seed, step)).generate_state(1, np.uint64).tolist()
        return int(seed)


def device_name(device: torch.device) -> str:
    """`cpu`, or `cuda:` and the name of the GPU."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def device_of(config: RunConfig) -> torch.device:
    """The device that the run asks for; `auto` asks for the CPU first.

    Raises:
        V3Error: if CUDA is asked for and there is none.
    """
    if config.device == "auto":
        return torch.device("cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise V3Error("The run asks for device 'cuda', but CUDA is not available; use 'auto' or 'cpu'.")
    return torch.device(config.device)
