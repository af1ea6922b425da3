"""Settings changed of a recipe or a curriculum: `PATH=VALUE`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.config import Override, RunConfig, build_run_config, recipe_for
from v3core.curriculum import Ramp, Times, Until, load_preset, scaled
from v3core.errors import V3Error
from v3core.overrides import SETTINGS, overridden, set_values

RECIPE = recipe_for("CartPole-v1")
V3 = scaled(load_preset("v3"), 400)


def changed(*assignments, curriculum=V3):
    recipe, (curriculum,) = set_values(RECIPE, [curriculum], 400, assignments)
    return recipe, curriculum


def config(recipe, curriculum) -> RunConfig:
    return build_run_config(
        name="x", env="CartPole-v1", seed=1, episodes=400, curriculum=curriculum, recipe=recipe, device="cpu"
    )


def test_changed_values_are_what_is_trained_and_the_run_knows_what_the_recipe_had():
    recipe, curriculum = changed(
        "ppo.epochs=4", "policy.experts=16", "base.lr=1e-3", "policy.graph=mlp", "evaluation.sampled=yes"
    )
    run = config(recipe, curriculum)
    assert (run.ppo.epochs, run.policy.experts, run.base.lr, run.policy.graph) == (4, 16, 1e-3, "mlp")
    assert run.evaluation.sampled is True
    assert run.recipe == "CartPole-v1"
    assert run.overrides == {
        "ppo.epochs": Override(value=4, recipe=10),
        "policy.experts": Override(value=16, recipe=4),
        "base.lr": Override(value=1e-3, recipe=5e-4),
        "policy.graph": Override(value="mlp", recipe="gatv1"),
        "evaluation.sampled": Override(value=True, recipe=False),
    }
    assert RunConfig.model_validate_json(run.model_dump_json(by_alias=True)) == run


def test_a_value_like_the_recipes_is_no_override_and_of_two_the_later_holds():
    recipe, _ = changed("ppo.epochs=10", "ppo.clip=0.3", "ppo.clip=0.1")
    assert recipe.overrides == {"ppo.clip": Override(value=0.1, recipe=0.2)}
    back = overridden(recipe, {"ppo.clip": 0.2})
    assert back == RECIPE


def test_an_optional_setting_may_be_emptied():
    recipe, _ = changed("policy.expert_width=48")
    assert recipe.policy.expert_width == 48
    assert overridden(recipe, {"policy.expert_width": SETTINGS["policy.expert_width"].parse(" ")}) == RECIPE


def test_settings_of_phases_are_changed_as_they_are_typed_on_launch():
    _, curriculum = changed(
        "phases.transition.load_balance=0.001",
        "phases.transition.temperature=2 → 0.25 cosine",
        "phases.warmup.until=120",
        "phases.fine-tune.lr=×0.2",
        "phases.warmup.routing=topk",
        "phases.warmup.top_k=2",
    )
    warmup, transition, last = curriculum.phases
    assert curriculum.name == "v3 (edited)"
    assert transition.load_balance == 0.001
    assert isinstance(transition.temperature, Ramp)
    assert (warmup.until, warmup.routing, warmup.top_k) == (Until(episode=120), "topk", 2)
    assert last.lr == Times(times=0.2)
    assert transition.until == V3.phases[1].until


def test_a_phase_setting_as_it_is_leaves_the_curriculum_alone():
    assert changed("phases.warmup.routing=softmax")[1] == V3


def test_facts_are_added_to_those_of_the_recipe():
    recipe, _ = changed("episode_facts.score=game.score", "episode_facts.cause = game.cause", "ppo.epochs=4")
    assert recipe.episode_facts == {"score": "game.score", "cause": "game.cause"}
    assert list(recipe.overrides) == ["ppo.epochs"]
    again, _ = set_values(recipe, [], 400, ["episode_facts.score=points"])
    assert again.episode_facts == {"score": "points", "cause": "game.cause"}
    until = changed("episode_facts.score=game.score", "phases.warmup.until=fact:score >= 10 (50)")
    assert config(*until).episode_facts == {"score": "game.score"}


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("episode_facts.Score=x", "'Score' is not a valid name of an episode fact; use small letters, digits and _"),
        ("episode_facts.score=", "The episode fact 'score' has no path in info; write it as in score: nethack.score."),
        ("episode_facts.score=a..b", "The episode fact 'score' has no path in info"),
        ("ppo.epoch=4", "There is no setting 'ppo.epoch'. Did you mean ppo.epochs"),
        ("epochs=4", "There is no setting 'epochs'. Did you mean ppo.epochs?"),
        ("episodes=4", "There is no setting 'episodes'. Did you mean evaluation.episodes?"),
        ("zzz=4", "There is no setting 'zzz'. Examples: ppo.epochs"),
        ("ppo.epochs", "'ppo.epochs' is not a setting; write PATH=VALUE, as in ppo.epochs=4."),
        ("=4", "'=4' is not a setting"),
        ("ppo.epochs=", "Epochs (ppo.epochs) is empty; give a whole number from 1 to 100."),
        ("ppo.epochs=four", "Epochs (ppo.epochs) is 'four'; give a whole number from 1 to 100."),
        ("ppo.epochs=0", "Epochs (ppo.epochs) is '0'; give a whole number from 1 to 100."),
        ("ppo.epochs=2.5", "Epochs (ppo.epochs) is '2.5'; give a whole number"),
        ("ppo.epochs=" + "9" * 5000, "Epochs (ppo.epochs) is '9999"),
        ("ppo.clip=1", "Clip range (ppo.clip) is '1'; give a number greater than 0 and below 1."),
        ("ppo.gamma=nan", "Discount γ (ppo.gamma) is 'nan'; give a number greater than 0 and at most 1."),
        ("base.lr=inf", "Learning rate (base.lr) is 'inf'; give a number greater than 0 and at most 1."),
        ("policy.expert_width=x", "give a whole number from 1 to 16384, or nothing."),
        ("policy.graph=gat", "Graph (policy.graph) is 'gat'; choose gatv1, gatv2 or mlp."),
        ("policy.memory=lstm", "Memory (policy.memory) is 'lstm'; choose none or gru."),
        (
            "policy.memory_width=0",
            "Memory width (policy.memory_width) is '0'; give a whole number from 1 to 1024, or nothing.",
        ),
        ("ppo.sequence_steps=0", "Sequence steps (ppo.sequence_steps) is '0'; give a whole number from 1 to 4096."),
        ("evaluation.sampled=1", "choose yes or no."),
        ("policy.width=30", "The recipe: width 30 is not a multiple of heads 4; change one of them."),
        ("phases.transitoin.lr=1", "has no phase 'transitoin' (in phases.transitoin.lr). Did you mean transition?"),
        ("phases.warmup.rl=1", "A phase has no setting 'rl' (in phases.warmup.rl). Did you mean lr?"),
        ("phases.warmup.lr=fast", "phases.warmup.lr: Learning rate 'fast' cannot be parsed"),
        ("phases.warmup.routing=softmx", "'routing' is 'softmx'"),
        ("phases.transition.until=400", "Phase 2 'transition' ends at episode 400, but the run has only 400"),
        ("phases.warmup.until=", "only the last phase can omit 'until'"),
        ("phases.warmup=1", "Did you mean phases.warmup.lr"),
    ],
)
def test_each_mistake_gets_one_sentence(assignment, sentence):
    with pytest.raises(V3Error) as caught:
        changed(assignment)
    assert sentence in str(caught.value)
    assert str(caught.value)[0].isupper() or str(caught.value)[0] in "'p"
    assert len(str(caught.value)) < 400


def test_what_a_curriculum_decides_of_the_network_is_not_changed_silently():
    deepseek = scaled(load_preset("deepseek-moe"), 400)
    recipe, curriculum = changed("policy.experts=16", curriculum=deepseek)
    with pytest.raises(V3Error, match=r"policy\.experts is set to 16, but curriculum 'deepseek-moe' needs 7"):
        config(recipe, curriculum)
    alone = scaled(load_preset("single-expert"), 400)
    recipe, curriculum = changed("policy.experts=16", curriculum=alone)
    assert config(recipe, curriculum).policy.expert_width == 16 * 32  # as wide as the sixteen together


@given(st.sampled_from(sorted(SETTINGS)), st.text(max_size=20) | st.floats().map(repr) | st.integers().map(str))
def test_any_text_is_a_value_that_reads_back_or_is_refused(path, text):
    setting = SETTINGS[path]
    try:
        value = setting.parse(text)
    except V3Error:
        return
    assert setting.parse(setting.show(value)) == value


@pytest.mark.parametrize("path", sorted(SETTINGS))
def test_every_setting_shows_what_the_recipe_has_and_says_what_it_means(path):
    setting = SETTINGS[path]
    value = setting.of(RECIPE)
    assert setting.parse(setting.show(value)) == value
    assert setting.meaning.endswith(".")
