"""Choosing an environment: from a list, or by an id that is typed; part of an id is asked about, never taken as one."""

from collections.abc import Sequence

import streamlit as st

from v3core.config import chosen_environment, recipe_for
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import known_environments, matching_environments
from v3core.ui.environment import environment_problem, environment_seen, environment_warnings
from v3core.ui.environment_fields import environment_fields
from v3core.ui.text import md, plain

DEFAULT_ENV = "CartPole-v1"
MOST_CHOICES = 8
_KEY = "env"
_HELP = (
    "Choose one, or type the id of any other that is registered with Gymnasium. `module:Env-v0`, which imports code, "
    "can be trained from the command line only."
)


def pick_environment(before: EnvironmentSetup | None = None) -> tuple[EnvironmentSetup, str | None]:
    """The environment and, if it cannot be trained, why: one sentence, which stands beside the field too.

    Args:
        before: chosen when the page opens, with its arguments and wrappers; CartPole if left out.
    """
    default = before.env_id if before is not None else DEFAULT_ENV
    known = known_environments()
    options = known if default in known else [*known, default]
    env = st.selectbox(
        "Environment",
        options,
        index=options.index(default),
        key=_KEY,
        bind="query-params",
        accept_new_options=True,
        placeholder="CartPole-v1",
        help=_HELP,
    )
    chosen = (env or "").strip()
    if matches := matching_environments(chosen):
        return EnvironmentSetup(chosen), _ask(chosen, matches)
    usual = before if before and before.env_id == chosen else chosen_environment(chosen, recipe_for(chosen))
    setup, wrong = environment_fields(usual)
    if wrong:
        return setup, wrong
    problem = environment_problem(setup)
    if problem:
        st.error(plain(problem), icon=":material/error:")
    else:
        for warning in environment_warnings(setup):
            st.warning(plain(warning), icon=":material/warning:")
        st.caption(md(":material/visibility: {}", environment_seen(setup)))
    return setup, problem


def _ask(typed: str, matches: Sequence[str]) -> str:
    """The ids that may be meant, as buttons; returns what is open until one is chosen."""
    question = f"Which environment is '{typed}'?"
    with st.container(border=True, key="which-environment"):
        st.markdown(md("**{}**", question))
        with st.container(horizontal=True, gap="xsmall"):
            for match in matches[:MOST_CHOICES]:
                st.button(plain(match), key=f"meant:{match}", on_click=_choose, args=(match,))
        if len(matches) > MOST_CHOICES:
            more = len(matches) - MOST_CHOICES
            st.caption(md("And {} more: type more of its name, or choose it from the list.", more))
    return f"{question} Choose one."


def _choose(env: str) -> None:
    st.session_state[_KEY] = env
