"""Choosing presets: the curriculum to edit, and others to compare with; those that do not fit are not offered."""

import streamlit as st

from v3core.config import Recipe, build_run_config
from v3core.curriculum import (
    Curriculum,
    check_environment_named,
    load_preset,
    parse,
    preset_names,
    preset_names_for,
    scaled,
)
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.ui.environment_choice import run_problem
from v3core.ui.status import counted
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
    """The name of a preset for `env`, or `FROM_A_FILE`; or `AS_BEFORE`, offered if a run is launched again."""
    descriptions, fitting = _descriptions(), presets_for(env)
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    preset: str = left.selectbox(
        "Preset", [*([AS_BEFORE] if as_before else []), *fitting, FROM_A_FILE], key="curriculum", bind="query-params"
    )
    right.markdown(plain(descriptions.get(preset) or _OTHERS[preset]))
    absent = [name for name in descriptions if name not in fitting]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        if absent:
            st.caption(plain(_absent_presets(absent, env)), width="stretch")
        with st.popover("What each preset does", icon=":material/menu_book:", type="tertiary"):
            for name in fitting:
                st.markdown(md("**{}**  \n{}", name, descriptions[name]))
    return preset


def _absent_presets(names: list[str], env: str) -> str:
    """How many presets are not offered for `env`, which, and why."""
    are, have = ("is", "has its") if len(names) == 1 else ("are", "have their")
    return (
        f"{counted(len(names), 'preset')} {are} not available: {', '.join(names)} {have} own environments, which do "
        f"not include {env}."
    )


def chosen_curriculum(preset: str, env: str, as_before: Curriculum | None) -> tuple[Curriculum | None, list[str]]:
    """The curriculum to edit, if any, and its errors, which are also shown; `preset` as of `pick_preset`."""
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


def compare_with(
    env: EnvironmentSetup, own: Curriculum | None, episodes: int, recipe: Recipe
) -> tuple[list[Curriculum], list[str]]:
    """More presets to train besides `own`, scaled to the run's length; and why others do not fit, as is also shown."""
    chosen = st.multiselect(
        "Compare with",
        [name for name in presets_for(env.env_id) if own is None or name != own.name],
        key=f"compare-with:{env.env_id}",
        placeholder="No other curriculum",
        help="Each is scaled to the length of the run and trained with the same seeds. All runs form one experiment.",
    )
    fitting: list[Curriculum] = []
    problems: list[str] = []
    for name in chosen:
        try:
            curriculum = scaled(load_preset(name), episodes)
            build_run_config(name=name, env=env, seed=0, episodes=episodes, curriculum=curriculum, recipe=recipe)
            if problem := run_problem(env, curriculum):
                raise V3Error(problem)
            fitting.append(curriculum)
        except V3Error as error:
            problems.append(str(error))
            st.error(plain(error))
    return fitting, problems
