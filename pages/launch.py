"""Launch: choose what to train, see what the curriculum will do, start it."""

from uuid import uuid4

import streamlit as st

from v3core.charts.curriculum_preview import curriculum_preview
from v3core.config import MAX_EPISODES, recipe_for
from v3core.curriculum import Curriculum, check_environment_named, load_preset, parse
from v3core.curriculum.text import describe_architecture
from v3core.environments import known_environments
from v3core.errors import V3Error
from v3core.jobs import launcher
from v3core.jobs.sweep import parse_seeds
from v3core.store.runs import list_runs
from v3core.ui import shell
from v3core.ui.curriculum_editor import curriculum_editor
from v3core.ui.environment import describe_recipe, environment_problem, run_problem
from v3core.ui.evaluation_fields import evaluation_fields
from v3core.ui.live_chart import live_chart
from v3core.ui.preset_picker import FROM_A_FILE, pick_preset
from v3core.ui.run_queue import PRIORITY_HELP
from v3core.ui.sweep import compare_with, describe_sweep, name_experiment, sweep_configs
from v3core.ui.text import md, plain

KNOWN = known_environments()
DEFAULT_ENV = "CartPole-v1"

database = shell.page("Launch")
st.title("Launch", anchor=False)


def uploaded_curriculum() -> Curriculum | None:
    """The curriculum of an uploaded file, or None; says beside the field what is wrong with it."""
    upload = st.file_uploader("Curriculum file", type=["yaml", "yml"], key="file")
    if upload is None:
        return None
    try:
        return parse(upload.getvalue().decode("utf-8"), subject=f"Curriculum file {upload.name}")
    except UnicodeDecodeError:
        st.error(md("Curriculum file {} is not text; it must be YAML in UTF-8.", upload.name))
    except V3Error as error:
        st.error(plain(error))
    return None


problems: list[str] = []

with st.container(border=True):
    st.subheader("What", anchor=False)
    left, middle, right = st.columns([2, 1, 1])
    env = left.selectbox(
        "Environment",
        KNOWN,
        index=KNOWN.index(DEFAULT_ENV),
        key="env",
        bind="query-params",
        accept_new_options=True,
        help="Any registered Gymnasium id whose spaces the policy can take.",
    )
    recipe = recipe_for(env or "")
    problem = environment_problem(env)
    if problem:
        problems.append(problem)
        left.error(plain(problem))
    length = middle.number_input("Episodes", 1, MAX_EPISODES, recipe.episodes, step=50, key=f"episodes:{env}")
    episodes = int(length or recipe.episodes)
    if length is None:
        problems.append("Say how many episodes to train.")
        middle.error(problems[-1])
    seed_text = right.text_input("Seeds", "1", key="seeds", help="One run per seed: 1, 2, 3 or 1-5.")
    try:
        seeds = parse_seeds(seed_text)
    except V3Error as error:
        seeds = []
        problems.append(str(error))
        right.error(plain(error))
    recipe = evaluation_fields(env or "", recipe)
    describe_recipe(env or "", recipe)

with st.container(border=True):
    st.subheader("Curriculum", anchor=False)
    preset = pick_preset(env or "")
    if preset == FROM_A_FILE:
        source = uploaded_curriculum()
        if source is None:
            problems.append("Choose a curriculum file.")
        elif env:
            try:
                check_environment_named(source, env)
            except V3Error as error:
                problems.append(str(error))
                st.error(plain(error))
    else:
        source = load_preset(preset)
    curricula: list[Curriculum] = []
    if source is not None:
        scalable = source.episodes is not None
        if source.policy is not None:
            st.caption(md(":material/hub: Network: {}.", describe_architecture(source.policy)))
        scale = st.toggle(
            "Scale boundaries to the run's length",
            value=scalable,
            key=f"scale:{preset}",
            disabled=not scalable,
            help=f"Written for {source.episodes:,} episodes." if source.episodes else "The file names no 'episodes'.",
        )
        if preset == FROM_A_FILE and source.description:
            st.caption(plain(source.description))
        checked = curriculum_editor(source, source_key=f"{preset}:{source.name}", episodes=episodes, scale=scale)
        problems.extend(checked.problems.values())
        if checked.curriculum is not None:
            unlike = run_problem(env or "", checked.curriculum) if env and not problems else None
            if unlike:
                problems.append(unlike)
                st.error(plain(unlike))
            preview = curriculum_preview(checked.curriculum, episodes, recipe.base.values())
            live_chart(preview, key="preview")
            curricula.append(checked.curriculum)
        else:
            st.info("The preview returns once the phases above are right.", icon=":material/visibility_off:")
        others, unfit = compare_with(env or "", checked.curriculum, episodes, recipe)
        problems.extend(unfit)
        curricula.extend(others)


TOKEN, LAUNCHED = "launch-token", "launched"


def launch(token: str) -> None:
    """Queue one run per curriculum and seed, and show the first; with the same token again, show the same."""
    assert env is not None
    taken = {run.experiment for run in list_runs(database) if run.experiment}
    try:
        configs = sweep_configs(curricula, seeds, name=name, env=env, episodes=episodes, recipe=recipe)
        group = name_experiment(experiment, env, curricula, seeds, taken)
        run_ids = launcher.enqueue(database, configs, experiment=group, priority=int(priority or 0), token=token)
    except V3Error as error:
        st.error(plain(error))
        return
    st.session_state[LAUNCHED] = True
    st.switch_page("pages/live.py", query_params={"run": run_ids[0]})


with st.container(border=True):
    st.subheader("Start", anchor=False)
    left, middle, right = st.columns([2, 2, 1])
    name = left.text_input("Name", "", key="name", placeholder="The curriculum's name", max_chars=60)
    count = len(curricula) * len(seeds)
    experiment = middle.text_input(
        "Experiment",
        "",
        key="experiment",
        placeholder="None" if count <= 1 else "A name is made",
        max_chars=60,
        help="Groups runs that belong together; they can be stopped as one.",
    )
    priority = right.number_input(
        "Priority", -launcher.MOST_PRIORITY, launcher.MOST_PRIORITY, 0, key="priority", help=PRIORITY_HELP
    )
    if problems:
        st.caption(md(":red[:material/error: {}]", problems[0]))
    elif summary := describe_sweep(len(curricula), len(seeds)):
        st.caption(md(":material/grid_view: {}", summary))
    label = md("Start {} runs", count) if count > 1 else "Start the run"
    if st.button(label, type="primary", icon=":material/play_arrow:", key="start", disabled=bool(problems)):
        launch(st.session_state.setdefault(TOKEN, str(uuid4())))
    elif st.session_state.pop(LAUNCHED, False):
        # Renewed only when the page is shown anew without a click: a double click comes with the token of the first.
        st.session_state.pop(TOKEN, None)
