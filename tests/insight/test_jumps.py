"""Where a replay is worth a look."""

import math

import numpy as np
import pytest

from tests.made_replays import made
from v3core.insight.actions import ActionFacts
from v3core.insight.jumps import (
    DISAGREEMENTS,
    RULES,
    SWITCHES,
    VALUE_ERRORS,
    jumps,
    return_that_followed,
    returns_that_followed,
)

NUMBERS = ActionFacts("continuous", centre=(1.0,), span=(2.0,), deviation=(0.5,), low=(-1.0,), high=(3.0,))


def gates(*rows):
    return np.array(rows, dtype=np.float32)


def outputs(*rows):
    return np.array(rows, dtype=np.float32)


def test_steps_at_which_another_expert_takes_over():
    replay = made(5, gates=gates([1, 0, 0], [0.6, 0.4, 0], [0.4, 0.6, 0], [0, 1, 0], [0.5, 0, 0.5]))
    assert jumps(replay)[SWITCHES] == [3, 5]


def test_experts_disagree_if_their_most_probable_actions_differ():
    alike, unlike = [[1, 0], [2, 1], [3, 0]], [[1, 0], [0, 1], [3, 0]]
    replay = made(4, gates=gates(*[[0.5, 0.4, 0.1]] * 4), expert_outputs=outputs(alike, unlike, unlike, alike))
    assert jumps(replay)[DISAGREEMENTS] == [2, 3]
    # An expert that hardly takes part, or not at all, has no say; nor has one that is not a number.
    for odd in (0.04, 0.0):
        small = made(1, gates=gates([1 - odd, odd, 0]), expert_outputs=outputs(unlike))
        assert jumps(small)[DISAGREEMENTS] == []
    enough = made(1, gates=gates([0.94, 0.06, 0]), expert_outputs=outputs(unlike))
    assert jumps(enough)[DISAGREEMENTS] == [1]
    broken = [[1, 0], [math.nan, 1], [3, 0]]
    assert jumps(made(1, gates=gates([0.5, 0.4, 0.1]), expert_outputs=outputs(broken)))[DISAGREEMENTS] == []


def test_gates_that_do_not_sum_to_1_are_compared_by_their_shares():
    replay = made(1, gates=gates([0.1, 0.02, 0]), expert_outputs=outputs([[1, 0], [0, 1], [0, 0]]))
    assert jumps(replay)[DISAGREEMENTS] == [1]


def test_an_action_that_is_not_allowed_is_nobodys_choice():
    apart = outputs([[2, 1, 0], [0, 1, 2]])  # [1, 2, 3]: a step, two experts, three actions
    facts = ActionFacts("discrete", (3,), (0,))
    shared = {"gates": gates([0.5, 0.5]), "expert_outputs": apart, "space": facts}
    assert jumps(made(1, 2, 3, **shared))[DISAGREEMENTS] == [1]
    only = np.array([[False, True, False]])
    assert jumps(made(1, 2, 3, **shared, masks=only))[DISAGREEMENTS] == []


@pytest.mark.parametrize(("far", "found"), [(0.0, []), (0.3, []), (0.4, [1]), (9.0, [1])])
def test_numbers_disagree_if_their_distributions_are_far_apart(far, found):
    """Deviations are 0.5 and an output of 1 is 2 units: a distance of 0.5 is 1.29 deviations, an output of 0.32."""
    said = outputs([[0.0], [far]])
    replay = made(
        1, 2, 1, actions=np.zeros((1, 1), np.float32), gates=gates([0.5, 0.5]), expert_outputs=said, space=NUMBERS
    )
    assert jumps(replay)[DISAGREEMENTS] == found


@pytest.mark.parametrize("kind", ["multi_discrete", "multi_binary"])
def test_one_component_is_enough(kind):
    facts = ActionFacts("multi_discrete", (2, 2), (0, 0)) if kind == "multi_discrete" else ActionFacts(kind, (2, 2))
    one, other = ([0, 1, 0, 1], [0, 1, 1, 0]) if kind == "multi_discrete" else ([1, -1], [1, 2])
    size = len(one)
    shared = {"actions": np.zeros((2, 2), np.int64), "gates": gates([0.5, 0.5], [0.5, 0.5]), "space": facts}
    replay = made(2, 2, size, **shared, expert_outputs=outputs([one, one], [one, other]))
    assert jumps(replay)[DISAGREEMENTS] == [2]


@pytest.mark.parametrize(
    ("ended", "followed"),
    [("terminated", [1.75, 1.5, 1.0]), ("truncated", [1.75 + 0.5, 1.5 + 1, 1 + 2]), ("cut", [2.25, 2.5, 3])],
)
def test_the_return_that_followed(ended, followed):
    values = np.array([0, 0, 4], np.float32)
    replay = made(3, rewards=np.full(3, 10.0), values=values, ended=ended, discount=0.5, reward_scale=10.0)
    np.testing.assert_allclose(returns_that_followed(replay), followed)
    np.testing.assert_allclose([return_that_followed(replay, step) for step in range(3)], followed)


def test_value_errors_come_from_the_largest_on_without_their_neighbours():
    followed = np.zeros(9)
    values = np.array([1, 5, 4, 0, -3, -9, 0, 2, 2], np.float32)
    replay = made(9, rewards=followed, values=values, discount=0.9, reward_scale=1.0)
    assert jumps(replay)[VALUE_ERRORS] == [6, 2, 8]
    assert jumps(made(9, rewards=followed, values=values))[VALUE_ERRORS] == []


def test_what_is_not_a_number_is_no_error():
    values = np.array([1, math.nan, 3, math.inf], np.float32)
    replay = made(4, rewards=np.zeros(4), values=values, discount=0.9, reward_scale=1.0)
    assert jumps(replay)[VALUE_ERRORS] == [3, 1]
    lost = made(3, rewards=np.array([0, math.nan, 1]), discount=0.9, reward_scale=1.0)
    assert jumps(lost)[VALUE_ERRORS] == [3]


@pytest.mark.parametrize("steps", [1, 30])
@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("outputs_of", [True, False])
def test_any_replay_has_jumps(steps, experts, outputs_of):
    more = {} if outputs_of else {"expert_outputs": None}
    replay = made(steps, experts, discount=0.99, reward_scale=3.0, **more)
    found = jumps(replay)
    assert found.keys() == RULES.keys()
    assert all(1 <= step <= steps and type(step) is int for steps_of in found.values() for step in steps_of)
    if experts == 1:
        assert found[SWITCHES] == found[DISAGREEMENTS] == []
    if not outputs_of:
        assert found[DISAGREEMENTS] == []
    assert found[VALUE_ERRORS]
