"""The launch page: what it refuses, where it says so, and what it queues."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import gymnasium
import pytest
import streamlit as st
from sqlalchemy import update

from tests.databases import MISSING, empty_database
from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from v3core.curriculum import dump, load_preset
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import apart, known_environments
from v3core.environments.examine import Report
from v3core.jobs.lifecycle import Status
from v3core.store import schema as tables
from v3core.store.opening import open_database
from v3core.store.runs import list_runs


def errors(app):
    return [error.value for error in app.error]


def text_of(app):
    """Everything the page says in running text."""
    return "\n".join(shown(element.value) for element in [*app.markdown, *app.caption, *app.error, *app.info])


@pytest.fixture
def launch(open_page):
    app = open_page("pages/launch.py")
    assert not app.exception
    return app


def start_button(app):
    return app.button(key="start")


def field(app, row, name):
    (found,) = [
        item
        for item in [*app.text_input, *app.number_input, *app.selectbox]
        if item.key and item.key.endswith(f"-{row}-{name}")
    ]
    return found


def test_it_offers_cartpole_under_v3_ready_to_start(launch):
    assert launch.selectbox(key="env").value == "CartPole-v1"
    assert launch.selectbox(key="curriculum").value == "v3"
    assert [field(launch, row, "name").value for row in range(3)] == ["warmup", "transition", "fine-tune"]
    assert not start_button(launch).disabled
    assert not errors(launch)


def test_boundaries_follow_the_length_of_the_run(launch):
    launch.number_input(key="episodes:CartPole-v1").set_value(400).run()
    assert [field(launch, row, "until").value for row in range(2)] == ["100", "300"]


def test_start_queues_one_run_per_seed(launch, database):
    launch.number_input(key="episodes:CartPole-v1").set_value(200).run()
    launch.text_input(key="seeds").set_value("1-3").run()
    launch.text_input(key="experiment-name").set_value("three seeds").run()
    start_button(launch).click().run()
    assert not launch.exception
    runs = list_runs(database)
    assert sorted(run.seed for run in runs) == [1, 2, 3]
    assert {(run.status, run.env, run.curriculum, run.episodes, run.experiment) for run in runs} == {
        ("queued", "CartPole-v1", "v3", 200, "three seeds")
    }
    assert runs[0].config.curriculum.boundaries == (50, 150)


def test_an_edited_phase_is_what_is_queued(launch, database):
    field(launch, 1, "temperature").set_value("2 → 0.25 cosine").run()
    field(launch, 0, "until").set_value("123").run()
    start_button(launch).click().run()
    (run,) = list_runs(database)
    assert run.curriculum == "v3 (edited)"
    assert run.config.curriculum.boundaries[0] == 123
    assert run.config.curriculum.phases[1].temperature.to == 0.25


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ("CartPol-v1", "There is no environment 'CartPol-v1'. Did you mean CartPole-v1"),
        ("os:Evil-v0", "imports code, which is only possible from the command line"),
        ("CartPole-v7", "does not exist in this version; use CartPole-v0 or CartPole-v1."),
    ],
)
def test_an_environment_that_cannot_be_trained_is_refused_beside_its_field(open_page, database, env, sentence):
    app = open_page("pages/launch.py", env=env)
    assert any(sentence in error for error in errors(app))
    assert start_button(app).disabled
    assert list_runs(database) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("DoorKey", [f"MiniGrid-DoorKey-{size}-v0" for size in ("16x16", "5x5", "6x6", "8x8")]),
        ("Acrobot", ["Acrobot-v1"]),
        ("cartpole-v1", ["CartPole-v1"]),
        ("GoToRedBallGrey", ["BabyAI-GoToRedBallGrey-v0"]),
    ],
)
def test_part_of_an_id_is_asked_about(open_page, database, typed, meant):
    app = open_page("pages/launch.py", env=typed)
    buttons = [button for button in app.button if button.key.startswith("meant:")]
    assert [button.label for button in buttons] == meant
    assert f"Which environment do you mean by '{typed}'? Choose one." in shown(text_of(app))
    assert start_button(app).disabled
    assert list_runs(database) == []  # that a click chooses one is tried in a browser: AppTest holds no typed option


def test_what_many_ids_have_in_common_lists_some_and_says_how_many_more(open_page):
    app = open_page("pages/launch.py", env="minigrid")
    assert len([button for button in app.button if button.key.startswith("meant:")]) == 8
    meant = [name for name in known_environments() if "minigrid" in name.lower()]
    assert f"And {len(meant) - 8} more" in text_of(app)


def test_a_registered_id_that_is_not_offered_is_taken(open_page):
    app = open_page("pages/launch.py", env="BabyAI-GoToRedBallGrey-v0")
    assert not errors(app)
    assert not start_button(app).disabled


def trained_here(database, *, seconds_per_episode, episodes=40, paused_at=None, **changes):
    """A run of CartPole that was trained on this machine at a steady pace; where it paused it did so for an hour."""
    run_id = add_recorded_run(database, Status.COMPLETED, episodes=episodes, recorded=episodes, **changes)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    with database.write() as tx:
        for episode in range(1, episodes + 1):
            at = begin + timedelta(seconds=episode * seconds_per_episode, hours=bool(paused_at and episode > paused_at))
            where = (tables.episodes.c.run_id == run_id) & (tables.episodes.c.episode == episode)
            tx.execute(update(tables.episodes).where(where).values(at=at))
    return run_id


def summary(app):
    (found,) = [element.value for element in app.markdown if ":material/timer:" in element.value]
    return shown(found)


def test_without_a_measured_run_no_time_is_made_up(launch, database):
    assert "1 run** · 260 episodes" in summary(launch)
    assert "Time unknown: no earlier run of CartPole-v1 on this machine." in summary(launch)
    assert not any(
        digit in summary(launch).split("Time unknown")[1].replace("CartPole-v1", "") for digit in "0123456789"
    )


def test_the_time_is_measured_and_scaled_by_runs_and_slots(open_page, database, monkeypatch):
    monkeypatch.setattr("v3core.jobs.costs.slots", lambda _: 2)
    trained_here(database, seconds_per_episode=0.5, paused_at=200, episodes=240)
    app = open_page("pages/launch.py")
    app.number_input(key="episodes:CartPole-v1").set_value(240).run()
    assert "About 2 min on 2 slots, based on 1 earlier run of CartPole-v1." in summary(app)
    app.text_input(key="seeds").set_value("1-3").run()
    assert "**3 runs** · 1 curriculum × 3 seeds · 240 episodes each" in summary(app)
    assert "About 4 min on 2 slots" in summary(app)
    app.text_input(key="set:policy.experts:CartPole-v1").set_value("16").run()
    assert "About 4 min on 2 slots, based on 1 earlier run of CartPole-v1 with other settings." in summary(app)
    app.number_input(key="episodes:CartPole-v1").set_value(5000).run()
    assert "Time unknown" in summary(app)


def test_a_run_that_reached_the_length_says_more_than_a_shorter_one(open_page, database):
    trained_here(database, seconds_per_episode=1.0, episodes=130)
    app = open_page("pages/launch.py")
    assert "based on 1 earlier run of CartPole-v1, shorter than this one." in summary(app)
    trained_here(database, seconds_per_episode=0.5, episodes=260)
    assert "About 2.2 min" in summary(open_page("pages/launch.py"))


def test_a_run_of_another_machine_or_environment_says_nothing_of_the_time(open_page, database):
    elsewhere = trained_here(database, seconds_per_episode=0.5, episodes=260)
    with database.write() as tx:
        moved = {"host": "elsewhere", "boot_id": "another", "machine": "another", "pid_namespace": None}
        tx.execute(update(tables.runs).where(tables.runs.c.id == elsewhere).values(moved))
    imported = trained_here(database, seconds_per_episode=0.5, episodes=260)
    with database.write() as tx:
        tx.execute(update(tables.runs).where(tables.runs.c.id == imported).values(host=None, machine=None))
    trained_here(database, seconds_per_episode=0.5, episodes=260, env="Acrobot-v1")
    assert "Time unknown" in summary(open_page("pages/launch.py"))


def test_runs_that_come_first_are_not_kept_quiet(open_page, database):
    add_recorded_run(database, Status.QUEUED)
    add_recorded_run(database, Status.RUNNING)
    assert "2 runs ahead in the queue not included." in summary(open_page("pages/launch.py"))


def test_bad_seeds_are_refused_beside_their_field(launch):
    launch.text_input(key="seeds").set_value("one").run()
    assert errors(launch) == ["'one' is not a seed; write whole numbers, as in 1, 2, 3 or 1-5."]
    assert start_button(launch).disabled


def test_a_boundary_out_of_order_is_reported_in_its_row(launch):
    field(launch, 1, "until").set_value("10").run()
    assert "ends at episode 10 but phase 1 'warmup' ends at" in text_of(launch)
    assert start_button(launch).disabled


def test_a_boundary_beyond_the_end_is_reported_in_its_row(launch):
    field(launch, 1, "until").set_value("100000").run()
    assert "ends at episode 100000, but the run has only" in text_of(launch)
    assert start_button(launch).disabled


def test_a_value_that_cannot_be_read_is_reported_in_its_row(launch):
    field(launch, 2, "lr").set_value("fast").run()
    assert "Learning rate 'fast' cannot be parsed" in text_of(launch)
    assert start_button(launch).disabled


def test_phases_can_be_added_and_removed(launch):
    launch.button(key="add-phase").click().run()
    assert [field(launch, row, "name").value for row in range(4)] == ["warmup", "transition", "fine-tune", "phase 4"]
    assert not start_button(launch).disabled
    remove = next(button for button in launch.button if button.key and button.key.endswith("-0-remove"))
    remove.click().run()
    assert [field(launch, row, "name").value for row in range(3)] == ["transition", "fine-tune", "phase 4"]
    assert not start_button(launch).disabled


def test_another_preset_replaces_the_rows(launch):
    launch.selectbox(key="curriculum").set_value("direct-sparsemax").run()
    names = [field(launch, row, "name").value for row in range(3)]
    assert names == ["sparse from the start", "slower sparse learning", "sparse fine-tuning"]
    assert field(launch, 0, "routing").value == "sparsemax"


def test_an_uploaded_file_that_is_no_curriculum_is_reported_beside_the_field(launch):
    launch.selectbox(key="curriculum").set_value("From a file").run()
    assert start_button(launch).disabled
    launch.file_uploader(key="file").upload("mine.yaml", b"name: mine\nphases: [", "application/yaml").run()
    assert any("Curriculum file mine.yaml is not valid YAML at line 2" in error for error in errors(launch))
    launch.file_uploader(key="file").upload("other.yaml", b"\xff\xfe\x00", "application/yaml").run()
    assert any("other.yaml is not text" in error for error in errors(launch))


def fields(app):
    return {item.key.rsplit("-", 1)[-1] for item in [*app.text_input, *app.selectbox] if item.key.startswith("phase-")}


def test_further_knobs_are_shown_where_they_are_used_or_asked_for(launch):
    assert "jitter" not in fields(launch)
    launch.selectbox(key="curriculum").set_value("switch").run()
    assert field(launch, 0, "jitter").value == "0.01"
    assert field(launch, 0, "top_k").value == "1"
    assert "z_loss" not in fields(launch)
    launch.toggle(key="more-knobs").set_value(True).run()
    assert not launch.exception
    field(launch, 0, "z_loss").set_value("0.001").run()
    launch.toggle(key="more-knobs").set_value(False).run()
    assert field(launch, 0, "z_loss").value == "0.001"


def test_an_end_by_steps_or_by_what_is_reached_is_typed_as_text(launch, database):
    field(launch, 0, "until").set_value("return >= 450 (20) within 200").run()
    field(launch, 1, "until").set_value("step 50000").run()
    assert not start_button(launch).disabled
    start_button(launch).click().run()
    (run,) = list_runs(database)
    first, second, last = run.config.curriculum.phases
    assert (first.until.metric, first.until.at_least, first.until.max_episodes) == ("return", 450, 200)
    assert (second.until.step, last.until) == (50_000, None)


def test_a_ramp_without_an_end_is_reported_in_its_row(launch):
    field(launch, 1, "until").set_value("return >= 450 (20)").run()
    assert "the length of its ramp of temperature is unknown" in text_of(launch)
    assert start_button(launch).disabled


@pytest.mark.parametrize("preset", ["deepseek-moe", "single-expert", "no-graph"])
def test_what_a_preset_needs_of_the_network_is_reported_and_queued(launch, database, preset):
    launch.selectbox(key="curriculum").set_value(preset).run()
    assert "Network: " in text_of(launch)
    start_button(launch).click().run()
    (run,) = list_runs(database)
    assert run.config.curriculum.policy == load_preset(preset).policy


def test_presets_that_name_environments_are_offered_there_only(open_page):
    assert "bengio-minigrid" not in open_page("pages/launch.py").selectbox(key="curriculum").options
    app = open_page("pages/launch.py", env="MiniGrid-DoorKey-5x5-v0", curriculum="bengio-minigrid")
    assert not app.exception
    assert app.selectbox(key="curriculum").value == "bengio-minigrid"
    assert field(app, 0, "env").value == "MiniGrid-Empty-5x5-v0"
    assert not start_button(app).disabled


def test_a_file_for_other_environments_is_refused(launch):
    launch.selectbox(key="curriculum").set_value("From a file").run()
    text = dump(load_preset("bengio-minigrid")).encode()
    launch.file_uploader(key="file").upload("mine.yaml", text, "application/yaml").run()
    assert any("not on CartPole-v1; choose one of them" in error for error in errors(launch))
    assert start_button(launch).disabled


def test_curricula_times_seeds_enter_as_one_experiment(launch, database):
    launch.text_input(key="seeds").set_value("1-3").run()
    launch.multiselect(key="compare-with:CartPole-v1").set_value(["direct-sparsemax"]).run()
    launch.number_input(key="priority").set_value(7).run()
    assert start_button(launch).label == "Start 6 runs"
    assert "2 curricula × 3 seeds" in text_of(launch)
    start_button(launch).click().run()
    assert not launch.exception
    runs = list_runs(database)
    assert sorted((run.curriculum, run.seed) for run in runs) == [
        *(("direct-sparsemax", seed) for seed in (1, 2, 3)),
        *(("v3", seed) for seed in (1, 2, 3)),
    ]
    assert {run.priority for run in runs} == {7}
    (experiment,) = {run.experiment for run in runs}
    assert experiment == "v3 or direct-sparsemax · CartPole-v1 · seeds 1–3"


def test_an_own_name_keeps_the_curricula_apart(launch, database):
    launch.multiselect(key="compare-with:CartPole-v1").set_value(["direct-sparsemax"]).run()
    launch.text_input(key="name").set_value("mine").run()
    start_button(launch).click().run()
    assert sorted(run.name for run in list_runs(database)) == [
        "mine · direct-sparsemax · CartPole-v1 · seed 1",
        "mine · v3 · CartPole-v1 · seed 1",
    ]


def test_a_preset_that_does_not_fit_is_reported_beside_the_field(launch, database):
    launch.selectbox(key="curriculum").set_value("softmax-only").run()
    launch.number_input(key="episodes:CartPole-v1").set_value(2).run()
    launch.multiselect(key="compare-with:CartPole-v1").set_value(["v3"]).run()
    assert any("too short for the 3 phases of 'v3'" in error for error in errors(launch))
    assert start_button(launch).disabled


def test_a_second_click_shows_the_same_runs_and_a_later_launch_starts_new_ones(launch, open_page, database):
    start_button(launch).click().run()
    (first,) = list_runs(database)
    token = launch.session_state["launch-token"]
    again = open_page("pages/launch.py")
    again.session_state["launch-token"], again.session_state["launched"] = token, True
    start_button(again).click().run()  # sent before the page had changed
    assert not again.exception
    assert [run.id for run in list_runs(database)] == [first.id]
    again.switch_page("pages/launch.py").run()
    start_button(again).click().run()
    assert len(list_runs(database)) == 2


def environment_field(app, kind):
    (found,) = [item for item in app.text_input if item.key and item.key.startswith(f"{kind}:")]
    return found


def test_arguments_and_wrappers_reach_the_run(launch, database):
    launch.selectbox(key="env").set_value("MiniGrid-Empty-5x5-v0").run()
    environment_field(launch, "env-args").set_value("size=6, agent_start_dir=1").run()
    environment_field(launch, "wrappers").set_value("TimeLimit(max_episode_steps=50)").run()
    assert not errors(launch)
    start_button(launch).click().run()
    (run,) = list_runs(database)
    assert run.config.environment == EnvironmentSetup(
        "MiniGrid-Empty-5x5-v0", {"size": 6, "agent_start_dir": 1}, ("TimeLimit(max_episode_steps=50)",)
    )
    assert run.name == "v3 · MiniGrid-Empty-5x5-v0 (size=6, agent_start_dir=1) · seed 1"


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("env-args", "size", "'size' is not an argument of an environment; write NAME=VALUE"),
        ("env-args", "size=8", "CartPole-v1 has no argument 'size'; it accepts sutton"),
        ("wrappers", "a b", "'a b' is not a wrapper"),
        ("wrappers", "antigravity:Fly", "imports code, which is only possible from the command line"),
    ],
)
def test_wrong_ones_stand_beside_the_field_and_nothing_starts(launch, kind, text, sentence):
    environment_field(launch, kind).set_value(text).run()
    assert not launch.exception
    assert any(sentence in shown(error) for error in errors(launch)), errors(launch)
    assert start_button(launch).disabled


def test_an_environment_that_is_not_ours_is_looked_at_elsewhere(open_page, monkeypatch):
    """The page's own process runs none of its code: it only knows what another process found."""
    asked = []

    def examine_apart(run, curricula, *, allow_import, seconds):
        asked.append((str(run), allow_import, seconds))
        return [Report(str(run), warnings=["It is odd."])]

    monkeypatch.setattr(apart, "examine_apart", examine_apart)
    gymnasium.register("Unlike-v0", entry_point="nosuchmodule:Unlike")
    try:
        app = open_page("pages/launch.py", env="Unlike-v0")
        assert not app.exception
        assert asked == [("Unlike-v0", False, 30.0)]
        assert [warning.value for warning in app.warning] == ["It is odd."]
        assert not start_button(app).disabled
    finally:
        del gymnasium.registry["Unlike-v0"]


def test_what_is_typed_above_the_phases_is_read_from_the_address(open_page):
    """As a page that is reloaded, copied, or gone back to after the start."""
    typed = {"episodes:CartPole-v1": "90", "seeds": "1-3", "name": "mine", "priority": "2"}
    typed["experiment-name"] = "try"
    app = open_page("pages/launch.py", env="CartPole-v1", curriculum="v3", **typed, **{"scale:v3": "false"})
    assert not app.exception
    assert [app.number_input(key="episodes:CartPole-v1").value, app.number_input(key="priority").value] == [90, 2]
    assert [app.text_input(key=key).value for key in ("seeds", "name", "experiment-name")] == ["1-3", "mine", "try"]
    assert app.toggle(key="scale:v3").value is False
    assert open_page("pages/launch.py", experiment="old").text_input(key="experiment-name").value == "old"
    odd = open_page("pages/launch.py", seeds="x" * 9, priority="many", **{"episodes:CartPole-v1": "-4"})
    assert not odd.exception
    assert (odd.number_input(key="episodes:CartPole-v1").value, odd.number_input(key="priority").value) == (260, 0)
    assert any("xxxxxxxxx" in error for error in errors(odd))


def test_restarts_are_asked_for_in_a_closed_section_and_what_a_cluster_has_is_not_where_none_can_be_used(
    launch, database
):
    (section,) = [one for one in launch.expander if "Restarts" in one.label]
    assert not section.proto.expanded
    assert not {"launcher", "node-label", "gpus"} & {one.key for one in [*launch.selectbox, *launch.text_input]}
    launch.number_input(key="restarts").set_value(2).run()
    start_button(launch).click().run()
    (run,) = list_runs(database)
    assert (run.launcher, run.max_restarts, run.needs_label) == ("local", 2, None)


@pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed: install Debian's package postgresql")
def test_on_a_database_of_several_machines_a_cluster_s_node_can_be_demanded(database, open_page, tmp_path, monkeypatch):
    with empty_database("postgresql", tmp_path) as url:
        monkeypatch.setenv("V3_DATABASE_URL", url)
        app = open_page("pages/launch.py")
        app.selectbox(key="launcher").set_value("ray").run()
        app.text_input(key="node-label").set_value("zone").run()
        assert errors(app) == ["'zone' is not a label of a node; write it as KEY=VALUE, such as zone=a."]
        assert start_button(app).disabled
        app.text_input(key="node-label").set_value("zone=b").run()
        app.number_input(key="gpus").set_value(0.5).run()
        start_button(app).click().run()
        with closing(open_database()) as there:
            (run,) = list_runs(there)
            assert (run.status, run.launcher, run.needs_label, run.needs_gpus) == ("queued", "ray", "zone=b", 0.5)
            again = open_page("pages/launch.py", **{"from": run.id})
        assert again.selectbox(key="launcher").value == "local"  # that of this V3 Lab, which starts it

        class Cluster:
            name, names = "ray", ("ray", "ray://here:10001")

            def check(self, database):
                """Any database."""

        for module in ("ui.needs_editor", "jobs.needs"):
            monkeypatch.setattr(f"v3core.{module}.chosen", Cluster)
        app = open_page("pages/launch.py")
        app.selectbox(key="launcher").set_value("ray://here:10001").run()
        start_button(app).click().run()
        with closing(open_database()) as there:
            newest = max(list_runs(there), key=lambda run: run.created_at)
            assert newest.launcher == "ray://here:10001"
            again = open_page("pages/launch.py", **{"from": newest.id})
        assert again.selectbox(key="launcher").value == "ray://here:10001"
        st.cache_resource.clear()
