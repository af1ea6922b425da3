"""Replays as a file: what was written is what is read, and nothing else is taken."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_replays import made
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.insight.actions import ActionFacts
from v3core.insight.replays import BEST, EARLIER, LAST, MEDIAN, WORST, from_bytes, roles, to_bytes


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"expert_outputs": None},
        {"success": 1.0},
        {"masks": np.array([[True, False]] * 5)},
        {"space": ActionFacts("continuous", (), (), (0.0,), (2.0,), (0.1,), (-math.inf,), (math.inf,))},
        {"space": ActionFacts("discrete", (2,), (0,)), "discount": 0.99, "reward_scale": 1 / 3},
        {"environment": EnvironmentSetup("a:B-v0", {"size": 8, "on": [1, 2.5]}, ("TimeLimit(9)",), 1)},
        {"actions": np.array([[-1000], [2], [3], [40000], [0]])},
        {"actions": np.array([[0.25, -3.0]] * 5, dtype=np.float32)},
        {"rewards": np.array([math.nan, math.inf, 0, 1e300, -0.0])},
    ],
)
def test_what_is_written_is_what_is_read(odd):
    one = made(**odd)
    other = made(steps=1, experts=1, seed=1, number=7, actions=one.actions[1:2])  # of the same environment
    read = from_bytes(to_bytes({LAST: other, BEST: one, WORST: other}))
    assert list(read) == [BEST, WORST, LAST]
    assert read[BEST] == one
    assert read[LAST] == other != one
    assert read[WORST] is read[LAST]


def test_an_episode_of_500_steps_takes_few_bytes():
    steps = 500
    assert len(to_bytes({BEST: made(steps, 4, 2)})) < steps * 4 * (4 + 8 + 2 + 2) + 8 * steps + 4000


@pytest.mark.parametrize("length", [0, 10, 200])
def test_a_file_that_is_cut_is_refused(length):
    with pytest.raises(V3Error, match="damaged"):
        from_bytes(to_bytes({BEST: made()})[:length])


@pytest.mark.parametrize("name", ["rewards", "values", "gates", "outputs", "expert_outputs", "actions", "masks"])
def test_arrays_that_do_not_fit_each_other_are_refused(name):
    replay = made(masks=np.ones((5, 2), dtype=np.bool_))
    content = to_bytes({BEST: replace(replay, **{name: getattr(replay, name)[:-1]})})
    with pytest.raises(V3Error, match="damaged"):
        from_bytes(content)


def test_what_earlier_files_do_not_say_is_not_known():
    content = to_bytes({BEST: made()})
    arrays = dict(np.load(io.BytesIO(content)))
    described = json.loads(bytes(arrays.pop("described")))
    for later in ("space", "discount", "reward_scale"):
        del described["episodes"][0][later]
    older = io.BytesIO()
    np.savez(older, described=np.frombuffer(json.dumps(described).encode(), dtype=np.uint8), **arrays)
    assert from_bytes(older.getvalue())[BEST] == made()


def test_files_of_the_first_format_are_read():
    replay = made(rewards=np.array([math.nan, math.inf, 0, 1e300, -0.0]))
    described = json.loads(bytes(np.load(io.BytesIO(to_bytes({BEST: replay})))["described"])) | {"format": EARLIER}
    names = ("actions", "rewards", "values", "gates", "outputs", "expert_outputs")
    older = io.BytesIO()
    np.savez_compressed(
        older,
        described=np.frombuffer(json.dumps(described).encode(), dtype=np.uint8),
        **{f"0.{name}": getattr(replay, name) for name in names},
    )
    assert from_bytes(older.getvalue())[BEST] == replay


def test_another_version_and_code_are_refused():
    other = io.BytesIO()
    np.savez(other, described=np.frombuffer(b'{"format": "v3lab-replays-9", "episodes": []}', dtype=np.uint8))
    with pytest.raises(V3Error, match="another version"):
        from_bytes(other.getvalue())
    code = io.BytesIO()
    np.savez(code, allow_pickle=True, described=np.array([print], dtype=object))
    with pytest.raises(V3Error, match="damaged"):
        from_bytes(code.getvalue())


def test_the_margin_is_of_normalised_gates():
    gates = np.array([[0.2, 0.1, 0.1], [0, 0, 1], [1, 1, 0], [0, 0, 0]], dtype=np.float32)
    replay = made(4, gates=gates)
    np.testing.assert_allclose(replay.margins, [0.25, 1, 0, 0], atol=1e-6)
    assert replay.experts.tolist() == [0, 2, 0, 0]
    assert made(2, 1).margins.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("returns", "places"),
    [
        ([], {}),
        ([5], {BEST: 0, MEDIAN: 0, WORST: 0, LAST: 0}),
        ([2, 9, 4, 9, 1], {BEST: 1, MEDIAN: 2, WORST: 4, LAST: 4}),
        ([3, 3, 3], {BEST: 0, MEDIAN: 0, WORST: 0, LAST: 2}),
        ([4, 2, 1, 2, 5, 2], {BEST: 4, MEDIAN: 1, WORST: 2, LAST: 5}),
        ([1, math.nan, 2, 3], {BEST: 3, MEDIAN: 0, WORST: 1, LAST: 3}),
        ([math.nan, math.nan], {BEST: 0, MEDIAN: 0, WORST: 0, LAST: 1}),
    ],
)
def test_the_episodes_that_are_kept(returns, places):
    assert roles(returns) == places


@given(st.lists(st.floats(allow_infinity=True), min_size=1, max_size=20))
def test_the_best_is_never_below_the_median_and_that_never_below_the_worst(returns):
    places = roles(returns)
    known = [-math.inf if math.isnan(value) else value for value in returns]
    assert known[places[BEST]] == max(known) >= known[places[MEDIAN]] >= known[places[WORST]] == min(known)
