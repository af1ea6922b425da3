"""Environments stepped one after another, as one batch of flat observations; problems are errors of one sentence."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from v3core.environments import faults
from v3core.environments.action_space import IN_INFO, mask_method, mask_writer
from v3core.environments.describe import describe_seen
from v3core.environments.encode import encoder
from v3core.environments.episode_facts import Fact, facts_of
from v3core.environments.faults import RESET, STEP, reward_of, step_result, truth_of
from v3core.environments.make import is_minigrid, make_environment, without_order_enforcing
from v3core.environments.state_words import scenario_of
from v3core.environments.tasks import TaskEnvironment, seeds_of_tasks
from v3core.environments.types import EnvironmentSpec
from v3core.environments.unfinished import History, UnfinishedEpisode, generator_state, plain
from v3core.errors import V3Error
from v3core.interruption import Interrupted, never, raise_if
from v3core.messages import _


class EnvironmentFailureError(V3Error):
    """An environment raised during training, or returned something outside its spaces."""


class ReplayError(V3Error):
    """An unfinished episode cannot be played again, or did not go as it went before."""


@dataclass(frozen=True)
class Steps:
    """The results of one step of every environment, [count] each."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    finals: dict[int, NDArray[Any]]
    """Environment to the flat last observation of an episode that this step ended."""
    successes: dict[int, bool]
    """Environment to whether that episode was a success, where the environment says so."""
    tasks: dict[int, str]
    """Environment to the task of that episode, where it is one of several."""
    facts: dict[int, dict[str, Fact]]
    """Environment to the facts of that episode, where it has any of those that are asked for."""


def seeds_of(count: int, *seeds: int, tasks: int = 0, first: int = 0) -> list[int]:
    """What each of `count` environments is reset with.

    With several `tasks`, so that they take turns: environment i begins with task (first + i) modulo `tasks`.
    """
    found: list[int] = np.random.SeedSequence(seeds).generate_state(count).tolist()
    return seeds_of_tasks(found, tasks, first) if tasks else found


class EnvironmentBatch:
    """N environments of one kind. The step that ends an episode already begins the next one.

    Arrays that `step` returns, `observations` and `masks` are written over by the next step.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        count: int,
        *seeds: int,
        interrupted: Callable[[], bool] = never,
        resets: Sequence[int] | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Create `count` environments and reset each with its own seed; EnvironmentFailureError if one cannot be reset.

        All randomness is decided by `seeds`; batches of neighbouring seeds share no environment's seed. With `resets`
        each is reset with the one given. `facts`: names of what is recorded of an episode's end, and their
        paths in `info`. Raises Interrupted, and closes those made by then, if `interrupted` returns true before one is
        created.
        """
        self._spec = spec
        self._envs: list[gymnasium.Env[Any, Any]] = []
        self._action_spaces: list[gymnasium.Space[Any]] = []
        self.observations = np.zeros((count, spec.graph.size), dtype=spec.graph.dtype)
        """What the next actions are for, [count, size]."""
        self.masks: NDArray[np.bool_] | None = None
        """Which actions the next ones may be, [count, mask size]; None as long as no environment gives a mask."""
        self.scenarios = [""] * count
        """The scenario of each episode in progress, where the environment names one; see `scenario_of`."""
        self._rows = list(self.observations)
        self._rewards = np.zeros(count)
        self._terminated = np.zeros(count, dtype=np.bool_)
        self._truncated = np.zeros(count, dtype=np.bool_)
        self._steps = 0
        self._encode = encoder(spec.graph)
        self._obeys_masks = spec.obeys_masks
        self._write_mask = mask_writer(spec.actions)
        self._mask_methods: list[Callable[[], Any] | None] = []
        self._info_keys: set[str] = set()
        self._history: History | None = None
        self._facts = facts or {}
        self._seeds = seeds_of(count, *seeds) if resets is None else list(resets)
        try:
            for number, seed in enumerate(self._seeds):
                raise_if(interrupted)
                self._envs.append(without_order_enforcing(make_environment(spec.environment)))
                self._mask_methods.append(mask_method(self._envs[-1]) if self._obeys_masks else None)
                self._action_spaces.append(self._envs[-1].action_space)
                self._reset(number, seed)
        except BaseException:
            self.close()
            raise
        self._unwrapped = [env.unwrapped for env in self._envs]
        self._says_success = is_minigrid(self._envs[0])
        self.odd_end: str | None = None
        """A sentence, once an episode's end said something of its success or its facts that does not count."""

    @property
    def seeds(self) -> list[int]:
        """What each environment was reset with at first."""
        return list(self._seeds)

    def task_of(self, number: int) -> str | None:
        """The task of the episode in progress in an environment, where it is one of several."""
        env = self._envs[number]
        return env.task_name if isinstance(env, TaskEnvironment) else None

    def sees(self) -> str:
        """What the policy sees and obeys of these environments, and what is not used."""
        return describe_seen(self._envs[0], self._spec, self._info_keys)

    def reset_again(self) -> None:
        """Reset each environment with the seed that it was reset with at first."""
        for number, seed in enumerate(self._seeds):
            self._reset(number, seed)

    def keep_history(self) -> None:
        """From now on keep what `unfinished` needs. Call before the first step."""
        assert not self._steps
        self._history = History(self._seeds)
        self.bookmark()

    def bookmark(self) -> None:
        """Make `unfinished` return the current moment."""
        assert self._history is not None
        generators = [generator_state(env) for env in self._unwrapped]
        self._history.bookmark(self.observations, self._rewards, generators, self.masks)

    def unfinished(self) -> list[UnfinishedEpisode]:
        """The episodes that were in progress at the latest bookmark, one per environment."""
        assert self._history is not None
        return self._history.unfinished()

    def replay(self, episodes: Sequence[UnfinishedEpisode], interrupted: Callable[[], bool] = never) -> None:
        """Bring environments that were just made to where others of their kind were, and keep their history.

        Each of `episodes`, one per environment, is started and played again, and must then show the same observation,
        last reward and state of the environment's generator, bit for bit. Otherwise a ReplayError says why, in half a
        sentence, and new environments must be made; likewise if Interrupted is raised, checked before every step.
        """
        assert not self._steps
        for number, (episode, _env) in enumerate(zip(episodes, self._envs, strict=True)):
            self._replay(number, episode, interrupted)
        self._history = History.in_progress(episodes)
        self.bookmark()

    def step(self, actions: NDArray[Any]) -> Steps:
        """Step every environment with its own action, [count, components].

        EnvironmentFailureError if one raises, or returns what is not in its spaces. Rewards and observations that are
        not finite are passed on: the caller must check.
        """
        self._steps += 1
        if self._history is not None:
            self._history.add(actions)
        finals: dict[int, NDArray[Any]] = {}
        successes: dict[int, bool] = {}
        tasks: dict[int, str] = {}
        facts: dict[int, dict[str, Fact]] = {}
        encode, rows, rewards = self._encode, self._rows, self._rewards
        for number, (env, action) in enumerate(
            zip(self._envs, self._spec.actions.to_environment(actions), strict=True)
        ):
            try:
                observation, reward, terminated, truncated, info = step_result(env.step(action))
                rewards[number] = reward if isinstance(reward, float) else reward_of(reward)
                if type(terminated) is not bool:
                    terminated = truth_of(terminated, "terminated")
                if type(truncated) is not bool:
                    truncated = truth_of(truncated, "truncated")
                self._terminated[number], self._truncated[number] = terminated, truncated
                encode(observation, rows[number])
                if self._steps == 1 and info:
                    self._info_keys.update(info)
                if terminated or truncated:
                    self._info_keys.update(info)
                    finals[number] = rows[number].copy()
                    success = self._success(info, terminated, float(rewards[number]))
                    if success is not None:
                        successes[number] = success
                    if self._facts:
                        facts[number], odd = facts_of(info, self._facts)
                        self.odd_end = self.odd_end or (odd and f"{STEP}: {odd}")
                    if (task := self.task_of(number)) is not None:
                        tasks[number] = task
                elif self.masks is not None or (info and self._obeys_masks and IN_INFO in info):
                    self._take_mask(number, info)  # that of an episode's end is never acted on
            except KeyboardInterrupt:
                raise
            except BaseException as problem:  # an environment's own code may raise anything, SystemExit too
                raise self._failure(number, _("step {steps}", steps=self._steps), STEP, problem) from problem
            if terminated or truncated:
                if self._history is not None:
                    self._history.begin(number, generator_state(self._unwrapped[number]))
                self._reset(number)
        return Steps(self._rewards, self._terminated, self._truncated, finals, successes, tasks, facts)

    def close(self) -> None:
        """Close the environments; their exceptions are ignored."""
        for env in self._envs:
            try:
                env.close()
            except (Exception, SystemExit):
                continue

    def _reset(self, number: int, seed: int | None = None) -> None:
        try:
            env = self._envs[number]
            observation, info = faults.reset_result(env.reset(seed=seed))
            self._encode(observation, self._rows[number])
            faults.check_action_space(self._action_spaces[number], env.action_space)
            self.scenarios[number] = scenario_of(env, info)
            if seed is not None:
                self._info_keys.update(info)
            if self._obeys_masks:
                self._take_mask(number, info)
        except KeyboardInterrupt:
            raise
        except BaseException as problem:
            where = _("reset after step {steps}", steps=self._steps) if self._steps else _("its first reset")
            raise self._failure(number, where, RESET, problem) from problem

    def _take_mask(self, number: int, info: dict[str, Any] | None) -> None:
        """Read which actions environment `number` currently allows; all of them if it has no mask."""
        method = self._mask_methods[number]
        mask = method() if method is not None else info[IN_INFO] if info and IN_INFO in info else None
        if mask is None and method is None:
            if self.masks is not None:
                self.masks[number] = True
            return
        if self.masks is None:
            self.masks = np.ones((len(self.observations), self._spec.actions.mask_size), dtype=np.bool_)
        self._write_mask(mask, self.masks[number])

    def _replay(self, number: int, episode: UnfinishedEpisode, interrupted: Callable[[], bool]) -> None:
        env, unwrapped, row = self._envs[number], self._unwrapped[number], self._rows[number]
        if episode.actions is None:
            raise ReplayError("an episode was too long to be replayed")
        if episode.origin is None:
            raise ReplayError("the random generator of the environment cannot be restored")
        try:
            if isinstance(episode.origin, int):
                observation, info = env.reset(seed=episode.origin)
            else:
                unwrapped.np_random.bit_generator.state = episode.origin
                observation, info = env.reset()
            reward: Any = episode.reward
            for action in self._spec.actions.to_environment(episode.actions) if len(episode.actions) else ():
                raise_if(interrupted)
                observation, reward, terminated, truncated, info = env.step(action)
                if terminated or truncated:
                    raise ReplayError("a replayed episode ended early")
            self._encode(observation, row)
            self._rewards[number] = reward_of(reward)
            if self._obeys_masks:
                self._take_mask(number, info)
        except (KeyboardInterrupt, ReplayError, Interrupted):
            raise
        except BaseException as problem:  # an environment's own code may raise anything, SystemExit too
            raise ReplayError("a replayed episode raised {name}", name=type(problem).__name__) from problem
        before = (episode.observation.tobytes(), np.float64(episode.reward).tobytes(), episode.generator)
        after = (row.tobytes(), self._rewards[number].tobytes(), plain(generator_state(unwrapped)))
        if before != after or not _same_mask(episode.mask, None if self.masks is None else self.masks[number]):
            raise ReplayError("a replayed episode diverged")

    def _success(self, info: dict[str, Any], terminated: bool, reward: float) -> bool | None:
        """The success reported by the environment; MiniGrid only rewards success and does not report it."""
        success, odd = faults.success_of(info)
        self.odd_end = self.odd_end or odd
        if success is None and self._says_success:
            return terminated and reward > 0 and math.isfinite(reward)
        return success

    def _failure(self, number: int, where: str, call: str, problem: BaseException) -> EnvironmentFailureError:
        who = _("Environment {env_id}, copy {value},", env_id=self._spec.env_id, value=number + 1)
        return EnvironmentFailureError(
            "{who} failed at {where}: {sentence}.", who=who, where=where, sentence=faults.sentence(call, problem)
        )


def _same_mask(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    """Whether two masks allow the same; None allows everything."""
    if one is None or other is None:
        return all(mask is None or bool(mask.all()) for mask in (one, other))
    return np.array_equal(one, other)
