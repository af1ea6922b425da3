"""A figure as it travels: what is in it several times, or follows from something else in it, is in it once.

All numbers of the traces go into `tables`: those of the same length side by side as the columns of one, so that a new
point is one row. A trace has in their place

- `{"column": [table, column]}`: one column; `{"column": [table]}` is a table of its own, of whole numbers;
- `{"columns": [[table, column], …]}`: rows of several columns;
- `{"outline": trace, "part": "x" or "y"}`: the outline around the extremes that another trace has as its customdata.

`live_chart_folding.js` is the inverse.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.charts.patch import form_of
from v3core.charts.traces import outline

Array = NDArray[Any]

_MAX_COLUMNS = 8
"""Of an array that is split into its columns; that of a heatmap is a table already."""


def folded(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of `Figure.tree()` as it travels; anything without traces as it is."""
    if "data" not in figure:
        return dict(figure)
    columns = _Columns()
    data = [_folded(trace, _parts_of_outline(trace, figure["data"]), columns) for trace in figure["data"]]
    return {**figure, "data": data, "tables": columns.tables()}


def _folded(trace: Mapping[str, Any], parts: Mapping[str, Any], columns: "_Columns") -> dict[str, Any]:
    return {key: parts[key] if key in parts else _place(value, columns) for key, value in trace.items()}


def _place(value: Any, columns: "_Columns") -> Any:
    match value:
        case np.ndarray(ndim=1) if value.dtype.kind in "iuf":
            return {"column": columns.add(value)}
        case np.ndarray(ndim=2) if value.dtype.kind == "f" and 0 < value.shape[1] <= _MAX_COLUMNS:
            return {"columns": [columns.add(column) for column in value.T]}
        case Mapping():
            return {key: _place(one, columns) for key, one in value.items()}
        case _:
            return value


def _parts_of_outline(trace: Mapping[str, Any], data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The x and y of a trace that is the outline around the extremes of another; empty if it is none."""
    if trace.get("fill") != "toself":
        return {}
    for index, other in enumerate(data):
        extremes = other.get("customdata")
        if other.get("legendgroup") != trace.get("legendgroup") or not isinstance(extremes, np.ndarray):
            continue
        found = outline(np.asarray(other["x"], dtype=np.float64), *extremes.T)
        if all(np.array_equal(part, trace[key], equal_nan=True) for key, part in zip("xy", found, strict=True)):
            return {key: {"outline": index, "part": key} for key in "xy"}
    return {}


class _Columns:
    """Different columns, in tables by their length and how they are written."""

    def __init__(self) -> None:
        self._tables: list[list[Array]] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._places: dict[tuple[str, bytes], list[int]] = {}

    def add(self, column: Array) -> list[int]:
        """Its table, and its place there."""
        form = form_of(column)
        key = (form, column.tobytes())
        if key not in self._places:
            self._places[key] = self._placed(column, form)
        return self._places[key]

    def _placed(self, column: Array, form: str) -> list[int]:
        if column.dtype.kind != "f":  # alone, as three numbers if its steps are equal
            self._tables.append([column])
            return [len(self._tables) - 1]
        number = self._numbers.setdefault((len(column), form), len(self._tables))
        if number == len(self._tables):
            self._tables.append([])
        self._tables[number].append(column)
        return [number, len(self._tables[number]) - 1]

    def tables(self) -> list[Array]:
        return [columns[0] if columns[0].dtype.kind != "f" else np.stack(columns, axis=1) for columns in self._tables]
