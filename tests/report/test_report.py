"""A report says what Compare says, needs nothing but itself, and shows names that people chose as text."""

import json
import re
from base64 import b64encode

import pyarrow.parquet as pq
import pytest

from tests.comparison.made import WITH_FACTS, made_groups, made_run, with_words
from v3core.cli import main
from v3core.comparison import compare
from v3core.errors import V3Error
from v3core.insight.profiles import Bounds
from v3core.report import as_html, gather, write_report
from v3core.report.gathering import Section
from v3core.store.runs import update_run
from v3core.ui.report_download import report_name

GROUPS = {"v3": [500.0, 498, 499, 497, 500, 499], "switch": [100.0, 130, 90, 120, 110, 95]}


@pytest.fixture
def experiment(db):
    """`experiment(name, runs)` makes them one."""

    def named(name, runs):
        with db.write() as tx:
            for run in runs:
                update_run(tx, run.id, {"experiment": name}, only_in=[run.status])
        return name

    return named


def figures_of(page):
    return json.loads(re.search(r"const figures = (\{.*\});\n", page)[1])


def test_it_says_what_compare_says(db, experiment):
    runs = made_groups(db, GROUPS)
    report = gather(db, experiment("two", runs), "1.2.3")
    assert list(report.verdict) == list(compare(db, runs).verdict)
    page = as_html(report)
    assert report.verdict[0] in page
    titles = [section.title for section in report.sections]
    assert titles[:2] == ["Return over steps", "Final values"]
    assert {"Phase by phase", "Routing", "Curricula and settings", "Alarms", "Runs"} <= set(titles)
    assert "V3 Lab 1.2.3" in page
    assert page.count("<td>v3 − switch</td>") == 1
    assert all(run.id[:8] in page for run in runs)
    assert "name: switch" in page, "its curricula as YAML"
    drawn = figures_of(page)
    places = set(re.findall(r'data-figure="([^"]+)"', page))
    assert places == set(drawn)
    (finals,) = [figure for key, figure in drawn.items() if "finals" in key]
    assert sorted(finals["data"][0]["x"]) == sorted(GROUPS["switch"])


def test_it_says_over_which_steps_each_metric_of_the_routing_is(db, experiment):
    report = gather(db, experiment("two", made_groups(db, GROUPS)), "1")
    (routing,) = [section for section in report.sections if section.title == "Routing"]
    said = dict(sentence.split(": ", 1) for sentence in routing.words)
    alone = "Each point is the mean of the values of single episodes."
    assert {name for name, sentence in said.items() if alone in sentence} == {
        "Routing entropy (nats)",
        "Specialisation (nats)",
    }
    assert "over all steps of these episodes together" in said["Specialisation, pooled (nats)"]
    assert "over all steps of the episodes" in said["Effective experts, pooled"]
    in_table = said["Effective experts, pooled, in the table"]
    assert "all steps of the last 10 episodes of the phase in force together" in in_table
    drawn = {picture.key.split("-")[0] for picture in routing.pictures}
    assert {"specialisation", "recent_specialisation"} <= drawn


def test_dead_experts_of_two_runs_of_ten_are_in_it(db, experiment):
    dead = [0] * 8 + [9] * 2
    runs = [made_run(db, seed=seed, returns=[1.0] * 10, dead_experts=[one] * 10) for seed, one in enumerate(dead, 1)]
    name = experiment("seeds", runs)
    (routing,) = [section for section in gather(db, name, "1").sections if section.title == "Routing"]
    (table,) = [table for table in routing.tables if table.title == "Dead experts, at the end of each run"]
    assert [(row["Final"], row["Most in a run"]) for row in table.rows] == [("0", "9")]
    asked = gather(db, name, "1", metric="recent_dead_experts")
    (finals,) = [section for section in asked.sections if section.title == "Final values"]
    assert [row["Most in a run"] for row in finals.tables[0].rows] == ["9"]


def test_its_final_values_say_which_episodes_they_are_of(db, experiment):
    report = gather(db, experiment("short", [made_run(db, seed=seed, returns=[1.0] * 10) for seed in (1, 2)]), "1")
    (finals,) = [section for section in report.sections if section.title == "Final values"]
    assert "the mean of the last 10 episodes of the phase in force" in " ".join(finals.words)
    evaluated = gather(db, experiment("two", made_groups(db, GROUPS)), "1")
    (finals,) = [section for section in evaluated.sections if section.title == "Final values"]
    assert "phase in force" not in " ".join(finals.words), "an evaluation is of no window"


def test_a_task_that_is_not_solved_is_not_hidden_by_the_mean(db, experiment):
    one, other = tasks = ("CartPole-v0", "CartPole-v1")
    many = {"env": " + ".join(tasks), "returns": [1.0] * 10}
    runs = [made_run(db, seed=seed, solved={one: 1.0, other: 0.25 * seed}, **many) for seed in (1, 2)]
    runs.append(made_run(db, curriculum="switch", status="failed", solved={one: 0.0, other: 0.0}, **many))
    report = gather(db, experiment("several", runs), "1")
    (section,) = [section for section in report.sections if section.title == "Task by task"]
    groups, of_runs = section.tables
    assert [(row["Group"], row["Task"], row["Runs"]) for row in groups.rows] == [("v3", one, "2"), ("v3", other, "2")]
    assert [(row["Success"], row["Lowest success"]) for row in groups.rows] == [("100%", "100%"), ("38%", "25%")]
    assert sorted((row["Run"], row["Task"], row["Success"]) for row in of_runs.rows) == [
        *(("switch 1", one, "0%"), ("switch 1", other, "0%"), ("v3 1", one, "100%"), ("v3 1", other, "25%")),
        *(("v3 2", one, "100%"), ("v3 2", other, "50%")),
    ]
    assert of_runs.rows[0]["Expert 2"] == "75%"
    assert "v3: the lowest success is in CartPole-v1, 38%." in section.words
    assert "38%" in as_html(report)
    alone = gather(db, experiment("two", made_groups(db, GROUPS)), "1")
    assert "Task by task" not in {section.title for section in alone.sections}


def test_what_environments_say_of_episodes_is_in_it(db, experiment):
    runs = [made_run(db, seed=seed, returns=[1.0] * 10, recipe=WITH_FACTS) for seed in (1, 2)]
    for run in runs:
        with_words(db, run, [{"score": 10 * run.seed, "cause": "a <newt>"}] * 10, {"hungry": [4, 0.0, 1.0]})
    report = gather(db, experiment("games", runs), "1")
    facts, situations = (
        section for section in report.sections if section.title in ("Facts of episodes", "Routing by situation")
    )
    groups, of_runs = facts.tables
    assert groups.rows == [{"Group": "v3", "score": "15", "cause": "a <newt> (100%)"}]
    assert {row["Run"]: row["score"] for row in of_runs.rows} == {"v3 1": "10", "v3 2": "20"}
    groups, of_runs = situations.tables
    assert [(row["Situation"], row["Runs"], row["Share of steps"]) for row in groups.rows] == [("hungry", "2", "40%")]
    assert sorted((row["Run"], row["Expert 1"], row["Expert 2"]) for row in of_runs.rows) == [
        ("v3 1", "0%", "100%"),
        ("v3 2", "0%", "100%"),
    ]
    assert "a &lt;newt&gt; (100%)" in as_html(report)
    alone = {section.title for section in gather(db, experiment("two", made_groups(db, GROUPS)), "1").sections}
    assert not {"Facts of episodes", "Routing by situation"} & alone


def test_nothing_in_it_needs_a_network(db, experiment):
    page = as_html(gather(db, experiment("two", made_groups(db, GROUPS)), "1"))
    ours = page[: page.index("<script>")] + page[page.rindex("<script>") :]
    assert not re.search(r"https?://|src=|href=|@import", ours)


def test_names_are_text_and_end_no_script(db, experiment):
    evil = "</script><img src=x onerror=alert(1)>"
    runs = [made_run(db, seed=seed, name=f"{evil} {seed}", returns=[1.0] * 10) for seed in (1, 2)]
    page = as_html(gather(db, experiment(evil, runs), "1"))
    assert evil not in page
    assert "&lt;/script&gt;" in page
    assert report_name(evil) == "script-img-src-x-onerror-alert-1.html"
    assert report_name("…") == "experiment.html"


def test_the_data_is_beside_it(db, experiment, tmp_path):
    runs = made_groups(db, GROUPS)
    report = gather(db, experiment("two", runs), "1")
    folder = write_report(db, report, tmp_path / "two.html")
    assert (tmp_path / "two.html").read_text().startswith("<!doctype html>")
    assert pq.read_table(folder / "runs.parquet").num_rows == 12
    assert pq.read_table(folder / "episodes.parquet").num_rows == 120
    assert set(pq.read_table(folder / "evaluations.parquet")["run_id"].to_pylist()) == {run.id for run in runs}


def test_several_environments_have_charts_of_their_own_and_stated_bounds(db, experiment):
    runs = made_groups(db, GROUPS) + made_groups(db, {"v3": [-80.0] * 5, "switch": [-90.0] * 5}, env="Acrobot-v1")
    report = gather(db, experiment("both", runs), "1")
    by_title = {section.title: section for section in report.sections}
    assert [picture.env for picture in by_title["Return over steps"].pictures] == ["Acrobot-v1", "CartPole-v1"]
    assert "All environments together" not in by_title, "nobody stated bounds"
    bounds = {"CartPole-v1": Bounds(20, 500), "Acrobot-v1": Bounds(-500, -100)}
    by_title = {section.title: section for section in gather(db, "both", "1", bounds=bounds).sections}
    assert "CartPole-v1: 20 becomes 0, 500 becomes 1" in " ".join(by_title["All environments together"].words)


def test_an_environment_has_the_axis_of_its_own_runs(db, experiment):
    runs = [made_run(db, seed=seed, returns=[1.0] * 10) for seed in (1, 2)]
    runs += [made_run(db, seed=seed, returns=[1.0] * 400, env="Acrobot-v1") for seed in (1, 2)]
    report = gather(db, experiment("both", runs), "1")
    assert as_html(report).count("<h3>CartPole-v1</h3>") > 2, "each picture says of which environment it is"
    ends = {picture.env: picture.figure.layout.xaxis.range[1] for picture in report.sections[0].pictures}
    assert ends == {"Acrobot-v1": 4000, "CartPole-v1": 100}


def test_an_episode_can_be_in_it(db, experiment):
    shown = Section("An episode", ["Return 1."], moving=("CartPole balances", b"GIF89a..."))
    page = as_html(gather(db, experiment("two", made_groups(db, GROUPS)), "1", replay=shown))
    assert f'alt="CartPole balances" src="data:image/gif;base64,{b64encode(b"GIF89a...").decode()}"' in page


def test_an_earlier_report_is_replaced(db, experiment, tmp_path):
    report = gather(db, experiment("two", made_groups(db, GROUPS)), "1")
    for _ in range(2):
        write_report(db, report, tmp_path / "two.html")
    with pytest.raises(V3Error, match="does not exist; create it first"):
        write_report(db, report, tmp_path / "none" / "two.html")


@pytest.mark.parametrize("name", ["half", "ended", "one"])
def test_unfinished_failed_and_lone_runs_are_reported(db, experiment, name):
    states = {"half": ["running", "queued"], "ended": ["failed", "stopped"], "one": ["completed"]}[name]
    runs = [made_run(db, seed=seed, status=state, returns=[3.0] * 4) for seed, state in enumerate(states, 1)]
    report = gather(db, experiment(name, runs), "1")
    page = as_html(report)
    assert all(f"<td>{run.status}</td>" in page for run in runs)
    assert "NaN" not in json.dumps(figures_of(page))


def test_bad_input_is_one_sentence(db, experiment, tmp_path, monkeypatch, capsys):
    with pytest.raises(V3Error, match="There is no experiment 'none'"):
        gather(db, "none", "1")
    nothing = experiment("nothing", [made_run(db, status="queued")])
    with pytest.raises(V3Error, match="No run of experiment 'nothing' has finished an episode"):
        gather(db, nothing, "1")
    some = experiment("some", made_groups(db, GROUPS))
    with pytest.raises(V3Error, match="There is no metric 'x' to compare"):
        gather(db, some, "1", metric="x")
    with pytest.raises(V3Error, match=r"No run has a setting 'ppo\.epoch'"):
        gather(db, some, "1", by=["ppo.epoch"])
    monkeypatch.setenv("V3_DATA_DIR", str(db.data_dir))
    assert main(["report", "some", "--to", str(tmp_path / "some.pdf")]) == 1
    assert "'some.pdf' cannot be written as a report; end it in .html." in capsys.readouterr().err
    assert main(["report", "some", "--to", str(tmp_path / "some.html"), "--by", "seed"]) == 1
    assert not (tmp_path / "some.html").exists()
    assert main(["report", "some", "--to", str(tmp_path / "some.html"), "--by", "curriculum"]) == 0
    assert (tmp_path / "some-data" / "episodes.parquet").exists()
