"""Launch: choose what to train, preview the curriculum, start it."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import streamlit as st

from v3core.charts.schedule import preview_of
from v3core.config import RunConfig, check_name, recipe_for, settings_without_effect
from v3core.curriculum import Curriculum
from v3core.curriculum.typed import describe_architecture
from v3core.errors import V3Error
from v3core.jobs import experiments, launcher
from v3core.jobs.grid import Grid
from v3core.jobs.kinds import COMMANDS
from v3core.jobs.launchers import processes
from v3core.jobs.sweep import parse_seeds
from v3core.messages import _, say
from v3core.ui import shell
from v3core.ui.curriculum_editor import FROM_A_FILE, chosen_curriculum, compare_with, curriculum_editor, pick_preset
from v3core.ui.environment_choice import pick_environment, run_problem
from v3core.ui.grid_editor import Varied, grid_editor, launch_grid, runs_of
from v3core.ui.launch_again import MAX_TYPED_NAME, draft_from_address
from v3core.ui.length_choice import fitting_length, pick_length, scale_toggle
from v3core.ui.live_chart import live_chart
from v3core.ui.navigation import open_page
from v3core.ui.needs_editor import pick_needs
from v3core.ui.recipe_editor import recipe_editor
from v3core.ui.start_bar import start_bar
from v3core.ui.text import md, plain

database = shell.page("Launch")
processes.keep_warm(database)
st.title(md("Launch"), anchor=False)
draft = draft_from_address(database)
problems: list[str] = []

with st.container(border=True):
    st.subheader(md("Run"), anchor=False)
    left, middle, right = st.columns([2, 1, 1])
    with left:
        setup, problem = pick_environment(draft.run.config.environment if draft else None)
    env = setup.env_id
    problems += [problem] if problem else []
    again = draft if draft and draft.run.env == env else None
    recipe = recipe_for(env)
    if again:
        recipe = recipe.model_copy(update={"episode_facts": again.run.config.episode_facts})
    with middle:
        asked, place_of_length, wrong = pick_length(env, recipe, again.run.length if again else None)
    problems += wrong
    seed_text = right.text_input(
        md("Seeds"),
        str(draft.run.seed) if draft else "1",
        key="seeds",
        bind="query-params",
        help=md("One run per seed, such as 1, 2, 3 or 1-5."),
    )
    try:
        seeds = parse_seeds(seed_text)
    except V3Error as error:
        seeds = []
        problems.append(error.message)
        right.error(plain(error))
    recipe, wrong = recipe_editor(env, recipe, again.values(recipe) if again else {})
    problems += wrong
    length, wrong = fitting_length(asked, recipe, place_of_length)
    problems += wrong

curricula: list[Curriculum] = []
with st.container(border=True):
    st.subheader(md("Curriculum"), anchor=False)
    preset = pick_preset(env, as_before=draft is not None)
    source, wrong = chosen_curriculum(preset, env, draft.curriculum if draft else None)
    problems += wrong
    if source is not None:
        if source.policy is not None:
            st.caption(md(":material/hub: Network: {}.", describe_architecture(source.policy)))
        scale = scale_toggle(source, preset, length)
        if preset == FROM_A_FILE and source.description:
            st.caption(plain(_(source.description)))
        checked = curriculum_editor(source, source_key=f"{preset}:{source.name}", length=length, scale=scale)
        problems.extend(checked.problems.values())
        beside_phases = st.container()
        if checked.curriculum is not None:
            unlike = run_problem(setup, checked.curriculum) if not problems else None
            if unlike:
                problems.append(unlike)
                st.error(plain(unlike))
            live_chart(preview_of(checked.curriculum, length, recipe.base.values()), key="preview")
            curricula.append(checked.curriculum)
        else:
            st.info(md("The preview reappears once the phases above are valid."), icon=":material/visibility_off:")
        others, unfit = compare_with(setup, checked.curriculum, length, recipe, scale=scale)
        problems.extend(unfit)
        curricula.extend(others)

with st.container(border=True):
    st.subheader(md("Sweep"), anchor=False)
    varied = grid_editor(env, recipe, curricula, length)
    problems += varied.problems
    beside_sweep = st.container()

is_several = len(curricula) * len(seeds) > 1 or bool(varied.environments or varied.settings)
with st.container(border=True):
    st.subheader(md("Names and priority"), anchor=False)
    left, middle, right = st.columns([2, 2, 1])
    name = left.text_input(
        md("Name"),
        draft.name if draft else "",
        key="name",
        bind="query-params",
        placeholder=say("The curriculum's name"),
        max_chars=MAX_TYPED_NAME,
    )
    experiment = middle.text_input(
        md("Experiment"),
        st.query_params.get("experiment", "")[:MAX_TYPED_NAME],  # as addresses of earlier versions have it
        key="experiment-name",  # what leaves the address with this page must not be a parameter of the next one
        bind="query-params",
        placeholder=say("Named automatically") if is_several else say("None"),
        max_chars=MAX_TYPED_NAME,
        help=md("Groups related runs, which can be stopped together."),
    )
    priority = right.number_input(
        md("Priority"),
        -launcher.MAX_PRIORITY,
        launcher.MAX_PRIORITY,
        draft.run.priority if draft else 0,
        key="priority",
        bind="query-params",
        help=plain(COMMANDS["priority"].meaning),
    )

    try:
        check_name("experiment", experiment or "none")
    except V3Error as error:
        problems.append(error.message)
        middle.error(plain(error))
    needs, wrong = pick_needs(database, draft.run if draft else None)
    problems += wrong

grid: Grid | None = None
configs: list[RunConfig] = []
if not problems:
    place = beside_phases
    try:
        alone = launch_grid(setup, recipe, curricula, seeds[:1], Varied(), length)
        runs_of(alone)
        place = left  # whatever is still wrong is the name
        runs_of(replace(alone, name=name))
        place = beside_sweep
        grid = launch_grid(setup, recipe, curricula, seeds, varied, length, name=name)
        configs = runs_of(grid)
    except V3Error as error:
        problems.append(error.message)
        place.error(plain(error))
    for sentence in settings_without_effect(configs):
        beside_phases.warning(plain(sentence))
TOKEN, LAUNCHED = "launch-token", "launched"


def launch() -> None:
    """Queue the runs of the grid, and show the one or their experiment; with the same token again, show the same."""
    token = st.session_state.setdefault(TOKEN, str(uuid4()))
    group = experiment.strip() or None
    how: dict[str, Any] = {"priority": int(priority or 0), "token": token, "needs": needs}
    try:
        if grid is None or (len(configs) == 1 and group is None):
            run_ids = launcher.enqueue(database, configs, **how)
        else:
            group, run_ids = experiments.start(database, grid, group, configs=configs, **how)
    except V3Error as error:
        st.error(plain(error))
        return
    st.session_state[LAUNCHED] = True
    if group is not None and len(run_ids) > 1:
        open_page("experiments", experiment=group)
    else:
        open_page("live", run=run_ids[0])


clicked = start_bar(database, grid, configs, problems, launch)
if not clicked and st.session_state.pop(LAUNCHED, False):
    # Renewed only when the page is shown again without a click: a double click comes with the token of the first.
    st.session_state.pop(TOKEN, None)
