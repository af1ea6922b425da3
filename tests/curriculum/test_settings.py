"""`settings_at` against hand-computed values, and its properties over random curricula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.charts.series import phase_bands
from v3core.curriculum import (
    BaseValues,
    Curriculum,
    Progress,
    ignoring_base,
    load_preset,
    parse,
    settings_at,
)

BASE = BaseValues(lr=1e-3)


def at(curriculum: Curriculum, episode: int, episodes: int = 4000):
    return settings_at(curriculum, Progress(episode, episodes), BASE)


@pytest.mark.parametrize(
    ("episode", "phase", "routing", "temperature", "lr", "load_balance"),
    [
        (0, "warmup", "softmax", 1.0, 1e-3, 0.02),
        (999, "warmup", "softmax", 1.0, 1e-3, 0.02),
        (1000, "transition", "sparsemax", 1.0, 5e-4, 0.01),
        (2000, "transition", "sparsemax", 0.75, 5e-4, 0.01),
        (3000, "fine-tune", "sparsemax", 0.5, 1e-4, 0.005),
        (4000, "fine-tune", "sparsemax", 0.5, 1e-4, 0.005),
    ],
)
def test_v3_preset_has_the_settings_it_was_written_with(episode, phase, routing, temperature, lr, load_balance):
    settings = at(load_preset("v3"), episode)
    assert (settings.phase_name, settings.routing) == (phase, routing)
    assert settings.temperature == pytest.approx(temperature)
    assert settings.lr == pytest.approx(lr)
    assert settings.load_balance == pytest.approx(load_balance)


def test_unset_keys_inherit_from_the_newest_phase_that_set_them():
    curriculum = parse(
        """
        name: inherit
        phases:
          - {name: a, until: {episode: 10}, temperature: {from: 2.0, to: 1.0}, routing: sparsemax}
          - {name: b, until: {episode: 20}, lr: {times: 0.5}}
          - {name: c}
        """
    )
    settings = at(curriculum, 25, 30)
    assert settings.routing == "sparsemax"
    assert settings.temperature == 1.0
    assert settings.lr == pytest.approx(5e-4)
    assert settings.load_balance == BASE.load_balance


@pytest.mark.parametrize(
    ("shape", "halfway"), [("linear", 0.625), ("cosine", 0.625), ("exponential", math.sqrt(1.0 * 0.25))]
)
def test_ramps_start_and_end_where_they_say_and_pass_halfway(shape, halfway):
    ramp = f"{{from: 1.0, to: 0.25, shape: {shape}}}"
    curriculum = parse(f"{{name: r, phases: [{{name: a, until: {{episode: 100}}, temperature: {ramp}}}, {{name: b}}]}}")
    assert at(curriculum, 0, 200).temperature == 1.0
    assert at(curriculum, 50, 200).temperature == pytest.approx(halfway)
    assert at(curriculum, 100, 200).temperature == 0.25


def test_a_ramp_of_the_last_phase_ends_with_the_run():
    curriculum = parse("{name: r, phases: [{name: only, lr: {from: {times: 1}, to: {times: 0.1}}}]}")
    assert at(curriculum, 0, 50).lr == pytest.approx(1e-3)
    assert at(curriculum, 50, 50).lr == pytest.approx(1e-4)


@st.composite
def curricula(draw):
    boundaries = sorted(draw(st.sets(st.integers(1, 500), min_size=0, max_size=5)))
    value = st.floats(0.01, 10) | st.builds(lambda start, end: {"from": start, "to": end}, *[st.floats(0.01, 10)] * 2)
    phases = [
        {
            "name": f"p{index}",
            "until": {"episode": boundary} if boundary is not None else None,
            "temperature": draw(st.none() | value),
            "lr": draw(st.none() | value),
        }
        for index, boundary in enumerate([*boundaries, None])
    ]
    return Curriculum.model_validate({"name": "random", "phases": phases})


@given(curricula(), st.integers(0, 600))
def test_every_episode_is_in_exactly_one_band(curriculum, episode):
    bands = phase_bands(curriculum, episodes=600)
    holding = [band.name for band in bands if band.start <= episode < band.end]
    assert holding == ([at(curriculum, episode, 600).phase_name] if episode < 600 else [])


@given(curricula(), st.integers(0, 599))
def test_values_jump_only_where_a_phase_sets_them(curriculum, episode):
    before, after = at(curriculum, episode, 600), at(curriculum, episode + 1, 600)
    if before.phase == after.phase:
        band = phase_bands(curriculum, episodes=600)[before.phase]
        assert abs(after.temperature - before.temperature) <= 10 / (band.end - band.start) + 1e-9
    elif curriculum.phases[after.phase].temperature is None:
        # An inherited value continues from where the ramp before it ended.
        assert at(curriculum, curriculum.boundaries[before.phase], 600).temperature == after.temperature


@given(curricula(), st.integers(0, 600))
def test_settings_are_a_pure_function(curriculum, episode):
    again = Curriculum.model_validate(curriculum.to_dict())
    assert at(curriculum, episode, 600) == at(again, episode, 600)


def test_the_base_value_is_ignored_from_the_phase_that_sets_an_absolute_value():
    curriculum = parse(
        """
        name: one
        phases:
          - {name: a, until: {episode: 10}}
          - {name: b, until: {episode: 20}, entropy: 0.1}
          - {name: c, until: {episode: 30}}
          - {name: d, until: {episode: 40}, entropy: {from: 0.1, to: {times: 1}}}
          - {name: e, entropy: {from: 0.1, to: 0}}
        """
    )
    assert ignoring_base(curriculum, "entropy") == ["b", "c", "e"]
    assert ignoring_base(curriculum, "lr") == []
