"""What the policy sees and obeys of an environment, its state graph and its actions, as text and as data."""

import math
import re
from collections.abc import Collection, Sequence
from typing import Any

import gymnasium
from gymnasium import spaces

from v3core.environments.action_names import known_names
from v3core.environments.action_space import IN_INFO, mask_method
from v3core.environments.faults import SUCCESS_KEYS
from v3core.environments.nethack.surroundings import FAR, NEAR
from v3core.environments.tasks import TaskEnvironment
from v3core.environments.types import ActionSpec, EnvironmentSpec, NodePart, StateGraphSpec
from v3core.messages import Message, _
from v3core.phrases import all_of, listed, sentences, stored, strung


def as_dict(spec: EnvironmentSpec) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    graph = spec.graph
    return {
        "env": spec.env_id,
        "env_args": dict(spec.environment.args),
        "wrappers": list(spec.environment.wrappers),
        "nodes": graph.nodes,
        "edges": graph.edges,
        "observation_size": graph.size,
        "observation_type": graph.dtype,
        "parts": [
            {name: getattr(part, name) for name in ("kind", "name", "nodes", "shape", "categories", "group")}
            for part in graph.parts
        ],
        "actions": {
            "kind": spec.actions.kind,
            "components": spec.actions.components,
            "sizes": list(spec.actions.sizes),
            # JSON has no infinity.
            "low": [str(bound) if math.isinf(bound) else bound for bound in spec.actions.low],
            "high": [str(bound) if math.isinf(bound) else bound for bound in spec.actions.high],
            "names": list(map(str, _names(spec))),
        },
        "situations": list(map(str, graph.situations)),
    }


def as_text(spec: EnvironmentSpec) -> Message:
    """A few lines: the graph as a whole, each part, the actions, the situations."""
    wrappers = _(" in {wrappers}", wrappers=listed(spec.environment.wrappers)) if spec.environment.wrappers else ""
    whole = _(
        "{environment}{wrappers}: {nodes} nodes, {edges} edges between them",
        environment=spec.environment,
        wrappers=wrappers,
        nodes=spec.graph.nodes,
        edges=spec.graph.edges,
    )
    names, situations = _names(spec), list(spec.graph.situations)
    actions = _("actions: {action_words}", action_words=action_words(spec.actions))
    if names:
        actions = _("actions: {action_words}: {names}", action_words=action_words(spec.actions), names=listed(names))
    of_situations = [_("situations: {names}", names=listed(situations))] if situations else []
    return strung("\n  ", [whole, *map(_part, spec.graph.parts), actions, *of_situations])


def _names(spec: EnvironmentSpec) -> Sequence[str]:
    """Names of the actions: those that the environment has, as arguments and errors have them, else known ones."""
    return spec.actions.names or known_names(spec.environment, spec.actions.kind, spec.actions.outputs)


def _part(part: NodePart) -> Message:
    name = f"'{part.name}': " if part.path else ""
    match part.kind:
        case "hub":
            return _("{name}one global node, connected to every node of the key", name=name)
        case "features" if part.nodes == 1 and part.size > 1:
            if not part.labels:
                return _("{name}{size} numbers in one node", name=name, size=part.size)
            named = listed([*part.labels[:6], *(["…"] if len(part.labels) > 6 else [])])
            return _("{name}{size} numbers in one node: {named}", name=name, size=part.size, named=named)
        case "features":
            each = _("a node for each") if part.group == 1 else _("a node for every {group}", group=part.group)
            return _("{name}{size} numbers, {each}; all see each other", name=name, size=part.size, each=each)
        case "grid" if part.labels == FAR:
            return _(
                "{name}the {nodes} nearest things that matter further away: {channels}; each sees the player",
                name=name,
                nodes=part.nodes,
                channels=_channels(part),
            )
        case "grid" if part.labels == NEAR:
            size = " × ".join(map(str, part.shape[:2]))
            return _(
                "{name}{size} cells around the player, each a class of glyph ({categories}); each sees its 8 "
                "neighbours and the player, which is the one in the middle and sees every node",
                name=name,
                size=size,
                categories=part.categories[0],
            )
        case "grid":
            size = " × ".join(map(str, part.shape[:2]))
            return _(
                "{name}{size} cells of {channels}; each sees its 8 neighbours",
                name=name,
                size=size,
                channels=_channels(part),
            )
        case "image":
            size = " × ".join(map(str, part.shape))
            return _(
                "{name}image of {size}, {nodes} cells of a feature map; each sees its 8 neighbours",
                name=name,
                size=size,
                nodes=part.nodes,
            )
        case "words" if not part.labels:
            return _(
                "{name}a text: how often each of its words is in it, in {size} places by checksum; one node",
                name=name,
                size=part.size,
            )
        case "words":
            return _(
                "{name}a text: the count of each of {labels} words, and of other words; one node",
                name=name,
                labels=len(part.labels),
            )
        case "categories" if part.labels:
            return _("{name}one of {labels}; one node", name=name, labels=listed(part.labels))
        case "categories" if part.nodes == 1:
            return _("{name}one of {categories} values, one node", name=name, categories=part.categories[0])
        case "categories":
            values = listed([*part.categories[:8], *(["…"] if len(part.categories) > 8 else [])])
            return _(
                "{name}{nodes} components of {values} values; all see each other",
                name=name,
                nodes=part.nodes,
                values=values,
            )


def _channels(part: NodePart) -> Message:
    """Each channel of a grid with its number of values, as in `object (11), colour (6)`."""
    labels = part.labels or tuple(_("channel {number}", number=place + 1) for place in range(len(part.categories)))
    return listed([strung("", [label, f" ({n})"]) for label, n in zip(labels, part.categories, strict=True)])


def graph_words(graph: StateGraphSpec) -> Message:
    """What a policy sees, in half a sentence."""
    return strung(_("; "), list(map(_part, graph.parts)))


def action_words(actions: ActionSpec) -> Message:
    """The actions, in half a sentence."""
    match actions.kind:
        case "discrete":
            return _("one of {sizes}", sizes=actions.sizes[0])
        case "multi_discrete":
            return _("one each of {sizes}", sizes=listed(actions.sizes))
        case "multi_binary":
            return _("{components} switches", components=actions.components)
        case "continuous":
            pairs = zip(actions.low, actions.high, strict=True)
            bounds = listed([f"[{low:g}, {high:g}]" for low, high in pairs])
            return _("{components} number(s) in {bounds}", components=actions.components, bounds=bounds)


def actions_differ(one: ActionSpec, other: ActionSpec) -> Message:
    """In what they differ, in half a sentence: the first action that has another name, or how many there are."""
    if one.sizes == other.sizes and (differs := one.other_name(other.names)) is not None:
        place, name, name2 = differs
        return _("number {place} is {name}, not {name2}", place=place, name=name, name2=name2)
    return _("{action_words}, and {action_words2}", action_words=action_words(one), action_words2=action_words(other))


MAX_KEYS = 12
MAX_LETTERS = 40


def describe_seen(env: gymnasium.Env[Any, Any], spec: EnvironmentSpec, info_keys: Collection[str]) -> Message:
    """One to three sentences: what the policy sees, what it obeys, and what is not used.

    `info_keys` are the keys of `info` seen so far.
    """
    keys = list(dict.fromkeys(str(part.path[0]) for part in spec.graph.parts if part.path))
    lost = _lost_keys(env, keys)
    whole = _("the image") if "direction" in lost else _("the whole observation")
    parts: list[Message] = [_("The policy sees {seen}.", seen=_listed(keys) if keys else whole)]
    masks = _("the masks of action_masks()") if mask_method(env) is not None else ""
    if not masks and IN_INFO in info_keys:
        masks = _("the action mask in info")
    left_out: list[str] = lost
    if masks and spec.obeys_masks:
        parts.append(_("It obeys {masks}.", masks=masks))
    elif masks:
        left_out.append(masks)
    if IN_INFO in keys:
        left_out.append(_("the observation's '{in_info}' as a mask (masks must be in info)", in_info=IN_INFO))
    unused = sorted(str(key) for key in info_keys if key not in {*SUCCESS_KEYS, IN_INFO})
    if unused:
        left_out.append(_("info's {keys}", keys=_listed(unused)))
    if left_out:
        parts.append(_("Not used: {left_out}.", left_out=listed(left_out)))
    return sentences(*parts)


_SEEN = re.compile(r"The policy sees (.+?)\.(?: It obeys (.+?)\.)?(?: Not used: (.+)\.)?")


def stored_seen(text: str) -> Message:
    """What `describe_seen` said, of which only the English text is left."""
    if isinstance(text, Message) or (found := _SEEN.fullmatch(text)) is None:
        return stored(text)
    seen, masks, left_out = found.groups()
    remade = sentences(
        _("The policy sees {seen}.", seen=_stored_keys(seen)),
        _("It obeys {masks}.", masks=_stored_part(masks)) if masks else "",
        _("Not used: {left_out}.", left_out=_stored_rest(left_out)) if left_out else "",
    )
    return remade if str(remade) == text else stored(text)  # the name of a key can have a comma or an "and"


def _stored_rest(text: str) -> Message:
    """What is not used, of which the keys of `info` stand last."""
    before, of_info, keys = text.rpartition("info's ")
    parts: list[str] = [_stored_part(part) for part in re.split(", ", before if of_info else text) if part]
    return listed([*parts, _("info's {keys}", keys=_stored_keys(keys))] if of_info else parts)


def _stored_keys(text: str) -> Message:
    """What `_listed` said, or another part of the sentence."""
    return all_of([_stored_part(key) for key in re.split(r", | and ", text)])


def _stored_part(text: str) -> str:
    """A phrase of ours; the key of an observation as it is, whatever word it is."""
    if more := re.fullmatch(r"(\d+) more", text):
        return _("{value:d} more", value=int(more[1]))
    return stored(text) if text.startswith("the ") else text


def _lost_keys(env: gymnasium.Env[Any, Any], seen: list[str]) -> list[str]:
    """Keys of the environment's Dict that wrappers, or a custom graph, drop."""
    lost: list[str] = []
    if isinstance(env, TaskEnvironment):
        lost += [key for task in env.environments for key in _lost_keys(task, seen)]
    outer: Any = env
    while isinstance(outer, gymnasium.Wrapper):
        inside, outside = outer.env.observation_space, outer.observation_space
        if isinstance(inside, spaces.Dict):
            if isinstance(outside, spaces.Dict):
                read = getattr(outer, "READ", ())
                lost += [key for key in inside.spaces if key not in outside.spaces and key not in read]
            elif outside == inside.spaces.get("image"):
                lost += [key for key in inside.spaces if key != "image"]
        outer = outer.env
    if seen and isinstance(env.observation_space, spaces.Dict):
        lost += [str(key) for key in env.observation_space.spaces if str(key) not in seen]
    return list(dict.fromkeys(lost))


def _listed(keys: list[str]) -> str:
    shown = [key if len(key) <= MAX_LETTERS else f"{key[: MAX_LETTERS - 1]}…" for key in keys[:MAX_KEYS]]
    if len(keys) > MAX_KEYS:
        shown.append(_("{value:d} more", value=len(keys) - MAX_KEYS))
    return all_of(shown)
