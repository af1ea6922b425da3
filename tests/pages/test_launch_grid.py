"""Launch's grid: further environments and settings with several values, what they cost, and what is asked first."""

import pytest

from tests.pages.test_launch import errors, start_button, summary
from tests.pages.test_states import text_of
from v3core.jobs.experiments import progress_of
from v3core.store.runs import list_runs


@pytest.fixture
def launch(open_page):
    """The page after its first run."""
    return open_page("pages/launch.py")


def vary(app, path, values, row=1):
    """Add a row with a setting and its values."""
    app.button(key="add-sweep").click().run()
    app.selectbox(key=f"sweep-path-{row}").set_value(path)
    app.text_input(key=f"sweep-values-{row}").set_value(values)
    return app.run()


def problems(app):
    return [text.value for text in app.markdown if ":material/error:" in text.value]


def test_environments_and_values_make_one_experiment_which_opens(launch, database):
    launch.multiselect(key="further-environments").set_value(["Acrobot-v1"]).run()
    vary(launch, "phases.transition.load_balance", "0.001, 0.01")
    vary(launch, "ppo.epochs", "3", row=2)
    launch.text_input(key="set:ppo.gamma:CartPole-v1").set_value("0.9").run()
    launch.text_input(key="seeds").set_value("1-2").run()
    assert "**8 runs** · 1 curriculum × 2 environments × 2 seeds × 2 values of load_balance · 260 episodes" in summary(
        launch
    )
    start_button(launch).click().run()
    assert not launch.exception
    (name,) = {run.experiment for run in list_runs(database)}
    runs = progress_of(database, name).runs
    assert [(run.env, run.seed, run.config.curriculum.phases[1].load_balance) for run in runs] == [
        (env, seed, value) for seed in (1, 2) for env in ("CartPole-v1", "Acrobot-v1") for value in (0.001, 0.01)
    ]
    assert {(run.config.ppo.epochs, run.config.ppo.gamma) for run in runs} == {(3, 0.9)}
    launched = progress_of(database, name).launches[0]
    assert launched["environments"] == ["CartPole-v1", "Acrobot-v1"]


@pytest.mark.parametrize(
    ("path", "values", "sentence"),
    [
        ("phases.transition.until", "300, 400", "ends at episode 300, but the run has only 260 episodes"),
        ("ppo.epochs", "2, many", "is 'many'"),
        ("ppo.epochs", "  ", "Enter the values of ppo.epochs."),
        ("ppo.gamma", "0.9, 0.90", "twice with the same settings"),
        ("ppo.epochs", ", ".join(map(str, range(1, 101))) + ",101", "101"),
    ],
)
def test_what_cannot_be_varied_is_said_and_starts_nothing(launch, database, path, values, sentence):
    vary(launch, path, values)
    assert not launch.exception
    assert any(sentence in text for text in [*problems(launch), *errors(launch)])
    assert start_button(launch).disabled
    launch.button(key="sweep-remove-1").click().run()
    assert not start_button(launch).disabled
    assert not problems(launch)


def test_an_empty_row_varies_nothing_and_half_a_row_asks_for_the_rest(launch):
    launch.button(key="add-sweep").click().run()
    assert not start_button(launch).disabled
    launch.text_input(key="sweep-values-1").set_value("1, 2").run()
    assert any("Choose the setting to vary" in text for text in problems(launch))
    assert start_button(launch).disabled


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ("Nothing-v9", "Nothing-v9"),
        ("minigrid", "is part of several names"),
        ("CartPole-v1", "is chosen above already"),
    ],
)
def test_further_environments_that_cannot_be_are_refused_beside_their_field(launch, env, sentence):
    launch.multiselect(key="further-environments").set_value([env]).run()
    assert not launch.exception
    assert any(sentence in text for text in errors(launch))
    assert start_button(launch).disabled


def test_a_grid_of_ten_thousand_runs_asks_first(launch, database):
    launch.text_input(key="seeds").set_value("1-100").run()
    vary(launch, "ppo.epochs", ", ".join(map(str, range(1, 101))))
    assert "**10,000 runs**" in summary(launch)
    start_button(launch).click().run()
    assert not launch.exception
    assert list_runs(database) == []
    assert "**10,000 runs** start as one experiment" in text_of(launch)
    launch.text_input(key="seeds").set_value("1-2").run()  # the question is gone with what it was about
    assert list_runs(database) == []
    start_button(launch).click().run()
    launch.button(key="confirm-start-many").click().run()
    assert not launch.exception
    assert len(list_runs(database)) == 200


def test_more_than_ten_thousand_runs_are_refused(launch):
    launch.text_input(key="seeds").set_value("0-99").run()
    vary(launch, "ppo.epochs", ", ".join(map(str, range(1, 101))))
    vary(launch, "ppo.clip", "0.1, 0.2", row=2)
    assert any("The grid has 20,000 runs; at most 10,000" in text for text in errors(launch))
    assert start_button(launch).disabled


def test_what_is_varied_is_read_from_the_address(open_page):
    """As a page that is reloaded, copied, or gone back to after the start."""
    rows = {
        "sweep-path-2": "ppo.epochs",
        "sweep-values-2": "2, 3",
        "sweep-path-4": "ppo.gamma",
        "sweep-values-4": "0.9",
    }
    odd = {"sweep-path-x": "1", "sweep-path-": "1", "sweep-path-²": "1"}
    app = open_page("pages/launch.py", **rows, **odd, **{"further-environments": ["Acrobot-v1"]})
    assert not app.exception
    assert "**4 runs** · 1 curriculum × 2 environments × 1 seed × 2 values of epochs" in summary(app)
    assert app.selectbox(key="sweep-path-4").value == "ppo.gamma"
    assert len([box for box in app.selectbox if box.key.startswith("sweep-path")]) == 2
    app.button(key="sweep-remove-2").click().run()
    assert "2 environments × 1 seed · 260 episodes each" in summary(app)
