"""The recipe's settings as fields: a changed field shows the recipe's value, and a click resets it."""

from collections.abc import Mapping

import streamlit as st

from v3core.config import Recipe, Scalar
from v3core.errors import V3Error
from v3core.messages import _, say, translated
from v3core.overrides import SETTINGS, Setting, overridden
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

_GROUPS = {
    "base": _("Base values, multiplied by phases"),
    "ppo": "PPO",
    "policy": _("Network"),
    "evaluation": _("Evaluation"),
}
_FIELD_MIN_WIDTH = 128
"""Pixels: the longest title and its help fit, and two fields next to each other on a phone."""
_EMPTY = {
    "policy.expert_width": _("Same as width"),
    "policy.memory_width": _("Same as width"),
    "evaluation.every": _("Only at the end"),
    "evaluation.knockout": _("10, or a fifth of the run"),
}
"""What an empty field means."""


def recipe_editor(env: str, recipe: Recipe, chosen: Mapping[str, Scalar]) -> tuple[Recipe, list[str]]:
    """Show every setting that no phase sets; returns the recipe as changed, and its errors, one sentence each.

    Each environment has its own fields. `chosen` has the initial values, by path, that are not the recipe's.
    """
    keys = {path: f"set:{path}:{env}" for path in SETTINGS}
    initial = {path: setting.show(chosen.get(path, setting.of(recipe))) for path, setting in SETTINGS.items()}
    # As of a page that is reloaded, copied or gone back to, before the fields are drawn.
    texts = {path: st.session_state.get(key, st.query_params.get(key, initial[path])) for path, key in keys.items()}
    changed = [path for path, setting in SETTINGS.items() if _is_changed(setting, texts[path], recipe)]
    note = md(" · :orange[{} changed]", len(changed)) if changed else Markdown()
    values: dict[str, Scalar] = {}
    problems: list[str] = []
    with st.expander(
        md("Recipe **{}**: base values, PPO, network, evaluation{}", recipe.name, note),
        icon=":material/receipt_long:",
        key="recipe",
        expanded=bool(chosen or changed),
    ):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(plain(_(recipe.note)) or md("Settings for the whole run."), width="stretch")
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
                        _field(setting, keys[path], recipe, initial[path], values, problems)
        try:
            recipe = overridden(recipe, values)
        except V3Error as error:
            problems.append(error.message)
            st.error(plain(error), icon=":material/error:")
    return recipe, problems


def _is_changed(setting: Setting, text: str | None, recipe: Recipe) -> bool:
    """Whether a text differs from the recipe's value; `4.0e-1` is the same as 0.4."""
    try:
        return setting.parse(text or "") != setting.of(recipe)
    except V3Error:
        return True


def _field(
    setting: Setting, key: str, recipe: Recipe, begins_with: str, values: dict[str, Scalar], problems: list[str]
) -> None:
    """One setting; adds its value to `values`, or its error to `problems` and below the field."""
    own = setting.show(setting.of(recipe))
    help_text = md("{}  \nOn the command line: --set {}=…", setting.meaning, setting.path)
    if setting.choices:
        place = setting.choices.index(begins_with)
        text = st.selectbox(
            plain(setting.title),
            setting.choices,
            index=place,
            key=key,
            bind="query-params",
            help=help_text,
            placeholder=say("Choose an option"),
        )
    else:
        empty = translated(_EMPTY.get(setting.path, ""))
        text = (
            st.text_input(
                plain(setting.title),
                begins_with,
                key=key,
                bind="query-params",
                placeholder=empty,
                help=help_text,
            )
            or ""
        )
    try:
        values[setting.path] = setting.parse(text)
    except V3Error as error:
        problems.append(error.message)
        st.markdown(md(":small[:red[:material/error: {}]]", error))
    if _is_changed(setting, text, recipe):
        st.button(
            md("Recipe: {}", own or translated(_EMPTY.get(setting.path, "")).lower()),
            icon=":material/undo:",
            key=f"back:{key}",
            type="tertiary",
            help=md("Reset to the recipe's value."),
            on_click=_fill,
            args=({key: own},),
        )


def _fill(fields: Mapping[str, str]) -> None:
    for key, text in fields.items():
        st.session_state[key] = text
