"""What Replay says of what it is asked for; how it plays is looked at in a browser."""

from dataclasses import replace

import numpy as np
import pytest

from tests.made_replays import made
from tests.pages.recorded import add_recorded_run
from tests.pages.test_states import text_of
from tests.waiting import wait_for
from v3core.insight.replays import BEST, LAST, MEDIAN, WORST
from v3core.jobs import made_replays, replay_making
from v3core.jobs.kept_replays import write_replays
from v3core.jobs.lifecycle import Status
from v3core.jobs.made_replays import UNFINISHED
from v3core.jobs.replay_making import Wanted
from v3core.ui import replay_picture

REPLAYS = {
    role: replace(made(steps, 4), number=number, seed=10 + number, return_=return_)
    for role, steps, number, return_ in (
        (BEST, 7, 1, 9.0),
        (MEDIAN, 5, 2, 4.5),
        (WORST, 3, 3, 1.25),
        (LAST, 3, 3, 1.25),
    )
}
"""Of random numbers: CartPole goes another way, which the page says."""


@pytest.fixture
def run(database):
    """An ended run with the replays of the evaluation after 20 episodes."""
    run_id = add_recorded_run(database, Status.COMPLETED, episodes=25, recorded=25)
    write_replays(database, run_id, 20, REPLAYS, experts=4, boundaries=())
    return run_id


def test_a_run_without_replays_says_what_is_missing(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING)
    app = open_page("pages/replay.py", run=run_id[:8])
    assert not app.exception
    assert not app.error
    assert "neither an evaluation with replays nor a checkpoint yet" in text_of(app)


def test_the_newest_median_is_shown_and_each_recorded_episode_can_be_chosen(open_page, run):
    app = open_page("pages/replay.py", run=run)
    assert not app.exception
    assert [option.split(" · ")[0] for option in app.selectbox(key="replay-episode").options] == ["20"]
    seed = app.selectbox(key="replay-seed")
    assert seed.value == 12
    assert seed.options == [
        "Best: return 9, 7 steps",
        "Median: return 4.5, 5 steps",
        "Worst/last: return 1.25, 3 steps",
    ]
    seed.select(13).run()
    assert app.query_params["seed"] == "13"
    assert "step" not in app.query_params


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"episode": "15"}, "There is no replay and no checkpoint at episode 15; episode 20 is shown."),
        ({"episode": "all"}, "There is no replay and no checkpoint at episode all; episode 20 is shown."),
        ({"seed": "-1"}, "'-1' is no seed: give a whole number from 0 to 4294967295."),
        ({"seed": "99999999999"}, "'99999999999' is no seed: give a whole number from 0 to 4294967295."),
        ({"with": "abc"}, "There is no run 'abc'"),
    ],
)
def test_an_address_that_names_nothing_is_answered_by_a_sentence(open_page, run, asked, said):
    app = open_page("pages/replay.py", run=run, **asked)
    assert not app.exception
    assert said in "\n".join(str(warning.value).replace("\\", "") for warning in app.warning)


def test_a_seed_that_no_checkpoint_can_play_fails_with_a_sentence_and_can_be_made_again(open_page, run, database):
    app = open_page("pages/replay.py", run=run, seed="5")
    wanted = Wanted(run, 20, 5)
    wait_for(lambda: replay_making.progress(database, wanted).stage not in UNFINISHED, "it ends")
    app.run()
    assert not app.exception
    (error,) = app.error
    assert "heckpoint" in error.value
    assert [button.label for button in app.button if button.key.startswith("again-")] == ["Make it again"]


def test_a_replay_that_goes_another_way_is_shown_without_frames_and_says_why(open_page, run, database):
    app = open_page("pages/replay.py", run=run)
    wanted = Wanted(run, 20, 12)
    wait_for(lambda: replay_making.progress(database, wanted).stage not in UNFINISHED, "it ends")
    assert replay_making.read_made(database, wanted).no_frames.startswith("The episode does not go the same")
    app.run()
    assert not app.exception
    assert not app.error
    assert np.array_equal(replay_making.read_made(database, wanted).replay.gates, REPLAYS[MEDIAN].gates)


def test_live_shows_the_newest_evaluation_but_draws_a_new_picture_only_now_and_then(
    open_page, run, database, monkeypatch
):
    app = open_page("pages/live.py", run=run)
    assert not app.exception
    assert "Median episode of the evaluation after 20 episodes: return 4.5, 5 steps." in text_of(app)
    first = Wanted(run, 20, 12)
    wait_for(lambda: replay_making.progress(database, first).stage not in UNFINISHED, "it ends")
    write_replays(database, run, 24, REPLAYS, experts=4, boundaries=())
    app.run()
    assert "after 20 episodes" in text_of(app), "its time is not over"
    made_replays.discard_of_run(database, run)
    app.run()
    assert "after 24 episodes" in text_of(app), "the one before is not there any more"
    write_replays(database, run, 25, REPLAYS, experts=4, boundaries=())
    monkeypatch.setattr(replay_picture, "EVERY_SECONDS", 0.0)
    app.run()
    assert "Median episode of the evaluation after 25 episodes: return 4.5, 5 steps." in text_of(app)
    assert not app.exception
