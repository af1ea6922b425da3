"""The section about the experts on Live: what it shows of any run, and that it agrees with the rows."""

import json
import subprocess
import sys
from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pytest
from sqlalchemy import select, update

from tests.charts.patched import applied
from tests.made_replays import made
from tests.pages.kinds import KINDS
from tests.pages.recorded import add_recorded_run
from tests.pages.test_measurements import figures
from tests.pages.test_states import text_of
from tests.waiting import wait_for
from v3core.charts.expert_figures import AREA, HEATMAP
from v3core.environments.evaluation_seeds import evaluation_seed
from v3core.insight.experts import ExpertProfile, ExpertReport, StateMap
from v3core.jobs.files import checkpoint_file
from v3core.jobs.kept_replays import write_replays
from v3core.jobs.lifecycle import Status
from v3core.store.expert_records import add_expert_report, add_knockouts, read_knockouts
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs
from v3core.store.schema import episodes, evaluation_experts, expert_loads, runs, state_maps

ACTIONS = {"probabilities": [[0.25, 0.75]], "first": [0]}
MAP = StateMap(
    *((0.0, 1.0), (0.0, 1.0), (0, 3), (0.9, 0.8), (1, 2), (0, 5), (0.7, 0.2)),
    gates=(((0, 0.9), (1, 0.1)), ((3, 0.8), (2, 0.2))),
    features=("Pole *angle*", "In view"),
    values=((0.25, "nothing"), (-1.5, "green goal 2 ahead")),
    scenario=(0, 1),
    scenarios=("road", "forest"),
)


NEWER = ("gates", "features", "values", "scenario", "scenarios")


def report(experts=4):
    row = tuple(
        ExpertProfile(1 / experts, 1 / experts, ACTIONS, ACTIONS if expert else None, (0.5,) * experts)
        for expert in range(experts)
    )
    return ExpertReport(2, 2, row, MAP)


def evaluated(db, *, at=(10, 20), experts=4, **options):
    """A run with evaluations that recorded what the experts did."""
    run_id = add_recorded_run(db, Status.COMPLETED, evaluated=at, **options)
    with db.write() as tx:
        for episode in at:
            add_expert_report(tx, run_id, episode, report(experts))
    return run_id


def sent(app):
    """The charts that came with the page itself, by name."""
    found = {}
    for element in app.get("bidi_component"):
        data = json.loads(element.proto.json) if element.proto.WhichOneof("data") == "json" else {}
        if "figure" in data:
            figure = applied(None, json.loads(data["figure"]))
            found[figure["layout"]["uirevision"].partition(":")[0]] = figure
    return found


def test_nothing_is_read_while_it_is_closed(open_page, database):
    app = open_page("pages/live.py", run=evaluated(database))
    assert not app.exception
    assert "decisions" not in figures(app)
    assert "distances" not in sent(app)


def test_a_link_opens_it_with_all_that_is_recorded(open_page, database):
    run_id = evaluated(database)
    results = {expert: [(value, 5, None) for value in (50.0, 52.0, 51.0)] for expert in (-1, 1, 2, 3)}
    results |= {0: [(9.0, 9, None)] * 3}
    with database.write() as tx:
        add_knockouts(tx, run_id, episode=20, results=results, now=get_run(tx, run_id).created_at)
    app = open_page("pages/live.py", run=run_id, experts="true")
    assert not app.exception
    assert {"area-load", "decisions"} <= set(figures(app))
    assert {"actions-all", "distances", "distance-history", "map", "knockout"} == set(sent(app))
    assert "Episode 20, 3 episodes each. Needed: 1; idle: 2, 3, 4." in text_of(app)
    assert "Episode 20, 2 states." in text_of(app)
    switches = {"loads": "Heatmap", "share": "Hard load", "states": "Where it is used"}
    app = open_page("pages/live.py", run=run_id, experts="true", **switches)
    assert {"heatmap-hard_load"} <= set(figures(app))
    assert "actions-used" in sent(app)
    assert "Not used at all: 1." in text_of(app)


def test_the_address_of_the_section_opens_it_once(open_page, database):
    app = open_page("pages/live.py", run=evaluated(database), section="experts")
    assert not app.exception
    assert "area-load" in figures(app)
    app.expander(key="experts").proto.expanded = False
    app.session_state["experts"] = False
    app.run()
    assert "area-load" not in figures(app)


def test_loads_are_shown_once(open_page, database):
    run_id = evaluated(database)
    shown = {"loads", "area-load"}
    assert set(figures(open_page("pages/live.py", run=run_id))) & shown == {"loads"}
    for link in ({"experts": "true"}, {"section": "experts"}):
        assert set(figures(open_page("pages/live.py", run=run_id, **link))) & shown == {"area-load"}


def test_a_state_of_the_map_is_shown_with_its_gates_and_features(open_page, database):
    run_id = evaluated(database)
    app = open_page("pages/live.py", run=run_id, experts="true", state="Episode 2, step 5")
    assert not app.exception
    assert app.selectbox(key="state").value == "Episode 2, step 5"
    assert "**Expert 4** has the largest gate, 80%." in text_of(app)
    assert "Scenario: forest" in text_of(app)
    (gates,) = app.dataframe
    assert gates.value.to_dict("list") == {"Expert": [4, 3], "Gate": [0.8, 0.2]}
    assert "- Pole *angle*: **−1.5**\n- In view: **green goal 2 ahead**" in text_of(app)
    assert [trace["name"] for trace in sent(app)["map"]["data"]] == ["Expert 1", "Expert 4", "Shown"]
    app.selectbox(key="state").set_value(None).run()
    assert not app.dataframe
    app = open_page("pages/live.py", run=run_id, experts="true", state="Episode 9, step 9", colour="By scenario")
    assert not app.exception
    assert app.selectbox(key="state").value is None
    assert [trace["name"] for trace in sent(app)["map"]["data"]] == ["road", "forest"]


def test_a_point_opens_its_episode_or_says_why_not(open_page, database):
    run_id = evaluated(database)
    first, second = (evaluation_seed(number) for number in (1, 2))

    def shown():
        app = open_page("pages/live.py", run=run_id, experts="true", state="Episode 2, step 5")
        assert not app.exception
        links = [link.proto.query_string for link in app.get("page_link") if "replay" in link.proto.page]
        return text_of(app).replace("\\", ""), [dict(parse_qsl(link)) for link in links if "step=" in link]

    said, links = shown()
    assert "Playing it again needs the checkpoint at episode 20, which is not there." in said
    assert not links
    file = checkpoint_file(database, run_id, 20)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    said, links = shown()
    assert "What it began with is not known, so it cannot be played again." in said
    write_replays(database, run_id, 20, {"best": replace(made(number=1), seed=first)}, experts=4, boundaries=())
    said, links = shown()
    assert "This episode was not kept: the checkpoint of this evaluation plays it again from its seed" in said
    assert links == [{"run": run_id, "episode": "20", "seed": str(second), "step": "6"}]
    write_replays(database, run_id, 20, {"best": replace(made(number=2), seed=second)}, experts=4, boundaries=())
    said, links = shown()
    assert "not kept" not in said
    assert links == [{"run": run_id, "episode": "20", "seed": str(second), "step": "6"}]
    with database.write() as tx:
        (config,) = tx.execute(select(runs.c.config).where(runs.c.id == run_id)).one()
        changed = json.loads(config)
        changed["evaluation"]["sampled"] = True
        tx.execute(update(runs).where(runs.c.id == run_id).values(config=json.dumps(changed)))
    write_replays(database, run_id, 20, {"best": replace(made(number=1), seed=first)}, experts=4, boundaries=())
    said, links = shown()
    assert "Its actions were drawn at random, so it would not go the same from its seed." in said
    assert not links


def test_a_map_of_an_earlier_version_shows_what_it_has(open_page, database):
    run_id = evaluated(database)
    plain = {name: values for name, values in vars(MAP).items() if name not in NEWER}
    with database.write() as tx:
        tx.execute(update(state_maps).values(points=json.dumps(plain)))
    app = open_page("pages/live.py", run=run_id, experts="true", state="Episode 2, step 5")
    assert not app.exception
    assert "**Expert 4** has the largest gate, 80%." in text_of(app)
    assert "The features of this state were not recorded." in text_of(app)
    assert not app.dataframe


@pytest.mark.parametrize(("metric", "column"), [("load", "load"), ("hard_load", "hard_load")])
def test_areas_and_heatmap_agree_with_the_rows_of_the_run(open_page, database, metric, column):
    run_id = evaluated(database)
    table = expert_loads
    with database.write() as tx:  # so that every number is another
        for episode, expert in np.ndindex(25, 4):
            here = (table.c.run_id == run_id, table.c.episode == episode + 1, table.c.expert == expert)
            tx.execute(update(table).where(*here).values({column: (episode * 4 + expert) / 1000}))
        query = select(table.c[column]).where(table.c.run_id == run_id).order_by(table.c.episode, table.c.expert)
        rows = np.array(tx.execute(query).scalars().all()).reshape(-1, 4)
    share = {"load": "Soft load", "hard_load": "Hard load"}[metric]
    app = open_page("pages/live.py", run=run_id, experts="true", share=share)
    areas = [trace for trace in figures(app)[f"{AREA}-{metric}"]["data"] if trace.get("stackgroup")]
    assert pytest.approx(rows) == np.array([trace["y"] for trace in areas]).T
    app = open_page("pages/live.py", run=run_id, experts="true", share=share, loads="Heatmap")
    (heatmap,) = figures(app)[f"{HEATMAP}-{metric}"]["data"]
    assert np.array(heatmap["z"]) == pytest.approx(rows)


def test_an_earlier_evaluation_can_be_looked_at_and_is_read_from_the_address(open_page, database):
    run_id = evaluated(database)
    app = open_page("pages/live.py", run=run_id, experts="true")
    assert (app.selectbox(key="evaluation").value, "evaluation" in app.query_params) == (20, False)
    app.selectbox(key="evaluation").set_value(10).run()
    assert not app.exception
    assert "Episode 10, 2 states." in text_of(app)
    with database.write() as tx:  # as its worker does meanwhile
        add_expert_report(tx, run_id, 22, report())
    app.run()
    assert app.selectbox(key="evaluation").options == ["22", "20", "10"]
    assert "Episode 10, 2 states." in text_of(app), "the older one is looked at on"
    copied = open_page("pages/live.py", run=run_id, experts="true", evaluation="10")
    assert "Episode 10, 2 states." in text_of(copied)
    odd = open_page("pages/live.py", run=run_id, experts="true", evaluation="11")
    assert (odd.selectbox(key="evaluation").value, list(odd.exception)) == (22, [])


def test_the_newest_evaluation_is_followed_and_another_run_begins_with_its_own(open_page, database):
    run_id, other = evaluated(database), evaluated(database, at=(5, 7))
    app = open_page("pages/live.py", run=run_id, experts="true")
    with database.write() as tx:
        add_expert_report(tx, run_id, 22, report())
    assert app.run().selectbox(key="evaluation").value == 22
    app.selectbox(key="evaluation").set_value(20).run()
    app = open_page("pages/live.py", run=other, experts="true", evaluation="20")  # as after picking another run
    assert not app.exception
    assert (app.selectbox(key="evaluation").value, app.selectbox(key="evaluation").options) == (7, ["7", "5"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"recorded": 0, "status": Status.RUNNING}, "the first one is at the end of the run"),
        ({"recorded": 1, "status": Status.RUNNING}, "the first one is at the end of the run"),
        ({"status": Status.FAILED}, "The run ended before its first evaluation"),
        ({"status": Status.COMPLETED, "evaluated": (20,)}, "by a version that did not record what each expert does"),
    ],
)
def test_without_evaluations_it_says_why(open_page, database, options, sentence):
    app = open_page("pages/live.py", run=add_recorded_run(database, **options), experts="true")
    assert not app.exception
    assert sentence in text_of(app)
    assert "Not measured yet." in text_of(app)


def test_a_single_expert_has_no_distances(open_page, database):
    run_id = evaluated(database, experts=1)
    app = open_page("pages/live.py", run=run_id, experts="true")
    assert not app.exception
    assert "There is only one expert." in text_of(app)


def test_many_experts_and_rows_without_numbers(open_page, database):
    run_id = evaluated(database, experts=64)
    with database.write() as tx:
        tx.execute(update(expert_loads).values(load=None, hard_load=None, grad_norm=None))
        tx.execute(update(episodes).values(expert_persistence=None, close_choice_share=None, support=None))
        tx.execute(update(evaluation_experts).values(load=None, distances=json.dumps([None] * 64)))
    app = open_page("pages/live.py", run=run_id, experts="true")
    assert not app.exception
    figures(app)
    assert "distances" not in sent(app)
    assert "None of these numbers is finite" in text_of(app)


def test_returns_that_are_no_numbers_say_nothing_of_any_expert(open_page, database):
    run_id = KINDS["no numbers"](database, "no numbers")
    app = open_page("pages/live.py", run=run_id, experts="true", states="Where it is used")
    assert not app.exception
    assert "Episode 20, 3 episodes each. No return is a finite number" in text_of(app)
    assert "knockout" not in sent(app)
    assert {"distances", "actions-used"} & set(sent(app)) == set()
    assert text_of(app).count("None of these numbers is finite") == 2  # distances, and actions where it is used


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data folder with one short run, trained for real."""
    folder = tmp_path_factory.mktemp("knocked")
    command = ["train", "--env", "CartPole-v1", "--episodes", "8", "--evaluate", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("V3_DATA_DIR", str(folder))
        patch.delenv("V3_DATABASE_URL", raising=False)
        subprocess.run([sys.executable, "-m", "v3core", *command], check=True, capture_output=True)
    return folder


def test_a_click_measures_a_knockout(open_page, database, trained, monkeypatch):
    monkeypatch.setenv("V3_DATA_DIR", str(trained))
    db = open_database()
    (run,) = list_runs(db)
    app = open_page("pages/live.py", run=run.id, experts="true")
    assert "Not measured yet." in text_of(app)
    app.number_input(key=f"knockout-episodes-{run.id}").set_value(2).run()
    app.button(key=f"knockout-{run.id}-measure").click().run()
    assert not app.exception
    assert "Playing 2 episodes with all experts and without each of 4" in text_of(app)
    wait_for(lambda: read_knockouts(db, run.id))
    (row,) = read_knockouts(db, run.id)
    assert (row.episode, len(row.complete), len(row.without)) == (8, 2, 4)

    def drawn():
        app.run()
        return "Playing" not in text_of(app)

    wait_for(drawn)
    assert "Episode 8, 2 episodes each." in text_of(app)
    assert "knockout" in sent(app)
    db.close()
