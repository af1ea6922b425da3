"""A policy that no longer learns: evaluated, during training on reserved seeds, or loaded from a checkpoint."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from v3core.config import RunConfig
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, EnvironmentSpec, check_environment
from v3core.environments.action_space import mask_writer
from v3core.environments.batch import seeds_of
from v3core.environments.encode import encoder
from v3core.environments.evaluation_seeds import AT_ONCE, EVALUATION_SEED
from v3core.errors import V3Error
from v3core.interruption import never, raise_if
from v3core.messages import _
from v3core.places import local_file
from v3core.policy import Gating, GATMoEPolicy
from v3core.policy.memory import kept
from v3core.training.checkpoint import check_actions, check_import, load_checkpoint
from v3core.training.eager import EagerBackend
from v3core.training.expert_report import StateSample
from v3core.training.hooks import EvaluationEpisode
from v3core.training.native_backend import choose_backend
from v3core.training.optimizer import Adam, FlatParameters
from v3core.training.statistics import ReturnScale
from v3core.training.tape import Tape

MAX_STEPS = 20_000
"""An episode that lasts longer ends there: an environment without a time limit may never end by itself."""
_CONTINUES = torch.zeros(1, dtype=torch.bool)


@torch.inference_mode()
def evaluate(
    backend: EagerBackend,
    spec: EnvironmentSpec,
    episodes: int,
    seed: int = EVALUATION_SEED,
    *,
    sampled: bool = False,
    interrupted: Callable[[], bool] = never,
    sample: StateSample | None = None,
    tape: Tape | None = None,
    resets: Sequence[int] | None = None,
    at_once: int = AT_ONCE,
    alike: int = 1,
) -> tuple[EvaluationEpisode, ...]:
    """Play episodes apart from training in the routing that the policy is set to: no routing noise, no learning.

    `seed` decides the episodes' beginnings, and all chance in them; several environments at once take turns. Actions
    are `sampled`, as in training, or the most likely ones. `interrupted` is checked before every step, and between the
    creation of two environments. States are offered to `sample`, and all that happens is recorded on `tape`. `resets`
    is what the environment of each episode is reset with, in place of what follows from `seed`. `at_once` environments
    are stepped side by side; they are in `alike` equal parts with the same chance in their actions.

    Raises:
        V3Error: if the environment fails.
        Interrupted: if `interrupted()` was true.
    """
    played: list[EvaluationEpisode] = []
    policy = backend.policy
    backend.prepare()
    device = policy.router.weight.device
    for first in range(0, episodes, at_once):
        count = min(at_once, episodes - first)
        if resets is not None:
            own = resets[first : first + count]
        else:
            own = seeds_of(count, seed, first // at_once, tasks=len(spec.environment.tasks), first=first)
        envs = EnvironmentBatch(spec, count, seed, first // at_once, interrupted=interrupted, resets=own)
        generator = torch.Generator(device).manual_seed(seed + first)
        try:
            returns, lengths = np.zeros(count), np.zeros(count, dtype=np.int64)
            ended: dict[int, EvaluationEpisode] = {}
            memory = policy.blank_memory(count)
            if sample is not None:
                sample.name(envs.scenarios, first=first)
            if tape is not None:
                tape.begin(envs.seeds, first=first)
            while len(ended) < count:
                raise_if(interrupted)
                masks = None if envs.masks is None else torch.from_numpy(envs.masks).to(device)
                if sample is not None:
                    step = int(lengths[0])
                    sample.offer(envs.observations, envs.masks, memory, first=first, step=step, over=ended)
                noise = policy.actions.noise((count // alike,), generator) if sampled else None
                if noise is not None and alike > 1:
                    noise = torch.cat([noise] * alike)
                acted = backend.act(torch.from_numpy(envs.observations).to(device), memory=memory)
                chosen = policy.actions.to_environment(backend.choose(acted, masks, noise)).cpu().numpy()
                if tape is not None:
                    tape.act(envs.observations, acted, chosen, envs.masks)
                taken = envs.step(chosen)
                if tape is not None:
                    tape.reward(taken.rewards)
                memory = kept(acted.memory, torch.from_numpy(taken.terminated | taken.truncated).to(device))
                returns += taken.rewards
                lengths += 1
                cut = range(count) if lengths[0] == MAX_STEPS else ()
                for env in {*taken.finals, *cut} - ended.keys():
                    success = taken.successes.get(env)
                    ended[env] = episode = EvaluationEpisode(
                        number=first + env + 1,
                        return_=float(returns[env]),
                        length=int(lengths[env]),
                        success=None if success is None else float(success),
                        task=taken.tasks.get(env) or envs.task_of(env),
                    )
                    if tape is not None:
                        how = "terminated" if taken.terminated[env] else "truncated" if env in taken.finals else "cut"
                        tape.end(env, episode, taken.finals.get(env, envs.observations[env]), how)
            played += [ended[env] for env in range(count)]
        finally:
            envs.close()
    return tuple(played)


class TrainedPolicy:
    """A trained policy with the routing it ended with: `policy(observation)` is the action to take.

    Which curriculum made it no longer matters: the routing is fixed, there is no noise, and the network is the same.

    A policy with memory (`memory: gru`) remembers what it has seen since the last `reset()`, so that belongs at the
    beginning of every episode; without memory it does nothing. To play several episodes by turns, keep the `memory` of
    each and set it before the call.
    """

    def __init__(
        self,
        config: RunConfig,
        spec: EnvironmentSpec,
        network: GATMoEPolicy,
        episode: int,
        reward_scale: float | None = None,
    ) -> None:
        self.config = config
        """Of the run that made it."""
        self.spec = spec
        """Its observations and actions."""
        self.network = network.eval()
        """The network itself, for a look inside."""
        self.episode = episode
        """Complete training episodes when the checkpoint was written."""
        self.reward_scale = reward_scale
        """What rewards are divided by in its values; None if that is not known."""
        parameters = FlatParameters(self.network)
        self.backend, _ = choose_backend(
            self.network, parameters, Adam(parameters.values, lr=0.0), spec.graph, config.backend or EagerBackend.name
        )
        """What acts with it."""
        self.backend.prepare()
        self._encode = encoder(spec.graph)
        self._row = np.zeros((1, spec.graph.size), dtype=spec.graph.dtype)
        self._input = torch.from_numpy(self._row)
        self._cells_alone = [(part.kind, part.path) for part in spec.graph.parts] == [("grid", ())]
        self._write_mask = mask_writer(spec.actions)
        self._mask = np.ones((1, spec.actions.mask_size), dtype=np.bool_)
        self._memory = self.network.blank_memory(1)

    def reset(self) -> None:
        """Forget everything: an episode begins."""
        self._memory = self.network.blank_memory(1)

    @property
    def memory(self) -> NDArray[np.float32] | None:
        """What is remembered of the episode so far, [size of the memory]; None of a policy without memory."""
        return None if self._memory is None else self._memory[0].numpy().copy()

    @memory.setter
    def memory(self, remembered: NDArray[np.float32] | None) -> None:
        """Continue another episode, with what was `memory` in it.

        Raises:
            ValueError: if that is not of this policy.
        """
        size = None if self._memory is None else self._memory.shape[1]
        if remembered is None or size is None:
            if remembered is not None or size is not None:
                needed = _("none, because it was trained without") if size is None else _("{size} numbers", size=size)
                raise ValueError(
                    _("The memory of this policy is {needed}; set what `memory` was, or call `reset()`.", needed=needed)
                )
            return
        numbers = np.array(remembered, dtype=np.float32)
        if numbers.shape != (size,):
            raise ValueError(
                _(
                    "The memory of this policy is {size} numbers, not an array of shape {shape}.",
                    size=size,
                    shape=numbers.shape,
                )
            )
        self._memory = torch.from_numpy(numbers)[None]

    @torch.inference_mode()
    def __call__(self, observation: Any, action_mask: Any = None) -> Any:
        """The most likely action for one observation, both in the environment's format; with memory, it is remembered.

        Args:
            observation: as returned by the environment; for a MiniGrid the whole observation, even if the policy was
                trained on its cells alone.
            action_mask: the allowed actions, from `info["action_mask"]` or `env.action_masks()`; by default all of
                them.

        Raises:
            ValueError: naming the problem, if either is not in the environment's spaces.
        """
        if self._cells_alone and isinstance(observation, dict):
            observation = observation["image"]
        self._encode(observation, self._row[0])
        if action_mask is not None:
            self._write_mask(action_mask, self._mask[0])
        masks = None if action_mask is None else torch.from_numpy(self._mask)
        acted = self.backend.act(self._input, memory=self._memory)
        self._memory = kept(acted.memory, _CONTINUES)
        chosen = self.network.actions.to_environment(self.backend.choose(acted, masks, None))
        return self.spec.actions.to_environment(chosen.numpy())[0]

    def tape(self) -> Tape:
        """What records episodes that it plays."""
        discount = self.config.ppo.gamma
        return Tape(self.spec.environment, discount=discount, reward_scale=self.reward_scale)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the environments that it was trained on at once are called; none of a single environment."""
        return self.spec.environment.task_names

    def evaluate(
        self, episodes: int = 10, seed: int = EVALUATION_SEED, *, sampled: bool | None = None
    ) -> tuple[EvaluationEpisode, ...]:
        """Play episodes of its environment without routing noise or learning.

        Args:
            episodes: how many, of each environment if it was trained on several at once.
            seed: of all episodes; by default that of every run's evaluations.
            sampled: sample the actions instead of taking the most likely one; by default as in the run's evaluations.
        """
        drawn = self.config.evaluation.sampled if sampled is None else sampled
        return evaluate(self.backend, self.spec, episodes * max(1, len(self.tasks)), seed, sampled=drawn)


def load_policy(path: str | Path, *, imports: Collection[str] | None = None) -> TrainedPolicy:
    """The policy of a checkpoint, on the CPU. The environment must be installed: its spaces shape the network.

    The environment that it plays in, with its arguments and wrappers, is `make_environment(policy.spec.environment)` of
    `v3core.environments`. For those of Gymnasium and MiniGrid what `gymnasium.make` returns will do; NetHack and
    MiniHack observe something else there.

    Args:
        path: the file, or the URL of one in a bucket.
        imports: environments of the form `module:Env-v0` and wrappers of the form `module:Class`, which import code,
            that it may name; None for any.

    Raises:
        V3Error: naming the file, if it is missing, cut short, not a checkpoint, or carries code.
    """
    path = local_file(path)
    state = load_checkpoint(path)
    try:
        config = RunConfig.model_validate_json(state["config"])
        environment = EnvironmentSetup(state["env"], state.get("env_args", {}), config.wrappers, config.view)
        if imports is not None:
            check_import(path, environment, imports)
        spec = check_environment(environment, allow_import=True)
        check_actions(path, state, spec.actions)
        network = GATMoEPolicy(spec, config.policy)
        network.load_state_dict(state["policy"])
        network.gating = Gating(**state["gating"])
        episode = int(state["completed"])
        scale = ReturnScale()
        scale.load_state_dict(state["return_scale"])
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise V3Error(
            "Checkpoint {path} does not contain a complete policy; it is damaged or from another version.", path=path
        ) from None
    torch.set_num_threads(1)  # several threads only get in each other's way on a network this small
    return TrainedPolicy(config, spec, network, episode, scale.scale)
