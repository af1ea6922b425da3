"""Checkpoints, settings and next steps on Live."""

import json
import re
import subprocess
import sys

import pytest

from tests.markdown import shown as literal
from tests.pages.recorded import add_checkpoint_file, add_recorded_run
from tests.pages.test_states import text_of
from tests.waiting import wait_for
from v3core.errors import V3Error
from v3core.jobs.evaluating import BackgroundEvaluation, Played
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.runs import get_run, list_runs, update_run
from v3core.ui.run_files import describe_played, policy_snippet
from v3core.ui.run_settings import NO_VERSION
from v3core.ui.text import md


def opened(open_page, run, key):
    """The live page of a run with one of its expanders open."""
    app = open_page("pages/live.py", run=run)
    app.session_state[key] = True
    return app.run()


def test_live_lists_the_checkpoints_with_their_files_and_what_can_be_done(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    add_checkpoint_file(database, run, 10)
    app = opened(open_page, run, "checkpoints")
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "File" in frame.value]
    assert table["Episode"].tolist() == [25, 10]
    newest = database.data_dir.resolve() / f"runs/{run}/checkpoints/episode-00000025.pt"
    assert table["File"][0] == str(newest)
    assert policy_snippet(newest) in [block.value for block in app.code]
    labels = {element.proto.label for element in app.get("download_button")}
    assert "Download" in labels
    assert f"evaluate-{run}" in {button.key for button in app.button}
    newest.unlink()
    app.run()
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "File" in frame.value]
    assert table["Size"].tolist()[0] == "gone"
    assert policy_snippet(newest) not in [block.value for block in app.code]


def test_without_checkpoints_live_says_when_there_will_be_one(open_page, database):
    run = add_recorded_run(database, Status.RUNNING, recorded=0)
    assert "No checkpoints yet" in text_of(opened(open_page, run, "checkpoints"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data folder with one short run, trained for real, and the run's id."""
    folder = tmp_path_factory.mktemp("trained")
    command = ["train", "--env", "CartPole-v1", "--episodes", "12", "--evaluate", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "v3core", *command],
        env={"PATH": "/usr/bin:/bin", "V3_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return folder, done.stdout.split()[-1]


def test_an_evaluation_is_played_in_a_process_of_its_own(trained):
    folder, run_id = trained
    database = open_database(f"sqlite:///{folder / 'v3.db'}", folder)
    evaluation = BackgroundEvaluation(database, get_run(database, run_id), 12, 3)
    assert evaluation.result() is None
    wait_for(evaluation.is_over)
    played = evaluation.result()
    assert len(played.returns) == 3
    assert describe_played(played).startswith("3 episodes: mean return ")
    assert played.lengths == tuple(int(value) for value in played.returns)  # CartPole gives 1 a step
    missing = BackgroundEvaluation(database, get_run(database, run_id), 7, 3)
    wait_for(missing.is_over)
    with pytest.raises(
        V3Error, match=r"The evaluation failed: .* no intact checkpoint at episode 7; available"
    ) as caught:
        missing.result()
    assert caught.value.message.in_language("zh_CN").startswith("评估失败：")
    database.close()


def test_an_evaluation_is_one_sentence():
    assert describe_played(Played((1.0, 3.0), (1, 3), (1.0, 0.0))) == (
        "2 episodes: mean return 2.000, standard deviation 1.414, from 1.000 to 3.000, 1 of 2 solved."
    )
    assert describe_played(Played((5.0,), (5,), ())) == "1 episode: mean return 5.000, from 5.000 to 5.000."


def test_every_setting_of_a_run_is_shown_with_what_differs_from_the_recipe(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    app = opened(open_page, run, "settings")
    (table,) = [found.value.map(literal) for found in app.table if "Setting" in found.value]
    settings = [re.fullmatch(r"\*\*(\S+)\*\*: (.+)", text) for text in table["Setting"]]
    assert all(settings), "each has a meaning"
    shown = {found[1]: value for found, value in zip(settings, table["Value"], strict=True)}
    config = json.loads(get_run(database, run).config.model_dump_json(by_alias=True))
    for part in ("ppo", "policy", "base", "evaluation"):
        for name, value in config[part].items():
            assert f"{part}.{name}" in shown
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert float(shown[f"{part}.{name}"]) == value
    assert shown["seed"] == "1"


def test_a_complete_run_offers_what_comes_next(open_page, database):
    other = add_recorded_run(database, Status.COMPLETED, episodes=25, name="the_one_before")
    run = add_recorded_run(database, Status.COMPLETED, episodes=25, name="mine")
    add_checkpoint_file(database, run, 25)
    app = open_page("pages/live.py", run=run)
    (link,) = [link.proto for link in app.main.get("page_link") if link.proto.page.endswith("compare")]
    assert (link.label, link.query_string) == (md("Compare with {}", "the_one_before"), f"runs={run}%2C{other}")
    file = database.data_dir.resolve() / f"runs/{run}/checkpoints/episode-00000025.pt"
    assert policy_snippet(file) in [block.value for block in app.code]
    with database.write() as tx:
        for row in list_runs(database):
            update_run(tx, row.id, {"experiment": "both"}, only_in=["completed"])
    app = open_page("pages/live.py", run=run)
    (link,) = [link.proto for link in app.main.get("page_link") if link.proto.page.endswith("compare")]
    assert (link.label, link.query_string) == ("Compare the 2 runs of both", "experiment=both")


def test_settings_say_which_version_trained_the_run(open_page, database):
    run = add_recorded_run(database, Status.STOPPED)
    for launch, words in ((json.dumps({"version": "0.3.1"}), "Trained by V3 Lab 0.3.1."), (None, NO_VERSION)):
        with database.write() as tx:
            update_run(tx, run, {"launch": launch}, only_in=tuple(Status))
        assert words in text_of(opened(open_page, run, "settings"))
