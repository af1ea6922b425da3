"""Choosing an environment: from a list, or by typing an id; part of an id leads to suggestions."""

from collections.abc import Sequence

import streamlit as st

from v3core.config import chosen_environment, named_sets, recipe_for
from v3core.curriculum import Curriculum, dump, setups_of
from v3core.environment_setup import (
    EnvironmentSetup,
    canonical,
    format_args,
    joined,
    parse_args,
    parse_wrapper,
    split,
)
from v3core.environments import known_environments, matching_environments
from v3core.environments.apart import check_launch
from v3core.environments.examine import Report
from v3core.errors import V3Error
from v3core.messages import _, say
from v3core.phrases import listed
from v3core.ui.text import md, plain

DEFAULT_ENV = "CartPole-v1"
MAX_CHOICES = 8
_KEY = "env"
_AT_ONCE = "at-once"
_HELP = _(
    "Choose one, or type any id that is registered with Gymnasium. Environments of the form `module:Env-v0` import "
    "code and can only be used from the command line. MT3 and MT7 are sets of MOORE: a run trains on all of them."
)
_AT_ONCE_HELP = _(
    "The same policy trains on all of them: each episode is of one, drawn at its start. They need the same "
    "observations and actions. To train a run on each instead, choose further environments under Sweep."
)
_ARGS_HELP = _(
    "Arguments for its constructor, separated by commas: `size=8, map_name=8x8`. Every environment accepts "
    "`max_episode_steps`."
)
_WRAPPERS_HELP = _(
    "Names from `gymnasium.wrappers`, innermost first, separated by commas: `TimeAwareObservation, "
    "TimeLimit(max_episode_steps=200)`. Wrappers of the form `module:Class` import code and can only be used from "
    "the command line."
)
CALL_SECONDS = 30.0
"""A call of an environment's code that takes longer counts as hanging: a user is waiting for the page."""


def pick_environment(before: EnvironmentSetup | None = None) -> tuple[EnvironmentSetup, str | None]:
    """The environment, at first `before` or CartPole, and the reason if it cannot be trained, which is also shown."""
    default = before.env_id if before is not None else DEFAULT_ENV
    known = [*known_environments(), *named_sets()]
    options = known if default in known else [*known, default]
    env = st.selectbox(
        md("Environment"),
        options,
        index=options.index(default),
        key=_KEY,
        bind="query-params",
        accept_new_options=True,
        placeholder=say("CartPole-v1"),
        help=md(_HELP),
    )
    chosen = (env or "").strip()
    if matches := matching_environments(chosen):
        return EnvironmentSetup(chosen), _ask(chosen, matches)
    others = st.multiselect(
        md("At once with"),
        [one for one in known_environments() if one != chosen],
        key=_AT_ONCE,
        bind="query-params",
        accept_new_options=True,
        placeholder=say("No other environment"),
        help=md(_AT_ONCE_HELP),
    )
    try:
        if others:
            first = chosen_environment(chosen, recipe_for(chosen)).env_id
            chosen = joined([first, *others])
        chosen = canonical(chosen)
        usual = before if before and before.env_id == chosen else chosen_environment(chosen, recipe_for(chosen))
    except V3Error as problem:
        st.error(plain(problem), icon=":material/error:")
        return EnvironmentSetup(DEFAULT_ENV), problem.message
    setup, wrong = _fields(usual)
    if wrong:
        return setup, wrong
    found = _seen(setup, None) if chosen else Report("", _("Choose an environment."))
    if found.fault:
        st.error(plain(found.fault), icon=":material/error:")
    else:
        for warning in found.warnings:
            st.warning(plain(warning), icon=":material/warning:")
        st.caption(md(":material/visibility: {}", found.sees))
    return setup, found.fault


def _ask(typed: str, matches: Sequence[str]) -> str:
    """The ids that may be meant, as buttons; returns what is open until one is chosen."""
    question = _("Which environment do you mean by '{typed}'?", typed=typed)
    with st.container(border=True, key="which-environment"):
        st.markdown(md("**{}**", question))
        with st.container(horizontal=True, gap="xsmall"):
            for match in matches[:MAX_CHOICES]:
                st.button(plain(match), key=f"meant:{match}", on_click=_choose, args=(match,))
        if len(matches) > MAX_CHOICES:
            more = len(matches) - MAX_CHOICES
            st.caption(md("And {} more: type more of the name, or choose from the list.", more))
    return _("{question} Choose one.", question=question)


def _choose(env: str) -> None:
    st.session_state[_KEY] = env


def _fields(usual: EnvironmentSetup) -> tuple[EnvironmentSetup, str | None]:
    """`usual` with the arguments and wrappers that were typed; unchanged, and the error, if they cannot be parsed."""
    key = f"{usual.env_id}:{format_args(usual.args)}:{usual.wrappers}"
    addressed = any(f"{field}:{key}" in st.query_params for field in ("env-args", "wrappers"))
    is_open = bool(usual.args or usual.wrappers or addressed)
    with st.expander(md("Arguments and wrappers"), icon=":material/tune:", expanded=is_open):
        args = st.text_input(
            md("Arguments"),
            format_args(usual.args),
            key=f"env-args:{key}",
            bind="query-params",
            placeholder=say("As registered"),
            help=md(_ARGS_HELP),
        )
        wrappers = st.text_input(
            md("Wrappers"),
            ", ".join(usual.wrappers),
            key=f"wrappers:{key}",
            bind="query-params",
            placeholder=say("None"),
            help=md(_WRAPPERS_HELP),
        )
        try:
            named = tuple(split(wrappers or ""))
            for text in named:
                parse_wrapper(text)
            return EnvironmentSetup(usual.env_id, parse_args(split(args or "")), named), None
        except V3Error as problem:
            st.error(plain(problem), icon=":material/error:")
            return usual, problem.message


def setup_problem(setup: EnvironmentSetup) -> str | None:
    """Why an environment cannot be trained on, as one sentence; None if it can."""
    if matches := matching_environments(setup.env_id):
        return _(
            "'{env_id}' is part of several names, such as {join}; choose one.",
            env_id=setup.env_id,
            join=listed(matches[:3]),
        )
    return _seen(setup, None).fault


def run_problem(setup: EnvironmentSetup, curriculum: Curriculum) -> str | None:
    """Why one policy cannot be trained on all environments of a run, as one sentence; None if it can."""
    return _seen(setup, curriculum).fault if setups_of(setup, curriculum) != [setup] else None


def _seen(setup: EnvironmentSetup, curriculum: Curriculum | None) -> Report:
    with st.spinner(md("Inspecting the environment …")):
        return _look_at(setup, curriculum)


@st.cache_data(max_entries=256, ttl=600, show_spinner=False, hash_funcs={EnvironmentSetup: repr, Curriculum: dump})
def _look_at(setup: EnvironmentSetup, curriculum: Curriculum | None) -> Report:
    """Its error, warnings and description; checked again now and then."""
    try:
        return check_launch(setup, [curriculum] if curriculum else [], allow_import=False, seconds=CALL_SECONDS)
    except V3Error as error:
        return Report(setup.env_id, error.message)
