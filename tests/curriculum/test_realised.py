"""What a run really trained under, as a curriculum: it plans at each episode what the run had there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.curriculum import Architecture, BaseValues, Curriculum, PhaseStart, Progress, check_fits, parse, settings_at
from v3core.curriculum.knobs import SETTINGS
from v3core.curriculum.realised import Edition, continued, realised
from v3core.errors import V3Error

BASE = BaseValues(lr=3e-4, entropy=0.01)
EPISODES, STEPS = 400, 10  # of each episode
PLAN = """
{name: plan, phases: [
  {name: warm, until: {episode: 100}, routing: softmax, temperature: {from: 2.0, to: 1.0}, lr: {times: 2.0}},
  {name: middle, until: {metric: return, at_least: 450, max_episodes: 150}, routing: topk, top_k: 2, jitter: 0.1,
   load_balance: {from: 0.1, to: 0.001, shape: exponential}},
  {name: ahead, until: {step: 3900}, entropy: {from: {times: 1.0}, to: {times: 0.1}}},
  {name: last, routing: sparsemax, temperature: 0.5}]}
"""


def edited(curriculum, phase, **changes):
    """With settings of a phase changed."""
    content = curriculum.to_dict()
    content["phases"][phase] = {**content["phases"][phase], **changes}
    return Curriculum.model_validate(content)


def at(curriculum, episode, starts):
    """What is in force for the next episode."""
    begun = tuple(start for start in starts if start.episode <= episode)
    values = vars(settings_at(curriculum, Progress(episode, EPISODES, episode * STEPS, begun), BASE))
    return {name: values[name] for name in SETTINGS if name not in {"until", "env", "env_args"}}


def starts_at(*episodes):
    return tuple(PhaseStart(episode, episode * STEPS) for episode in episodes)


def assert_plans_what_happened(editions, starts, episodes=EPISODES):
    made = realised(editions, Progress(episodes, EPISODES, episodes * STEPS, starts), BASE)
    check_fits(made, EPISODES)
    assert Curriculum.model_validate(made.to_dict()) == made
    planned = starts_at(0, *(end for end in made.planned_ends if end is not None and end <= episodes))
    for episode in range(episodes):
        now = [edition for edition in editions if edition.episode <= episode][-1].curriculum
        there, here = at(made, episode, planned), at(now, episode, starts)
        assert_alike(there, here)
    return made


def assert_alike(there, here):
    """The same settings, numbers but for rounding."""
    numbers = {name for name in here if isinstance(here[name], float)}
    assert {name: there[name] for name in numbers} == pytest.approx({name: here[name] for name in numbers}, rel=1e-9)
    assert {name: there[name] for name in here.keys() - numbers} == {n: here[n] for n in here.keys() - numbers}


def test_without_an_edit_triggers_and_steps_become_the_episodes_at_which_they_came():
    plan = parse(PLAN)
    made = assert_plans_what_happened([Edition(plan)], starts_at(0, 100, 187, 390))
    assert [phase.name for phase in made.phases] == ["warm", "middle", "ahead", "last"]
    assert made.planned_ends == (100, 187, 390)
    assert made.phases[0].lr == plan.phases[0].lr, "a factor stays one, for other recipes"


def test_an_edit_parts_the_phase_that_it_changed_and_phases_ahead_stay_planned():
    plan = parse(PLAN)
    other = edited(plan, 0, routing="sparsemax", temperature=0.7)
    editions = [Edition(plan), Edition(other, 40, 400), Edition(edited(other, 2, jitter=0.0), 60, 600)]
    made = assert_plans_what_happened(editions, starts_at(0, 100), episodes=150)
    assert [phase.name for phase in made.phases] == ["warm", "warm (2)", "middle", "ahead", "last"]
    assert made.phases[2].until == plan.phases[1].until
    assert made.phases[3].jitter == 0.0


def test_phases_that_a_complete_run_never_reached_are_left_out():
    made = assert_plans_what_happened([Edition(parse(PLAN))], starts_at(0, 100))
    assert [phase.name for phase in made.phases] == ["warm", "middle"]
    assert made.phases[-1].until is None


OTHER = """
{name: other, phases: [
  {name: warm, until: {episode: 50}, routing: gumbel, jitter: 0.2, load_balance: {from: 0.5, to: 0.1}},
  {name: turn, until: {episode: 300}, temperature: {from: 1.0, to: 0.2}, lr: {times: 0.5}},
  {name: late, until: {episode: 350}, entropy: 0.0},
  {name: end, routing: sparsemax}]}
"""


@pytest.mark.parametrize(("episode", "begun"), [(150, (0, 100)), (100, (0, 100)), (40, (0,)), (320, (0, 100, 200))])
def test_another_curriculum_is_followed_from_here_on_as_by_a_run_that_is_as_far(episode, begun):
    """Also where the phase in force has only just begun, and whatever is inherited on either side."""
    plan, other = parse(PLAN), parse(OTHER)
    progress = Progress(episode, EPISODES, episode * STEPS, starts_at(*begun))
    made = continued(plan, other, progress, BASE)
    check_fits(made, EPISODES)
    trained = len(begun) - (begun[-1] == episode)
    assert made.phases[: trained - 1] == plan.phases[: trained - 1]
    assert made.phases[trained - 1] == plan.phases[trained - 1].model_copy(
        update={"until": made.phases[trained - 1].until}
    )
    kept = [start for start in begun if start < episode]
    planned = starts_at(*kept, episode, *(end for end in made.planned_ends if end is not None and end > episode))
    for later in range(episode, EPISODES):
        there, here = at(made, later, planned), at(other, later, starts_at(0, 50, 300, 350))
        assert_alike(there, here)
    with pytest.raises(V3Error, match="another network"):
        continued(plan, other.model_copy(update={"policy": Architecture(experts=9)}), progress, BASE)


_KNOBS = st.sampled_from(
    [
        {"temperature": 0.8},
        {"temperature": {"from": 3.0, "to": 0.4}},
        {"temperature": {"from": 3.0, "to": 0.4, "over": {"episodes": 70}}},
        {"lr": {"from": {"times": 1.0}, "to": {"times": 0.1}, "shape": "exponential"}},
        {"load_balance": 0.02},
        {"routing": "gumbel"},
        {"routing": "topk", "top_k": 1},
        {"entropy": {"from": 0.02, "to": 0.0, "over": {"steps": 900}}},
    ]
)


@given(
    changes=st.lists(st.tuples(st.integers(1, 380), st.integers(0, 3), _KNOBS), max_size=5),
    ends=st.lists(st.integers(1, 395), min_size=3, max_size=3, unique=True),
)
def test_whatever_was_edited_and_whenever_phases_began(changes, ends):
    """Edits are of the phase in force, or of later ones."""
    starts = starts_at(0, *sorted(ends))
    editions = [Edition(parse(PLAN.replace("until: {episode: 100}", "until: {step: 1000}")))]
    for episode, phase, change in sorted(changes, key=lambda one: one[0]):
        here = sum(start.episode <= episode for start in starts) - 1
        if phase >= here and episode > editions[-1].episode:
            editions.append(Edition(edited(editions[-1].curriculum, phase, **change), episode, episode * STEPS))
    assert_plans_what_happened(editions, starts)


def test_a_phase_that_began_at_its_end_had_the_values_of_its_end():
    plan = parse(PLAN.replace("until: {episode: 100}", "until: {step: 1000}"))
    assert_plans_what_happened([Edition(plan)], starts_at(0, 1, 390, 391))


def test_of_a_run_that_its_steps_ended_only_phases_with_episodes_are_left():
    """Its last phase, or an edit, may have begun in the rollout that used them up."""
    plan, starts = parse(PLAN), starts_at(0, 100, 180)
    change = edited(plan, 1, jitter=0.5)
    for editions, begun in (([Edition(plan)], starts), ([Edition(plan), Edition(change, 180, 1800)], starts[:2])):
        made = realised(editions, Progress(180, 1800, 1800, begun, 1800), BASE)
        assert [phase.name for phase in made.phases] == ["warm", "middle"]
        assert (made.phases[-1].until, made.phases[-1].jitter, made.episodes) == (None, 0.1, 180)
    with pytest.raises(V3Error, match=r"^No episode is complete yet; there is nothing to save\.$"):
        realised([Edition(plan)], Progress(0, 128, 128, starts_at(0), 128), BASE)


def test_a_phase_without_an_episode_is_left_out():
    made = assert_plans_what_happened([Edition(parse(PLAN))], starts_at(0, 100, 100, 390))
    assert [phase.name for phase in made.phases] == ["warm", "ahead", "last"]
    assert made.planned_ends == (100, 390)


def test_what_happened_so_far_has_the_length_that_is_planned_and_the_network():
    plan = parse(PLAN.replace("phases:", "policy: {experts: 5}, phases:"))
    for progress, length in (
        (Progress(50, EPISODES, 500, starts_at(0)), EPISODES),
        (Progress(EPISODES, EPISODES, 4000, starts_at(0)), EPISODES),
        (Progress(50, 1800, 500, starts_at(0), 1800), None),
    ):
        made = realised([Edition(plan)], progress, BASE)
        assert (made.episodes, made.policy) == (length, plan.policy)


def test_a_trigger_has_as_many_episodes_left_after_an_edit_as_before():
    plan = parse(PLAN)
    editions = [Edition(plan), Edition(edited(plan, 1, jitter=0.5), 130, 1300)]
    made = assert_plans_what_happened(editions, starts_at(0, 100), episodes=140)
    assert made.planned_ends[:2] == (100, 130)
    assert made.phases[2].until.max_episodes == 150 - 30


def test_environments_are_those_of_each_phase_and_pass_on_from_one_that_is_left_out():
    first, last = "{name: a, until: {episode: 100}, env: A-v0}", "{name: c, env_args: {size: 5}}"
    middle = (
        "{name: b, until: {metric: return, at_least: 1, window: 5, max_episodes: 9}, env: B-v0, env_args: {slip: 1}}"
    )
    plan = parse(f"{{name: p, phases: [{first}, {middle}, {last}]}}")
    for starts, expected in (
        ((0, 100, 109), [("A-v0", None), ("B-v0", {"slip": 1}), (None, {"size": 5})]),
        ((0, 100, 100), [("A-v0", None), ("B-v0", {"slip": 1, "size": 5})]),
    ):
        made = realised([Edition(plan)], Progress(EPISODES, EPISODES, 4000, starts_at(*starts)), BASE)
        assert [(phase.env, phase.env_args) for phase in made.phases] == expected
