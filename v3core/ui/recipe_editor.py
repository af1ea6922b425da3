"""The recipe's settings as fields: a changed field shows the recipe's value, and a click resets it."""

from collections.abc import Mapping

import streamlit as st

from v3core.config import Recipe, Scalar
from v3core.errors import V3Error
from v3core.overrides import SETTINGS, Setting, overridden
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

_GROUPS = {
    "base": "Base values, multiplied by phases",
    "ppo": "PPO",
    "policy": "Network",
    "evaluation": "Evaluation",
}
_FIELD_MIN_WIDTH = 128
"""Pixels: the longest title and its help fit, and two fields next to each other on a phone."""
_EMPTY = {"policy.expert_width": "Same as width", "evaluation.every": "Only at the end"}
"""What an empty field means."""


def recipe_editor(env: str, recipe: Recipe, chosen: Mapping[str, Scalar]) -> tuple[Recipe, list[str]]:
    """Show every setting that no phase sets; returns the recipe as changed, and its errors, one sentence each.

    Args:
        env: the environment; each has its own fields.
        recipe: as its file has it.
        chosen: path to the initial value of a field, if that is not the recipe's.
    """
    keys = {path: f"set:{path}:{env}" for path in SETTINGS}
    changed = [path for path, setting in SETTINGS.items() if _is_changed(setting, keys[path], recipe, chosen)]
    note = md(" · :orange[{} changed]", len(changed)) if changed else Markdown()
    values: dict[str, Scalar] = {}
    problems: list[str] = []
    with st.expander(
        md("Recipe **{}**: base values, PPO, network, evaluation{}", recipe.name, note),
        icon=":material/receipt_long:",
        key="recipe",
        expanded=bool(chosen),
    ):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(plain(recipe.note) or "Settings for the whole run.", width="stretch")
            if changed:
                fields = {keys[path]: SETTINGS[path].show(SETTINGS[path].of(recipe)) for path in changed}
                st.button(
                    md("Undo {}", counted(len(changed), "change")),
                    icon=":material/undo:",
                    key="recipe-undo",
                    on_click=_fill,
                    args=(fields,),
                )
        for section, title in _GROUPS.items():
            st.markdown(md("**{}**", title))
            grid = st.grid("auto", min_column_width=_FIELD_MIN_WIDTH, gap=("small", "xsmall"))
            for path, setting in SETTINGS.items():
                if setting.section == section:
                    with grid.cell():
                        _field(setting, keys[path], recipe, chosen, values, problems)
        try:
            recipe = overridden(recipe, values)
        except V3Error as error:
            problems.append(str(error))
            st.error(plain(error), icon=":material/error:")
    return recipe, problems


def _begins_with(setting: Setting, recipe: Recipe, chosen: Mapping[str, Scalar]) -> str:
    return setting.show(chosen.get(setting.path, setting.of(recipe)))


def _is_changed(setting: Setting, key: str, recipe: Recipe, chosen: Mapping[str, Scalar]) -> bool:
    """Whether the field differs from the recipe's value; `4.0e-1` is the same as 0.4."""
    text = st.session_state.get(key, _begins_with(setting, recipe, chosen))
    try:
        return setting.parse(text or "") != setting.of(recipe)
    except V3Error:
        return True


def _field(
    setting: Setting,
    key: str,
    recipe: Recipe,
    chosen: Mapping[str, Scalar],
    values: dict[str, Scalar],
    problems: list[str],
) -> None:
    """One setting; adds its value to `values`, or its error to `problems` and below the field."""
    own = setting.show(setting.of(recipe))
    begins_with = _begins_with(setting, recipe, chosen)
    help_text = md("{}  \nOn the command line: --set {}=…", setting.meaning, setting.path)
    if setting.choices:
        place = setting.choices.index(begins_with)
        text = st.selectbox(plain(setting.title), setting.choices, index=place, key=key, help=help_text)
    else:
        empty = _EMPTY.get(setting.path, "")
        text = st.text_input(plain(setting.title), begins_with, key=key, placeholder=empty, help=help_text) or ""
    try:
        values[setting.path] = setting.parse(text)
        is_changed = values[setting.path] != setting.of(recipe)
    except V3Error as error:
        problems.append(str(error))
        st.markdown(md(":small[:red[:material/error: {}]]", error))
        is_changed = True
    if is_changed:
        st.button(
            md("Recipe: {}", own or _EMPTY.get(setting.path, "").lower()),
            icon=":material/undo:",
            key=f"back:{key}",
            type="tertiary",
            help="Reset to the recipe's value.",
            on_click=_fill,
            args=({key: own},),
        )


def _fill(fields: Mapping[str, str]) -> None:
    for key, text in fields.items():
        st.session_state[key] = text
