"""What else a launch varies besides curricula and seeds: further environments, and values of settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from v3core.config import Recipe, RunConfig, chosen_environment, recipe_for
from v3core.curriculum import Curriculum, Length
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import known_environments
from v3core.errors import V3Error
from v3core.jobs.grid import Candidate, Grid, cells_of, check_size, configs_of, different_environments, read_settings
from v3core.messages import _, say
from v3core.overrides import overridden, paths_of
from v3core.ui.environment_choice import run_problem, setup_problem
from v3core.ui.text import md, plain

_ROWS, _REMOVED = "sweep-rows", "sweep-rows-removed"
_PATH = "sweep-path-"
_MAX_ROWS = 20
"""Rows of an address."""
_HOW = _("Separated by commas, such as 0.001, 0.01, 0.1; one with commas in it stands in parentheses.")


@dataclass
class Varied:
    """What is varied, as far as it is valid, and what is wrong."""

    environments: list[EnvironmentSetup] = field(default_factory=list)
    """Further ones."""
    settings: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def grid_editor(env: str, recipe: Recipe, curricula: Sequence[Curriculum], length: Length) -> Varied:
    """Fields for further environments and for settings with several values; errors are shown beside them.

    Args:
        env: the environment that is chosen already.
        recipe: its recipe, which the values must suit.
        curricula: those that are chosen; none while they are not valid.
        length: of each run.
    """
    varied = Varied()
    st.caption(
        md("Each combination of curriculum, environment, seed and value is one run; together they are an experiment.")
    )
    chosen = st.multiselect(
        md("Further environments"),
        [known for known in known_environments() if known != env],
        key="further-environments",
        bind="query-params",
        accept_new_options=True,
        placeholder=say("No other environment"),
        help=md("Each has the settings of its own recipe, with the changes above, and the length above."),
    )
    for name in dict.fromkeys(text.strip() for text in chosen):
        try:
            setup = chosen_environment(name, recipe_for(name))
        except V3Error as wrong:
            varied.problems.append(wrong.message)
            st.error(plain(wrong), icon=":material/error:")
            continue
        problem = (
            setup_problem(setup)
            if setup.env_id != env
            else _("{env} is chosen above already; remove it here.", env=env)
        )
        if problem is None:
            varied.environments.append(setup)
        else:
            varied.problems.append(problem)
            st.error(plain(problem), icon=":material/error:")
    options = paths_of(curricula)
    typed: list[str] = []
    for row in _rows():
        _row(row, options, typed, recipe, curricula, length, varied)
    st.button(md("Vary a setting"), icon=":material/add:", key="add-sweep", on_click=_add)
    return varied


def launch_grid(
    setup: EnvironmentSetup,
    recipe: Recipe,
    curricula: Sequence[Curriculum],
    seeds: Sequence[int],
    varied: Varied,
    length: Length,
    name: str = "",
) -> Grid:
    """The grid of a launch: what is changed in the recipe of `setup` is changed in those of further environments too.

    V3Error if a change does not suit another recipe.
    """
    changes = {path: change.value for path, change in recipe.overrides.items()}
    recipes = {one.env_id: overridden(recipe_for(one.env_id), changes) for one in varied.environments}
    environments = [setup, *varied.environments]
    candidates = [Candidate(curriculum) for curriculum in curricula]
    return Grid(
        candidates,
        environments,
        seeds,
        varied.settings,
        episodes=None if length.is_by_steps else length.episodes,
        steps=length.steps,
        name=name,
        recipes={**recipes, setup.env_id: recipe},
    )


def runs_of(grid: Grid) -> list[RunConfig]:
    """The runs of a grid; V3Error if one of them cannot be trained."""
    with st.spinner(md("Putting the runs together …")):
        configs, environments = _built(grid)
    for setup, curricula in environments:
        for curriculum in curricula:
            if problem := run_problem(setup, curriculum):
                raise V3Error(problem)
    return configs


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs={Grid: repr})
def _built(grid: Grid) -> tuple[list[RunConfig], list[tuple[EnvironmentSetup, list[Curriculum]]]]:
    """The runs of a grid, and what of their environments is to be checked."""
    check_size(grid)
    cells = list(cells_of(grid))
    return configs_of(grid, cells), different_environments(cells)


def _row(
    row: int,
    options: Sequence[str],
    typed: list[str],
    recipe: Recipe,
    curricula: Sequence[Curriculum],
    length: Length,
    varied: Varied,
) -> None:
    """One setting with its values; adds it to what was `typed` before, and to `varied` if it is valid.

    An empty row varies nothing.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"sweep-row-{row}"):
        path = st.selectbox(
            md("Setting"),
            options,
            index=None,
            key=f"{_PATH}{row}",
            bind="query-params",
            accept_new_options=True,
            placeholder=say("Choose a setting, or type its path"),
        )
        text = (
            st.text_input(
                md("Values"),
                key=f"sweep-values-{row}",
                bind="query-params",
                placeholder="0.001, 0.01, 0.1",
                help=md(_HOW),
            )
            or ""
        )
        st.button(
            md("Remove"),
            icon=":material/close:",
            key=f"sweep-remove-{row}",
            type="tertiary",
            on_click=_remove,
            args=(row,),
        )
    if not path and not text.strip():
        return  # nothing is varied yet, or not any more
    try:
        if not path:
            raise V3Error("Choose the setting to vary, or remove the row.")
        if not text.strip():
            raise V3Error("Enter the values of {path}.", path=path)
        if not curricula:
            return  # what is wrong with them is shown at their place
        typed.append(f"{path}={text}")
        varied.settings = read_settings(typed, recipe, curricula, length)
    except V3Error as error:
        if typed and typed[-1] == f"{path}={text}":
            typed.pop()
        varied.problems.append(error.message)
        st.markdown(md(":small[:red[:material/error: {}]]", error))


def _rows() -> list[int]:
    """The rows that were added, and those of the address, as of a page that is reloaded, copied, or gone back to."""
    names = (name.removeprefix(_PATH) for name in st.query_params if name.startswith(_PATH))
    of_address = sorted({int(name) for name in names if name.isascii() and name.isdigit()})[:_MAX_ROWS]
    removed: set[int] = st.session_state.setdefault(_REMOVED, set())
    added: list[int] = st.session_state.get(_ROWS, [])
    st.session_state[_ROWS] = rows = list(dict.fromkeys([*added, *(row for row in of_address if row not in removed)]))
    return rows


def _add() -> None:
    # Not the number of a removed one, which the address may still have.
    row = max([*st.session_state[_ROWS], *st.session_state[_REMOVED]], default=0) + 1
    st.session_state[_ROWS] = [*st.session_state[_ROWS], row]


def _remove(row: int) -> None:
    # The address has it until the page is drawn once more.
    st.session_state[_REMOVED].add(row)
    st.session_state[_ROWS] = [other for other in st.session_state[_ROWS] if other != row]
