"""A quick version of the learning results: minutes of docs/results.md in seconds."""

import statistics

import pytest

from v3core.config import EvaluationConfig, build_run_config, recipe_for
from v3core.curriculum import load_preset, scaled
from v3core.training.trainer import train


@pytest.mark.slow
def test_cartpole_is_learned_under_v3(recorder):
    """The recipe, cut to 150 episodes: its evaluation reaches Gymnasium's own threshold of 475."""
    recipe = recipe_for("CartPole-v1").model_copy(update={"evaluation": EvaluationConfig(episodes=20)})
    curriculum = scaled(load_preset("v3"), 150)
    config = build_run_config(
        name="quick", env="CartPole-v1", seed=1, episodes=150, curriculum=curriculum, recipe=recipe
    )
    hooks = recorder()
    train(config, curriculum=curriculum, hooks=hooks)
    (evaluation,) = hooks.evaluations
    assert statistics.fmean(played.return_ for played in evaluation.episodes) >= 475
    assert hooks.step < 60_000
    assert {change.name for change in hooks.phases} == {"warmup", "transition", "fine-tune"}
