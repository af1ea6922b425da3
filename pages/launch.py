"""Launch: choose what to train, preview the curriculum, start it."""

from uuid import uuid4

import streamlit as st

from v3core.charts.schedule import preview_of
from v3core.config import RunConfig, check_name, recipe_for, unused_base_values
from v3core.curriculum import Curriculum
from v3core.curriculum.typed import describe_architecture
from v3core.errors import V3Error
from v3core.jobs import launcher
from v3core.jobs.kinds import COMMANDS
from v3core.jobs.sweep import expand, experiment_name, experiments_of, parse_seeds
from v3core.store.runs import list_runs
from v3core.ui import shell
from v3core.ui.curriculum_editor import FROM_A_FILE, chosen_curriculum, compare_with, curriculum_editor, pick_preset
from v3core.ui.environment_choice import pick_environment, run_problem
from v3core.ui.launch_again import MAX_TYPED_NAME, draft_from_address
from v3core.ui.length_choice import fitting_length, pick_length, scale_toggle
from v3core.ui.live_chart import live_chart
from v3core.ui.navigation import open_page
from v3core.ui.recipe_editor import recipe_editor
from v3core.ui.start_bar import start_bar
from v3core.ui.text import md, plain

database = shell.page("Launch")
launcher.keep_warm(database)
st.title("Launch", anchor=False)
draft = draft_from_address(database)
problems: list[str] = []

with st.container(border=True):
    st.subheader("Run", anchor=False)
    left, middle, right = st.columns([2, 1, 1])
    with left:
        setup, problem = pick_environment(draft.run.config.environment if draft else None)
    env = setup.env_id
    problems += [problem] if problem else []
    again = draft if draft and draft.run.env == env else None
    recipe = recipe_for(env)
    with middle:
        asked, place_of_length, wrong = pick_length(env, recipe, again.run.length if again else None)
    problems += wrong
    seed_text = right.text_input(
        "Seeds",
        str(draft.run.seed) if draft else "1",
        key="seeds",
        bind="query-params",
        help="One run per seed, such as 1, 2, 3 or 1-5.",
    )
    try:
        seeds = parse_seeds(seed_text)
    except V3Error as error:
        seeds = []
        problems.append(str(error))
        right.error(plain(error))
    recipe, wrong = recipe_editor(env, recipe, again.values(recipe) if again else {})
    problems += wrong
    length, wrong = fitting_length(asked, recipe, place_of_length)
    problems += wrong

curricula: list[Curriculum] = []
with st.container(border=True):
    st.subheader("Curriculum", anchor=False)
    preset = pick_preset(env, as_before=draft is not None)
    source, wrong = chosen_curriculum(preset, env, draft.curriculum if draft else None)
    problems += wrong
    if source is not None:
        if source.policy is not None:
            st.caption(md(":material/hub: Network: {}.", describe_architecture(source.policy)))
        scale = scale_toggle(source, preset, length)
        if preset == FROM_A_FILE and source.description:
            st.caption(plain(source.description))
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
            st.info("The preview reappears once the phases above are valid.", icon=":material/visibility_off:")
        others, unfit = compare_with(setup, checked.curriculum, length, recipe, scale=scale)
        problems.extend(unfit)
        curricula.extend(others)

with st.container(border=True):
    st.subheader("Names and priority", anchor=False)
    left, middle, right = st.columns([2, 2, 1])
    name = left.text_input(
        "Name",
        draft.name if draft else "",
        key="name",
        bind="query-params",
        placeholder="The curriculum's name",
        max_chars=MAX_TYPED_NAME,
    )
    experiment = middle.text_input(
        "Experiment",
        "",
        key="experiment",
        bind="query-params",
        placeholder="None" if len(curricula) * len(seeds) <= 1 else "Named automatically",
        max_chars=MAX_TYPED_NAME,
        help="Groups related runs, which can be stopped together.",
    )
    priority = right.number_input(
        "Priority",
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
        problems.append(str(error))
        middle.error(plain(error))

configs: list[RunConfig] = []
if not problems:
    place = beside_phases
    try:
        expand(curricula, seeds[:1], name="", env=setup, **vars(length), recipe=recipe)
        place = left  # whatever is still wrong is the name
        configs = expand(curricula, seeds, name=name, env=setup, **vars(length), recipe=recipe)
    except V3Error as error:
        problems.append(str(error))
        place.error(plain(error))
    for sentence in unused_base_values(configs):
        beside_phases.warning(plain(sentence))
TOKEN, LAUNCHED = "launch-token", "launched"


def launch() -> None:
    """Queue one run per curriculum and seed, and show the first; with the same token again, show the same."""
    group = experiment.strip() or None
    if group is None and len(configs) > 1:
        taken = experiments_of(list_runs(database))
        group = experiment_name(str(setup), [curriculum.name for curriculum in curricula], seeds, taken)
    token = st.session_state.setdefault(TOKEN, str(uuid4()))
    try:
        run_ids = launcher.enqueue(database, configs, experiment=group, priority=int(priority or 0), token=token)
    except V3Error as error:
        st.error(plain(error))
        return
    st.session_state[LAUNCHED] = True
    open_page("live", run=run_ids[0])


clicked = start_bar(database, configs, problems, launch)
if not clicked and st.session_state.pop(LAUNCHED, False):
    # Renewed only when the page is shown again without a click: a double click comes with the token of the first.
    st.session_state.pop(TOKEN, None)
