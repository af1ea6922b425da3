"""What of an environment the policy sees and obeys, and what is left out: the same words for every place."""

from collections.abc import Collection
from typing import Any

import gymnasium
from gymnasium import spaces

from v3core.environments.masks import IN_INFO, mask_method
from v3core.environments.types import EnvironmentSpec

_USED = {"is_success", "success"}
"""Keys of `info` that are recorded."""
MOST_KEYS = 12
MOST_LETTERS = 40


def describe_seen(env: gymnasium.Env[Any, Any], spec: EnvironmentSpec, info_keys: Collection[str]) -> str:
    """One to three sentences: what the policy sees, what it obeys, and what it does not hear of.

    Args:
        env: made by `make_environment`.
        spec: how the policy takes it.
        info_keys: of `info`, as far as they were seen.
    """
    keys = list(dict.fromkeys(str(part.path[0]) for part in spec.graph.parts if part.path))
    lost = _lost_keys(env, keys)
    seen = _listed(keys) if keys else "the image" if "direction" in lost else "the whole observation"
    sentences = [f"The policy sees {seen}."]
    masks = (
        ["the masks of action_masks()"]
        if mask_method(env) is not None
        else ["the action mask in info"]
        if IN_INFO in info_keys
        else []
    )
    obeyed = spec.environment.view >= 2 and spec.actions.mask_size > 0
    if masks and obeyed:
        sentences.append(f"It obeys {masks[0]}.")
    left_out = [*lost, *([] if obeyed else masks)]
    if IN_INFO in keys:
        left_out.append(f"the observation's '{IN_INFO}' as a mask, which must be in info")
    unused = sorted(str(key) for key in info_keys if key not in _USED and key != IN_INFO)
    if unused:
        left_out.append(f"info's {_listed(unused)}")
    if left_out:
        sentences.append(f"Left out: {', '.join(left_out)}.")
    return " ".join(sentences)


def _lost_keys(env: gymnasium.Env[Any, Any], seen: list[str]) -> list[str]:
    """Keys of the environment's Dict that wrappers, or a graph of its own, leave out."""
    lost: list[str] = []
    outer: Any = env
    while isinstance(outer, gymnasium.Wrapper):
        inside, outside = outer.env.observation_space, outer.observation_space
        if isinstance(inside, spaces.Dict):
            if isinstance(outside, spaces.Dict):
                lost += [key for key in inside.spaces if key not in outside.spaces]
            elif outside == inside.spaces.get("image"):
                lost += [key for key in inside.spaces if key != "image"]
        outer = outer.env
    if seen and isinstance(env.observation_space, spaces.Dict):
        lost += [str(key) for key in env.observation_space.spaces if str(key) not in seen]
    return list(dict.fromkeys(lost))


def _listed(keys: list[str]) -> str:
    shown = [key if len(key) <= MOST_LETTERS else f"{key[: MOST_LETTERS - 1]}…" for key in keys[:MOST_KEYS]]
    if len(keys) > MOST_KEYS:
        shown.append(f"{len(keys) - MOST_KEYS} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
