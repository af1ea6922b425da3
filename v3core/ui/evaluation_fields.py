"""How a run is evaluated apart from training: two fields with the recipe's values in them."""

import streamlit as st

from v3core.config import EvaluationConfig, Recipe

MOST_EPISODES = 10_000


def evaluation_fields(env: str, recipe: Recipe) -> Recipe:
    """Show the evaluation's settings; returns the recipe with those chosen.

    Args:
        env: the environment; the fields are filled anew when it changes.
        recipe: whose settings they begin with.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        episodes = st.number_input(
            "Evaluation episodes",
            0,
            MOST_EPISODES,
            recipe.evaluation.episodes,
            key=f"evaluation-episodes:{env}",
            help="Episodes of one evaluation: no exploration, nothing learned, the same seeds for every run. 0: none.",
        )
        every = st.number_input(
            "Evaluate every … episodes",
            1,
            None,
            recipe.evaluation.every,
            step=50,
            placeholder="At the end only",
            key=f"evaluation-every:{env}",
            disabled=not episodes,
            help="Training episodes between two evaluations. Left empty, the run is evaluated once, at its end.",
        )
    return recipe.model_copy(update={"evaluation": EvaluationConfig(episodes=episodes or 0, every=every)})
