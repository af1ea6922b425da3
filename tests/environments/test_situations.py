"""Declaring situations: for an id, of a graph, of several environments; and what is said of a wrong one."""

import re
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from v3core.environment_setup import joined
from v3core.environments import Risen, check_environment, make, register_situations
from v3core.environments.situations import computed
from v3core.errors import V3Error


@pytest.fixture
def declare():
    """Declares situations for a pattern, and takes them back."""
    patterns = []

    def add(pattern, situations):
        patterns.append(pattern)
        register_situations(pattern, situations)

    yield add
    for pattern in patterns:
        register_situations(pattern, {})


def leaning(seen):
    return np.abs(seen[""][:, 2]) > 0.1


def test_they_are_declared_for_ids_and_the_longest_pattern_counts(declare):
    assert check_environment("CartPole-v1", allow_import=False).graph.situations == {}
    declare("CartPole-*", {"leaning": leaning})
    declare("Cart*", {"other": leaning})
    graph = check_environment("CartPole-v1", allow_import=False).graph
    assert dict(graph.situations) == {"leaning": leaning}
    seen = graph.seen(np.array([[0, 0, 0.2, 0], [0, 0, 0.05, 0]], np.float32))
    assert computed("leaning", leaning, seen, 2).tolist() == [True, False]
    assert check_environment("Acrobot-v1", allow_import=False).graph.situations == {}


def test_a_graph_is_the_same_with_and_without_them(declare):
    before = check_environment("CartPole-v1", allow_import=False).graph
    declare("CartPole-v1", {"leaning": leaning})
    assert check_environment("CartPole-v1", allow_import=False).graph == before


class Keyed(gymnasium.Env):
    observation_space = spaces.Dict(
        {"inner": spaces.Dict({"cells": spaces.Box(0, 1, (2, 3), np.float32)}), "mode": spaces.Discrete(4)}
    )
    action_space = spaces.Discrete(2)


def test_what_is_seen_has_the_keys_of_the_environment(declare):
    gymnasium.register("TestKeyed-v0", entry_point=Keyed)
    shapes = {}

    def anything(seen):
        shapes.update({key: values.shape for key, values in seen.items()})
        return np.ones(2, bool)

    declare("TestKeyed-v0", {"any": anything})
    check_environment("TestKeyed-v0", allow_import=False)
    assert shapes == {"inner.cells": (2, 6), "mode": (2, 1)}
    del gymnasium.registry["TestKeyed-v0"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda seen: seen["speed"][:, 0] > 1, "it raised KeyError: 'speed'"),
        (lambda seen: seen[""][:, 0], "it returned float32 of shape (2,) for 2 observations, not one bool each"),
        (lambda seen: True, "it returned bool of shape () for 2 observations, not one bool each"),
        (
            Risen(lambda seen: seen[""], 5),
            "it returned float32 of shape (2, 4) for 2 observations, not one number each",
        ),
    ],
)
def test_a_wrong_one_is_refused_before_a_run(declare, function, reason):
    declare("CartPole-v1", {"fast": function})
    with pytest.raises(V3Error) as refused:
        check_environment("CartPole-v1", allow_import=False)
    said = str(refused.value)
    assert f"Situation 'fast' cannot be computed: {reason}; correct its function" in said
    assert not re.search("it (raised|returned)|observation|bool each", refused.value.message.in_language("zh_CN"))


def test_several_environments_have_those_of_the_first(declare):
    declare("CartPole-v1", {"leaning": leaning})
    together = check_environment(joined(["CartPole-v1", "CartPole-v0"]), allow_import=False).graph
    assert dict(together.situations) == {"leaning": leaning}
    seen = together.seen(np.array([[0, 0, 0.2, 0, 1]], np.float32))
    assert computed("leaning", leaning, seen, 1).tolist() == [True]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none of these", "No situation can be called 'none of these'"),
        ("low \ud800", r"The name 'low \ud800' of a situation has signs that UTF-8 cannot write"),
    ],
)
def test_a_name_that_cannot_be_recorded_is_refused(declare, name, reason):
    with pytest.raises(V3Error) as refused:
        declare("CartPole-v1", {name: leaning})
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert check_environment("CartPole-v1", allow_import=False).graph.situations == {}


def test_so_is_one_that_a_graph_declares_itself(monkeypatch):
    alone = make._graph_alone
    monkeypatch.setattr(make, "_graph_alone", lambda env: replace(alone(env), situations={"none of these": leaning}))
    with pytest.raises(V3Error, match="No situation can be called"):
        check_environment("CartPole-v1", allow_import=False)
