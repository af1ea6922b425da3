"""Patches applied as the browser does, for tests: arrays become lists of numbers, with None for what is not finite."""

import base64
import copy
import math
from itertools import groupby
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
        elif kind == "words":
            words = at[last].split(" ")
            for index, word in more[0].items():
                words[int(index)] = word
            at[last] = " ".join(words)
        elif kind == "at":
            at[last] = applied(at[last], more[0])
        else:
            head, tail, values = more
            at[last] = at[last][:head] + decoded(values) + at[last][len(at[last]) - tail :]
    return tree


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value if math.isfinite(value) else None


def _rows(numbers: Any, value: dict[str, Any], form: str) -> Any:
    same = value.get("same", [])
    sent = [column for column in range(value["of"]) if column not in same]
    rows = np.empty((len(numbers) // len(sent), value["of"]))
    rows[:, sent] = numbers.reshape(-1, len(sent))
    if same:
        rows[:, same] = np.frombuffer(base64.b64decode(value["is"]), dtype=f"<{form}")
    return rows


def decoded(value: Any) -> Any:
    """A value of a patch."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"from", "step", "count"}:
        return [float(value["from"] + index * value["step"]) for index in range(value["count"])]
    for form in ("f4", "f8", "i4"):
        if form in value and value.keys() <= {form, "of", "same", "is"}:
            numbers = np.frombuffer(base64.b64decode(value[form]), dtype=f"<{form}").astype(np.float64)
            rows = _rows(numbers, value, form) if value.get("of") else numbers
            return [_finite(row) for row in rows.tolist()]
    return {key: decoded(one) for key, one in value.items()}


def unfolded(figure: Any) -> Any:
    """What the browser draws of what it was sent."""
    if not isinstance(figure, dict) or "tables" not in figure:
        return figure
    tables = figure["tables"]
    data = [{key: _unfolded(value, tables) for key, value in trace.items()} for trace in figure["data"]]
    for trace in data:
        if isinstance(trace.get("x"), dict):
            other = data[trace["x"]["outline"]]
            trace |= _outlined(other["x"], other["customdata"])
    return {key: value for key, value in figure.items() if key != "tables"} | {"data": data}


def _column(place: list[int], tables: Any) -> Any:
    table, *column = place
    return [row[column[0]] for row in tables[table]] if column else tables[table]


def _unfolded(value: Any, tables: Any) -> Any:
    match value:
        case {"column": place}:
            return _column(place, tables)
        case {"columns": places}:
            return [list(row) for row in zip(*(_column(place, tables) for place in places), strict=True)]
        case {"outline": _}:
            return value
        case dict():
            return {key: _unfolded(one, tables) for key, one in value.items()}
        case _:
            return value


def _outlined(x: list[float], extremes: list[list[float | None]]) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {"x": [], "y": []}
    for known, group in groupby(zip(x, extremes, strict=True), key=lambda at: at[1][0] is not None):
        if not known:
            continue
        part = list(group)
        gap = [None] if found["x"] else []
        found["x"] += [*gap, *(at for at, _ in part), *(at for at, _ in reversed(part))]
        found["y"] += [*gap, *(highest for _, (_, highest) in part), *(lowest for _, (lowest, _) in reversed(part))]
    return found
