"""What a state graph and actions look like, for people and for programs."""

from typing import Any

from v3core.environments.types import EnvironmentSpec, NodePart


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
            {
                "kind": part.kind,
                "name": part.name,
                "nodes": part.nodes,
                "shape": list(part.shape),
                "categories": list(part.categories),
                "group": part.group,
            }
            for part in graph.parts
        ],
        "actions": {
            "kind": spec.actions.kind,
            "components": spec.actions.components,
            "sizes": list(spec.actions.sizes),
            # JSON has no infinity.
            "low": [str(bound) if abs(bound) == float("inf") else bound for bound in spec.actions.low],
            "high": [str(bound) if abs(bound) == float("inf") else bound for bound in spec.actions.high],
        },
    }


def as_text(spec: EnvironmentSpec) -> str:
    """A few lines: the graph as a whole, each part, the actions."""
    graph = spec.graph
    wrappers = f" in {', '.join(spec.environment.wrappers)}" if spec.environment.wrappers else ""
    lines = [f"{spec.environment}{wrappers}: {graph.nodes} nodes, {graph.edges} edges between them"]
    lines += [f"  {_part(part)}" for part in graph.parts]
    return "\n".join([*lines, f"  actions: {_actions(spec)}"])


def _part(part: NodePart) -> str:
    name = f"'{part.name}': " if part.path else ""
    match part.kind:
        case "hub":
            return f"{name}one global node, joined to every node of the key"
        case "features":
            each = "a node for each" if part.group == 1 else f"a node for every {part.group}"
            return f"{name}{part.size} numbers, {each}; all see each other"
        case "grid":
            size = " × ".join(map(str, part.shape[:2]))
            labels = part.labels or tuple(f"channel {number}" for number in range(1, len(part.categories) + 1))
            channels = ", ".join(f"{label} ({n})" for label, n in zip(labels, part.categories, strict=True))
            return f"{name}{size} cells of {channels}; each sees its 8 neighbours"
        case "image":
            size = " × ".join(map(str, part.shape))
            return f"{name}image of {size}, {part.nodes} cells of a feature map; each sees its 8 neighbours"
        case "words":
            return f"{name}a text: how often each of {len(part.labels)} words is in it, and others; one node"
        case "categories" if part.nodes == 1:
            return f"{name}one of {part.categories[0]} values, one node"
        case "categories":
            values = ", ".join(map(str, part.categories[:8])) + (", …" if len(part.categories) > 8 else "")
            return f"{name}{part.nodes} components of {values} values; all see each other"


def _actions(spec: EnvironmentSpec) -> str:
    actions = spec.actions
    match actions.kind:
        case "discrete":
            return f"one of {actions.sizes[0]}"
        case "multi_discrete":
            return "one each of " + ", ".join(map(str, actions.sizes))
        case "multi_binary":
            return f"{actions.components} switches"
        case "continuous":
            pairs = zip(actions.low, actions.high, strict=True)
            return f"{actions.components} number(s) in " + ", ".join(f"[{low:g}, {high:g}]" for low, high in pairs)
