"""What the launch page says of an environment: can the policy take it, and which recipe trains it."""

import json

import streamlit as st

from v3core.curriculum import Curriculum, dump, parse, setups_of
from v3core.environment_setup import EnvironmentSetup, setup_of
from v3core.environments import check_environment, check_run
from v3core.errors import V3Error


def environment_problem(env: EnvironmentSetup | str | None) -> str | None:
    """Why `env` cannot be trained, as one sentence; None if it can."""
    if not env:
        return "Choose an environment."
    return _problem(_key(env), None)


def run_problem(env: EnvironmentSetup | str, curriculum: Curriculum) -> str | None:
    """Why one policy cannot be trained on all environments of a run, as one sentence; None if it can."""
    setup = setup_of(env)
    return _problem(_key(setup), dump(curriculum)) if setups_of(setup, curriculum) != [setup] else None


def _key(env: EnvironmentSetup | str) -> str:
    setup = setup_of(env)
    return json.dumps([setup.env_id.strip(), dict(setup.args), setup.wrappers])


@st.cache_data(max_entries=256, show_spinner="Looking at the environment …")
def _problem(key: str, curriculum: str | None) -> str | None:
    env_id, args, wrappers = json.loads(key)
    try:
        setup = EnvironmentSetup(env_id, args, tuple(wrappers))
        if curriculum is None:
            check_environment(setup, allow_import=False)
        else:
            check_run(setup, parse(curriculum), allow_import=False)
    except V3Error as error:
        return str(error)
    return None
