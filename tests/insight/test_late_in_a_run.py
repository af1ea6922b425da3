"""When a run with one phase is late: after half of its episodes, or of its environment steps."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.runs import tiny_config
from v3core.insight.alarms.plan import Plan
from v3core.insight.alarms.rules import _after_the_transition


@pytest.mark.parametrize(
    ("length", "late"),
    [
        ({"episodes": 40}, [False, False, False, True, True]),
        ({"episodes": None, "steps": 4000}, [False, True, True, True, True]),
        ({"episodes": 40, "steps": 8100}, [False, False, False, True, True]),
    ],
)
def test_a_run_with_one_phase_is_late_after_half_of_its_length(length, late):
    config = tiny_config(**length)
    number = np.array([5, 10, 20, 21, 40])
    window = SimpleNamespace(
        plan=Plan(config, config.curriculum),
        number=number,
        raw=lambda name: {"step": number * 201.0}[name],
        rows=SimpleNamespace(phases=["late"] * 5),
        since_boundary=np.full(5, 100),
        width=10,
    )
    assert _after_the_transition(window).tolist() == late
