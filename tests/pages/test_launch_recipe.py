"""The recipe on the launch page: every value can be changed, is checked beside its field, and can go back."""

import pytest

from tests.markdown import shown
from v3core.config import Override
from v3core.store.runs import list_runs


@pytest.fixture
def launch(open_page):
    app = open_page("pages/launch.py")
    assert not app.exception
    return app


def setting(app, path):
    return next(item for item in [*app.text_input, *app.selectbox] if item.key == f"set:{path}:CartPole-v1")


def captions(app):
    return [shown(element.value) for element in [*app.caption, *app.error, *app.markdown]]


def test_changed_values_are_what_is_queued(launch, database):
    setting(launch, "policy.experts").set_value("16").run()
    setting(launch, "ppo.epochs").set_value(" 4 ").run()
    setting(launch, "base.lr").set_value("1e-3").run()
    setting(launch, "evaluation.sampled").set_value("yes").run()
    launch.button(key="start").click().run()
    (run,) = list_runs(database)
    assert (run.config.policy.experts, run.config.ppo.epochs, run.config.base.lr) == (16, 4, 1e-3)
    assert run.config.overrides == {
        "policy.experts": Override(value=16, recipe=4),
        "ppo.epochs": Override(value=4, recipe=10),
        "base.lr": Override(value=1e-3, recipe=5e-4),
        "evaluation.sampled": Override(value=True, recipe=False),
    }


def test_a_base_value_that_the_curriculum_does_not_use_is_warned_of(launch):
    def warnings():
        return [shown(warning.value) for warning in launch.warning]

    setting(launch, "base.lr").set_value("1e-3").run()
    assert warnings() == [], "its phases multiply it"
    setting(launch, "base.load_balance").set_value("0.05").run()
    (warning,) = warnings()
    assert warning.startswith("base.load_balance has no effect in warmup, transition, fine-tune")


def test_the_recipes_value_is_beside_what_was_changed_and_a_click_goes_back(launch, database):
    key = "back:set:ppo.epochs:CartPole-v1"
    assert key not in {button.key for button in launch.button}
    setting(launch, "ppo.epochs").set_value("4").run()
    assert launch.button(key=key).label == "Recipe: 10"
    launch.button(key=key).click().run()
    assert setting(launch, "ppo.epochs").value == "10"
    assert key not in {button.key for button in launch.button}


def test_all_changes_are_undone_at_once_wrong_ones_too(launch, database):
    setting(launch, "ppo.epochs").set_value("none").run()
    setting(launch, "policy.graph").set_value("mlp").run()
    assert launch.button(key="recipe-undo").label == "Undo 2 changes"
    launch.button(key="recipe-undo").click().run()
    assert (setting(launch, "ppo.epochs").value, setting(launch, "policy.graph").value) == ("10", "gatv1")
    launch.button(key="start").click().run()
    assert list_runs(database)[0].config.overrides == {}


def test_another_spelling_of_the_recipes_value_is_no_change(launch):
    setting(launch, "base.lr").set_value("0.00050").run()
    assert "recipe-undo" not in {button.key for button in launch.button}


def test_each_mistake_stands_beside_its_field_and_at_start(launch, database):
    setting(launch, "ppo.epochs").set_value("0").run()
    setting(launch, "ppo.clip").set_value("").run()
    sentences = [
        "Epochs (ppo.epochs) is '0'; give a whole number from 1 to 100.",
        "Clip range (ppo.clip) is empty; give a number greater than 0 and below 1.",
    ]
    for sentence in sentences:
        assert sum(sentence in text for text in captions(launch)) == 2
    assert launch.button(key="start").disabled
    setting(launch, "base.lr").set_value("2").run()
    assert "And 1 more" in {popover.proto.popover.label for popover in launch.get("popover")}
    in_full = captions(launch)
    third = "Learning rate (base.lr) is '2'; give a number greater than 0 and at most 1."
    assert all(any(sentence in text for text in in_full) for sentence in [*sentences, third])


def test_sizes_that_do_not_go_together_are_refused(launch):
    setting(launch, "policy.width").set_value("30").run()
    assert any("width 30 is not a multiple of heads 4" in text for text in captions(launch))
    assert launch.button(key="start").disabled


def test_a_curriculum_that_needs_more_experts_than_there_are_is_refused(launch):
    launch.selectbox(key="curriculum").set_value("mixtral").run()
    assert not launch.button(key="start").disabled
    setting(launch, "policy.experts").set_value("1").run()
    assert launch.button(key="start").disabled
    sentence = "has top_k 2, but the router has 1 expert to choose from"
    assert any(sentence in shown(error.value) for error in launch.error)
    assert sum(sentence in text for text in captions(launch)) == 2


@pytest.mark.parametrize("field", ["name", "experiment-name"])
def test_a_name_that_no_list_can_show_is_refused_beside_its_field(launch, field):
    launch.text_input(key=field).set_value("a\x07b").run()
    sentence = f"The name of the {'run' if field == 'name' else 'experiment'} contains"
    assert any(sentence in shown(error.value) for error in launch.error)
    assert sum(sentence in text for text in captions(launch)) == 2
    assert launch.button(key="start").disabled


def test_values_of_the_recipe_are_those_of_the_environment(launch):
    setting(launch, "ppo.epochs").set_value("4").run()
    launch.selectbox(key="env").set_value("Pendulum-v1").run()
    assert launch.text_input(key="set:ppo.gamma:Pendulum-v1").value == "0.9"
    assert "recipe-undo" not in {button.key for button in launch.button}
