"""What is said of what the policy sees, obeys and does not hear of."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, check_environment, graph_spec, register_graph, state_graph
from v3core.environments.apart import check_launch, examine_apart
from v3core.environments.describe import stored_seen
from v3core.environments.examine import look

NUMBERS = spaces.Box(-1, 1, (2,), np.float32)


class Telling(gymnasium.Env):
    """Has two keys, says things in `info`, and may have a mask."""

    def __init__(self, masks=None, actions=None, keys=("speed", "place"), **info):
        self.observation_space = spaces.Dict(dict.fromkeys(keys, NUMBERS))
        self.action_space = actions or spaces.Discrete(2)
        self._info = info
        if masks == "method":
            self.action_masks = lambda: np.ones(2, bool)
        if masks == "info":
            self._info = info | {"action_mask": np.array([0, 1], np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), dict(self._info)

    def step(self, action):
        assert "action_mask" not in self._info or action == 1
        return self.observation_space.sample(), 0.0, False, False, {**self._info, "late": 1}


@pytest.fixture
def telling():
    """Registers `Telling` as `TestTelling-v0` with arguments; gives what is said of it."""

    def register(*wrappers, view=2, **kwargs):
        gymnasium.register("TestTelling-v0", entry_point=Telling, kwargs=kwargs)
        return look(EnvironmentSetup("TestTelling-v0", {}, wrappers, view), allow_import=False)

    yield register
    gymnasium.registry.pop("TestTelling-v0", None)


@pytest.mark.parametrize(
    ("env_id", "wrappers", "view", "expected"),
    [
        ("CartPole-v1", (), 2, "The policy sees the whole observation."),
        (
            "Taxi-v4",
            (),
            2,
            "The policy sees the whole observation. It obeys the action mask in info. Not used: info's prob.",
        ),
        (
            "Taxi-v4",
            (),
            1,
            "The policy sees the whole observation. Not used: the action mask in info, info's prob.",
        ),
        ("BabyAI-GoToObj-v0", (), 2, "The policy sees image, direction and mission."),
        ("BabyAI-GoToObj-v0", (), 1, "The policy sees the image. Not used: direction, mission."),
        ("MiniGrid-Empty-5x5-v0", ("FlattenObservation",), 2, None),
    ],
)
def test_environments_as_they_come(env_id, wrappers, view, expected):
    said = look(EnvironmentSetup(env_id, {}, wrappers, view), allow_import=False)
    if expected is None:
        assert said.endswith("Not used: direction, mission.")
    else:
        assert said == expected


def test_info_masks_and_keys(telling):
    assert telling(b=1, success=True) == "The policy sees place and speed. Not used: info's b and late."
    assert "It obeys the action mask in info." in telling(masks="info")
    assert "It obeys the masks of action_masks()." in telling(masks="method")
    assert "Not used: the masks of action_masks(), info's late." in telling(masks="method", view=1)
    assert "obeys" not in telling(masks="info", actions=spaces.Box(1, 1.5, (1,), np.float32))
    assert "Not used: the action mask in info, info's late." in telling(
        masks="info", actions=spaces.Box(1, 1.0, (1,), np.float32)
    )
    said = telling(keys=("action_mask", "place"))
    assert "Not used: the observation's 'action_mask' as a mask (masks must be in info), info's late." in said
    assert "and 28 more" not in telling(**{f"k{n:02}": 1 for n in range(11)})
    assert "k10, k11 and 19 more." in telling(**{f"k{n:02}": 1 for n in range(30)})


def test_what_a_wrapper_or_a_graph_drops(telling, monkeypatch):
    assert "The policy sees place. Not used: speed, info's late." in telling("FilterObservation(filter_keys=['place'])")
    monkeypatch.setattr(graph_spec, "_builders", {})
    register_graph("TestTelling-*", lambda env: state_graph(spaces.Dict({"speed": NUMBERS})))
    assert "The policy sees speed. Not used: place, info's late." in telling()


def test_it_is_the_same_wherever_it_is_said(telling):
    """By a look, by the examination before a launch, and by the environments that are trained in."""
    said = telling(masks="info", b=1)
    spec = check_environment("TestTelling-v0", allow_import=False)
    batch = EnvironmentBatch(spec, 3, 1)
    batch.step(np.ones((3, 1), int))
    assert batch.sees() == said
    assert check_launch(EnvironmentSetup("Taxi-v4"), [], allow_import=False).sees == look(
        EnvironmentSetup("Taxi-v4"), allow_import=False
    )
    shown = EnvironmentSetup("Taxi-v4", {"is_rainy": True})
    (report,) = examine_apart(shown, allow_import=False)
    assert report.fault is None
    assert report.sees == look(shown, allow_import=False)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "The policy sees the whole observation. It obeys the action mask in info. Not used: info's lives.",
            "策略看到的是：整个观测。它遵守 info 中的动作掩码。未使用：info 的 lives。",
        ),
        (
            "The policy sees steps, node and 3 more. Not used: the action mask in info, last, info's b and late.",
            "策略看到的是：steps、node 和另外 3 个。未使用：info 中的动作掩码、last、info 的 b 和 late。",
        ),
        ("The policy sees rock and roll and pop.", "策略看到的是：rock and roll and pop。"),
    ],
)
def test_a_stored_sentence_about_what_is_seen_is_in_the_readers_language(english, chinese):
    assert str(stored_seen(english)) == english
    assert stored_seen(english).in_language("zh_CN") == chinese
