"""Launch opened with everything of a run in its fields: `?from=RUN`."""

from datetime import UTC, datetime

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.config import EvaluationConfig, PolicyConfig, RunConfig, build_run_config, recipe_for
from v3core.curriculum import load_preset, parse, scaled
from v3core.environment_setup import EnvironmentSetup
from v3core.jobs.launcher import create
from v3core.jobs.lifecycle import Status
from v3core.overrides import overridden
from v3core.store.commands import add_revision
from v3core.store.database import Database
from v3core.store.runs import list_runs


def add(db: Database, config: RunConfig, priority: int = 0) -> str:
    with db.write() as tx:
        return create(tx, config, now=datetime.now(UTC), priority=priority)


def config(curriculum, recipe, *, env="CartPole-v1", name="mine", episodes=321, seed=7) -> RunConfig:
    return build_run_config(
        name=name, env=env, seed=seed, episodes=episodes, curriculum=curriculum, recipe=recipe, device="auto"
    )


def launched_again(open_page, db, run_id, *, name: str):
    """The configuration that Start queues right after the page was opened from a run."""
    app = open_page("pages/launch.py", **{"from": run_id})
    assert not app.exception
    assert not app.button(key="start").disabled
    app.button(key="start").click().run()
    (new,) = [run for run in list_runs(db) if run.id != run_id]
    assert new.name == name
    return new.config


CARTPOLE = recipe_for("CartPole-v1")
FILE = """
name: my own
phases:
  - name: first
    until: {metric: return, at_least: 450, window: 20, max_episodes: 123}
    routing: gumbel
    lr: 0.000123456789
  - {name: second, routing: topk, top_k: 2, alpha: {from: 1, to: 2, over: {episodes: 17}}, jitter: 0.01}
"""
CASES = [
    (scaled(load_preset("v3"), 321), CARTPOLE),
    (scaled(load_preset("v3"), 321), CARTPOLE.model_copy(update={"episode_facts": {"score": "game.score"}})),
    (load_preset("v3"), CARTPOLE),
    (parse(FILE), CARTPOLE),
    (
        scaled(load_preset("v3"), 321),
        overridden(
            CARTPOLE,
            {
                "ppo.epochs": 3,
                "policy.experts": 16,
                "policy.expert_width": 24,
                "base.lr": 0.000123456789,
                "evaluation.episodes": 0,
                "evaluation.every": 50,
                "evaluation.sampled": True,
                "policy.graph": "gatv2",
            },
        ),
    ),
    (scaled(load_preset("single-expert"), 321), overridden(CARTPOLE, {"policy.experts": 16})),
    (scaled(load_preset("deepseek-moe"), 321), overridden(CARTPOLE, {"policy.width": 48})),
]


@pytest.mark.parametrize(("curriculum", "recipe"), CASES)
def test_start_queues_the_same_again(open_page, database, curriculum, recipe):
    episodes = 5000 if curriculum == load_preset("v3") else 321
    before = config(curriculum, recipe, episodes=episodes)
    again = launched_again(open_page, database, add(database, before, priority=3), name="mine · CartPole-v1 · seed 7")
    same = again.curriculum.model_copy(update={"episodes": curriculum.episodes, "description": curriculum.description})
    assert again.model_copy(update={"curriculum": same, "name": before.name}) == before
    assert {run.priority for run in list_runs(database)} == {3}


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("v3 · CartPole-v1 · seed 7", ""),
        ("mine · CartPole-v1 · seed 7", "mine"),
        ("mine · v3 · CartPole-v1 · seed 7", "mine"),
        ("as I like it", "as I like it"),
        ("x" * 120, "x" * 60),
    ],
)
def test_the_name_is_what_somebody_typed(open_page, database, name, typed):
    run_id = add(database, config(scaled(load_preset("v3"), 321), CARTPOLE, name=name))
    app = open_page("pages/launch.py", **{"from": run_id})
    assert not app.exception
    assert app.text_input(key="name").value == typed


def test_an_old_run_that_recorded_no_overrides_keeps_its_values(open_page, database):
    recipe = CARTPOLE.model_copy(
        update={"policy": PolicyConfig(width=16, heads=2), "evaluation": EvaluationConfig(episodes=3)}
    )
    before = config(scaled(load_preset("v3"), 321), recipe, name="v3 · CartPole-v1 · seed 7")
    assert before.overrides == {}
    again = launched_again(open_page, database, add(database, before), name="v3 · CartPole-v1 · seed 7")
    assert (again.policy, again.evaluation) == (before.policy, before.evaluation)
    assert again.overrides["policy.width"].value == 16


def test_what_was_edited_while_it_trained_is_part_of_it(open_page, database):
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400)
    edited = scaled(load_preset("softmax-only"), 400)
    with database.write() as tx:
        add_revision(tx, run_id, edited, actor="user", now=datetime.now(UTC), applied_episode=12)
    app = open_page("pages/launch.py", **{"from": run_id[:8]})  # an id may be shortened
    assert app.selectbox(key="curriculum").value == "As in the run"
    assert app.number_input(key="episodes:CartPole-v1").value == 400
    app.button(key="start").click().run()
    queued = list_runs(database)[0].config.curriculum
    assert queued.model_copy(update={"description": edited.description}) == edited


def test_what_the_environment_is_made_with_is_part_of_it(open_page, database):
    before = build_run_config(
        name="x",
        env=EnvironmentSetup("CartPole-v1", {"sutton_barto_reward": True}, ("TimeAwareObservation",)),
        seed=1,
        episodes=321,
        curriculum=scaled(load_preset("v3"), 321),
        recipe=CARTPOLE,
    )
    again = launched_again(
        open_page, database, add(database, before), name="x · CartPole-v1 (sutton_barto_reward=true) · seed 1"
    )
    assert (again.env_args, again.wrappers) == (before.env_args, before.wrappers)


def test_live_has_the_link(open_page, database):
    run_id = add_recorded_run(database, Status.COMPLETED)
    app = open_page("pages/live.py", run=run_id)
    assert not app.exception
    links = [link.proto for link in app.get("page_link") if link.proto.label == "Launch again with changes"]
    assert [link.query_string for link in links] == [f"from={run_id}"]


def test_another_environment_begins_with_its_own_recipe(open_page, database):
    recipe = overridden(CARTPOLE, {"policy.experts": 16})
    run_id = add(database, config(scaled(load_preset("v3"), 321), recipe))
    app = open_page("pages/launch.py", **{"from": run_id})
    assert app.text_input(key="set:policy.experts:CartPole-v1").value == "16"
    app.selectbox(key="env").set_value("Acrobot-v1").run()
    assert app.text_input(key="set:policy.experts:Acrobot-v1").value == "4"
    assert app.number_input(key="episodes:Acrobot-v1").value == recipe_for("Acrobot-v1").episodes


@pytest.mark.parametrize("wanted", ["nosuch", "![](x)", "%", "0" * 500])
def test_an_unknown_run_gets_a_sentence_and_the_page_works(open_page, database, wanted):
    app = open_page("pages/launch.py", **{"from": wanted})
    assert not app.exception
    (warning,) = app.warning
    assert "There is no run" in warning.value
    assert "The fields below have their default values." in warning.value
    assert not app.button(key="start").disabled
