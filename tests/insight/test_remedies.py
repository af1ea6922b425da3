"""What remedies change: the value now and later, nothing that was trained; ramps and boundaries stay in order."""

import pytest

from v3core.curriculum import PhaseStart, Progress, check_edit, parse, settings_at
from v3core.curriculum.settings import BaseValues
from v3core.errors import V3Error
from v3core.insight.alarms.remedies import REMEDIES, longer_phase

BASE = BaseValues(lr=1e-3, temperature=1.0, load_balance=0.01)
CURRICULA = {
    "constants": """{name: x, phases: [
      {name: one, until: {episode: 100}, load_balance: 0.02, temperature: 2},
      {name: two, until: {episode: 200}, load_balance: 0.01, temperature: 1, lr: {times: 0.5}},
      {name: three, temperature: 0.5, load_balance: 0.004, lr: {times: 0.1}}]}""",
    "inherited": """{name: x, phases: [
      {name: one, until: {episode: 100}, temperature: {from: 3, to: 2}},
      {name: two, until: {episode: 200}}, {name: three}]}""",
    "ramps": """{name: x, phases: [
      {name: one, until: {episode: 100}},
      {name: two, until: {episode: 200}, temperature: {from: 2, to: 0.5}, load_balance: {from: 0.02, to: 0.01},
       lr: {from: {times: 1}, to: {times: 0.5}, shape: cosine}},
      {name: three, temperature: 0.5}]}""",
    "one-phase": "{name: x, phases: [{name: all}]}",
}
KNOBS = {
    "raise_load_balance": ("load_balance", 2.0),
    "raise_temperature": ("temperature", 1.5),
    "lower_temperature": ("temperature", 2 / 3),
    "lower_lr": ("lr", 0.5),
}
EPISODES = 400


def progress_at(curriculum, episode):
    starts = [PhaseStart(0, 0)]
    starts += [PhaseStart(end, end * 10) for end in curriculum.boundaries if end <= episode]
    return Progress(episode, EPISODES, episode * 10, tuple(starts))


@pytest.mark.parametrize("episode", [0, 100, 150, 320])
@pytest.mark.parametrize("name", CURRICULA)
@pytest.mark.parametrize("remedy", KNOBS)
def test_a_knob_is_multiplied_from_now_on_and_nothing_else_changes(name, episode, remedy):
    old = parse(CURRICULA[name])
    knob, factor = KNOBS[remedy]
    now = progress_at(old, episode)
    new = REMEDIES[remedy].apply(old, now, BASE)
    check_edit(old, new, now)
    for later in range(episode, EPISODES, 7):
        at = progress_at(old, later)
        was, is_now = (vars(settings_at(one, at, BASE)) for one in (old, new))
        assert is_now[knob] == pytest.approx(was[knob] * factor, rel=1e-5)
        assert {**is_now, knob: 0} == {**was, knob: 0}
    for earlier in range(0, now.starts[-1].episode, 7):
        at = progress_at(old, earlier)
        assert settings_at(old, at, BASE) == settings_at(new, at, BASE)


def test_a_load_balance_of_0_becomes_that_of_switch():
    old = parse("{name: x, phases: [{name: one, until: {episode: 100}, load_balance: 0}, {name: two}]}")
    new = REMEDIES["raise_load_balance"].apply(old, progress_at(old, 150), BASE)
    assert settings_at(new, progress_at(old, 150), BASE).load_balance == 0.01
    assert new.phases[0] == old.phases[0]


@pytest.mark.parametrize(
    ("name", "episode"), [("constants", 50), ("ramps", 150), ("inherited", 20), ("constants", 199)]
)
def test_a_phase_is_lengthened_without_a_jump(name, episode):
    old = parse(CURRICULA[name])
    now = progress_at(old, episode)
    new = REMEDIES["lengthen_phase"].apply(old, now, BASE)
    check_edit(old, new, now)
    here = len(now.starts) - 1
    assert new.boundaries[here] == now.starts[-1].episode + 150
    assert list(new.boundaries) == sorted(set(new.boundaries))
    assert max(new.boundaries) < EPISODES
    for later in range(episode, old.boundaries[here]):  # as before, up to where the phase would have ended
        at = progress_at(old, later)
        assert settings_at(old, at, BASE) == settings_at(new, at, BASE)
    held = Progress(new.boundaries[here] - 1, EPISODES, 0, now.starts)
    end = Progress(old.boundaries[here], EPISODES, 0, now.starts)
    assert settings_at(new, held, BASE).temperature == pytest.approx(settings_at(old, end, BASE).temperature)


def test_a_phase_that_ends_at_a_step_is_lengthened_without_a_jump():
    old = parse(
        """{name: x, phases: [{name: a, until: {step: 1000}}, {name: b, until: {step: 3000},
        temperature: {from: 2, to: 1, shape: cosine}, lr: {from: 1, to: 2, over: {episodes: 50}}}, {name: c}]}"""
    )
    starts = (PhaseStart(0, 0), PhaseStart(100, 1000))
    now = Progress(150, EPISODES, 2000, starts)
    new = REMEDIES["lengthen_phase"].apply(old, now, BASE)
    check_edit(old, new, now)
    assert new.phases[1].until.step == 4000
    for step in range(2000, 3000, 90):
        at = Progress(step // 10, EPISODES, step, starts)
        assert settings_at(old, at, BASE) == settings_at(new, at, BASE)
    assert settings_at(new, Progress(350, EPISODES, 3500, starts), BASE).temperature == 1
    assert type(new).model_validate_json(new.model_dump_json(by_alias=True)) == new


@pytest.mark.parametrize(
    ("text", "episode", "message"),
    [
        ("{name: x, phases: [{name: all}]}", 50, "lasts until the end of the run"),
        ("{name: x, phases: [{name: a, until: {episode: 398}}, {name: b}]}", 50, None),
        ("{name: x, phases: [{name: a, until: {episode: 399}}, {name: b}]}", 50, "train the run longer first"),
        ("{name: x, phases: [{name: a, until: {metric: return, at_least: 9}}, {name: b}]}", 50, "without a limit"),
        ("{name: x, phases: [{name: a, until: {step: 9000}}, {name: b}]}", 50, None),
        (
            "{name: x, phases: [{name: a, until: {metric: return, at_least: 9, max_episodes: 300}}, {name: b}]}",
            50,
            None,
        ),
    ],
)
def test_a_phase_that_cannot_be_longer_says_why(text, episode, message):
    old = parse(text)
    now = Progress(episode, EPISODES, episode * 10, (PhaseStart(0, 0),))
    if message is None:
        new = REMEDIES["lengthen_phase"].apply(old, now, BASE)
        assert new != old
        check_edit(old, new, now)
        return
    with pytest.raises(V3Error, match=message):
        REMEDIES["lengthen_phase"].apply(old, now, BASE)


def test_a_longer_phase_leaves_each_later_one_an_episode():
    """150 episodes would be too many: the last two need one each, and keep their shares of the rest."""
    text = "{name: x, phases: [{name: a, until: {episode: 30}}, {name: b, until: {episode: 80}}, "
    curriculum = parse(text + "{name: c, until: {episode: 95}}, {name: d}]}")
    progress = Progress(40, 100, 400, (PhaseStart(0, 0), PhaseStart(30, 300)))
    assert longer_phase(curriculum, progress, BASE).planned_ends == (30, 98, 99)
    roomy = Progress(40, 1000, 400, progress.starts)
    assert longer_phase(curriculum, roomy, BASE).planned_ends == (30, 105, 120)
