"""What becomes of a curriculum when its run is made longer: nothing jumps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.curriculum import BaseValues, PhaseStart, Progress, lengthened, parse, settings_at
from v3core.curriculum.edit import is_lengthened

BASE = BaseValues(lr=1e-3)
RAMPS = """
{name: ramps, phases: [
  {name: one, until: {episode: 100}, lr: {from: 1.0e-3, to: 5.0e-4}},
  {name: two, until: {metric: return, at_least: 9, window: 5}, temperature: {from: 2.0, to: 1.0, over: {episodes: 30}}},
  {name: three, lr: {from: 5.0e-4, to: 1.0e-4, shape: cosine}, entropy: 0.01}]}
"""
STARTS = (PhaseStart(0, 0), PhaseStart(100, 900), PhaseStart(150, 1500))


@given(at=st.integers(150, 300), shape=st.sampled_from(["linear", "cosine", "exponential"]))
def test_a_ramp_to_the_end_of_the_run_keeps_its_pace_and_then_holds(at, shape):
    before = parse(RAMPS.replace("cosine", shape))
    after = lengthened(before, Progress(at, 300, 10 * at, STARTS))
    for episode in range(150, 301, 10):
        old, new = (Progress(episode, length, 10 * episode, STARTS) for length in (300, 900))
        assert settings_at(before, old, BASE) == settings_at(after, new, BASE)
    for episode in (301, 600, 899):
        assert settings_at(after, Progress(episode, 900, 10 * episode, STARTS), BASE).lr == pytest.approx(1e-4)
    assert lengthened(after, Progress(400, 900, 4000, STARTS)) == after
    assert after.boundaries == before.boundaries


def test_what_does_not_depend_on_the_length_stays_as_it_is():
    before = parse(RAMPS)
    assert lengthened(before, Progress(90, 300, 900, STARTS[:1])) == before  # its last ramp lies ahead
    assert lengthened(before, Progress(120, 300, 1200, STARTS[:2])) == before


def test_a_longer_curriculum_is_told_from_an_edited_one():
    before = parse(RAMPS)
    after = lengthened(before, Progress(200, 300, 2000, STARTS))
    assert is_lengthened(before, after)
    assert not is_lengthened(before, before)
    assert not is_lengthened(before, after.model_copy(update={"phases": after.phases[:-1]}))
    edited = (*after.phases[:-1], after.phases[-1].model_copy(update={"entropy": 0.02}))
    assert not is_lengthened(before, after.model_copy(update={"phases": edited}))


def test_a_ramp_of_a_phase_with_a_latest_end_follows_that_end():
    bounded = parse(RAMPS.replace("window: 5}", "window: 5, max_episodes: 150}").replace(", over: {episodes: 30}", ""))
    at = Progress(120, 300, 1200, STARTS[:2])
    assert lengthened(bounded, at) == bounded
