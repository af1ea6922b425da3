"""Patches applied as the browser does, for tests: arrays become lists of numbers, with None for what is not finite."""

import base64
import copy
import math
from typing import Any

import numpy as np


def applied(tree: Any, steps: list[Any]) -> Any:
    """The tree after the steps of a patch; `tree` stays as it is."""
    tree = copy.deepcopy(tree)
    for kind, path, *more in steps:
        if not path:
            tree = decoded(more[0])
            continue
        *way, last = path
        at = tree
        for key in way:
            at = at[key]
        if kind == "set":
            at[last] = decoded(more[0])
        elif kind == "delete":
            del at[last]
        else:
            head, tail, values = more
            at[last] = at[last][:head] + decoded(values) + at[last][len(at[last]) - tail :]
    return tree


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value if math.isfinite(value) else None


def decoded(value: Any) -> Any:
    """A value of a patch."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"from", "step", "count"}:
        return [float(value["from"] + index * value["step"]) for index in range(value["count"])]
    for form in ("f4", "f8", "i4"):
        if form in value and value.keys() <= {form, "of"}:
            numbers = np.frombuffer(base64.b64decode(value[form]), dtype=f"<{form}").astype(np.float64)
            rows = numbers.reshape(-1, value["of"]) if value.get("of") else numbers
            return [_finite(row) for row in rows.tolist()]
    return {key: decoded(one) for key, one in value.items()}
