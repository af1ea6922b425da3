"""Choosing a preset: what the chosen one does stands beside it, and those that do not fit are not there."""

import streamlit as st

from v3core.curriculum import load_preset, preset_names, preset_names_for
from v3core.ui.text import md, plain

FROM_A_FILE = "From a file"


@st.cache_data(max_entries=64, show_spinner=False)
def presets_for(env: str) -> list[str]:
    """Names of the presets that can train on `env`."""
    return preset_names_for(env)


@st.cache_data(max_entries=1, show_spinner=False)
def _descriptions() -> dict[str, str]:
    return {name: load_preset(name).description for name in preset_names()}


def pick_preset(env: str) -> str:
    """The name of a preset that can train on `env`, or `FROM_A_FILE`."""
    descriptions, fitting = _descriptions(), presets_for(env)
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    preset: str = left.selectbox("Preset", [*fitting, FROM_A_FILE], key="curriculum", bind="query-params")
    right.markdown(plain(descriptions.get(preset, "A curriculum of your own, as a YAML file.")))
    absent = [name for name in descriptions if name not in fitting]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        if absent:
            st.caption(plain(absent_presets(absent, env)), width="stretch")
        with st.popover("What each preset does", icon=":material/menu_book:", type="tertiary"):
            for name in fitting:
                st.markdown(md("**{}**  \n{}", name, descriptions[name]))
    return preset


def absent_presets(names: list[str], env: str) -> str:
    """How many presets are not offered for `env`, which, and why."""
    listed = ", ".join(names)
    if len(names) == 1:
        return f"1 preset is not offered: {listed} trains on environments of its own, and {env} is not among them."
    return f"{len(names)} presets are not offered: {listed} train on environments of their own, without {env}."
