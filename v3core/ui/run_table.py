"""The table of runs: one element with links, sparklines and check boxes, which keeps its place through ticks.

Rows are identified by their run's id, so what is selected stays selected while rows move. The browser's part is
`run_table.js` and `run_table.css`; docs/decisions/0032 says why this is no `st.dataframe`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from v3core.messages import _, said
from v3core.ui.run_columns import COLUMNS

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "v3_run_table",
    html='<div class="v3-runs"></div>',
    css=(_FOLDER / "run_table.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "run_table.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)
_WORDS = {
    "runs": _("Runs"),
    "select": _("Select {run}"),
    "select_all": _("Select all runs of this page"),
    "sort_by": _("Sort by"),
    "activity": _("Activity"),
}
_KEY = "run-table"
_SELECTED = "runs-selected"
_GIVEN = "runs-selected-given"
_SORT = "sort"


@dataclass(frozen=True)
class Sorting:
    """The order of the list, as in the address: a column's name, after a minus sign if descending."""

    by: str

    @classmethod
    def of_address(cls) -> "Sorting":
        """Empty for the natural order: what trains, what waits, what has ended."""
        return cls(st.query_params.get(_SORT, ""))


def run_table(rows: Sequence[dict[str, Any]], columns: Sequence[str], sorting: Sorting) -> None:
    """Draw rows of `run_columns.row`, each with a cell per column but the name."""
    data = {
        "columns": [_head(name) for name in ("name", *(name for name in columns if name != "name"))],
        "sort": sorting.by,
        "rows": rows,
        "selected": selected(),
        "given": st.session_state.get(_GIVEN, 0),
        "words": _WORDS,
    }
    _component(key=_KEY, data=said(data), on_selected_change=_select, on_sort_change=_sort)


def _head(name: str) -> dict[str, Any]:
    column = COLUMNS[name]
    return {
        "name": name,
        "title": column.title,
        "meaning": column.meaning,
        "sortable": column.order is not None,
        "number": column.is_number,
    }


def selected() -> list[str]:
    """The ids of the runs that are selected, in the order of their selection; some may be deleted by now."""
    found: list[str] = st.session_state.get(_SELECTED, [])
    return found


def select(run_ids: Sequence[str]) -> None:
    """Select these runs in place of what the browser has selected."""
    st.session_state[_SELECTED] = list(run_ids)
    st.session_state[_GIVEN] = st.session_state.get(_GIVEN, 0) + 1


def _state(name: str) -> Any:
    return st.session_state[_KEY].get(name)


def _select() -> None:
    chosen = _state("selected")
    if isinstance(chosen, list):
        st.session_state[_SELECTED] = list(dict.fromkeys(one for one in chosen if isinstance(one, str)))


def _sort() -> None:
    match _state("sort"):
        case {"by": str(wanted)} if wanted.removeprefix("-") in COLUMNS:
            st.query_params[_SORT] = wanted
        case {"by": ""}:
            st.query_params.pop(_SORT, None)
