"""A run on several environments, on Live, Compare and Launch."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl

from sqlalchemy import case, update

from tests.made_replays import made
from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from tests.pages.test_experts_on_live import report
from tests.store.test_odd_rows import spoil
from v3core.environments.evaluation_seeds import evaluation_seed
from v3core.jobs.files import checkpoint_file
from v3core.jobs.kept_replays import write_replays
from v3core.jobs.lifecycle import Status
from v3core.store.expert_records import add_expert_report
from v3core.store.runs import list_runs
from v3core.store.schema import episodes, evaluations
from v3core.ui import task_tables

CHINESE = re.compile(r"[\u4e00-\u9fff]")
TWO = "CartPole-v0 + CartPole-v1"


def captions(app):
    return "\n".join(shown(caption.value) for caption in app.caption)


def test_live_shows_each_task_and_its_experts(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING, env=TWO, success=True)
    app = open_page("pages/live.py", run=run_id, tasks="true")
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "Task" in frame.value]
    assert table["Task"].tolist() == ["CartPole-v0", "CartPole-v1"]  # in the order of the run
    assert table["Episodes"].tolist() == [7, 8], "of the phase in force, not of the one before"
    assert table["Success"].tolist() == [0, 1]
    assert [name for name in table if name.startswith("Expert")] == [f"Expert {number}" for number in range(1, 5)]
    assert table[[name for name in table if name.startswith("Expert")]].sum(axis=1).round(6).tolist() == [1, 1]
    numbers = {metric.label: metric.value for metric in app.metric}
    assert numbers["Specialisation between tasks (nats)"] == "0.000"  # they are recorded with the same loads
    assert "Of the newest 15 episodes of phase 'transition'." in captions(app)


def test_a_task_of_an_earlier_phase_has_a_curve_and_no_row(open_page, database, monkeypatch):
    run_id = add_recorded_run(database, Status.RUNNING, env=TWO, success=True)
    with database.write() as tx:
        mine = (episodes.c.run_id == run_id) & (episodes.c.phase == "transition")
        tx.execute(update(episodes).where(mine).values(task="CartPole-v1"))
    drawn, draw = [], task_tables.tasks_figure
    monkeypatch.setattr(task_tables, "tasks_figure", lambda *args, **more: drawn.append(args[1]) or draw(*args, **more))
    app = open_page("pages/live.py", run=run_id, tasks="true")
    (table,) = [frame.value for frame in app.dataframe if "Task" in frame.value]
    assert table["Task"].tolist() == ["CartPole-v1"]
    assert [list(points) for points in drawn] == [["CartPole-v0", "CartPole-v1"]] * 2


def test_its_table_is_in_the_language_of_its_reader(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING, env=TWO, success=True)
    app = open_page("pages/live.py", run=run_id, tasks="true", lang="zh")
    (frame,) = [frame for frame in app.dataframe if "任务" in frame.value]
    assert [name for name in frame.value if not CHINESE.search(name)] == []
    formats = {
        name: column.get("type_config", {}).get("format") for name, column in json.loads(frame.proto.columns).items()
    }
    assert (formats["成功率"], formats["专家 1"]) == ("percent", "percent")


def test_nothing_is_read_until_it_is_opened(open_page, database, monkeypatch):
    monkeypatch.setattr(task_tables, "read_run_tasks", None)
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING, env=TWO))
    assert not app.exception
    assert "Tasks" in {expander.label for expander in app.expander}


def test_a_run_on_one_environment_has_no_such_section(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING), tasks="true")
    assert not app.exception
    assert "Tasks" not in {expander.label for expander in app.expander}


def test_before_the_first_episode_it_says_so(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING, env=TWO, recorded=0), tasks="true")
    assert not app.exception
    assert "No episode is complete yet." in captions(app)


def test_compare_has_a_row_for_each_run_and_task(open_page, database):
    several = [add_recorded_run(database, Status.COMPLETED, env=TWO, name=name) for name in ("one", "two")]
    alone = add_recorded_run(database, Status.COMPLETED, env="CartPole-v1", name="alone")
    app = open_page("pages/compare.py", runs=",".join([*several, alone]))
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "Task" in frame.value]
    assert sorted(zip(table["Run"], table["Task"], strict=True)) == [
        (run, task) for run in ("one", "two") for task in ("CartPole-v0", "CartPole-v1")
    ]


def test_compare_shows_the_tasks_of_other_runs_beside_one_that_cannot_be_read(open_page, database):
    good = add_recorded_run(database, Status.COMPLETED, env=TWO, name="good")
    bad = add_recorded_run(database, Status.COMPLETED, env=TWO, name="bad")
    spoil(database, bad, "config", "{")
    app = open_page("pages/compare.py", runs=f"{good},{bad}")
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "Task" in frame.value]
    assert table["Run"].tolist() == ["good", "good"]


def test_a_state_of_any_task_opens_its_episode(open_page, database):
    """The seed that an evaluation of several tasks began the episode with, which is not that of a single one's."""
    run_id = add_recorded_run(database, Status.COMPLETED, env=TWO, evaluated=(20,))
    with database.write() as tx:
        add_expert_report(tx, run_id, 20, report(4))
        task = case((evaluations.c.number % 2 == 0, TWO.split(" + ")[0]), else_=TWO.split(" + ")[1])
        tx.execute(update(evaluations).values(task=task))
    file = checkpoint_file(database, run_id, 20)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    first, second = (evaluation_seed(number, 2) for number in (1, 2))
    assert [first, second] != [evaluation_seed(number) for number in (1, 2)]
    write_replays(database, run_id, 20, {"best": replace(made(number=1), seed=first)}, experts=4, boundaries=())
    app = open_page("pages/live.py", run=run_id, experts="true", state="Episode 2, step 5")
    assert not app.exception
    queries = [link.proto.query_string for link in app.get("page_link")]
    links = [dict(parse_qsl(query)) for query in queries if "step=" in query]
    assert links == [{"run": run_id, "episode": "20", "seed": str(second), "step": "6"}]


def test_launch_trains_on_several_at_once(open_page, database):
    app = open_page("pages/launch.py")
    app.multiselect(key="at-once").set_value(["Acrobot-v1"]).run()
    assert any("Acrobot-v1 and CartPole-v1 cannot be trained on at once" in error.value for error in app.error)
    assert app.button(key="start").disabled
    app.multiselect(key="at-once").set_value([]).run()
    app.selectbox(key="env").set_value("MT3").run()
    assert not app.error
    assert "image, direction, mission and task" in captions(app)
    app.button(key="start").click().run()
    assert not app.exception
    (run,) = list_runs(database)
    assert run.env == "MiniGrid-LavaGapS7-v0 + MiniGrid-RedBlueDoors-6x6-v0 + MiniGrid-MemoryS11-v0"
    assert run.config.recipe == "minigrid-mt3"


def test_launch_says_what_is_wrong_with_a_text_of_several(open_page):
    app = open_page("pages/launch.py", env="CartPole-v1 + CartPole-v1")
    assert not app.exception
    assert any("Environment CartPole-v1 is named twice" in error.value for error in app.error)
    assert app.button(key="start").disabled
