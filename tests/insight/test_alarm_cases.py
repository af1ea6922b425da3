"""Every rule holds in a real run in which it must, and in none in which it must not."""

import pytest

from tests.insight.make_cases import CASES, CASES_BY_NAME, alarms_of
from v3core.insight.alarms import RULES

ELSEWHERE = {"stalled_worker": "no rule over episodes: test_recorded_alarms.py and test_suspended.py"}

ALSO = {
    "over-smoothed": {"uniform_routing"},
    "not-finite": {"uniform_routing", "return_drop"},
    "ineffective": {"uniform_routing"},
    "too-fast": {"entropy_cliff", "dead_expert", "collapse"},
}
"""Rules that hold too, rightly: an untrained router of two experts is even, and too high a rate spoils routing."""


@pytest.mark.parametrize("name", CASES_BY_NAME)
def test_a_recorded_run_has_the_alarms_that_it_must_have_and_no_others(name):
    found = {alarm.rule for alarm in alarms_of(name)}
    wanted = set(CASES_BY_NAME[name].fires)
    assert wanted <= found
    assert found <= wanted | ALSO.get(name, set())


def test_every_rule_has_a_run_in_which_it_holds_and_one_in_which_it_does_not():
    held = {rule for case in CASES_BY_NAME.values() for rule in case.fires}
    assert held == RULES.keys() - ELSEWHERE.keys()
    assert alarms_of("healthy") == []  # three phases, evaluations, four experts: what any rule reads is there


def test_two_experts_that_share_everything_have_an_entropy_of_ln_2():
    shared = [alarm for alarm in alarms_of("two-of-four") if alarm.rule == "shared_experts"]
    assert "exactly ln 2" in shared[-1].detail


def test_cases_are_small():
    assert {file.name for file in CASES.iterdir()} == {f"{name}.json.gz" for name in CASES_BY_NAME}
    assert max(file.stat().st_size for file in CASES.iterdir()) < 32_000
