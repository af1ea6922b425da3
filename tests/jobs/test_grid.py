"""The grid of an experiment: which runs it stands for, and what is refused."""

import pytest

from v3core.config import recipe_for
from v3core.curriculum import load_preset, parse
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.jobs.grid import (
    MAX_RUNS,
    Candidate,
    Grid,
    cells_of,
    configs_of,
    different_environments,
    notices_of,
    read_settings,
    settings_of,
    title_of,
)
from v3core.overrides import overridden

CARTPOLE, ACROBOT = EnvironmentSetup("CartPole-v1"), EnvironmentSetup("Acrobot-v1")
V3 = Candidate(load_preset("v3"), may_scale=True)
OTHER = Candidate(V3.curriculum.model_copy(update={"name": "other"}), may_scale=True)
GRIDWORLD = parse("{name: two, phases: [{name: first, until: {episode: 20}, routing: softmax}, {name: last}]}")


def settings(*assignments, curricula=(V3.curriculum,), episodes=5000):
    return read_settings(assignments, recipe_for("CartPole-v1"), curricula, episodes)


def test_every_combination_is_a_run_and_what_is_compared_trains_side_by_side():
    balance = ("phases.transition.load_balance", ("0.001", "0.1"))
    grid = Grid([V3, OTHER], [CARTPOLE, ACROBOT], [1, 2], [balance], episodes=400)
    configs = configs_of(grid)
    assert len(configs) == grid.count == 16
    assert [config.seed for config in configs] == [1] * 8 + [2] * 8
    first = [(config.env, config.curriculum.phases[1].load_balance) for config in configs[:8]]
    expected = [(env, value) for env in ("CartPole-v1", "Acrobot-v1") for value in (0.001, 0.1)]
    assert first == [cell for cell in expected for _ in range(2)]
    assert {config.episodes for config in configs} == {400}
    assert len({config.name for config in configs}) == 16
    assert "load_balance 0.001 · CartPole-v1 · seed 1" in configs[0].name


def test_each_environment_has_its_own_recipe_and_length():
    configs = configs_of(Grid([V3], [CARTPOLE, ACROBOT], [1], [("ppo.epochs", ("3",))]))
    recipes = [recipe_for(env) for env in ("CartPole-v1", "Acrobot-v1")]
    assert [config.episodes for config in configs] == [recipe.episodes for recipe in recipes]
    assert [config.ppo for config in configs] == [recipe.ppo.model_copy(update={"epochs": 3}) for recipe in recipes]
    assert [list(config.overrides) for config in configs] == [["ppo.epochs"]] * 2


def test_presets_are_scaled_where_they_do_not_fit_and_files_are_not():
    grid = Grid([V3], [CARTPOLE], [1], episodes=40)
    assert configs_of(grid)[0].curriculum.boundaries == (10, 30)
    assert notices_of(grid) == ["Boundaries of v3 scaled to 40 episodes: 10, 30."]
    with pytest.raises(V3Error, match="ends at episode 20, but the run has only 10"):
        configs_of(Grid([Candidate(GRIDWORLD)], [CARTPOLE], [1], episodes=10))


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("ppo.epochs=4", ("4",)),
        ("ppo.epochs=4, 6,4", ("4", "6")),
        ("base.lr=1e-3,3e-4", ("1e-3", "3e-4")),
        ("phases.transition.load_balance=0.001,0.01,0.1", ("0.001", "0.01", "0.1")),
        ("phases.transition.routing=softmax,sparsemax", ("softmax", "sparsemax")),
        ("phases.transition.temperature=1 → 0.5 cosine, 0.7", ("1 → 0.5 cosine", "0.7")),
        ("phases.transition.until=4,500", ("4,500",)),  # one number, which fits the run
        ("phases.transition.until=3500,4500", ("3500", "4500")),
        ("phases.transition.env_args=size=5, view=[1,2]", ("size=5, view=[1,2]",)),
        ("phases.transition.env_args=(size=5, view=[1,2]),(size=6)", ("size=5, view=[1,2]", "size=6")),
        ("policy.graph=gatv1,gatv2", ("gatv1", "gatv2")),
    ],
)
def test_one_value_stays_one_and_several_are_swept(typed, values):
    ((path, read),) = settings(typed)
    assert (path, read) == (typed.partition("=")[0], values)


def test_the_last_for_a_path_wins_and_later_ones_see_the_earlier():
    assert settings("ppo.epochs=4,6", "ppo.gamma=0.9", "ppo.epochs=8") == [
        ("ppo.gamma", ("0.9",)),
        ("ppo.epochs", ("8",)),
    ]
    weights = "phases.transition.top_k_weights=probabilities"  # top_k 1 with others is refused
    chosen = settings("phases.transition.routing=topk", weights, "phases.transition.top_k=1,2")
    assert [config.curriculum.phases[1].top_k for config in configs_of(Grid([V3], [CARTPOLE], [1], chosen))] == [1, 2]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("ppo.epoch=1,2", "There is no setting 'ppo.epoch'. Did you mean ppo.epochs"),
        ("epochs=1,2", "Did you mean ppo.epochs?"),
        ("phases.transitoin.load_balance=1,2", "has no phase 'transitoin' .* Did you mean transition?"),
        ("phases.transition.load_balanc=1,2", "has no setting 'load_balanc' .* Did you mean load_balance"),
        ("phase.transition.load_balance=1,2", "Did you mean phases.transition.load_balance"),
        ("load_balance=1,2", "Did you mean base.load_balance, phases.warmup.load_balance or"),
        ("lr=1,2", "Did you mean base.lr, phases"),
        ("phases.load_balance=1,2", "Did you mean base.load_balance, phases.warmup.load_balance or"),
        ("transition.jitter=1", "Did you mean phases.transition.jitter"),
        ("ppo.epochs=4,many", "Epochs .* is 'many'"),
        ("ppo.epochs=4,", "Epochs .* is '4,'"),
        ("ppo.epochs", "write PATH=VALUE"),
        ("phases.transition.env_args=size=5,6", "'6' is not an argument"),
    ],
)
def test_a_path_or_value_that_cannot_be_is_named_with_close_matches(typed, sentence):
    with pytest.raises(V3Error, match=sentence):
        settings(typed)


def test_the_same_run_is_not_trained_twice():
    for twice in (
        Grid([V3], [CARTPOLE], [1], [("ppo.gamma", ("0.9", "0.90"))]),
        Grid([V3, V3], [CARTPOLE], [1]),
        Grid([V3], [CARTPOLE, CARTPOLE], [1]),
    ):
        with pytest.raises(V3Error, match="twice with the same settings"):
            configs_of(twice)


def test_a_grid_without_runs_or_with_too_many_is_refused_before_it_is_built():
    with pytest.raises(V3Error, match="has no runs"):
        configs_of(Grid([V3], [], [1]))
    values = tuple(f"0.{number:04}" for number in range(1, MAX_RUNS))
    with pytest.raises(V3Error, match=r"has 99,980,001 runs; at most 10,000"):
        configs_of(Grid([V3], [CARTPOLE], [1], [("ppo.gamma", values), ("ppo.clip", values)]))


def test_environments_are_checked_once_however_many_values_are_swept():
    args = ("phases.transition.env_args", ("size=5", "size=6"))
    swept = [("phases.transition.load_balance", ("0.1", "0.2", "0.3")), args]
    checked = different_environments(cells_of(Grid([V3, OTHER], [CARTPOLE], [1], swept)))
    ((setup, curricula),) = checked
    assert setup == CARTPOLE
    assert [curriculum.phases[1].env_args for curriculum in curricula] == [{"size": 5}, {"size": 6}]


def test_changes_of_a_recipe_apply_to_other_recipes():
    changed = overridden(
        recipe_for("CartPole-v1"), {"ppo.epochs": 3, "evaluation.sampled": True, "evaluation.every": None}
    )
    chosen = [tuple(text.split("=", 1)) for text in settings_of(changed)]
    (config,) = configs_of(Grid([V3], [ACROBOT], [1], [(path, (value,)) for path, value in chosen]))
    assert (config.ppo.epochs, config.evaluation.sampled) == (3, True)


def test_a_grid_is_named_by_what_it_compares():
    swept = [("ppo.epochs", ("3",)), ("phases.transition.load_balance", ("0.1", "0.2"))]
    assert title_of(Grid([V3], [CARTPOLE, ACROBOT], [1], swept)) == "CartPole-v1, Acrobot-v1 · load_balance 0.1, 0.2"


def test_long_values_do_not_make_names_too_long():
    values = tuple(f"0.{number}{'1' * 30}" for number in range(2))
    swept = [("phases.transition.load_balance", values), ("phases.transition.z_loss", values)]
    configs = configs_of(Grid([V3], [CARTPOLE], [1], swept, name="n" * 60))
    assert max(len(config.name) for config in configs) <= 120
