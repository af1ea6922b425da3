"""The length of a run in episodes, in environment steps, or in both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.curriculum import (
    BaseValues,
    Length,
    Over,
    PhaseStart,
    Progress,
    check_edit,
    check_fits,
    lengthened,
    parse,
    scaled_to,
    settings_at,
    steps_left,
)
from v3core.curriculum.edit import rest_of_run
from v3core.curriculum.length import MAX_EPISODES, MAX_STEPS
from v3core.errors import V3Error
from v3core.messages import translated

CURRICULUM = parse(
    "{name: c, episodes: 800, phases: [{name: a, until: {episode: 150}, lr: {from: {times: 1}, to: {times: 0.5}, "
    "over: {episodes: 40}}}, {name: b, until: {metric: return, at_least: 1, window: 10, max_episodes: 200}}, "
    "{name: c, until: {step: 60000}}, {name: d, temperature: {from: 2.0, to: 1.0}}]}"
)
RAMP = parse("{name: r, phases: [{name: a, until: {episode: 10}}, {name: b, temperature: {from: 2.0, to: 1.0}}]}")
BASE = BaseValues(lr=1e-3)

budgets = st.integers(1, MAX_STEPS)


@given(budgets)
def test_steps_alone_are_recognised_and_never_shown_as_episodes(steps):
    length = Length.of(None, steps)
    assert length.is_by_steps
    assert length.episodes == min(steps, MAX_EPISODES)
    assert "episode" not in str(length) + length.reached(0, 0)


@given(st.integers(1, MAX_EPISODES), budgets)
def test_a_run_is_complete_at_whichever_comes_first(episodes, steps):
    length = Length(episodes, steps)
    assert length.is_reached(episodes, 0)
    assert length.is_reached(0, steps)
    assert not length.is_reached(episodes - 1, steps - 1)
    assert length.part(episodes, 0) == length.part(0, steps) == 1
    assert length.part(0, 0) == 0


def test_words():
    assert [str(one) for one in (Length(1), Length(1200), Length.of(None, 20_000), Length(800, 20_000))] == [
        "1 episode",
        "1,200 episodes",
        "20,000 steps",
        "800 episodes or 20,000 steps",
    ]
    assert Length(800).reached(130, 9) == "130 of 800 episodes"
    assert Length.of(None, 20_000).reached(130, 12_000) == "12,000 of 20,000 steps"
    assert Length(800, 20_000).reached(130, 12_000) == "130 of 800 episodes, 12,000 of 20,000 steps"
    assert Length(60).changed_to(Length(110)) == "from 60 to 110 episodes"
    assert Length.of(None, 60).changed_to(Length.of(None, 110)) == "from 60 to 110 steps"


def test_an_end_that_a_budget_cannot_contain_is_refused_and_others_may_not_be_reached():
    check_fits(parse("{name: c, phases: [{name: a, until: {episode: 150}}, {name: b}]}"), 2000, 2000)
    for end, sentence in (
        (
            "{episode: 2000}",
            "ends at episode 2000, but the run has only 2000 steps, in which there are no more episodes",
        ),
        ("{step: 2000}", "ends at step 2000, but the run has only 2000 steps; end it earlier, or train longer"),
    ):
        curriculum = parse(f"{{name: c, phases: [{{name: a, until: {end}}}, {{name: b}}]}}")
        with pytest.raises(V3Error, match=sentence):
            check_fits(curriculum, 2000, 2000)
        begun = parse("{name: c, phases: [{name: a, until: {episode: 5}}, {name: b}]}")
        with pytest.raises(V3Error, match=sentence):
            check_edit(begun, curriculum, Progress(0, 2000, 0, (PhaseStart(0, 0),), 2000))


def test_the_next_boundary_is_that_of_the_phase_or_of_the_budget():
    curriculum = parse("{name: c, phases: [{name: a, until: {step: 300}}, {name: b}]}")
    assert steps_left(curriculum, Progress(2, 900, 100, (PhaseStart(0, 0),), 900)) == 200
    assert steps_left(curriculum, Progress(2, 900, 400, (PhaseStart(0, 0), PhaseStart(1, 300)), 900)) == 500
    assert steps_left(curriculum, Progress(2, 900, 400, (PhaseStart(0, 0), PhaseStart(1, 300)))) is None


def test_a_ramp_to_the_end_follows_the_length_of_which_more_has_passed():
    def temperature(episode, step, steps):
        starts = (PhaseStart(0, 0), PhaseStart(10, 200))
        return settings_at(RAMP, Progress(episode, 110, step, starts, steps), BASE).temperature

    assert temperature(10, 200, 2200) == 2.0
    assert temperature(20, 1200, 2200) == 1.5  # half of the steps, a tenth of the episodes
    assert temperature(60, 300, 2200) == 1.5  # half of the episodes
    assert temperature(60, 2200, 2200) == temperature(110, 300, 2200) == 1.0
    assert temperature(60, 1200, None) == 1.5


@pytest.mark.parametrize(
    ("episode", "step", "over"), [(20, 1200, {"steps": 2000}), (60, 300, {"episodes": 100}), (10, 200, {"steps": 2000})]
)
def test_made_longer_such_a_ramp_keeps_its_value_and_its_slope(episode, step, over):
    progress = Progress(episode, 110, step, (PhaseStart(0, 0), PhaseStart(10, 200)), 2200)
    longer = lengthened(RAMP, progress)
    assert longer.phases[1].temperature.over.model_dump() == over
    twice = Progress(episode, 220, step, progress.starts, 4400)
    assert settings_at(longer, twice, BASE).temperature == settings_at(RAMP, progress, BASE).temperature


def test_scaled_to_steps_each_phase_ends_at_the_same_part_of_the_run():
    scaled = scaled_to(CURRICULUM, Length.of(None, 80_000))
    assert [phase.until.model_dump() for phase in scaled.phases[:3]] == [
        {"step": 15_000},
        {"metric": "return", "at_least": 1, "window": 10, "max_episodes": 200},
        {"step": 60_000},
    ]
    assert scaled.phases[0].lr.over.model_dump() == {"steps": 4000}
    assert scaled.episodes is None
    assert scaled_to(parse("{name: c, phases: [{name: a}]}"), Length.of(None, 9)).episodes is None
    with pytest.raises(V3Error, match="does not set 'episodes'"):
        scaled_to(CURRICULUM.model_copy(update={"episodes": None}), Length.of(None, 80_000))


@pytest.mark.parametrize(
    ("length", "asked", "sentence"),
    [
        (Length(60, 2000), (None, 3000), "has also trained all of its episodes; choose more of both"),
        (Length(60, 2000), (90, 1000), "has already trained 1,000 steps"),
        (Length(60), (60, None), "already trained 60 episodes"),
    ],
)
def test_a_length_that_is_not_longer_is_refused(length, asked, sentence):
    with pytest.raises(V3Error, match=sentence):
        length.extended(*asked, at=(60, 1000), environments=4)


@pytest.mark.parametrize(
    ("length", "asked", "chinese"),
    [
        (Length(60, 2000), (None, 3000), "x 也已训练完其全部回合；请将两者都调大。"),
        (Length(70, 1000), (80, None), "x 也已训练完其全部环境步；请将两者都调大。"),
        (Length(60), (60, None), "x 已训练 60 个回合；请选择更大的数。"),
        (Length(80, 2000), (70, None), "x 的计划为 80 个回合；请选择更大的数：运行可以延长，不能缩短。"),
        (Length.of(None, 2000), (70, None), "x 的计划为 2,000 步，不按回合计；请以环境步数给出新的长度。"),
    ],
)
def test_why_a_length_is_refused_is_said_in_the_readers_language(length, asked, chinese):
    with pytest.raises(V3Error) as caught:
        length.extended(*asked, at=(60, 1000), environments=4, who="x")
    assert caught.value.message.in_language("zh_CN") == chinese


def test_a_change_of_length_is_said_in_the_readers_language():
    assert translated(Length(60).changed_to(Length(110)), "zh_CN") == "由 60 到 110 个回合"
    both = Length(60, 2000).changed_to(Length(110, 5000))
    assert translated(both, "zh_CN") == "从 60 个回合或 2,000 步到 110 个回合或 5,000 步"


def test_either_of_two_lengths_can_be_extended():
    length = Length(60, 2000)
    assert length.extended(90, None, at=(60, 1000), environments=4) == Length(90, 2000)
    assert length.extended(None, 3001, at=(30, 2000), environments=4) == Length(60, 3004)
    assert length.extended(90, 3000, at=(60, 2000), environments=4) == Length(90, 3000)


@pytest.mark.parametrize(
    ("length", "at", "expected"),
    [
        (Length(800), (3, 30), 800),
        (Length.of(None, 1000), (0, 0), None),
        (Length.of(None, 1000), (7, 90), 78),  # 77.8
        (Length.of(None, 100_000), (7, 90), 7800),  # 7,777.8 in two digits
        (Length.of(None, 1000), (70, 1000), 70),
        (Length(50, 1000), (7, 90), 50),
        (Length(500, 1000), (0, 0), 500),
    ],
)
def test_episodes_are_projected_from_those_so_far(length, at, expected):
    assert length.projected_episodes(*at) == expected


def test_a_length_is_extended_in_the_unit_that_it_is_planned_in():
    at = (10, 100)
    assert Length(20).extended(30, None, at=at, environments=4) == Length(30)
    by_steps = Length.of(None, 200)
    assert by_steps.extended(None, 303, at=at, environments=4) == Length.of(None, 304)
    with pytest.raises(V3Error, match="not by episodes"):
        by_steps.extended(30, None, at=at, environments=4)
    with pytest.raises(V3Error, match="not by environment steps"):
        Length(20).extended(None, 300, at=at, environments=4)
    for asked, words in ((10, "already trained 10 episodes"), (20, "is planned for 20 episodes")):
        with pytest.raises(V3Error, match=words):
            Length(20).extended(asked, None, at=at, environments=4)


def test_the_part_that_is_trained_is_that_of_episodes_or_of_steps():
    assert Length(800).part(200, 10**9) == 0.25
    assert Length(800, 1000).part(200, 500) == 0.5
    assert Length(800, 1000).part(600, 500) == 0.75
    assert Length.of(MAX_EPISODES, MAX_STEPS) == Length(MAX_EPISODES, MAX_STEPS)


def test_the_rest_of_a_run_is_at_least_one_episode():
    assert rest_of_run(Progress(9, 10, 90), PhaseStart(9, 90)) == Over(episodes=1)
    assert rest_of_run(Progress(9, 10, 90, steps=91), PhaseStart(9, 90)) == Over(steps=1)
    assert rest_of_run(Progress(3, 10, 90, steps=900), PhaseStart(0, 0)) == Over(episodes=10)
    assert rest_of_run(Progress(3, 10, 300, steps=900), PhaseStart(0, 0)) == Over(steps=900)
