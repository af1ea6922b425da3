"""Everything that a run was launched with, number by number, beside what its recipe has."""

from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st

from v3core.config import RunConfig
from v3core.store.run_row import RunRow
from v3core.ui.text import md

_LEFT_OUT = {"curriculum", "overrides", "name"}
"""Parts of the configuration that have places of their own on the page."""
_NO_VERSION = "The version of V3 Lab that trained it is not recorded."


def run_parameters(run: RunRow) -> None:
    """All settings of the run as a table; closed at first."""
    expander = st.expander("Settings", icon=":material/tune:", key=f"parameters-{run.id}", on_change="rerun")
    if not expander.open:
        return
    with expander:
        st.dataframe(
            [
                {"Setting": path, "Value": value, "Recipe": recipe, "Meaning": meaning}
                for path, value, recipe, meaning in parameters(run.config)
            ],
            hide_index=True,
            height=420,
            column_config={"Meaning": st.column_config.TextColumn(width="large")},
            alt="All settings of the run",
        )
        st.caption(
            md(
                "{} Settings of the recipe {}; the third column has the recipe's value where the run has another. "
                "`--set` takes these paths. What phases set is in the curriculum.",
                f"Trained by V3 Lab {run.version}." if run.version else _NO_VERSION,
                run.config.recipe,
            )
        )


def parameters(config: RunConfig) -> Iterator[tuple[str, str, str, str]]:
    """Each setting: its path such as `ppo.epochs`, its value, the recipe's if that differs, and what it means."""
    changed = {path: str(override.recipe) for path, override in config.overrides.items()}
    for path, value, meaning in _leaves(config, ""):
        if path.partition(".")[0] not in _LEFT_OUT:
            yield path, "–" if value is None else str(value), changed.get(path, ""), meaning


def _leaves(model: Any, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        path = f"{prefix}{name}"
        if hasattr(type(value), "model_fields"):
            yield from _leaves(value, f"{path}.")
        elif isinstance(value, Mapping):
            yield from ((f"{path}.{key}", entry, field.description or "") for key, entry in value.items())
        else:
            shown = ", ".join(map(str, value)) or None if isinstance(value, tuple) else value
            yield path, shown, field.description or ""
