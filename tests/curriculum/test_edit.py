"""Scaling a curriculum to another length, and editing one while its run trains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.curriculum import check_edit, check_fits, load_preset, preset_names, scaled, with_boundaries
from v3core.errors import V3Error

V3 = load_preset("v3")


@pytest.mark.parametrize("name", preset_names())
def test_presets_scale_in_proportion(name):
    assert scaled(load_preset(name), 400).boundaries == (100, 300)


@given(st.integers(3, 10_000))
def test_scaled_boundaries_always_fit_and_every_phase_keeps_an_episode(episodes):
    curriculum = scaled(V3, episodes)
    check_fits(curriculum, episodes)
    assert 0 < curriculum.boundaries[0] < curriculum.boundaries[1] < episodes


def test_scaling_to_fewer_episodes_than_phases_is_refused():
    with pytest.raises(V3Error, match="too short for the 3 phases of 'v3'"):
        scaled(V3, 2)


def test_a_curriculum_that_does_not_say_its_length_cannot_be_scaled():
    with pytest.raises(V3Error, match="add 'episodes: N'"):
        scaled(V3.model_copy(update={"episodes": None}), 100)


def test_boundaries_beyond_the_end_are_refused_by_name():
    with pytest.raises(V3Error, match=r"Phase 1 'warmup' ends at episode 1000, but the run has only 500 episodes"):
        check_fits(V3, 500)


def test_boundaries_ahead_may_move():
    check_edit(V3, with_boundaries(V3, [1500, 3500]), episode=700, episodes=4000)
    check_edit(V3, with_boundaries(V3, [1000, 2001]), episode=2000, episodes=4000)


@pytest.mark.parametrize(
    ("boundaries", "episode", "sentence"),
    [
        ([900, 3000], 1200, "Phase 1 'warmup' ended at episode 1000 and the run is at 1200"),
        ([700, 3000], 700, "would end at episode 700, but the run is already at 700; choose 701 or later"),
        ([1000, 4000], 1200, "Phase 2 'transition' ends at episode 4000, but the run has only 4000"),
    ],
)
def test_the_past_and_the_end_are_out_of_reach(boundaries, episode, sentence):
    with pytest.raises(V3Error, match=sentence):
        check_edit(V3, with_boundaries(V3, boundaries), episode=episode, episodes=4000)


def test_a_phase_that_began_cannot_be_removed():
    shorter = V3.model_copy(update={"phases": (V3.phases[0], V3.phases[2])})
    with pytest.raises(V3Error, match="Phase 2 'transition' ended at episode 3000"):
        check_edit(V3, shorter, episode=3500, episodes=4000)


def test_boundaries_out_of_order_are_refused():
    with pytest.raises(V3Error, match="Phase 2 'transition' ends at episode 900 but phase 1 'warmup' ends at 1000"):
        with_boundaries(V3, [1000, 900])
