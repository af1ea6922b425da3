"""What an environment's calls must return, and the sentence for what they returned instead.

The one place for these sentences: training and the check before it use the same.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from v3core.messages import Message, _

RESET = "reset(seed=…)"
STEP = "step(action)"
RENDER = "render()"
LARGEST_REWARD = 1e12
"""Beyond it the squares and sums of a first update leave single precision."""
SUCCESS_KEYS = ("is_success", "success")
"""Of `info` at the end of an episode; the first that says so counts."""


class Misbehaviour(ValueError):
    """A call returned something invalid: a clause that names the call, the result and what is required."""


def reset_result(result: Any) -> tuple[Any, dict[str, Any]]:
    """Observation and info of what `reset` returned; Misbehaviour if it is not a pair of those."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Misbehaviour(
            _(
                "{reset} returned {described}; it must return two values: observation, info",
                reset=RESET,
                described=_described(result),
            )
        )
    observation, info = result
    if not isinstance(info, dict):
        raise Misbehaviour(
            _("{reset} returned {described} as info; it must be a dict", reset=RESET, described=_described(info))
        )
    return observation, info


def step_result(result: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Observation, reward, terminated, truncated and info (a dict) of what `step` returned, or Misbehaviour."""
    if type(result) is tuple and len(result) == 5 and type(result[4]) is dict:  # asked for at every step
        return result
    if not isinstance(result, tuple | list) or len(result) != 5:
        wanted = "observation, reward, terminated, truncated, info"
        raise Misbehaviour(
            _(
                "{step} returned {described}; it must return five values: {wanted}",
                step=STEP,
                described=_described(result),
                wanted=wanted,
            )
        )
    if not isinstance(result[4], dict):
        raise Misbehaviour(
            _("{step} returned {described} as info; it must be a dict", step=STEP, described=_described(result[4]))
        )
    observation, reward, terminated, truncated, info = result
    return observation, reward, terminated, truncated, info


def reward_of(value: Any) -> float:
    """The reward as a number, which need not be finite; Misbehaviour if it is none."""
    plain = _plain(value)
    if not isinstance(plain, int | float):
        raise Misbehaviour(
            _("{step} returned {described} as the reward; it must be a number", step=STEP, described=_described(value))
        )
    try:
        return float(plain)
    except OverflowError:
        return math.inf if plain > 0 else -math.inf


def picture_of(value: Any) -> NDArray[np.uint8]:
    """The frame that `render` returned; Misbehaviour if it is none."""
    if isinstance(value, np.ndarray):
        if value.ndim == 3 and value.shape[2] == 3 and value.size and value.dtype == np.uint8:
            return value
        given: str = _("an array of shape {shape} and type {dtype}", shape=value.shape, dtype=value.dtype)
    else:
        given = _described(value)
    raise Misbehaviour(
        _(
            "{render} returned {given}; it must return an array of shape (height, width, 3) and type uint8",
            render=RENDER,
            given=given,
        )
    )


def unusable_reward(reward: float) -> str | None:
    """Why nothing can be learned from a reward, after `a reward of …`; None if it is usable."""
    if not math.isfinite(reward):
        return _("which is not a finite number")
    return (
        _("too large to learn from (at most {largest_reward:g})", largest_reward=LARGEST_REWARD)
        if abs(reward) > LARGEST_REWARD
        else None
    )


def remedy_for(reward: float) -> str:
    """What to do about it."""
    return _("scale its rewards down") if math.isfinite(reward) else _("fix the environment")


def truth_of(value: Any, name: str) -> bool:
    """`terminated` or `truncated` as a bool; Misbehaviour if it is neither true nor false."""
    plain = _plain(value)
    if not isinstance(plain, int) or plain not in (0, 1):
        raise Misbehaviour(
            _(
                "{step} returned {described} as {name}; it must be True or False",
                step=STEP,
                described=_described(value),
                name=name,
            )
        )
    return bool(plain)


def success_of(info: Mapping[str, Any]) -> tuple[bool | None, str | None]:
    """The success in `info` at an episode's end, None if unknown; and a sentence on a value that is none, or None.

    Only true and false count, and the numbers 0 and 1: a score of 0.1, NaN or a text is neither.
    """
    odd: str | None = None
    for key in SUCCESS_KEYS:
        if key not in info:
            continue
        value = info[key]
        plain = _plain(value)
        if isinstance(plain, bool | int | float) and plain in (0, 1):
            return bool(plain), None
        odd = odd or _(
            "{step} returned info['{key}'] = {short} at the end of an episode, which is neither True nor False; the "
            "success of such an episode is not recorded.",
            step=STEP,
            key=key,
            short=_short(value),
        )
    return None, odd


def check_action_space(before: spaces.Space[Any], now: spaces.Space[Any]) -> None:
    """Raise Misbehaviour, naming both spaces, if an environment's actions change."""
    if now is not before and now != before:
        raise Misbehaviour(
            _(
                "its action_space is {short} after {reset} and was {short2} before; it must stay the same",
                short=_short(now),
                reset=RESET,
                short2=_short(before),
            )
        )


def sentence(call: str, problem: BaseException) -> str:
    """What went wrong in a call or with what it returned, and what to do, without a full stop."""
    if isinstance(problem, Misbehaviour):
        return problem.args[0]  # type: ignore[no-any-return]  # a message
    if type(problem) is ValueError and problem.args and isinstance(problem.args[0], Message):  # of our own encoders
        return _("{call}: {text}; fix the environment", call=call, text=problem.args[0])
    text = _text_of(problem)
    return _(
        "{call} raised {name}{value}{text}; fix the environment",
        call=call,
        name=type(problem).__name__,
        value=": " if text else "",
        text=text,
    )


def _plain(value: Any) -> Any:
    """A NumPy number, or an array with a single number, as a Python number."""
    return value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        return _("{value} values", value=len(value)) if len(value) != 1 else _("1 value")
    if isinstance(value, np.ndarray):
        return _("an array of shape {shape}", shape=value.shape)
    if value is None or isinstance(value, bool | int | float | np.generic):
        return _short(value)
    if isinstance(value, str):
        return _("the string {short}", short=_short(value))
    return _typed(value)


def _short(value: Any) -> str:
    try:
        return " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())[:40]
    except Exception:  # an environment's own class may fail here too
        return _typed(value)


def _typed(value: Any) -> Message:
    return _("a value of type {type}", type=type(value).__name__)


def _text_of(problem: BaseException) -> str:
    try:
        return " ".join(str(problem).split())[:200].rstrip(".")
    except Exception:  # an environment's own exception may fail here too
        return ""
