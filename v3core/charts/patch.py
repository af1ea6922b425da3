"""What has to be sent of a figure to a browser that has an earlier one: as little as changed.

A patch is a list of steps; `live_chart_patch.js` applies them in their order:

- `["set", path, value]`: replaces or adds what is at `path`, a list of keys and indices; an empty path is the whole.
- `["delete", path]`
- `["splice", path, head, tail, values]`: keeps the first `head` and the last `tail` rows of an array, and puts `values`
  between them. So a new point and a last bucket that grew travel alone.
- `["words", path, {index: word}]`: replaces words of a text, most often numbers; they are what is between two spaces.
- `["at", path, steps]`: steps whose paths begin there.

Arrays travel as `{"f4" | "f8" | "i4": base64, "of": columns}`, or as `{"from": first, "step": step, "count": n}`.
Columns after the first that are the same in every row are apart: `"same"` are their places, `"is"` their values.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = list[Any]
Array = NDArray[Any]

_LARGEST, _SMALLEST = 3e38, 2e-38
"""Numbers in single precision: seven digits, more than a chart can show."""
_WHOLE = 2**31 - 1


def whole(figure: Any) -> list[Step]:
    """The patch for a browser that has nothing."""
    return [["set", [], _value(figure)]]


def patch(before: Any, now: Any) -> list[Step]:
    """The steps from one figure to another; both are trees of dicts, lists, arrays and plain values."""
    if isinstance(before, np.ndarray) and isinstance(now, np.ndarray):
        return _splice(before, now)
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        gone = [["delete", [key]] for key in before.keys() - now.keys()]
        return gone + _within(before, now, now)
    if _is_list(before) and _is_list(now) and len(before) == len(now):
        return _within(before, now, range(len(now)))
    if isinstance(before, str) and isinstance(now, str) and before != now:
        return [_reworded(before, now)]
    return [] if type(before) is type(now) and _is_same(before, now) else [["set", [], _value(now)]]


def _within(before: Any, now: Any, keys: Iterable[str | int]) -> list[Step]:
    """The steps of the parts of a dict or a list; its own path is empty."""
    steps: list[Step] = []
    for key in keys:
        if isinstance(before, Mapping) and key not in before:
            steps.append(["set", [key], _value(now[key])])
            continue
        inner = patch(before[key], now[key])
        if len(inner) > 1:
            steps.append(["at", [key], inner])
        else:
            steps += [[kind, [key, *path], *more] for kind, path, *more in inner]
    return steps


def _splice(before: Array, now: Array) -> list[Step]:
    if before.shape[1:] != now.shape[1:] or form_of(before) != form_of(now):
        return [["set", [], _value(now)]]
    shorter = min(len(before), len(now))
    head = _same_rows(before[:shorter], now[:shorter])
    rest = shorter - head
    tail = _same_rows(before[::-1][:rest], now[::-1][:rest])
    if head + tail == max(len(before), len(now)):
        return []
    return [["splice", [], head, tail, _encoded(now[head : len(now) - tail], form_of(now))]]


def _reworded(before: str, now: str) -> Step:
    old, new = before.split(" "), now.split(" ")
    changed = {str(at): word for at, (was, word) in enumerate(zip(old, new, strict=False)) if was != word}
    if len(old) != len(new) or 2 * len(changed) > len(new):
        return ["set", [], now]
    return ["words", [], changed]


def _same_rows(before: Array, now: Array) -> int:
    """How many rows at the beginning are the same."""
    differ = (before != now) & ~((before != before) & (now != now))
    if differ.ndim > 1:
        differ = differ.any(axis=1)
    return int(differ.argmax()) if differ.any() else len(now)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_same(before: Any, now: Any) -> bool:
    return bool(before == now) or (before != before and now != now)


def _value(value: Any) -> Any:
    """Any part of a figure as JSON has it: NaN and infinity are null."""
    match value:
        case np.ndarray():
            return _encoded(value, form_of(value))
        case Mapping():
            return {key: _value(one) for key, one in value.items()}
        case str() | bool() | int() | None:
            return value
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case np.generic():
            return value.item()
        case _:
            return [_value(one) for one in value]


def form_of(values: Array) -> str:
    """How a whole array is written, so that all that is spliced into it is written alike."""
    if values.dtype.kind in "iub":
        return "i4" if not values.size or int(np.abs(values).max()) <= _WHOLE else "f8"
    size = np.abs(values[np.isfinite(values)])
    return "f8" if size.size and (size.max() > _LARGEST or size[size > 0].min(initial=1.0) < _SMALLEST) else "f4"


def _encoded(values: Array, form: str) -> dict[str, Any]:
    if form == "i4" and values.ndim == 1 and len(values) > 2:
        steps = np.diff(values)
        if (steps == steps[0]).all():
            return {"from": int(values[0]), "step": int(steps[0]), "count": len(values)}
    if values.ndim == 1:
        return {form: _written(values, form)}
    # The first always travels: it says how many rows there are.
    same = {column: values[0, column] for column in range(1, values.shape[1]) if _is_constant(values[:, column])}
    if not same:
        return {form: _written(values, form), "of": values.shape[1]}
    differ = [column for column in range(values.shape[1]) if column not in same]
    constant = _written(np.array(list(same.values())), form)
    return {form: _written(values[:, differ], form), "of": values.shape[1], "same": list(same), "is": constant}


def _is_constant(column: Array) -> bool:
    return len(column) > 1 and bool((column == column[0]).all())


def _written(values: Array, form: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=f"<{form}").tobytes()).decode()
