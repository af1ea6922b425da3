"""What the launch page says of an environment: can the policy take it, and which recipe trains it."""

import streamlit as st

from v3core.config import Recipe
from v3core.environments import check_environment
from v3core.errors import V3Error


def environment_problem(env: str | None) -> str | None:
    """Why `env` cannot be trained, as one sentence; None if it can."""
    if not env:
        return "Choose an environment."
    return _problem(env.strip())


@st.cache_data(max_entries=256, show_spinner="Looking at the environment …")
def _problem(env: str) -> str | None:
    try:
        check_environment(env, allow_import=False)
    except V3Error as error:
        return str(error)
    return None


def describe_recipe(env: str, recipe: Recipe) -> None:
    """The settings that no phase owns, and the base values that phases multiply, before launch."""
    with st.expander(f"Recipe **{recipe.name}** for {env}", icon=":material/receipt_long:"):
        if recipe.note:
            st.caption(recipe.note)
        base, ppo, policy = st.columns(3)
        for column, title, settings in (
            (base, "Base values of the phases", recipe.base),
            (ppo, "PPO", recipe.ppo),
            (policy, "Policy", recipe.policy),
        ):
            values = {name.replace("_", " "): f"{value:g}" for name, value in settings.model_dump().items()}
            column.markdown(f"**{title}**")
            column.table(values, border="horizontal")
