"""Choosing a preset, with its description; presets that do not fit are not offered."""

import streamlit as st

from v3core.curriculum import Curriculum, check_environment_named, load_preset, parse, preset_names, preset_names_for
from v3core.errors import V3Error
from v3core.ui.text import md, plain

FROM_A_FILE = "From a file"
AS_BEFORE = "As in the run"
_OTHERS = {
    FROM_A_FILE: "Your own curriculum, as a YAML file.",
    AS_BEFORE: "The curriculum of that run, including edits made while it trained.",
}


@st.cache_data(max_entries=64, show_spinner=False)
def presets_for(env: str) -> list[str]:
    """Names of the presets that can train on `env`."""
    return preset_names_for(env)


@st.cache_data(max_entries=1, show_spinner=False)
def _descriptions() -> dict[str, str]:
    return {name: load_preset(name).description for name in preset_names()}


def pick_preset(env: str, *, as_before: bool = False) -> str:
    """The name of a preset that can train on `env`, or `FROM_A_FILE`, or `AS_BEFORE`.

    Args:
        env: the environment.
        as_before: whether a run is launched again, whose curriculum is offered first.
    """
    descriptions, fitting = _descriptions(), presets_for(env)
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    preset: str = left.selectbox(
        "Preset", [*([AS_BEFORE] if as_before else []), *fitting, FROM_A_FILE], key="curriculum", bind="query-params"
    )
    right.markdown(plain(descriptions.get(preset) or _OTHERS[preset]))
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
        return f"1 preset is not available: {listed} has its own environments, which do not include {env}."
    return f"{len(names)} presets are not available: {listed} have their own environments, which do not include {env}."


def chosen_curriculum(preset: str, env: str, as_before: Curriculum | None) -> tuple[Curriculum | None, list[str]]:
    """The curriculum to edit, if any, and its errors, which are also shown next to the field.

    Args:
        preset: what `pick_preset` returned.
        env: the environment, which a curriculum that names some must be among.
        as_before: the curriculum of a run that is launched again.
    """
    if preset not in _OTHERS:
        return load_preset(preset), []
    source = as_before if preset == AS_BEFORE else _uploaded()
    if source is None:
        return None, ["Choose a curriculum file."]
    try:
        check_environment_named(source, env)
    except V3Error as error:
        st.error(plain(error))
        return source, [str(error)]
    return source, []


def _uploaded() -> Curriculum | None:
    """The curriculum of an uploaded file, or None; errors are shown next to the field."""
    upload = st.file_uploader("Curriculum file", type=["yaml", "yml"], key="file")
    if upload is None:
        return None
    try:
        return parse(upload.getvalue().decode("utf-8"), subject=f"Curriculum file {upload.name}")
    except UnicodeDecodeError:
        st.error(md("Curriculum file {} is not text; it must be YAML in UTF-8.", upload.name))
    except V3Error as error:
        st.error(plain(error))
    return None
