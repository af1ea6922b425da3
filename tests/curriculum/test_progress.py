"""Phases that end by episode, step or trigger, as a run really passes them: no gap, no jump that was not asked for."""

import json
from dataclasses import astuple
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v3core.charts.series import phase_bands
from v3core.curriculum import (
    KNOBS,
    BaseValues,
    Curriculum,
    PhaseStart,
    Progress,
    episodes_left,
    longest_window,
    next_phase_due,
    parse,
    planned_starts,
    settings_at,
    steps_left,
)
from v3core.curriculum.progress import BEGIN

BASE = BaseValues(lr=1e-3, load_balance=0.01)
EPISODES = 300
KNOWN = ("temperature", "alpha", "lr", "gate_entropy")


@st.composite
def curricula(draw):
    """Up to five phases with any ends, ramps with any shape and any `over`."""
    count = draw(st.integers(1, 5))
    ends = {unit: iter(sorted(draw(st.sets(st.integers(1, most), min_size=count, max_size=count))))
            for unit, most in (("episode", EPISODES - 1), ("step", 3000))}  # fmt: skip
    phases = []
    for index in range(count):
        kind = draw(st.sampled_from(["episode", "step", "trigger"]))
        until = {kind: next(ends[kind])} if kind != "trigger" else draw(triggers)
        phase = {"name": f"p{index}", "until": until if index < count - 1 else None}
        for knob in KNOWN:
            needs_over = kind == "trigger" and until["max_episodes"] is None and index < count - 1
            phase[knob] = draw(values(knob, needs_over=needs_over))
        phase["routing"] = draw(st.sampled_from([None, "softmax", "entmax", "topk"]))
        phase["env"] = draw(st.sampled_from([None, "A-v0", "B-v0"]))
        phases.append(phase)
    return Curriculum.model_validate({"name": "random", "phases": phases})


triggers = st.builds(
    lambda level, window, least, extra: {
        "metric": "return",
        "at_least": level,
        "window": window,
        "min_episodes": least,
        "max_episodes": None if extra is None else max(window, least) + extra,
    },
    st.floats(0, 1),
    st.integers(1, 20),
    st.integers(0, 40),
    st.none() | st.integers(0, 100),
)


def values(knob, *, needs_over):
    number = st.floats(1, 2) if knob == "alpha" else st.floats(0.01, 10)
    over = st.integers(1, 80).map(lambda count: {"episodes": count}) | st.integers(1, 900).map(
        lambda count: {"steps": count}
    )
    ramp = st.builds(
        lambda start, to, shape, span: {"from": start, "to": to, "shape": shape, "over": span},
        number,
        number,
        st.sampled_from(["linear", "cosine", "exponential"]),
        over if needs_over else st.none() | over,
    )
    return st.none() | number | ramp


def run_through(curriculum, outcomes):
    """Every place of a run in which each rollout ends some episodes; phases change as the trainer changes them."""
    progress, returns = Progress(0, EPISODES, 0, BEGIN), []
    yield progress, False
    for finished, steps, value in outcomes:
        returns += [value] * finished
        complete = min(progress.episode + finished, EPISODES)
        progress = Progress(complete, EPISODES, progress.step + steps, progress.starts)
        yield progress, False
        while next_phase_due(curriculum, progress, returns=returns):
            progress = progress.next_phase()
            yield progress, True


outcomes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 200), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(curricula(), outcomes)
def test_an_inheriting_phase_begins_with_the_value_that_was_reached(curriculum, outcomes):
    before = None
    for progress, changed in run_through(curriculum, outcomes):
        now = settings_at(curriculum, progress, BASE)
        if changed:
            assert now.phase == before.phase + 1
            phase = curriculum.phases[now.phase]
            for name in (*KNOBS, "routing", "env", "top_k"):
                if getattr(phase, name) is None:
                    assert getattr(now, name) == getattr(before, name), name
        elif before is not None:
            assert now.phase == before.phase
        before = now


@settings(max_examples=200, deadline=None)
@given(curricula(), outcomes)
def test_ramps_move_one_way_stay_between_their_ends_and_reach_them(curriculum, outcomes):
    before = None
    for progress, changed in run_through(curriculum, outcomes):
        now = settings_at(curriculum, progress, BASE)
        phase, start = curriculum.phases[now.phase], progress.starts[-1]
        for knob in KNOWN:
            ramp = getattr(phase, knob)
            if not hasattr(ramp, "to"):
                continue
            value, low, high = getattr(now, knob), min(ramp.start, ramp.to), max(ramp.start, ramp.to)
            assert low <= value <= high
            if ramp.over is not None:
                episodes, steps = progress.episode - start.episode, progress.step - start.step
                done = episodes >= ramp.over.episodes if ramp.over.episodes else steps >= ramp.over.steps
                assert (value == ramp.to) or not done
            if not changed and before is not None:
                toward = 1 if ramp.to >= ramp.start else -1
                assert toward * (value - getattr(before, knob)) >= -1e-9
        before = now


@settings(deadline=None)
@given(curricula(), outcomes)
def test_progress_alone_decides_so_a_resumed_run_goes_on_with_the_same_settings(curriculum, outcomes):
    again = Curriculum.model_validate(json.loads(json.dumps(curriculum.to_dict())))
    assert again == curriculum
    for progress, _ in run_through(curriculum, outcomes):
        saved = json.loads(json.dumps([astuple(start) for start in progress.starts]))
        resumed = Progress(progress.episode, EPISODES, progress.step, tuple(PhaseStart(*pair) for pair in saved))
        assert settings_at(again, resumed, BASE) == settings_at(curriculum, progress, BASE)


def spans_of(curriculum, episodes, starts=()):
    """Name, start and end of the phases that charts draw."""
    bands = phase_bands(curriculum, episodes=episodes, starts=starts)
    return [(band.name, band.start, min(band.end, episodes)) for band in bands if band.start < episodes]


@settings(deadline=None)
@given(curricula(), outcomes)
def test_spans_leave_no_gap(curriculum, outcomes):
    for progress, _ in run_through(curriculum, outcomes):
        spans = spans_of(curriculum, EPISODES, progress.starts)
        assert all(end == start for (_, _, end), (_, start, _) in pairwise(spans))
        assert spans[0][1] == 0
        assert spans[-1][2] == EPISODES
        assert [start for _, start, _ in spans][: len(progress.starts)] == [
            start.episode for start in progress.starts if start.episode < EPISODES
        ]


def test_a_trigger_looks_at_its_own_phase_and_a_full_window():
    curriculum = parse(
        """
        name: t
        phases:
          - {name: a, until: {episode: 10}}
          - {name: b, until: {metric: return, at_least: 450, window: 3, min_episodes: 5, max_episodes: 20}}
          - {name: c}
        """
    )
    starts = (PhaseStart(0, 0), PhaseStart(10, 100))
    high = [500.0] * 40

    def due(episode, returns):
        return next_phase_due(curriculum, Progress(episode, 99, 0, starts), returns=returns)

    assert not due(12, high)  # a window is not full, whatever came before
    assert not due(14, high)  # fewer than min_episodes
    assert due(15, high)
    assert not due(15, [500.0, 449.0, 400.0])
    assert due(15, [0.0, 449.0, 450.0, 451.0])  # the newest count
    assert not due(15, [500.0, 500.0])
    assert not due(15, [500.0, 500.0, float("nan")])
    assert not due(29, [0.0] * 40)
    assert due(30, [0.0] * 40)  # max_episodes
    assert not next_phase_due(curriculum, Progress(90, 99, 0, (*starts, PhaseStart(30, 0))), returns=high)


def test_a_trigger_watches_its_metric_and_never_holds_on_what_is_unknown():
    template = "{{name: t, phases: [{{name: a, until: {{metric: {}, {}, window: 2}}}}, {{name: b}}]}}"
    success = parse(template.format("success", "at_least: 0.5"))
    short = parse(template.format("length", "at_most: 10"))
    here = Progress(5, 99, 0, BEGIN)
    assert next_phase_due(success, here, returns=[0, 0], lengths=[99, 99], successes=[0, 1])
    assert not next_phase_due(success, here, returns=[9, 9], successes=[None, 1])
    assert next_phase_due(short, here, lengths=[12, 8])
    assert not next_phase_due(short, here, lengths=[12, 9], returns=[0, 0])
    assert longest_window(short) == 2


def test_a_ramp_that_ended_early_is_inherited_where_it_was():
    curriculum = parse(
        """
        name: early
        phases:
          - name: a
            temperature: {from: 1.0, to: 0.0001}
            until: {metric: return, at_least: 1, window: 1, max_episodes: 100}
          - {name: b, lr: 0.5}
        """
    )
    progress = Progress(25, 200, 0, BEGIN)
    reached = settings_at(curriculum, progress, BASE).temperature
    assert reached == pytest.approx(1 - 0.25 * 0.9999)
    later = Progress(150, 200, 0, (*BEGIN, PhaseStart(25, 0)))
    assert settings_at(curriculum, later, BASE).temperature == reached
    assert settings_at(curriculum, later, BASE).lr == 0.5


def test_a_ramp_of_a_phase_that_ends_by_steps_goes_by_steps():
    curriculum = parse(
        "{name: s, phases: [{name: a, until: {step: 100}}, {name: b, until: {step: 300},"
        " temperature: {from: 1, to: 2}}, {name: c}]}"
    )
    starts = (PhaseStart(0, 0), PhaseStart(7, 104))
    assert settings_at(curriculum, Progress(9, 50, 104, starts), BASE).temperature == 1
    assert settings_at(curriculum, Progress(9, 50, 202, starts), BASE).temperature == 1.5
    assert settings_at(curriculum, Progress(30, 50, 310, starts), BASE).temperature == 2
    assert steps_left(curriculum, Progress(9, 50, 202, starts)) == 98
    assert episodes_left(curriculum, Progress(9, 50, 202, starts)) == 41
    assert next_phase_due(curriculum, Progress(9, 50, 300, starts))
    assert not next_phase_due(curriculum, Progress(9, 50, 299, starts))


def test_plans_go_as_far_as_episodes_are_known():
    curriculum = parse(
        """
        name: plan
        phases:
          - {name: a, until: {episode: 10}}
          - {name: b, until: {metric: length, at_least: 5, window: 2, max_episodes: 30}}
          - {name: c, until: {step: 900}}
          - {name: d}
        """
    )
    assert [start.episode for start in planned_starts(curriculum)] == [0, 10, 40]
    assert spans_of(curriculum, 100) == [("a", 0, 10), ("b", 10, 40), ("c", 40, 100)]
    begun = (PhaseStart(0, 0), PhaseStart(12, 80), PhaseStart(20, 200))
    assert spans_of(curriculum, 100, begun) == [("a", 0, 12), ("b", 12, 20), ("c", 20, 100)]
    assert curriculum.planned_ends == (10, None, None)
    assert curriculum.boundaries == (10,)
