"""What a recording has in English of an environment is said in the reader's language."""

import re
from itertools import chain

import pytest

from tests.environments.test_state_words import seen
from v3core.environments.action_names import action_names, chosen_words
from v3core.environments.node_words import node_names, node_words
from v3core.environments.state_words import described_states
from v3core.insight.actions import ActionFacts
from v3core.insight.seen_words import end_in_words, in_words
from v3core.messages import speaking, translated


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ("Cart position", "小车位置"),
        ("Feature 3", "特征 3"),
        ("Column 2, row 5", "第 2 列，第 5 行"),
        ("locked yellow door", "锁着的黄色门"),
        (
            "locked yellow door 3 ahead, 1 left; green goal 2 right",
            "锁着的黄色门 前方 3 格、左侧 1 格；绿色目标 右侧 2 格",
        ),
        ("carries blue key", "携带蓝色钥匙"),
        ("agent, carries nothing", "智能体，携带无"),
        ("red ball at column 3, row 1", "红色球，第 3 列第 1 行"),
        ("agent, facing up", "智能体，朝上"),
        ("nothing", "无"),
        ("Player", "玩家"),
        ("2 west, 1 north", "西 2 格、北 1 格"),
        ("1 south", "南 1 格"),
        ("Game active", "游戏进行中"),
        ("Share of hit points", "生命值占比"),
        ("Camera, column 1, row 1", "Camera、第 1 列，第 1 行"),
        ("Feature 1 to 4", "特征 1 至 4"),
        ("Position 1", "位置 1"),
        ("Health (hub)", "生命（汇聚节点）"),
        ("no words", "无词"),
        ("3 words", "3 个词"),
        ("my own 3", "my own 3"),
        ("my own key 3 ahead", "my own key 3 ahead"),
        ("0.25", "0.25"),
        ("", ""),
    ],
)
def test_what_was_recorded_is_said_in_the_readers_language(recorded, said):
    with speaking("zh_CN"):
        assert in_words(recorded) == said
    with speaking("en"):
        assert in_words(recorded) == recorded


@pytest.mark.parametrize(
    "env_id",
    [
        *(
            "CartPole-v1",
            "Acrobot-v1",
            "MountainCar-v0",
            "LunarLander-v3",
            "Pendulum-v1",
            "FrozenLake-v1",
            "Blackjack-v1",
        ),
        *("MiniGrid-DoorKey-8x8-v0", "MiniGrid-ObstructedMaze-1Dlhb-v0", "MiniGrid-Empty-5x5-v0"),
    ],
)
def test_all_that_is_recorded_of_an_environment_is_said_in_chinese(env_id):
    spec, rows, _scenarios = seen(env_id, count=8)
    features, values = described_states(spec, rows)
    recorded = [*features, *chain(*values), *node_names(spec), *node_words(spec, rows).words]
    words = [word for word in map(str, recorded) if re.search("[A-Za-z]{2}", word)]
    outputs = sum(spec.actions.sizes) or spec.actions.components
    with speaking("zh_CN"):
        words += action_names(spec.environment, ActionFacts(spec.actions.kind, spec.actions.sizes), outputs=outputs)
        said = {word: in_words(word) for word in words if ", the" not in word}  # a mission's

    assert {word: text for word, text in said.items() if re.search("[A-Za-z]{2}", text)} == {}


def test_an_end_of_a_game_is_said_in_the_readers_language():
    assert [translated(end_in_words(word), "zh_CN") for word in ("time limit", "task done", "killed by a newt")] == [
        "时间上限",
        "任务完成",
        "killed by a newt",
    ]


def test_a_chosen_action_is_said_in_the_readers_language():
    spec, _rows, _scenarios = seen("CartPole-v1")
    facts = ActionFacts("discrete", (2,))
    with speaking("zh_CN"):
        names = action_names(spec.environment, facts, outputs=2)
        assert chosen_words(names, facts, [1.0]).in_language("zh_CN") == "向右推"
    assert names == ["Push left", "Push right"]
