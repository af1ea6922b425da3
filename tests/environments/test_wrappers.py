"""Environments made with arguments and in wrappers that are named."""

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, check_environment, register_situations
from v3core.environments.describe import as_dict, as_text
from v3core.environments.make import make_environment
from v3core.errors import V3Error


def made(env_id, args=None, *wrappers):
    return make_environment(EnvironmentSetup(env_id, args or {}, wrappers))


def refused(env_id, args=None, *wrappers, allow_import=True):
    with pytest.raises(V3Error) as caught:
        check_environment(EnvironmentSetup(env_id, args or {}, wrappers), allow_import=allow_import)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_arguments_reach_the_environment():
    assert made("MiniGrid-Empty-5x5-v0", {"size": 9}).unwrapped.width == 9
    assert made("FrozenLake-v1", {"desc": ["SF", "FG"]}).observation_space.n == 4
    assert made("CartPole-v1", {"max_episode_steps": 7})._max_episode_steps == 7


@pytest.mark.parametrize(
    ("env", "args", "sentence"),
    [
        ("FrozenLake-v1", {"map_nam": "8x8"}, "Environment FrozenLake-v1 has no argument 'map_nam'; it accepts"),
        ("FrozenLake-v1", {"map_nam": "8x8"}, "is_slippery, success_rate, reward_schedule, max_episode_steps"),
        ("FrozenLake-v1", {"map_nam": "8x8"}, "Did you mean map_name"),
        # Its own arguments and those that it hands on to the class it derives from.
        ("MiniGrid-Empty-5x5-v0", {"sise": 9}, "has no argument 'sise'; it accepts size, agent_start_pos"),
        ("MiniGrid-Empty-5x5-v0", {"sise": 9}, "see_through_walls"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "Environment FrozenLake-v1 cannot be created with map_name=9x9: "),
    ],
)
def test_arguments_it_does_not_take_are_named_with_those_it_takes(env, args, sentence):
    assert sentence in refused(env, args)


def test_an_argument_it_needs_is_named():
    def grid(size, *, colour):
        raise AssertionError

    gymnasium.register("Needy-v0", entry_point=grid)
    try:
        assert "needs the argument colour; give --env-arg colour=…" in refused("Needy-v0", {"size": 1})
        assert "needs the argument size; give" in refused("Needy-v0", {"colour": 1})
    finally:
        del gymnasium.registry["Needy-v0"]


def test_an_argument_that_it_sets_itself_is_named():
    class Fixed(CartPoleEnv):
        def __init__(self, **more):
            super().__init__(sutton_barto_reward=True, **more)

    gymnasium.register("Fixed-v0", entry_point=Fixed)
    try:
        assert refused("Fixed-v0", {"sutton_barto_reward": False}) == (
            "Environment Fixed-v0 sets its argument 'sutton_barto_reward' itself; leave it out."
        )
    finally:
        del gymnasium.registry["Fixed-v0"]


def test_a_value_of_a_wrong_type_is_named_without_arguments_that_nobody_gave():
    gymnasium.register("Grown-v0", entry_point=lambda size, goal=None: range(size), kwargs={"goal": 3})
    try:
        assert refused("Grown-v0", {"size": "x"}) == (
            "Environment Grown-v0 cannot be created with size=x: 'str' object cannot be interpreted as an integer."
        )
    finally:
        del gymnasium.registry["Grown-v0"]


class Seeing(gymnasium.Env):
    """Observes an image that is too large, and numbers."""

    observation_space = spaces.Dict(
        {"camera": spaces.Box(0, 255, (600, 700, 3), np.uint8), "speed": spaces.Box(-1, 1, (2,))}
    )
    action_space = spaces.Discrete(2)


def test_a_large_image_among_other_keys_can_be_left_out_as_is_advised():
    gymnasium.register("Seeing-v0", entry_point=Seeing)
    try:
        assert refused("Seeing-v0", {}).endswith(
            "its observations at ('camera',) are images of 600 × 700 pixels; keep only the other keys by "
            "gymnasium.wrappers.FilterObservation(filter_keys=[…]), or make the image smaller in a wrapper of your own."
        )
        kept = EnvironmentSetup("Seeing-v0", {}, ("gymnasium.wrappers:FilterObservation(filter_keys=['speed'])",))
        assert [part.path for part in check_environment(kept, allow_import=False).graph.parts] == [("speed",)] * 2
    finally:
        del gymnasium.registry["Seeing-v0"]


def test_wrappers_go_around_it_innermost_first():
    env = made("CartPole-v1", {}, "TimeAwareObservation", "FrameStackObservation(stack_size=3)")
    assert env.observation_space.shape == (3, 5)
    assert made("CartPole-v1", {}, "TimeLimit(max_episode_steps=3)").spec.max_episode_steps == 3


def test_minigrids_own_wrappers_take_its_whole_observation():
    env = EnvironmentSetup("MiniGrid-Empty-6x6-v0", {}, ("minigrid.wrappers:FullyObsWrapper",))
    (part,) = [part for part in check_environment(env, allow_import=False).graph.parts if part.kind == "grid"]
    assert part.shape == (6, 6, 3)


@pytest.mark.parametrize(
    ("wrapper", "sentence"),
    [
        ("FrameStack", "There is no wrapper 'FrameStack' in gymnasium.wrappers. Did you mean FrameStackObservation"),
        ("FrameStackObservation(size=4)", "it accepts stack_size"),
        ("FrameStackObservation", "missing 1 required positional argument: 'stack_size'; it accepts stack_size"),
        ("FlattenObservation(3)", "it accepts no arguments."),
        ("NormalizeObservation", "keeps running statistics that checkpoints lack"),
        ("Autoreset", "V3 Lab resets environments"),
        ("RecordVideo(video_folder='x')", "Wrapper RecordVideo writes files; remove it."),
        ("vector", "vector environments"),
        ("gymnasium:Env", "There is no wrapper 'Env' in gymnasium."),
        ("json:JSONDecoder", "There is no wrapper 'JSONDecoder' in json. It has none."),
        ("nosuchmodule:Scaled", "Wrapper nosuchmodule:Scaled cannot be imported: No module named 'nosuchmodule'."),
    ],
)
def test_a_wrapper_that_cannot_be_put_on_gets_one_sentence(wrapper, sentence):
    text = refused("CartPole-v1", {}, wrapper)
    assert text.startswith("Environment CartPole-v1 cannot be created: ")
    assert sentence in text


def test_what_a_wrapper_makes_of_the_observation_must_suit_the_policy():
    text = refused("CartPole-v1", {}, "ReshapeObservation(shape=(4, 1, 1))")
    assert text.startswith("The policy does not support CartPole-v1: its observations look like an image")


def test_a_module_of_wrappers_is_imported_for_the_command_line_only():
    text = refused("CartPole-v1", {}, "antigravity:Fly", allow_import=False)
    assert text.startswith("Wrapper 'antigravity:Fly' imports code, which is only possible from the command line")
    assert "antigravity" not in sys.modules


def test_copies_are_made_with_both():
    spec = check_environment(
        EnvironmentSetup("MiniGrid-Empty-5x5-v0", {"size": 7}, ("TimeLimit(max_episode_steps=4)",)), allow_import=False
    )
    batch = EnvironmentBatch(spec, 2, 1)
    assert [env.unwrapped.width for env in batch._envs] == [7, 7]
    for _ in range(4):
        steps = batch.step(np.zeros((2, 1), np.int64))
    assert steps.truncated.all()


def test_both_are_described():
    setup = EnvironmentSetup("FrozenLake-v1", {"map_name": "8x8"}, ("TimeLimit(9)",))
    spec = check_environment(setup, allow_import=False)
    assert as_text(spec).startswith("FrozenLake-v1 (map_name=8x8) in TimeLimit(9): 1 nodes")
    described = as_dict(spec)
    assert (described["env_args"], described["wrappers"]) == ({"map_name": "8x8"}, ["TimeLimit(9)"])


def test_actions_and_situations_are_described_by_name():
    # The longest pattern counts, also one that another test has taken back.
    register_situations(
        "CartPole-v1", {"leaning": lambda seen: seen[""][:, 2] > 0, "far": lambda seen: seen[""][:, 0] > 1}
    )
    try:
        spec = check_environment("CartPole-v1", allow_import=False)
    finally:
        register_situations("CartPole-v1", {})
    *_, actions, situations = as_text(spec).splitlines()
    assert actions == "  actions: one of 2: Push left, Push right"
    assert situations == "  situations: leaning, far"
    assert as_dict(spec)["actions"]["names"] == ["Push left", "Push right"]
    assert as_dict(spec)["situations"] == ["leaning", "far"]


def test_what_has_no_names_is_described_without():
    spec = check_environment(EnvironmentSetup("CartPole-v1", {}, ("TimeLimit(9)",)), allow_import=False)
    assert as_text(spec).endswith("\n  actions: one of 2"), "a wrapper may have changed them"
    assert (as_dict(spec)["actions"]["names"], as_dict(spec)["situations"]) == ([], [])


def test_an_id_that_begins_alike_has_no_names_of_other_actions():
    class Three(CartPoleEnv):
        def __init__(self):
            super().__init__()
            self.action_space = spaces.Discrete(3)

    gymnasium.register("CartPole-Three-v0", entry_point=Three)
    try:
        assert as_text(check_environment("CartPole-Three-v0", allow_import=False)).endswith("\n  actions: one of 3")
    finally:
        del gymnasium.registry["CartPole-Three-v0"]
