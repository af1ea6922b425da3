"""The numbers inside of the network in the states of an episode, as arrays that stay on disk until needed."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.errors import V3Error
from v3core.insight.actions import ActionFacts, exact
from v3core.messages import _

Floats = NDArray[np.float32]

FORMAT = "v3lab-inside-1"
_NAMES = "inside.json"


@dataclass(frozen=True, eq=False)
class Inside:
    """What the network computed in T states, each before a step; of K ≤ T states where it would be too much.

    A network has N nodes of a width, L layers with H heads, E experts with outputs, and A edges.
    """

    nodes: Floats
    """Node features that the first layer takes in, [K, N, width]."""
    attention: Floats | None
    """Weight of each edge, [K, L, H, A]: those of the edges of a receiver sum to 1. None for `graph=mlp`."""
    edges: NDArray[np.int32]
    """Receiver and sender of each edge, [2, A], a node itself among its senders; ordered by receiver."""
    scene: Floats
    """[T, width]."""
    router_logits: Floats
    """Before temperature and routing, [T, E]."""
    gates: Floats
    """[T, E]."""
    expert_outputs: Floats
    """Of each routed expert, without the shared ones, [T, E, outputs]."""
    shared: Floats | None
    """Sum of the outputs of the shared experts, [T, outputs]; None if there are none."""
    outputs: Floats
    """Gates times outputs of the experts, plus those of the shared ones, [T, outputs]; before masks."""
    values: Floats
    """[T]."""
    numbers: Floats
    """The number that each node observes, [T, N], as the environment gives it; NaN if it is none."""
    said: NDArray[np.int32]
    """Place in `words` of what each node observes, [T, N]; −1 if it is none of them."""
    places: Floats
    """Where the nodes are in a picture, x to the right and y upwards, [N, 2]."""
    node_names: tuple[str, ...]
    """[N]."""
    kinds: tuple[str, ...]
    """Of each node as `NodePart` has them, [N]; `group` if it observes several numbers."""
    words: tuple[str, ...]
    """What nodes observe that are not numbers."""
    colours: tuple[str, ...]
    """Of each of `words`, as `#rrggbb`; empty without one."""
    graph: str
    """`gatv1`, `gatv2` or `mlp`."""
    heads: int
    """H."""
    layers: int
    """L."""
    gating: dict[str, Any]
    """The routing in force, by the names of the settings of a phase."""
    bias: tuple[float, ...]
    """Added to the affinities for choosing the top k, [E]; empty if none was ever moved."""
    actions: ActionFacts
    """What the outputs mean."""

    def __len__(self) -> int:
        return len(self.gates)

    @property
    def cells(self) -> list[bool]:
        """Which nodes are cells of a grid or an image, [N]."""
        return [kind in {"grid", "image"} for kind in self.kinds]

    def write(self, folder: Path) -> None:
        """Write it into a folder, which is made; what is half-written cannot be read.

        Raises:
            OSError: if it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _NAMES).unlink(missing_ok=True)
        facts: dict[str, Any] = {"format": FORMAT, "steps": len(self), "actions": vars(self.actions)}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                np.save(folder / f"{field.name}.npy", value, allow_pickle=False)
            elif field.name != "actions":
                facts[field.name] = value
        (folder / _NAMES).write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Inside":
        """From what `write` wrote; its arrays stay on disk until they are looked at.

        Raises:
            V3Error: if it is missing, damaged, or of another version.
        """
        try:
            facts = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
            if facts.pop("format") != FORMAT:
                raise V3Error("What is inside of the network was written by another version; make the replay again.")
            steps = facts.pop("steps")
            found: dict[str, Any] = {"actions": ActionFacts.from_plain(facts.pop("actions"))}
            for field in fields(cls):
                if field.name in facts:
                    value = facts[field.name]
                    found[field.name] = tuple(value) if isinstance(value, list) else value
                elif field.name != "actions":
                    found[field.name] = np.load(folder / f"{field.name}.npy", mmap_mode="r", allow_pickle=False)
            inside = cls(**found)
            inside._check(steps)
        except V3Error:
            raise
        except FileNotFoundError:
            raise V3Error("What is inside of the network is not there; make the replay again.") from None
        except Exception as problem:  # whatever a damaged file makes numpy raise
            raise V3Error(
                "What is inside of the network cannot be read: its files are damaged; make the replay again."
            ) from problem
        return inside

    def _check(self, steps: int) -> None:
        """ValueError unless all shapes fit each other."""
        kept, nodes, width = self.nodes.shape
        experts, outputs = self.expert_outputs.shape[1:]
        edges = self.edges.shape[1]
        shapes: dict[str, tuple[int, ...]] = {
            "edges": (2, edges),
            "scene": (steps, *self.scene.shape[1:]),
            "router_logits": (steps, experts),
            "gates": (steps, experts),
            "expert_outputs": (steps, experts, outputs),
            "shared": (steps, outputs),
            "outputs": (steps, outputs),
            "values": (steps,),
            "numbers": (steps, nodes),
            "said": (steps, nodes),
            "places": (nodes, 2),
            "attention": (kept, self.layers, self.heads, edges),
        }
        for name, shape in shapes.items():
            if (array := getattr(self, name)) is not None and array.shape != shape:
                raise ValueError(_("{name} has the shape {shape}", name=name, shape=array.shape))
        if kept > steps or width < 1 or len(self.node_names) != nodes or len(self.kinds) != nodes:
            raise ValueError(_("nodes do not fit"))
        if edges and int(self.edges.max()) >= nodes:
            raise ValueError(_("an edge without a node"))

    def observed(self, step: int, node: int) -> str:
        """What a node observes in the state before a step, from 0, in words; empty if it cannot be said in words."""
        if (place := int(self.said[step, node])) >= 0:
            return self.words[place]
        return exact(self.numbers[step, node]) if self.kinds[node] in {"features", "categories"} else ""
