"""Which environments are offered, which are refused, and in which words."""

import sys

import gymnasium
import pytest
from gymnasium import spaces

from v3core.environments import check_environment, known_environments, matching_environments
from v3core.errors import V3Error


def test_offers_classic_control_first_and_newest_versions_only():
    known = known_environments()
    assert set(known[:16]) >= {"Acrobot-v1", "CartPole-v1", "Pendulum-v1", "LunarLander-v3", "FrozenLake-v1"}
    assert not any(env_id.startswith("MiniGrid") for env_id in known[:12])
    assert "MiniGrid-Empty-Random-5x5-v0" in known
    assert "MiniGrid-MultiRoom-N4-S5-v1" in known
    assert "MiniGrid-MultiRoom-N4-S5-v0" not in known


def test_everything_offered_can_be_trained_on():
    for env_id in known_environments():
        assert check_environment(env_id, allow_import=False).graph.nodes > 0


def test_offering_makes_no_environment(monkeypatch):
    monkeypatch.setattr(gymnasium, "make", lambda *_, **__: pytest.fail("an environment was made"))
    assert known_environments()


@pytest.mark.parametrize(
    ("env_id", "sentence"),
    [
        ("CartPol-v1", "There is no environment 'CartPol-v1'. Did you mean CartPole-v1"),
        ("cartpole-V1", "There is no environment 'cartpole-V1'. Did you mean CartPole-v1"),
        ("CartPole-v9", "Environment 'CartPole-v9' does not exist in this version; use CartPole-v0 or CartPole-v1."),
        ("CartPole", "Environment 'CartPole' has no version; use CartPole-v0 or CartPole-v1."),
        ("LunarLander-v2", "Environment 'LunarLander-v2' does not exist in this version; use LunarLander-v3."),
        (
            "DoorKey",
            "There is no environment 'DoorKey'. Did you mean MiniGrid-DoorKey-16x16-v0, MiniGrid-DoorKey-5x5-v0, "
            "MiniGrid-DoorKey-6x6-v0 or MiniGrid-DoorKey-8x8-v0?",
        ),
        ("lander", "There is no environment 'lander'. Did you mean LunarLander-v3 or LunarLanderContinuous-v3?"),
        ("MiniGrid", "MiniGrid-Dynamic-Obstacles-16x16-v0 or one of 62 more?"),
        ("Acrobot", "Environment 'Acrobot' has no version; use Acrobot-v1."),
        ("xyzzy", "There is no environment 'xyzzy'. Give an id such as CartPole-v1"),
        ("a/b/c", "There is no environment 'a/b/c'."),
        ("   ", "No environment given; give an id such as CartPole-v1."),
        ("phys2d/CartPole-v1", "Environment phys2d/CartPole-v1 needs the Python package 'jax', which is not installed"),
        ("nosuchmodule:Thing-v0", "needs the Python package 'nosuchmodule', which is not installed"),
        ("math:Thing-v0", "Environment math:Thing-v0 cannot be created: Environment `Thing` doesn't exist."),
        ("a:b:c", "'a:b:c' is not an environment id; write module:Name-v0."),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_sentence(env_id, sentence):
    with pytest.raises(V3Error) as refused:
        check_environment(env_id, allow_import=True)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("DoorKey", "MiniGrid-DoorKey-16x16-v0", 4),
        ("doorkey 5x5", "MiniGrid-DoorKey-5x5-v0", 1),
        (" acrobot-V1 ", "Acrobot-v1", 1),
        ("CartPole", "CartPole-v1", 1),
        ("GoToRedBallGrey", "BabyAI-GoToRedBallGrey-v0", 1),  # registered, though it is not offered
    ],
)
def test_part_of_an_id_finds_what_may_be_meant(text, first, count):
    found = matching_environments(text)
    assert (found[0], len(found)) == (first, count)


@pytest.mark.parametrize(
    "text", ["CartPole-v1", "CartPole-v0", "BabyAI-GoToRedBall-v0", "os:Cart", "xyzzy", "a", "", " "]
)
def test_an_id_or_what_is_part_of_none_matches_nothing_else(text):
    assert matching_environments(text) == []


def test_a_page_may_not_import_code_and_nothing_is_imported():
    with pytest.raises(V3Error, match="imports code, which is only possible from the command line"):
        check_environment("antigravity:Fly-v0", allow_import=False)
    assert "antigravity" not in sys.modules


def test_the_command_line_may_name_a_module():
    assert check_environment("math:CartPole-v1", allow_import=True).graph.nodes == 4


class Broken(gymnasium.Env):
    """Raises when it is made."""

    def __init__(self):
        raise RuntimeError("no display\nand more lines")


class Observing(gymnasium.Env):
    """Has the observation space it is given."""

    def __init__(self, space):
        self.observation_space, self.action_space = space, spaces.Discrete(2)


@pytest.fixture
def registered():
    """Register an environment under `Test-v0` for one test."""

    def register(entry_point, **kwargs):
        gymnasium.register("Test-v0", entry_point=entry_point, kwargs=kwargs)

    yield register
    gymnasium.registry.pop("Test-v0", None)


def test_an_environment_that_exits_when_made_is_refused_and_the_program_goes_on(registered):
    def leave():
        raise SystemExit("no licence")

    registered(leave)
    with pytest.raises(V3Error, match=r"^Environment Test-v0 cannot be created: no licence\.$"):
        check_environment("Test-v0", allow_import=False)


def test_an_environment_that_raises_when_made_is_refused_with_its_first_line(registered):
    registered(Broken)
    with pytest.raises(V3Error, match=r"^Environment Test-v0 cannot be created: no display\.$"):
        check_environment("Test-v0", allow_import=False)


def test_observations_without_a_graph_are_refused(registered):
    registered(Observing, space=spaces.Text(5))
    with pytest.raises(V3Error, match=r"^The policy does not support Test-v0: its observations are a Text, which"):
        check_environment("Test-v0", allow_import=False)


def test_pixels_of_a_minigrid_are_not_taken_for_categories():
    from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper

    from v3core.environments.make import graph_of

    env = ImgObsWrapper(RGBImgPartialObsWrapper(gymnasium.make("MiniGrid-Empty-5x5-v0")))
    assert [part.kind for part in graph_of(env).parts] == ["image"]
    env.close()
