"""Rules of alarms over episodes made by hand: what holds, what does not, and that batches do not matter."""

import math
from itertools import pairwise

import numpy as np
import pytest

from tests.runs import TINY, tiny_config
from v3core.config import build_run_config
from v3core.curriculum import Length, PhaseStart, parse
from v3core.insight.alarms import NEEDED, RULES, Began, Episodes, Evaluated, Plan, Watch
from v3core.insight.alarms.plan import COMPARED

LENGTH = 400
W = 40


def config_of(curriculum=None, episodes=LENGTH, recipe=TINY):
    if curriculum is None:
        return tiny_config(episodes=episodes, boundary=episodes // 2)
    return build_run_config(
        name="x", env="CartPole-v1", seed=1, episodes=episodes, curriculum=parse(curriculum), recipe=recipe
    )


def made(loads, *, count=LENGTH, phases=None, **columns):
    """Episodes of these loads, [experts] or [n, experts], with columns as numbers or [n]."""
    loads = np.broadcast_to(np.asarray(loads, dtype=np.float64), (count, np.shape(loads)[-1]))
    values = np.full((count, len(NEEDED)), math.nan)
    plain = {"return": 10.0, "routing_entropy": 0.6, "specialisation": 0.3, "grad_norm": 0.1, "approx_kl": 0.001}
    plain |= {"node_distance": 0.5, "rollbacks": 0.0, "step": np.arange(1, count + 1) * 10.0}
    plain |= {"temperature": 1.0, "lr": 1e-6, "bias_speed": 0.0, "jitter": 0.0, "load_balance": 0.0}
    plain |= dict.fromkeys(("expert_balance", "z_loss", "diversity", "consistency", "gate_entropy", "entropy"), 0.0)
    for name, value in (plain | columns).items():
        values[:, NEEDED.index(name)] = value
    phases = phases or ["early"] * (count // 2) + ["late"] * (count - count // 2)
    return Episodes(np.arange(1, count + 1), values, np.array(loads), phases)


def found(rows, *, curriculum=None, recipe=TINY, marks=(), parts=(), rules=None, length=None):
    """The alarms of these episodes, handed over in one part or cut at `parts`; of a run that may be of a `Length`."""
    config = config_of(curriculum, recipe=recipe)
    if length is not None:
        config = config.model_copy(update=vars(length))
    watch = Watch(Plan(config, config.curriculum), rows.loads.shape[1])
    boundary = next((place for place in range(1, len(rows)) if rows.phases[place] != rows.phases[place - 1]), None)
    all_marks = [*marks, *([Began(boundary, 1, PhaseStart(boundary, boundary * 10))] if boundary else [])]
    for mark in sorted(all_marks, key=lambda mark: mark.episode):
        watch.mark(mark)
    cuts = [0, *parts, len(rows)]
    for start, end in pairwise(cuts):
        watch.watch(rows.part(start, end))
    watch.catch_up()
    return [alarm for alarm in watch.alarms if rules is None or alarm.rule in rules]


def test_two_experts_that_share_everything_are_an_alarm():
    """50/50/0/0 with an entropy of exactly ln 2, which an alarm on low entropy cannot see."""
    rows = made([0.5, 0.5, 0.0, 0.0], routing_entropy=math.log(2), specialisation=0.0)
    dead, shared = found(rows)
    assert (dead.rule, dead.first_episode, dead.last_episode, dead.value) == ("dead_expert", W, LENGTH, 2)
    assert dead.detail == "2 of 4 experts dead, never used"
    assert (shared.rule, shared.first_episode, shared.value, shared.is_cleared) == ("shared_experts", W, 1.0, False)
    assert "Experts 1 and 2 share 100.0% of the load (50% and 50%) among 4" in shared.detail
    assert "exactly ln 2" in shared.detail


def test_an_even_mixture_that_specialises_is_none():
    assert found(made([0.25, 0.25, 0.25, 0.25])) == []


def test_dead_experts_say_when_they_were_last_used():
    loads = np.full((LENGTH, 4), [1.0, 0.0, 0.0, 0.0])
    loads[:79] = [0.4, 0.2, 0.2, 0.2]
    loads[79:89] = [0.6, 0.0, 0.2, 0.2]
    loads[89:131] = [0.8, 0.0, 0.0, 0.2]
    alarms = {alarm.rule: alarm for alarm in found(made(loads))}
    assert alarms["dead_expert"].detail == "3 of 4 experts dead, last used at episodes 79, 89, 131"
    assert alarms["dead_expert"].first_episode == 118  # the mean of 40 falls below 1 %
    assert alarms["collapse"].detail == "Expert 1 of 4 has 100.0% of the load"
    assert alarms["collapse"].phase == "early"


def test_of_many_dead_experts_the_first_and_last_use_are_said():
    def detail(*ends):
        """Of an expert that is always used, and of others that are used up to an episode each."""
        loads = np.zeros((1500, 1 + len(ends)))
        for expert, end in enumerate(ends, start=1):
            loads[:end, expert] = 0.05
        loads[:, 0] = 1 - loads.sum(axis=1)
        rows = made(loads, count=1500)
        return next(alarm for alarm in found(rows, rules={"dead_expert"}) if not alarm.is_cleared).detail

    assert detail(900, 900, 1100) == "3 of 4 experts dead, last used at episodes 900, 1,100"
    ends = range(500, 1300, 80)
    assert detail(*ends, 0) == "11 of 12 experts dead, last used between episodes 500 and 1,220, 1 never used"


def test_dead_experts_are_those_of_the_steps_not_of_the_episodes():
    """Every second episode is one step long and uses expert 2 alone: half of the episodes, 1 % of the steps or less."""
    loads = np.where(np.arange(LENGTH)[:, None] % 2, [1.0, 0.0], [0.0, 1.0])
    lengths = np.where(np.arange(LENGTH) % 2, 200.0, 1.0)
    (dead,) = found(made(loads, length=lengths), rules={"dead_expert"})
    assert (dead.value, dead.first_episode) == (1, 40)
    assert found(made(loads, length=np.where(np.arange(LENGTH) % 2, 90.0, 1.0)), rules={"dead_expert"}) == []


def test_loads_are_those_of_the_phase_in_force():
    """At the boundary after episode 200 all experts but one die, or come back to life."""
    even, one = [0.25] * 4, [1.0, 0.0, 0.0, 0.0]
    loads = np.array([even] * 200 + [one] * 200)
    for rule in ("dead_expert", "collapse"):
        (alarm,) = found(made(loads), rules={rule})
        assert (alarm.phase, alarm.first_episode) == ("late", 210), "not 39 episodes after it, when W are of the phase"
        (alarm,) = found(made(loads[::-1]), rules={rule})
        assert (alarm.phase, alarm.last_episode, alarm.is_cleared) == ("early", 200, True)
    # Five episodes end in the second phase but began in the first, where they had half of their steps.
    loads[200:205] = [0.625, 0.125, 0.125, 0.125]
    of_phase = np.where(np.isin(np.arange(LENGTH), range(200, 205)), 50.0, 100.0)
    (alarm,) = found(made(loads, length=100.0, phase_steps=of_phase), rules={"dead_expert"})
    assert alarm.first_episode == 215
    (alarm,) = found(made(loads, length=100.0), rules={"dead_expert"})
    assert alarm.first_episode == 242, "where nothing says when they began"
    # A phase may be shorter than W, and as short as to say nothing.
    for count, alarms in ((9, []), (12, [210])):
        phases = ["early"] * 200 + ["middle"] * count + ["late"] * (200 - count)
        loads = np.array([even] * 200 + [one] * count + [even] * (200 - count))
        of_middle = found(made(loads, phases=phases), rules={"dead_expert"})
        assert [alarm.first_episode for alarm in of_middle] == alarms


def test_an_alarm_ends_once_its_rule_has_not_held_for_a_window():
    loads = np.full((LENGTH, 2), [0.5, 0.5])
    loads[50:100] = [1.0, 0.0]
    loads[300:] = [0.0, 1.0]
    collapses = found(made(loads), rules={"collapse"})
    assert [(alarm.first_episode, alarm.last_episode, alarm.is_cleared) for alarm in collapses] == [
        (82, 108, True),
        (332, 400, False),
    ]


@pytest.mark.parametrize("loads", [[1.0], [1 / 64] * 64], ids=["one", "sixty-four"])
def test_one_expert_or_many_that_share_are_none(loads):
    assert found(made(loads)) == []


def test_many_experts_are_dead_below_the_same_load_as_few():
    loads = np.array([0.009] * 32 + [(1 - 32 * 0.009) / 32] * 32)
    (dead,) = found(made(loads))
    assert (dead.rule, dead.value) == ("dead_expert", 32)


@pytest.mark.parametrize("count", [0, 1])
def test_no_episode_and_a_single_one_are_none(count):
    assert found(made([1.0, 0.0], count=count)) == []


def test_columns_that_are_not_numbers_are_none():
    rows = made([math.nan] * 4)
    rows.values[:] = math.nan
    assert found(rows) == []


def boundary_at(place, before, after):
    return np.where(np.arange(LENGTH) < place, before, after).astype(float)


def test_an_entropy_cliff_and_a_return_drop_at_a_boundary():
    rows = made([0.5, 0.5], routing_entropy=boundary_at(200, 0.69, 0.2), **{"return": boundary_at(200, 100, 20)})
    rows.values[:20, NEEDED.index("return")] = 0.0
    alarms = {alarm.rule: alarm for alarm in found(rows)}
    assert alarms.keys() == {"entropy_cliff", "return_drop"}
    assert all(alarm.phase == "late" and alarm.first_episode == 240 for alarm in alarms.values())
    assert alarms["return_drop"].detail == "Mean return fell from 100 to 20 after phase 'late' began"


def test_the_same_falls_elsewhere_are_none():
    """Away from a boundary they are no work of the curriculum; and a noisy return falls by chance."""
    rows = made([0.5, 0.5], routing_entropy=boundary_at(320, 0.69, 0.2), **{"return": boundary_at(330, 100, 20)})
    assert found(rows, rules={"entropy_cliff", "return_drop"}) == []
    noise = np.random.default_rng(0).normal(100, 40, LENGTH)
    assert found(made([0.5, 0.5], **{"return": noise}), rules={"return_drop"}) == []


def test_uniform_routing_after_the_transition_only():
    even = {"routing_entropy": 1.38, "specialisation": 0.001}
    (alarm,) = found(made([0.25] * 4, **even))
    assert (alarm.rule, alarm.phase, alarm.first_episode) == ("uniform_routing", "late", 240)
    assert (
        found(made([0.25] * 4, **even | {"routing_entropy": boundary_at(200, 1.38, 0.6)}), rules={"uniform_routing"})
        == []
    )
    one_phase = found(made([0.25] * 4, phases=["all"] * LENGTH, **even), curriculum="{name: x, phases: [{name: all}]}")
    assert [alarm.first_episode for alarm in one_phase] == [201]


@pytest.mark.parametrize(
    ("rule", "column", "usual", "then"),
    [("exploding_gradient", "grad_norm", 0.2, 20.0), ("high_kl", "approx_kl", 0.002, 0.5)],
)
def test_far_above_its_usual(rule, column, usual, then):
    (alarm,) = found(made([0.5, 0.5], **{column: boundary_at(300, usual, then)}), rules={rule})
    assert 300 < alarm.first_episode < 340
    assert found(made([0.5, 0.5], **{column: then}), rules={rule}) == []  # its usual
    small = {"grad_norm": 1e-3, "approx_kl": 1e-5}[column]
    assert found(made([0.5, 0.5], **{column: boundary_at(300, small, small * 100)}), rules={rule}) == []


def test_undone_updates_and_over_smoothing():
    (undone,) = found(made([0.5, 0.5], rollbacks=boundary_at(100, 0, 2)))
    assert (undone.rule, undone.first_episode, undone.last_episode, undone.is_cleared) == (
        "undone_updates",
        101,
        140,
        True,
    )
    assert undone.detail == "2 updates were undone within 40 episodes, because a number was not finite"
    (smooth,) = found(made([0.5, 0.5], node_distance=0.001))
    assert smooth.rule == "over_smoothing"


def test_a_setting_that_is_planned_but_not_in_effect():
    text = "{name: x, phases: [{name: early, until: {episode: 200}, bias_speed: 0.01}, {name: late, bias_speed: 0}]}"
    (alarm,) = found(made([0.5, 0.5]), curriculum=text)
    assert (alarm.rule, alarm.first_episode, alarm.last_episode) == ("ineffective_setting", 1, 200)
    assert alarm.detail == "bias_speed is planned at 0.01 but 0 in effect during phase 'early'"
    unused = "{name: x, phases: [{name: early, until: {episode: 200}}, {name: late, alpha: 1.2}]}"
    (alarm,) = found(made([0.5, 0.5]), curriculum=unused)
    assert alarm.detail == "alpha is planned at 1.2 but not used during phase 'late'"


def test_a_loss_over_the_experts_has_no_effect_with_a_single_one():
    phases = "[{name: early, until: {episode: 200}, load_balance: 0.02, z_loss: 0.1}, {name: late, load_balance: 0}]"
    text, half = f"{{name: x, phases: {phases}}}", LENGTH // 2
    values = {"load_balance": boundary_at(half, 0.02, 0.0), "z_loss": 0.1}
    assert found(made([0.5, 0.5], **values), curriculum=text) == []
    one = TINY.model_copy(update={"policy": TINY.policy.model_copy(update={"experts": 1})})
    (alarm,) = found(made([1.0], **values), curriculum=text, recipe=one)
    assert (alarm.rule, alarm.first_episode, alarm.last_episode) == ("ineffective_setting", 1, half)
    assert alarm.detail == "load_balance is planned at 0.02 but not used during phase 'early'"
    control = f"{{name: x, policy: {{single_expert: true}}, phases: {phases}}}"
    assert found(made([1.0], **values), curriculum=control) == []  # it is meant to have one


def test_a_ramp_is_as_planned_though_settings_are_read_once_per_rollout():
    text = "{name: x, phases: [{name: early, until: {episode: 200}, temperature: {from: 2, to: 1}}, {name: late}]}"
    episode = np.arange(LENGTH)
    begun = np.minimum(episode // 10 * 10, 200)  # 100 steps before
    assert found(made([0.5, 0.5], temperature=2 - begun / 200), curriculum=text) == []
    (alarm,) = found(made([0.5, 0.5], temperature=2.0), curriculum=text)
    assert alarm.rule == "ineffective_setting"
    assert 12 < alarm.first_episode < 30


def test_an_evaluation_far_below_training():
    rising = made([0.5, 0.5], **{"return": np.linspace(0, 100, LENGTH)})
    good, bad = Evaluated(200, [50.0, 51.0]), Evaluated(300, [10.0, 11.0])
    (alarm,) = found(rising, marks=[good, bad])
    assert (alarm.rule, alarm.first_episode, alarm.is_cleared) == ("evaluation_gap", 300, False)
    assert alarm.detail == "The evaluation at episode 300 has a mean return of 10.5, training 70.05"
    (alarm,) = found(rising, marks=[bad, Evaluated(400, [99.0])])
    assert alarm.is_cleared
    assert found(rising, marks=[Evaluated(300, [math.nan])]) == []


def test_what_is_found_does_not_depend_on_batches():
    random = np.random.default_rng(5)
    loads = np.repeat(random.dirichlet([0.1] * 4, 20), 20, axis=0)
    rows = made(
        loads,
        routing_entropy=np.repeat(random.uniform(0, 1.38, 20), 20),
        grad_norm=np.exp(np.repeat(random.normal(0, 3, 20), 20)),
        rollbacks=np.repeat(random.poisson(0.3, 20).cumsum(), 20),
        temperature=np.repeat(random.choice([1.0, 2.0], 20), 20),
        **{"return": np.repeat(random.normal(0, 10, 20), 20)},
    )
    marks = [Evaluated(100, [-50.0]), Evaluated(300, [-60.0])]
    whole = found(rows, marks=marks)
    assert len({alarm.rule for alarm in whole}) >= 6
    for parts in batches(random, 20):
        assert found(rows, marks=marks, parts=parts) == whole


def batches(random, count):
    """`count` drawn ways to part the episodes, and one by one."""
    for _ in range(count):
        yield sorted(random.choice(np.arange(1, LENGTH), random.integers(1, 60), replace=False).tolist())
    yield range(1, LENGTH)


def test_where_steps_end_a_run_the_window_is_a_tenth_of_the_episodes_that_they_make():
    """60 episodes of 66 steps are all of 4,000: alarms did not come before there were 100."""
    rows = made([0.5, 0.5, 0.0, 0.0], count=60, step=np.arange(1, 61) * 66.0)
    (dead,) = found(rows, length=Length.of(None, 4000), rules={"dead_expert"})
    assert (dead.first_episode, dead.last_episode, dead.value) == (10, 60, 2)
    # Of 300 that get longer, means are over 100 at first and over 31 in the end: 15 without a collapse count there.
    lengths = np.linspace(20, 647, 300).round()
    loads = np.full((300, 2), [1.0, 0.0])
    loads[250:265] = 0.5
    rows = made(loads, count=300, step=lengths.cumsum())
    first, then = found(rows, length=Length.of(None, 100_000), rules={"collapse"})
    assert (first.is_cleared, then.first_episode - 265) == (True, 25)


def test_what_is_found_does_not_depend_on_batches_where_the_window_follows_the_steps():
    random = np.random.default_rng(6)
    rows = made(
        np.repeat(random.dirichlet([0.1] * 4, 40), 10, axis=0),
        routing_entropy=np.repeat(random.uniform(0, 1.38, 20), 20),
        rollbacks=np.repeat(random.poisson(0.3, 20).cumsum(), 20),
        step=(30 + 28 * np.sin(np.arange(LENGTH) / 40)).round().cumsum(),
        **{"return": np.repeat(random.normal(0, 10, 20), 20)},
    )
    steps = rows.values[:, NEEDED.index("step")].astype(int).tolist()
    length = Length.of(None, steps[-1])
    widths = {length.mean_window(number, step) for number, step in enumerate(steps, start=1)}
    assert len(widths) > 15
    whole = found(rows, length=length)
    assert len({alarm.rule for alarm in whole}) >= 4
    for parts in batches(random, 10):
        assert found(rows, length=length, parts=parts) == whole


def test_every_rule_says_what_it_measures():
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.meaning.endswith(".")
        assert all((rule.title, rule.window, rule.source, rule.advice))
        assert (rule.measure is None) == (rule.tell is None) == (name in {"evaluation_gap", "stalled_worker"})
        assert set(rule.draws) <= {"load", *NEEDED}
    assert set(COMPARED) <= set(NEEDED)


def test_an_evaluation_that_could_be_chance_is_no_alarm():
    """Training is at 100 ± 10. Evaluations are 40 below: ten episodes with a spread of 8, or two, 80 apart."""
    rows = made([0.5, 0.5], **{"return": 100 + 10.0 * (-1) ** np.arange(LENGTH)})
    certain, doubtful = Evaluated(300, [52.0, 68.0] * 5), Evaluated(300, [20.0, 100.0])
    assert [alarm.first_episode for alarm in found(rows, marks=[certain], rules={"evaluation_gap"})] == [300]
    assert found(rows, marks=[doubtful], rules={"evaluation_gap"}) == []
    steady = made([0.5, 0.5])  # 10 in each episode: there is no spread to measure a gap with
    assert found(steady, marks=[Evaluated(300, [0.0, 0.0])], rules={"evaluation_gap"}) == []


def test_rules_of_loads_say_that_they_are_of_all_steps_together():
    """One expert has all steps of long episodes, another of as many short ones: the mean load is a half."""
    loads = np.tile([[1.0, 0.0], [0.0, 1.0]], (LENGTH // 2, 1))
    rows = made(loads, length=np.tile([99.0, 1.0], LENGTH // 2))
    assert [alarm.rule for alarm in found(rows, rules=["collapse"])] == ["collapse"]
    of_loads = [rule for rule in RULES.values() if "load" in rule.draws]
    (window,) = {rule.window for rule in of_loads}
    assert window.startswith("all steps together of the newest W episodes that began in the phase in force")
    assert not [rule.name for rule in of_loads if "mean load" in rule.meaning]
