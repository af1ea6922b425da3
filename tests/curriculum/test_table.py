"""A curriculum as a person types it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.curriculum import (
    Over,
    PhaseStart,
    Progress,
    Ramp,
    Times,
    check_edit,
    load_preset,
    parse,
    preset_names,
)
from v3core.curriculum.table import PhaseRow, from_rows, to_rows
from v3core.curriculum.typed import format_value, parse_value
from v3core.errors import V3Error

numbers = st.floats(0.001, 1000).map(lambda number: float(f"{number:g}"))
levels = numbers | numbers.map(lambda number: Times(times=number))
ramps = st.builds(
    lambda start, end, shape, over: Ramp.model_validate({"from": start, "to": end, "shape": shape, "over": over}),
    levels,
    levels,
    st.sampled_from(["linear", "cosine", "exponential"]),
    st.none()
    | st.integers(1, 999).map(lambda episodes: Over(episodes=episodes))
    | st.integers(1, 10**9).map(lambda steps: Over(steps=steps)),
)


@given(st.none() | levels | ramps)
def test_what_is_written_is_read_back(value):
    assert parse_value(format_value(value), "lr") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("0.5", 0.5),
        ("1e-4", 1e-4),
        ("×0.5", Times(times=0.5)),
        ("x0.5", Times(times=0.5)),
        ("1 -> 0.5", Ramp.model_validate({"from": 1, "to": 0.5})),
        ("1 to 0.5", Ramp.model_validate({"from": 1, "to": 0.5})),
        ("1 → 0.5 over 9,000 steps", Ramp.model_validate({"from": 1, "to": 0.5, "over": {"steps": 9000}})),
        ("x1→x0.1 cosine", Ramp.model_validate({"from": {"times": 1}, "to": {"times": 0.1}, "shape": "cosine"})),
    ],
)
def test_the_ways_to_write_a_value(text, value):
    assert parse_value(text, "lr") == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fast", "Learning rate 'fast' cannot be parsed"),
        ("-1", "must be greater than 0"),
        ("0", "must be greater than 0"),
        ("1 → 0", "must be greater than 0"),
        ("nan", "must be greater than 0"),
        ("1 → 2 → 3", "more than one arrow"),
        ("1 over 20", "does not ramp"),
        ("1 → 2 over 0", "1 episode or more"),
        ("1 → 2 over 0 steps", "1 step or more"),
    ],
)
def test_values_that_cannot_be_read(text, sentence):
    with pytest.raises(V3Error, match=sentence):
        parse_value(text, "lr")


@pytest.mark.parametrize(
    ("knob", "text", "sentence"),
    [
        ("alpha", "3", "Entmax alpha '3' must be from 1 to 2"),
        ("jitter", "1", "Router jitter '1' must be at least 0 and below 1"),
        ("z_loss", "×2", "Z-loss '×2' has no base value to multiply; write the number itself"),
    ],
)
def test_each_knob_has_its_range(knob, text, sentence):
    with pytest.raises(V3Error, match=sentence):
        parse_value(text, knob)
    assert parse_value("-0.5", "gate_entropy") == -0.5


@pytest.mark.parametrize(
    ("knob", "text", "chinese"),
    [
        ("alpha", "×2", "没有可乘的基准值；请直接写数。"),
        ("load_balance", "0 → 1 exponential", "不能从小于等于 0 的值或向其指数渐变；请用线性渐变。"),
    ],
)
def test_what_is_wrong_with_a_knob_is_said_in_the_readers_language(knob, text, chinese):
    with pytest.raises(V3Error) as caught:
        parse_value(text, knob)
    assert caught.value.message.in_language("zh_CN").endswith(chinese)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_the_table(name):
    preset = load_preset(name)
    rows = to_rows(preset)
    checked = from_rows(rows, name=name, episodes=preset.episodes, description=preset.description, policy=preset.policy)
    assert checked.curriculum == preset


def test_each_wrong_row_has_its_own_sentence():
    rows = [
        PhaseRow("warmup", "300", "softmax", temperature="hot"),
        PhaseRow("transition", "200", "sparsemax"),
        PhaseRow("", "350", "sparsemax"),
        PhaseRow("late", "600", "sparsemax"),
        PhaseRow("warmup", "", "sparsemax", lr="0"),
    ]
    checked = from_rows(rows, name="mine", episodes=500)
    assert checked.curriculum is None
    assert checked.problems == {
        0: "Temperature 'hot' cannot be parsed; write a number, a multiple (×0.5) or a ramp (1 → 0.5).",
        1: "Phase 2 'transition' ends at episode 200 but phase 1 'warmup' ends at 300; each phase must end after the "
        "previous one.",
        2: "This phase has no name; give it one.",
        3: "Phase 4 'late' ends at episode 600, but the run has only 500 episodes; end it earlier, train longer, or "
        "scale the curriculum.",
        4: "Learning rate '0' must be greater than 0.",
    }


def test_a_missing_end_in_the_middle_is_reported():
    checked = from_rows([PhaseRow("a"), PhaseRow("b")], name="mine", episodes=10)
    assert list(checked.problems) == [0]
    assert "only the last phase can omit 'until'" in checked.problems[0]


def test_arguments_of_an_environment_are_a_text_and_read_back():
    curriculum = parse(
        """
        name: c
        episodes: 9
        phases:
          - {name: one, until: {episode: 3}, env: A-v0, env_args: {size: 5, map: [SF, "F,G"], lit: true}}
          - {name: two}
        """
    )
    rows = to_rows(curriculum)
    assert [row.env_args for row in rows] == ['size=5, map=["SF", "F,G"], lit=true', ""]
    assert from_rows(rows, name="c", episodes=9).curriculum == curriculum
    wrong = from_rows([replace(rows[0], env_args="size"), rows[1]], name="c", episodes=9)
    assert wrong.problems == {0: "'size' is not an argument of an environment; write NAME=VALUE, such as size=8."}


def test_the_phase_in_force_keeps_its_arguments():
    def curriculum(size):
        return parse(
            f"{{name: c, phases: [{{name: one, until: {{episode: 9}}, env_args: {{size: {size}}}}}, {{name: two}}]}}"
        )

    progress = Progress(episode=3, episodes=20, step=30, starts=(PhaseStart(0, 0),))
    sentence = r"trains on the environment of the run \(size=5\) now, not on the environment of the run \(size=6\)"
    with pytest.raises(V3Error, match=sentence):
        check_edit(curriculum(5), curriculum(6), progress)


def test_the_last_phase_has_no_end_whatever_its_row_says():
    checked = from_rows([PhaseRow("a", until="5"), PhaseRow("b", until="7")], name="c", episodes=9)
    assert checked.curriculum is not None
    assert checked.curriculum.planned_ends == (5,)


def test_a_problem_of_the_whole_curriculum_is_said_of_the_last_row():
    checked = from_rows([PhaseRow("a", until="5"), PhaseRow("b")], name="", episodes=9)
    assert list(checked.problems) == [1]


def test_a_ramp_may_last_one_episode():
    ramp = Ramp(start=1.0, to=0.5, over=Over(episodes=1))
    assert parse_value(format_value(ramp), "temperature") == ramp
