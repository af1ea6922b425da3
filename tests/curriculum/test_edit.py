"""Scaling a curriculum to another length, and editing one while its run trains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.charts.palette import curriculum_colour
from v3core.curriculum import (
    PhaseStart,
    Progress,
    Until,
    check_edit,
    check_fits,
    load_preset,
    parse,
    preset_names,
    renamed,
    renamed_apart,
    scaled,
    unedited,
    with_boundaries,
)
from v3core.curriculum.edit import changes, summary
from v3core.errors import V3Error

V3 = load_preset("v3")


@pytest.mark.parametrize("name", preset_names())
def test_presets_scale_in_proportion_and_back(name):
    preset = load_preset(name)
    length = preset.episodes
    tenth = scaled(preset, length // 10)
    assert tenth.boundaries == tuple(end // 10 for end in preset.boundaries)
    assert scaled(preset, length) == preset
    check_fits(tenth, length // 10)


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
    check_edit(V3, with_boundaries(V3, [1500, 3500]), Progress(700, 4000))
    check_edit(V3, with_boundaries(V3, [1000, 2001]), Progress(2000, 4000))


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
        check_edit(V3, with_boundaries(V3, boundaries), Progress(episode, 4000))


def test_a_phase_that_began_cannot_be_removed():
    shorter = V3.model_copy(update={"phases": (V3.phases[0], V3.phases[2])})
    with pytest.raises(V3Error, match="Phase 2 'transition' ended at episode 3000"):
        check_edit(V3, shorter, Progress(3500, 4000))


def test_boundaries_out_of_order_are_refused():
    with pytest.raises(V3Error, match="Phase 2 'transition' ends at episode 900 but phase 1 'warmup' ends at 1000"):
        with_boundaries(V3, [1000, 900])


MIXED = parse(
    """
    name: mixed
    episodes: 1000
    policy: {experts: 8}
    phases:
      - {name: a, until: {metric: return, at_least: 9, window: 10, min_episodes: 20, max_episodes: 100}, env: A-v0}
      - {name: b, until: {step: 5000}, lr: {from: 1.0, to: 0.5, over: {episodes: 50}}}
      - {name: c, until: {episode: 800}, env: B-v0}
      - {name: d}
    """
)
IN_B = Progress(120, 1000, 2000, (PhaseStart(0, 0), PhaseStart(60, 900)))


def changed(index, **update):
    phases = list(MIXED.phases)
    phases[index] = phases[index].model_copy(update=update)
    return MIXED.model_copy(update={"phases": tuple(phases)})


def test_scaling_moves_what_counts_episodes_and_leaves_steps_and_thresholds():
    tenth = scaled(MIXED, 100)
    assert tenth.planned_ends == (None, None, 80)
    assert tenth.phases[0].until == Until(metric="return", at_least=9, window=10, min_episodes=2, max_episodes=10)
    assert tenth.phases[1].until == Until(step=5000)
    assert tenth.phases[1].lr.over.episodes == 5
    assert scaled(MIXED, 50).phases[0].until.window == 5


@given(st.integers(4, 5000))
def test_a_curriculum_of_every_end_scales_to_one_that_fits(episodes):
    check_fits(scaled(MIXED, episodes), episodes)


def test_boundaries_are_those_that_stand_at_an_episode():
    assert with_boundaries(MIXED, [700]).planned_ends == (None, None, 700)
    with pytest.raises(V3Error, match="has 1 boundaries, not 2"):
        with_boundaries(MIXED, [700, 900])


def test_what_lies_ahead_of_realised_starts_may_change():
    check_edit(MIXED, changed(2, until=Until(episode=121), env="C-v0"), IN_B)
    check_edit(MIXED, changed(1, until=Until(step=2001)), IN_B)
    check_edit(MIXED, changed(1, until=Until(metric="length", at_most=9, max_episodes=100)), IN_B)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (changed(0, lr=0.5), "Phase 1 'a' ended at episode 60 and the run is at 120; only future phases"),
        (changed(1, until=Until(step=2000)), "would end at step 2000, but the run is already at 2000; choose 2001"),
        (changed(1, until=Until(episode=120)), "would end at episode 120, but the run is already at 120"),
        (
            changed(1, until=Until(metric="length", at_most=9, window=5, max_episodes=60)),
            "would end after 60 episodes, but already has 60 episodes; choose 61 or more",
        ),
        (changed(1, env="C-v0"), "Phase 2 'b' trains on A-v0 now, not on C-v0; only a later phase can change"),
        (MIXED.model_copy(update={"policy": None}), "The network of a run cannot change while it trains"),
    ],
)
def test_the_past_the_environment_in_force_and_the_network_cannot_change(new, sentence):
    with pytest.raises(V3Error, match=sentence):
        check_edit(MIXED, new, IN_B)


def test_a_phase_whose_end_is_reached_is_over_before_the_trainer_says_so():
    late = Progress(1002, 4000, 9000, (PhaseStart(0, 0),))
    check_edit(V3, with_boundaries(V3, [1000, 2500]), late)
    with pytest.raises(V3Error, match="Phase 1 'warmup' ended"):
        check_edit(V3, with_boundaries(V3, [1500, 2500]), late)


def test_a_trigger_that_cannot_hold_within_the_run_is_refused():
    with pytest.raises(V3Error, match="Phase 1 'a' ends after 20 episodes at the earliest"):
        check_fits(changed(2, until=Until(episode=5)), 20)


def test_a_change_of_an_edited_curriculum_has_a_name_of_its_own():
    """Otherwise a pair of forks, one as it was and one with the change, could not be told apart."""
    made = [load_preset("v3")]
    for _ in range(11):
        made.append(renamed_apart(made[-1], made[-1]))
    assert [one.name for one in made[:4]] == ["v3", "v3 (edited)", "v3 (edited 2)", "v3 (edited 3)"]
    assert made[-1].name == "v3 (edited 11)"
    assert renamed(made[-1]).name == made[-1].name
    assert {unedited(one.name) for one in made} == {"v3"}
    assert len({curriculum_colour(one.name) for one in made}) == 1
    long = load_preset("v3").model_copy(update={"name": "x" * 60})
    names = [long.name, *[(long := renamed_apart(long, long)).name for _ in range(3)]]
    assert len(set(names)) == 4
    assert max(map(len, names)) == 60


def test_an_edit_is_described_setting_by_setting():
    one = "{name: a, until: {episode: 10}}"
    old = parse(f"{{name: o, phases: [{one}, {{name: b, until: {{episode: 90}}, lr: 0.2}}, {{name: c}}]}}")
    one = "{name: a, until: {episode: 20}, routing: topk, top_k: 2, temperature: 0.5}"
    new = parse(f"{{name: n, phases: [{one}, {{name: z, lr: 0.1}}]}}")
    assert set(changes(old, new)[:4]) == {
        "a: end 10 to 20",
        "a: routing unset to topk",
        "a: top k unset to 2",
        "a: temperature unset to 0.5",
    }
    assert changes(old, new)[4:] == [
        "b: renamed to z",
        "z: end 90 to unset",
        "z: learning rate 0.2 to 0.1",
        "c: removed",
    ]
    assert changes(new, old)[-1] == "c: new"
    assert changes(old, old) == []


def test_a_trigger_of_a_much_shorter_run_still_has_an_episode():
    """Three ends in four episodes: none is scaled to nothing, and none to more than there is room for."""
    assert scaled(MIXED, 4).phases[0].until.max_episodes == 1


def test_an_unchanged_phase_hides_no_later_one_whose_end_has_passed():
    early = Progress(50, 1000, 500, (PhaseStart(0, 0),))
    with pytest.raises(V3Error, match=r"Phase 3 .* episode 40, but the run is already at 50; choose 51 or later"):
        check_edit(MIXED, changed(2, until=Until(episode=40)), early)


def test_late_ends_leave_an_episode_to_each_phase_after_them():
    text = "{name: a, until: {episode: 38}}, {name: b, until: {episode: 39}}, {name: c}"
    assert scaled(parse(f"{{name: l, episodes: 40, phases: [{text}]}}"), 4).planned_ends == (2, 3)


def test_an_edit_is_summed_up_by_what_it_changes():
    assert summary(V3, V3) == ""
    moved = with_boundaries(V3, [1500, 3000])
    assert summary(V3, moved) == "Boundaries 1,500, 3,000"
    first, *others = moved.phases
    balanced = first.model_copy(update={"load_balance": 0.5, "z_loss": 0.25})
    edited = moved.model_copy(update={"phases": (balanced, *others)})
    assert summary(moved, edited) == "warmup: load balance 0.02 to 0.5; warmup: z-loss unset to 0.25"
    assert summary(V3, edited).endswith(", and 1 more")
    trigger = first.model_copy(update={"until": Until(metric="return", at_least=1.0)})
    assert summary(V3, V3.model_copy(update={"phases": (trigger, *others)})).startswith("warmup: end 1000 to return")
