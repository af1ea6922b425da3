"""A figure in plotly's own form, as plain data: `data` and `layout`, with the few methods that charts use.

plotly's `Figure` checks every property that is set, which takes ten times as long as everything else about a chart.
Tests check the same figures with it.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from v3core.messages import translated


class Node(dict[str, Any]):
    """A part of a figure; its keys are attributes too, and one that is not set is None."""

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        super().__init__()
        self.merge(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, list):
            value = [Node(one) if isinstance(one, dict) else one for one in value]
        super().__setitem__(name, Node(value) if type(value) is dict else value)

    def merge(self, values: Mapping[str, Any]) -> None:
        """Set properties; those of parts that exist already are merged with them. None is not set."""
        for name, value in values.items():
            held = self.get(name)
            if isinstance(held, Node) and isinstance(value, dict):
                held.merge(value)
            elif value is not None:
                self[name] = value


class Figure:
    """Traces and a layout."""

    def __init__(self, layout: Mapping[str, Any]) -> None:
        self.data: list[Node] = []
        self.layout = Node({"shapes": [], "annotations": [], **layout})

    def add(self, kind: str, **properties: Any) -> None:
        """Add a trace of a kind, such as `scatter`.

        A name that is a message is said in the reader's language. `meta` is then the English one, by which the browser
        knows the trace, so that what was hidden stays so when the language changes.
        """
        name = properties.get("name")
        said = translated(name)
        if said != name:
            properties |= {"name": said, "meta": str(name)}
        self.data.append(Node({"type": kind, **properties}))

    def annotate(self, text: Mapping[str, Any]) -> None:
        """Add a text."""
        self.layout.annotations.append(Node(text))

    def tree(self) -> dict[str, Any]:
        """Traces and layout as plain data; arrays are NumPy's."""
        return {"data": self.data, "layout": self.layout}

    def to_json(self) -> str:
        """As plotly reads it."""
        return json.dumps(self.tree(), default=_plain)


def finite(value: Any) -> Any:
    """A number, or None if it is not finite: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_row(row) for row in value.tolist()]
    return value.item()


def _row(value: Any) -> Any:
    return [finite(one) for one in value] if isinstance(value, list) else finite(value)
