"""The curriculum of tasks in docs/environments.md: one policy can train on all of them."""

import re
from pathlib import Path

import pytest

from v3core.curriculum import environments_of, parse
from v3core.environment_setup import EnvironmentSetup, parse_args
from v3core.environments.registry import check_run
from v3core.errors import V3Error

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "environments.md").read_text("utf-8")
CURRICULUM = parse(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1])


def test_its_tasks_have_the_same_actions():
    (actions,) = re.findall(r"--env-arg '(actions=[^']+)'", TEXT)
    run = EnvironmentSetup("MiniHack-Room-5x5-v0", parse_args([actions]))
    assert check_run(run, CURRICULUM, allow_import=False).actions.sizes == (13,)
    assert environments_of(CURRICULUM) == (
        *("MiniHack-Room-5x5-v0", "MiniHack-Room-Random-15x15-v0", "MiniHack-Corridor-R2-v0", "MiniHack-KeyRoom-S5-v0"),
    )


def test_other_actions_are_refused():
    with pytest.raises(V3Error, match="whose actions differ from those of MiniHack-Room-5x5-v0; they must be the same"):
        check_run(EnvironmentSetup("MiniHack-Room-5x5-v0"), CURRICULUM, allow_import=False)
