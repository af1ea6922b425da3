"""An episode played again from its seed and its actions, with its frames."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from v3core.environments import faults
from v3core.environments.encode import encoder
from v3core.environments.make import make_environment, make_or_explain
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error
from v3core.insight.replays import Digest, Replay
from v3core.messages import _

FRAMES = "rgb_array"


class DiffersError(V3Error):
    """An episode did not go as it was recorded: frames of it would show something else."""


@dataclass(frozen=True)
class Moment:
    """What there is to see before a step, or after the last one."""

    observation: NDArray[Any]
    """Flat, as the policy sees it, [size]."""
    frame: NDArray[np.uint8] | None
    """[height, width, 3]; None without frames."""


def need_frames(spec: EnvironmentSpec) -> None:
    """Check that an environment can be drawn; a V3Error says why not."""
    env = make_or_explain(spec.environment)
    modes = env.metadata.get("render_modes") or ()
    _close(env)
    if FRAMES not in modes:
        raise V3Error(
            "Environment {env_id} draws no frames: it has no render mode '{frames}'.", env_id=spec.env_id, frames=FRAMES
        )


def play_again(spec: EnvironmentSpec, replay: Replay, *, frames: bool) -> Iterator[Moment]:
    """The T + 1 moments of an episode: before each of its T steps, and after the last.

    Raises:
        DiffersError: as soon as something is not as it was when it was recorded; whether the observations were the
            same is known at the end only.
        V3Error: if the environment fails, or cannot be drawn.
    """
    if frames:  # by a process of its own; what a worker sets here, its run would be resumed with
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws without a display
        os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    try:
        env = make_environment(spec.environment, render_mode=FRAMES if frames else None)
    except Exception as problem:
        raise V3Error(
            "Environment {env_id} cannot be created: {sentence}.",
            env_id=spec.env_id,
            sentence=faults.sentence("make", problem),
        ) from problem
    row, digest, encode = np.zeros(spec.graph.size, dtype=spec.graph.dtype), Digest(), encoder(spec.graph)
    step = 0
    try:
        observation, _info = faults.reset_result(env.reset(seed=replay.seed))
        for step, action in enumerate(spec.actions.to_environment(replay.actions)):
            encode(observation, row)
            digest.add(row)
            yield Moment(row.copy(), _frame(env, spec, step + 1) if frames else None)
            observation, reward, terminated, truncated, _info = faults.step_result(env.step(action))
            if faults.reward_of(reward) != replay.rewards[step]:
                raise _differs(spec, _("its reward at step {step} is another one", step=step + 1))
            if (terminated or truncated) and step + 1 < len(replay):
                raise _differs(spec, _("it ended at step {step}", step=step + 1))
        encode(observation, row)
        digest.add(row)
        if digest.text() != replay.seen:
            raise _differs(spec, _("its observations are others"))
        yield Moment(row.copy(), _frame(env, spec, len(replay) + 1) if frames else None)
    except V3Error:
        raise
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as problem:  # an environment's own code may raise anything, SystemExit too
        text = faults.sentence("step", problem)
        raise V3Error(
            "Environment {env_id} failed at step {value} of the replay: {text}.",
            env_id=spec.env_id,
            value=step + 1,
            text=text,
        ) from problem
    finally:
        _close(env)


def goes_again(spec: EnvironmentSpec, replay: Replay) -> bool:
    """Whether an episode goes as it was recorded when it is played again."""
    try:
        for _ in play_again(spec, replay, frames=False):
            pass
    except V3Error:
        return False
    return True


def _frame(env: gymnasium.Env[Any, Any], spec: EnvironmentSpec, number: int) -> NDArray[np.uint8]:
    try:
        return faults.picture_of(env.render()).copy()
    except (Exception, SystemExit) as problem:
        text = faults.sentence(faults.RENDER, problem)
        raise V3Error(
            "Environment {env_id} cannot be drawn from frame {number} on: {text}.",
            env_id=spec.env_id,
            number=number,
            text=text,
        ) from problem


def _differs(spec: EnvironmentSpec, what: str) -> DiffersError:
    return DiffersError(
        _(
            "The episode does not go the same when it is played again: {what}. {env_id} draws random numbers "
            "elsewhere than from its seed, or it has changed since.",
            what=what,
            env_id=spec.env_id,
        )
    )


def _close(env: gymnasium.Env[Any, Any]) -> None:
    with suppress(Exception, SystemExit):
        env.close()
