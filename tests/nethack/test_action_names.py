"""Actions of NetHack are told apart by their names, which recordings and charts have, too."""

import json
from types import SimpleNamespace

import pytest

from tests.training.conftest import Recorder
from v3core import load_policy
from v3core.charts.expert_figures import actions_figure
from v3core.config import EvaluationConfig, PolicyConfig, PPOConfig, build_run_config, recipe_for
from v3core.curriculum import Curriculum
from v3core.environment_setup import EnvironmentSetup, joined
from v3core.environments import check_environment
from v3core.environments.action_names import action_names
from v3core.environments.registry import check_run
from v3core.errors import V3Error
from v3core.insight.replays import from_bytes, to_bytes
from v3core.messages import speaking
from v3core.training.trainer import Outcome, train

ROOM, SCORE = "MiniHack-Room-5x5-v0", "NetHackScore-v0"
MOVES, OTHERS = ["N", "E", "S", "W"], ["W", "KICK", "SEARCH", "OPEN"]


def spec_of(env_id, args=(), wrappers=()):
    return check_environment(EnvironmentSetup(env_id, dict(args), tuple(wrappers)), allow_import=True)


def test_they_have_the_names_of_the_environment():
    assert spec_of(SCORE).actions.names[:10] == ("MORE", "N", "E", "S", "W", "NE", "SE", "SW", "NW", "FAR_N")
    assert spec_of(f"minihack:{ROOM}", {"actions": OTHERS}).actions.names == tuple(OTHERS)
    features = "v3core.environments.nethack:PublishedFeatures"
    assert spec_of(ROOM, {"actions": MOVES}, (features, "TimeLimit(9)")).actions.names == tuple(MOVES)
    assert spec_of(ROOM, wrappers=("StickyAction(0.25)",)).actions.names == (), "it may do something else"
    assert spec_of("CartPole-v1").actions.names == ()


@pytest.mark.parametrize("env_id", [ROOM, f"minihack:{ROOM}"])
def test_a_phase_with_other_actions_is_refused(env_id):
    phases = [
        {"name": "first", "until": {"episode": 5}, "env_args": {"actions": MOVES}},
        {"name": "second", "env_args": {"actions": OTHERS}},
    ]
    curriculum = Curriculum.model_validate({"name": "x", "phases": phases})
    with pytest.raises(V3Error) as refused:
        check_run(env_id, curriculum, allow_import=True)
    assert str(refused.value) == (
        f"Phase 'second' trains on {env_id} (actions={json.dumps(OTHERS)}), whose actions differ from those of "
        f"{env_id} (actions={json.dumps(MOVES)}): number 1 is W, not N; they must be the same in every phase."
    )


def test_tasks_with_other_actions_are_refused():
    levitate, freeze = "MiniHack-Levitate-Ring-Restricted-v0", "MiniHack-Freeze-Random-Restricted-v0"
    assert spec_of(levitate).actions.sizes == spec_of(freeze).actions.sizes
    with pytest.raises(V3Error, match=r"because their actions differ: number \d+ is [A-Z]+, not [A-Z]+; choose"):
        spec_of(joined([levitate, freeze]))
    assert len(spec_of(joined([ROOM, "MiniHack-Room-15x15-v0"])).actions.names) == 8


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on MOVES, its last evaluation and its checkpoint."""
    hooks = Recorder(tmp_path_factory.mktemp("trained"))

    def run(args, checkpoint=None):
        setup = EnvironmentSetup(ROOM, {"max_episode_steps": 5, **args})
        recipe = recipe_for(ROOM).model_copy(update={"policy": PolicyConfig(width=16, heads=4)})
        curriculum = Curriculum.model_validate({"name": "x", "phases": [{"name": "all"}]})
        config = build_run_config(name="x", env=setup, seed=1, episodes=4, curriculum=curriculum, recipe=recipe)
        sizes = PPOConfig(environments=2, rollout_steps=8, minibatch=8, epochs=1)
        config = config.model_copy(update={"ppo": sizes, "evaluation": EvaluationConfig(episodes=2)})
        return train(config, curriculum=config.curriculum, hooks=hooks, checkpoint=checkpoint)

    assert run({"actions": MOVES}) is Outcome.COMPLETED
    return SimpleNamespace(path=hooks.saved[-1][0], evaluation=hooks.evaluations[-1], run=run)


def test_a_checkpoint_is_not_continued_with_other_actions(trained):
    with pytest.raises(V3Error) as refused:
        trained.run({"actions": OTHERS}, trained.path)
    assert str(refused.value) == (
        f"Checkpoint {trained.path} is of a policy with other actions: number 1 is N, and here W; give the environment "
        "the actions that it was trained with."
    )
    assert trained.run({"actions": MOVES}, trained.path) is Outcome.COMPLETED
    assert load_policy(trained.path).spec.actions.names == tuple(MOVES)


def test_replays_and_the_chart_of_each_expert_have_their_names(trained):
    (replay, *_others) = trained.evaluation.replays.values()
    replay = from_bytes(to_bytes({"best": replay}))["best"]
    wrapped = EnvironmentSetup(f"minihack:{ROOM}", {}, ("TimeLimit(9)",))
    assert action_names(wrapped, replay.space, outputs=4) == ["North", "East", "South", "West"]
    for used in (True, False):
        figure = actions_figure("run", trained.evaluation.experts.experts, used=used)
        assert figure.layout.xaxis.ticktext == ["North", "East", "South", "West"]
    with speaking("zh_CN"):
        figure = actions_figure("run", trained.evaluation.experts.experts, used=False)
    assert figure.layout.xaxis.ticktext == ["北", "东", "南", "西"]
