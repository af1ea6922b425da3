"""The demo of an empty V3 Lab: the same environment and seed under two curricula."""

from v3core.config import RunConfig, build_run_config, recipe_for
from v3core.curriculum import load_preset, scaled

ENV = "CartPole-v1"
SEED = 1
CURRICULA = ("v3", "direct-sparsemax")


def demo_configs() -> list[RunConfig]:
    """One run per curriculum, of the recipe's length."""
    recipe = recipe_for(ENV)
    return [
        build_run_config(
            name=f"{name} · {ENV} · seed {SEED}",
            env=ENV,
            seed=SEED,
            episodes=recipe.episodes,
            curriculum=scaled(load_preset(name), recipe.episodes),
            recipe=recipe,
        )
        for name in CURRICULA
    ]
