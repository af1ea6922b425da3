"""Whether an environment follows Gymnasium's API: it is created, reset and stepped, and every result is checked.

Errors are what training would end on; anything else suspicious is a warning. It runs the environment's code,
which may hang or end the process: `apart.py` runs it in a separate process.
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import faults
from v3core.environments.action_space import IN_INFO, mask_method, mask_writer
from v3core.environments.batch import EnvironmentBatch
from v3core.environments.describe import describe_seen
from v3core.environments.encode import encoder
from v3core.environments.faults import RESET, STEP, Misbehaviour
from v3core.environments.make import is_minigrid, make_or_explain
from v3core.environments.nethack.ids import package_of
from v3core.environments.registry import check_environment, spec_of
from v3core.environments.types import EnvironmentSpec
from v3core.environments.unfinished import generator_state
from v3core.errors import V3Error
from v3core.messages import _

STEPS = 40
"""Steps of each of the three times that an environment is played."""
SEED = 1
_EXACT = _("a resume will not be exact (docs/exactness.md)")
_UNSEEDED = _(
    "returned different observations: its seed does not decide an episode, evaluations are of other episodes each "
    "time, and a resume will not be exact (docs/exactness.md)."
)


@dataclass
class Report:
    """What was found."""

    env: str
    """Id and arguments."""
    fault: str | None = None
    """Why it cannot be trained on, one sentence."""
    warnings: list[str] = field(default_factory=list)
    """What does not keep from training but matters, a sentence each."""
    notes: list[str] = field(default_factory=list)
    """What Gymnasium's own checker recommends."""
    sees: str = ""
    """What the policy sees and obeys of it, and what is not used."""


class _EnoughError(Exception):
    """The time limit of the check has passed."""


Call = Callable[[str], None]
"""Called before each call of the environment's code, with what is called."""


def examine(setup: EnvironmentSetup, *, seconds: float, say: Call) -> Report:
    """Make an environment three times and play each in the same way; checks that remain after `seconds` are skipped."""
    report = Report(str(setup))
    until = time.monotonic() + seconds

    def call(what: str) -> None:
        if time.monotonic() > until:
            raise _EnoughError
        say(what)

    try:
        with _made(setup, call) as (env, spec):
            first = _play(env, spec, report, call)
            again = _play(env, spec, report, call)
        with _made(setup, call) as (env, spec):
            other = _play(env, spec, report, call)
        report.warnings += _repeats(first, again, other)
        if package_of(setup.env_id) is None:  # of these the game inside is not what is trained on
            with _made(setup, call) as (env, spec):
                _ask_gymnasium(env.unwrapped, report, call)
    except _EnoughError:
        report.warnings.append(_("The check ended after {seconds:g} s, before it was complete.", seconds=seconds))
    except V3Error as problem:
        report.fault = str(problem)
    report.warnings = list(dict.fromkeys(report.warnings))
    return report


@contextlib.contextmanager
def _made(setup: EnvironmentSetup, call: Call) -> Iterator[tuple[gymnasium.Env[Any, Any], EnvironmentSpec]]:
    call("its constructor")
    env = make_or_explain(setup)
    try:
        yield env, spec_of(setup, env)
    finally:
        with contextlib.suppress(Exception, SystemExit):  # no matter to a run
            env.close()


def _play(env: gymnasium.Env[Any, Any], spec: EnvironmentSpec, report: Report, call: Call) -> list[bytes]:
    """Reset and step the environment; all that the policy would have seen and earned, moment by moment.

    Raises:
        V3Error: if it does anything that training cannot handle.
    """
    look = _Look(env, spec, report, call)
    random = np.random.default_rng(SEED)
    seen = [look.reset(SEED)]
    for _step in range(STEPS):
        with look.explained(STEP):
            action = _action(env.action_space, look.mask, random)
        seen.append(look.step(action))
        if look.over:
            seen.append(look.reset(None))
    report.sees = describe_seen(env, spec, look.info_keys)
    if generator_state(env.unwrapped) is None:
        report.warnings.append(_("Its np_random is not one of NumPy's generators: {exact}.", exact=_EXACT))
    return seen


class _Look:
    """Calls the environment and checks what it returns."""

    def __init__(self, env: gymnasium.Env[Any, Any], spec: EnvironmentSpec, report: Report, call: Call) -> None:
        self.mask: Any = None
        """What the environment gives as the mask of the next action."""
        self.info_keys: set[str] = set()
        self.over = False
        self._write_mask = mask_writer(spec.actions)
        self._env, self._spec, self._report, self._call = env, spec, report, call
        self._encode = encoder(spec.graph)
        self._action_space = env.action_space
        self._observation_space = env.observation_space

    def reset(self, seed: int | None) -> bytes:
        """The observation as the policy sees it."""
        call = RESET if seed is not None else "reset()"
        self._call(call)
        with self.explained(call):
            observation, info = faults.reset_result(self._env.reset(seed=seed))
            row = self._seen(call, observation)
            self._check_mask(info)
            faults.check_action_space(self._action_space, self._env.action_space)
            if self._env.observation_space != self._observation_space:
                self._report.warnings.append(
                    _("Its observation_space changes with {call}; the first one is used.", call=call)
                )
        self.over = False
        return row

    def step(self, action: Any) -> bytes:
        """Observation, reward and ends."""
        self._call(STEP)
        with self.explained(STEP):
            observation, given, ended, cut, info = faults.step_result(self._env.step(action))
            reward = faults.reward_of(given)
            if why := faults.unusable_reward(reward):
                raise Misbehaviour(
                    _(
                        "{step} returned a reward of {reward:g}, {why}; {remedy_for}",
                        step=STEP,
                        reward=reward,
                        why=why,
                        remedy_for=faults.remedy_for(reward),
                    )
                )
            terminated, truncated = faults.truth_of(ended, "terminated"), faults.truth_of(cut, "truncated")
            row = self._seen(STEP, observation)
            self.over = terminated or truncated
            if self.over and (odd := faults.success_of(info)[1]):
                self._report.warnings.append(odd)
            if not self.over:
                self._check_mask(info)
        return row + np.float64(reward).tobytes() + bytes((terminated, truncated))

    def _check_mask(self, info: dict[str, Any]) -> None:
        self.info_keys.update(info)
        if self._spec.actions.mask_size:
            method = mask_method(self._env)
            self.mask = method() if method is not None else info.get(IN_INFO)
            if self.mask is not None or method is not None:
                self._write_mask(self.mask, np.zeros(self._spec.actions.mask_size, dtype=np.bool_))

    def _seen(self, call: str, observation: Any) -> bytes:
        row = np.zeros(self._spec.graph.size, dtype=self._spec.graph.dtype)
        self._encode(observation, row)
        if not np.isfinite(row).all():
            raise Misbehaviour(
                _("{call} returned an observation with a number that is not finite; all must be finite", call=call)
            )
        if problem := _outside(observation, self._env.observation_space):
            self._report.warnings.append(
                _("An observation that {call} returned is {problem}.", call=call, problem=problem)
            )
        return row.tobytes()

    @contextlib.contextmanager
    def explained(self, call: str) -> Iterator[None]:
        """What is raised meanwhile, in a sentence."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # an environment's own code may raise anything, SystemExit too
            raise V3Error(
                "Environment {env_id}: {sentence}.", env_id=self._spec.env_id, sentence=faults.sentence(call, problem)
            ) from problem


def _outside(observation: Any, space: spaces.Space[Any]) -> str | None:
    """In what an observation that the policy can take is not one of its space."""
    try:
        if space.contains(observation):
            return None
        if isinstance(space, spaces.Box) and isinstance(observation, np.ndarray):
            if observation.dtype != space.dtype:
                return _(
                    "of type {dtype} but its observation_space has {dtype2}",
                    dtype=observation.dtype,
                    dtype2=space.dtype,
                )
            return _("outside the bounds of its observation_space")
    except Exception:  # a space may be the environment's own class
        return None
    return _("not in its observation_space")


def _action(space: spaces.Space[Any], mask: Any, random: np.random.Generator) -> Any:
    """An action that the environment allows, if it says which."""
    space.seed(int(random.integers(2**31)))
    if mask is not None and isinstance(space, spaces.Discrete):
        return space.sample(np.asarray(mask, dtype=np.int8))
    if mask is not None and isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return space.sample(tuple(np.split(np.asarray(mask, dtype=np.int8), np.cumsum(space.nvec)[:-1])))
    return space.sample()


def _repeats(first: list[bytes], again: list[bytes], other: list[bytes]) -> Iterator[str]:
    """Differences between episodes with the same seed and the same actions."""
    for played, who in ((other, _("of two copies")), (again, _("one after the other"))):
        if played == first:
            continue
        pairs = zip(first, played, strict=False)
        moment = next((number for number, (one, two) in enumerate(pairs) if one != two), min(len(first), len(played)))
        if moment == 0:
            yield _("Two resets with the same seed, {who}, {unseeded}", who=who, unseeded=_UNSEEDED)
        else:
            yield _(
                "Two episodes {who}, with the same seed and the same actions, differ at step {moment}: {exact}.",
                who=who,
                moment=moment,
                exact=_EXACT,
            )
        return


def _ask_gymnasium(env: gymnasium.Env[Any, Any], report: Report, call: Call) -> None:
    """Gymnasium's own checker, on an environment without wrappers."""
    call("Gymnasium's check_env")
    said: str | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_env(env, skip_render_check=True, skip_close_check=True)
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # an assertion, or whatever the environment raises
            said = " ".join(str(problem).split()) or type(problem).__name__
    found = [
        " ".join(str(warning.message).replace("\x1b[33mWARN: ", "").replace("\x1b[0m", "").split())
        for warning in caught
    ]
    report.notes += dict.fromkeys(note for note in found if note)
    if said is not None and not is_minigrid(env):  # MiniGrid keeps its mission, which its own checks let pass
        report.warnings.append(_("Gymnasium's checker: {rstrip}.", rstrip=said.rstrip(".")))


def look(setup: EnvironmentSetup, *, allow_import: bool) -> str:
    """What the policy would see and obey, and what would not be used."""
    return look_briefly(setup, allow_import=allow_import).sees


def look_briefly(setup: EnvironmentSetup, *, allow_import: bool) -> Report:
    """What the policy would see and obey, and what would not be used, determined by two resets and a step.

    For environments that are known to follow Gymnasium's API; whether a seed decides an episode is checked of them too.
    """
    spec = check_environment(setup, allow_import=allow_import)
    batch = EnvironmentBatch(spec, 1, resets=[SEED])
    try:
        first = batch.observations.tobytes()
        batch.reset_again()
        warnings: list[str] = (
            []
            if batch.observations.tobytes() == first
            else [_("Two resets with the same seed {unseeded}", unseeded=_UNSEEDED)]
        )
        firsts = np.cumsum((0, *spec.actions.sizes[:-1]))
        action = np.zeros((1, spec.actions.components), dtype=np.int64)
        if batch.masks is not None:
            action[0] = [part.argmax() for part in np.split(batch.masks[0], firsts[1:])]
        batch.step(action)
        return Report(str(setup), warnings=warnings, sees=batch.sees())
    finally:
        batch.close()
