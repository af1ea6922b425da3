"""What the launch page says of an environment: can the policy take it, and which recipe trains it."""

import json

import streamlit as st

from v3core.curriculum import Curriculum, dump, parse, setups_of
from v3core.environment_setup import EnvironmentSetup, setup_of
from v3core.environments.apart import check_launch
from v3core.errors import V3Error

CALL_SECONDS = 30.0
"""A call of an environment's code that takes longer hangs: somebody is looking at the page meanwhile."""


def environment_problem(env: EnvironmentSetup) -> str | None:
    """Why `env` cannot be trained, as one sentence; None if it can."""
    if not env.env_id:
        return "Choose an environment."
    return _found(_key(env), None)[0]


def environment_warnings(env: EnvironmentSetup) -> list[str]:
    """What is odd about an environment that can be trained, a sentence each."""
    return _found(_key(env), None)[1]


def environment_seen(env: EnvironmentSetup) -> str:
    """What of an environment that can be trained the policy sees and obeys, and what is left out."""
    return _found(_key(env), None)[2]


def run_problem(env: EnvironmentSetup | str, curriculum: Curriculum) -> str | None:
    """Why one policy cannot be trained on all environments of a run, as one sentence; None if it can."""
    setup = setup_of(env)
    return _found(_key(setup), dump(curriculum))[0] if setups_of(setup, curriculum) != [setup] else None


def _key(env: EnvironmentSetup | str) -> str:
    setup = setup_of(env)
    return json.dumps([setup.env_id.strip(), dict(setup.args), setup.wrappers])


@st.cache_data(max_entries=256, ttl=600, show_spinner="Looking at the environment …")
def _found(key: str, curriculum: str | None) -> tuple[str | None, list[str], str]:
    """What keeps it from being trained, what is odd, and what of it is seen; looked at again now and then."""
    env_id, args, wrappers = json.loads(key)
    try:
        setup = EnvironmentSetup(env_id, args, tuple(wrappers))
        curricula = [] if curriculum is None else [parse(curriculum)]
        checked = check_launch(setup, curricula, allow_import=False, seconds=CALL_SECONDS)
    except V3Error as error:
        return str(error), [], ""
    return None, checked.warnings, checked.sees
