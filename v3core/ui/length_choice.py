"""The length of a launch: by episodes or by environment steps, and whether the curriculum is scaled to it."""

from typing import cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from v3core import config
from v3core.config import MAX_EPISODES, MAX_STEPS, Recipe
from v3core.curriculum import Curriculum, Length
from v3core.errors import V3Error
from v3core.messages import _
from v3core.ui.option_labels import follow_language
from v3core.ui.text import md, plain

EPISODES, STEPS = _("Episodes"), _("Environment steps")


def pick_length(env: str, recipe: Recipe, before: Length | None) -> tuple[Length, DeltaGenerator, list[str]]:
    """The length as chosen, where errors about it are shown, and what is wrong with it so far.

    Args:
        env: the environment; each has its own fields.
        recipe: it has the usual lengths.
        before: the length of the run that is launched again.
    """
    was_by_steps = before is not None and before.is_by_steps
    follow_language("length", [EPISODES, STEPS], plain)
    unit = st.radio(
        md("Length by"),
        [EPISODES, STEPS],
        format_func=plain,
        index=int(was_by_steps),
        key="length",
        bind="query-params",
        horizontal=True,
        help=md(
            "Curricula are comparable at equal steps: equal numbers of episodes can be very different amounts of "
            "experience."
        ),
    )
    by_steps = unit == STEPS
    usual = recipe.steps if by_steps else recipe.episodes
    if before is not None and was_by_steps == by_steps:
        usual = before.steps if by_steps and before.steps else before.episodes
    most, step, name = (MAX_STEPS, 1000, "steps") if by_steps else (MAX_EPISODES, 50, "episodes")
    # None once the field was emptied, whatever its type says.
    count = cast(
        "int | None", st.number_input(plain(unit), 1, most, usual, step=step, key=f"{name}:{env}", bind="query-params")
    )
    place = st.container()
    problems: list[str] = (
        []
        if count is not None
        else [
            _("Enter the number of environment steps to train.")
            if by_steps
            else _("Enter the number of episodes to train.")
        ]
    )
    for problem in problems:
        place.error(plain(problem))
    if before is not None and before.steps is not None and not was_by_steps:
        place.caption(md("That run is planned for {}; a launch from this page has one of them.", before))
    chosen = int(count or usual)
    return Length.of(None, chosen) if by_steps else Length.of(chosen, None), place, problems


def fitting_length(length: Length, recipe: Recipe, place: DeltaGenerator) -> tuple[Length, list[str]]:
    """The length as the environments of the chosen recipe can take it; what is wrong with it is shown at `place`."""
    try:
        fitting = config.fitting_length(**vars(length), ppo=recipe.ppo)
    except V3Error as error:
        place.error(plain(error))
        return length, [error.message]
    if fitting != length:
        environments = recipe.ppo.environments
        place.caption(md("Rounded up to {}, because the {} environments are stepped together.", fitting, environments))
    return fitting, []


def scale_toggle(source: Curriculum, preset: str, length: Length) -> bool:
    """Whether the curriculum follows the length of the run in proportion."""
    meant_for = (
        _("Written for {episodes:,} episodes.", episodes=source.episodes)
        if source.episodes
        else _("The file does not set 'episodes'.")
    )
    if not length.is_by_steps:
        return st.toggle(
            md("Scale phase boundaries to the length of the run"),
            value=source.episodes is not None,
            key=f"scale:{preset}",
            bind="query-params",
            disabled=source.episodes is None,
            help=plain(meant_for),
        )
    scale = st.toggle(
        md("Turn phase boundaries into steps"),
        value=False,
        key=f"scale-steps:{preset}",
        bind="query-params",
        disabled=source.episodes is None,
        help=md(
            "{meant_for} Each phase then ends at the same part of the run, counted in environment steps.",
            meant_for=meant_for,
        ),
    )
    if not scale and source.boundaries:
        st.caption(
            md(
                "Phases end at their episodes, and the last one lasts until the steps are used. A run whose steps "
                "are used before that ends in an earlier phase."
            )
        )
    return scale
