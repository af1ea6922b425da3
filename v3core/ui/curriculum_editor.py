"""An editable table of phases, with what is wrong beside the row that is wrong."""

from dataclasses import replace
from typing import Any

import streamlit as st

from v3core.curriculum import Curriculum, Routing, scaled
from v3core.curriculum.table import Checked, PhaseRow, from_rows, to_rows
from v3core.errors import V3Error

_STATE = "curriculum-editor"
_WIDTHS = (1.4, 1.1, 1.4, 1.3, 1.2, 1.2, 1.2, 0.4)
_HOW_TO_WRITE = (
    "A value is a number (0.5), a factor of the recipe's base value (×0.5), or a ramp over the phase (1 → 0.5, or "
    "1 → 0.5 cosine). An empty one stays as before."
)


def curriculum_editor(source: Curriculum, *, source_key: str, episodes: int, scale: bool) -> Checked:
    """Show `source` as rows to edit and return what the rows spell now.

    Args:
        source: what the rows are filled from when `source_key` changes.
        source_key: names the source; the rows are filled anew when it changes.
        episodes: length of the run; with `scale`, boundaries follow it in proportion.
        scale: whether boundaries follow the run's length.
    """
    rows = _rows(source, source_key, episodes, scale)
    st.caption(_HOW_TO_WRITE)
    edited = [_show_row(index, row, rows) for index, row in enumerate(rows)]
    checked = from_rows(edited, name=source.name, episodes=episodes, description=source.description)
    for index, slot in enumerate(_slots()):
        if index in checked.problems:
            slot.markdown(f":red[:material/error: {checked.problems[index]}]")
    st.button("Add a phase", icon=":material/add:", key="add-phase", on_click=_add_phase, args=(edited, episodes))
    if checked.curriculum is not None and edited != st.session_state[_STATE]["filled"]:
        name = f"{source.name} (edited)"[:60]
        return replace(checked, curriculum=checked.curriculum.model_copy(update={"name": name, "description": ""}))
    return checked


def _rows(source: Curriculum, source_key: str, episodes: int, scale: bool) -> list[PhaseRow]:
    """The rows to show; filled anew when the source, or the length that it is scaled to, has changed."""
    key = (source_key, scale)
    state = st.session_state.get(_STATE)
    if state is None or state["key"] != key:
        _fill(_fitted(source, episodes, scale), key, episodes)
    elif scale and state["episodes"] != episodes:
        current = _current_rows()
        if current == state["filled"]:
            _fill(_fitted(source, episodes, scale), key, episodes)
        else:
            factor = episodes / state["episodes"]
            moved = [replace(row, until=row.until and max(1, round(row.until * factor))) for row in current]
            _fill(moved, key, episodes, filled=state["filled"])
    rows: list[PhaseRow] = _current_rows()
    return rows


def _fitted(source: Curriculum, episodes: int, scale: bool) -> list[PhaseRow]:
    if not scale:
        return to_rows(source)
    try:
        return to_rows(scaled(source, episodes))
    except V3Error:
        # Too short a run: the rows say what is wrong with each boundary.
        return to_rows(source)


def _fill(rows: list[PhaseRow], key: tuple[str, bool], episodes: int, filled: list[PhaseRow] | None = None) -> None:
    generation = st.session_state[_STATE]["generation"] + 1 if _STATE in st.session_state else 0
    st.session_state[_STATE] = {
        "key": key,
        "episodes": episodes,
        "generation": generation,
        "rows": rows,
        "filled": rows if filled is None else filled,
        "slots": [],
    }


def _current_rows() -> list[PhaseRow]:
    """The rows as last edited: what the widgets hold, or the filled ones where no widget has been shown yet."""
    state = st.session_state[_STATE]
    rows: list[PhaseRow] = state["rows"]
    return [_read_row(index, row) for index, row in enumerate(rows)]


def _key(index: int, field: str) -> str:
    return f"phase-{st.session_state[_STATE]['generation']}-{index}-{field}"


def _read_row(index: int, row: PhaseRow) -> PhaseRow:
    held: dict[str, Any] = {
        field: st.session_state[_key(index, field)]
        for field in ("name", "until", "routing", "temperature", "lr", "load_balance", "entropy")
        if _key(index, field) in st.session_state
    }
    return replace(row, **held)


def _slots() -> list[st.delta_generator.DeltaGenerator]:
    slots: list[st.delta_generator.DeltaGenerator] = st.session_state[_STATE]["slots"]
    return slots


def _show_row(index: int, row: PhaseRow, rows: list[PhaseRow]) -> PhaseRow:
    last = index == len(rows) - 1
    if index == 0:
        _slots().clear()
    with st.container(border=True, key=f"phase-row-{index + 1}"):
        columns = st.columns(_WIDTHS, vertical_alignment="bottom")
        name = columns[0].text_input(f"Phase {index + 1}", row.name, key=_key(index, "name"), max_chars=40) or ""
        if last:
            columns[1].text_input("Until episode", "end of run", key=_key(index, "end"), disabled=True)
            until = None
        else:
            until = columns[1].number_input("Until episode", value=row.until, step=1, key=_key(index, "until"))
        options: list[Routing | None] = [None, "softmax", "sparsemax"]
        routing = columns[2].selectbox(
            "Routing",
            options,
            index=options.index(row.routing),
            format_func=lambda choice: choice or "as before",
            key=_key(index, "routing"),
        )
        temperature = _value(columns[3], "Temperature", "temperature", index, row.temperature)
        lr = _value(columns[4], "Learning rate", "lr", index, row.lr)
        load_balance = _value(columns[5], "Load balance", "load_balance", index, row.load_balance)
        entropy = _value(columns[6], "Entropy bonus", "entropy", index, row.entropy)
        edited = PhaseRow(name, until, routing, temperature, lr, load_balance, entropy)
        columns[7].button(
            "",
            icon=":material/close:",
            key=_key(index, "remove"),
            help="Remove this phase",
            disabled=len(rows) == 1,
            type="tertiary",
            on_click=_remove_phase,
            args=(index,),
        )
        _slots().append(st.empty())
    return edited


def _value(column: st.delta_generator.DeltaGenerator, label: str, field: str, index: int, text: str) -> str:
    return column.text_input(label, text, key=_key(index, field), placeholder="as before") or ""


def _replace_rows(rows: list[PhaseRow]) -> None:
    state = st.session_state[_STATE]
    _fill(rows, state["key"], state["episodes"], filled=state["filled"])


def _add_phase(rows: list[PhaseRow], episodes: int) -> None:
    start = max((row.until or 0 for row in rows[:-1]), default=0)
    ended = replace(rows[-1], until=min(start + max((episodes - start) // 2, 1), episodes))
    _replace_rows([*rows[:-1], ended, PhaseRow(f"phase {len(rows) + 1}", None, None)])


def _remove_phase(index: int) -> None:
    rows = _current_rows()
    del rows[index]
    _replace_rows([*rows[:-1], replace(rows[-1], until=None)])
