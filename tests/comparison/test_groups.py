from typing import Any

import pytest

from tests.comparison.made import made_run, with_epochs
from tests.runs import TINY
from v3core.comparison.groups import grouped, settings_of, settings_that_differ
from v3core.comparison.launched import curricula_of
from v3core.comparison.looking import Grouping, answer
from v3core.comparison.pictures import looks_of, sweep_pictures
from v3core.comparison.varied import varied
from v3core.environment_setup import EnvironmentSetup
from v3core.errors import V3Error
from v3core.store.database import Database
from v3core.store.run_row import RunRow


def test_runs_that_differ_in_seed_and_name_alone_differ_in_no_setting(db: Database) -> None:
    runs = [made_run(db, seed=1, name="one"), made_run(db, seed=2, name="two")]
    assert settings_that_differ(runs) == []
    assert [group.name for group in grouped(runs, [])] == ["all runs"]


def test_settings_that_differ_are_offered_with_their_titles_and_values_in_order(db: Database) -> None:
    runs = [
        made_run(db, curriculum="switch"),
        made_run(db, curriculum="v3", load_balance=0.1),
        made_run(db, curriculum="v3", load_balance=0.02, recipe=with_epochs(4)),
    ]
    found = {setting.path: setting for setting in settings_that_differ(runs)}
    assert next(iter(found)) == "curriculum"
    assert found["curriculum"].values == ("switch", "v3")
    assert found["ppo.epochs"].values == (1, 4)
    assert found["phases.late.load_balance"].values == (0.01, 0.02, 0.1)
    assert found["phases.late.load_balance"].title.endswith(" in late")
    assert not {"seed", "name"} & found.keys()


def test_phases_of_two_curricula_differ_by_the_curriculums_name_alone(db: Database) -> None:
    runs = [made_run(db, curriculum="switch", load_balance=0.3), made_run(db, curriculum="v3")]
    assert [setting.path for setting in settings_that_differ(runs)] == ["curriculum"]


def test_groups_are_in_the_order_of_numbers_not_of_texts(db: Database) -> None:
    runs = [made_run(db, load_balance=value) for value in (0.1, 0.02, 10)]
    groups = grouped(runs, ["curriculum", "phases.late.load_balance"])
    assert [group.name for group in groups] == [
        "v3 · load_balance=0.02",
        "v3 · load_balance=0.1",
        "v3 · load_balance=10",
    ]
    assert [group.values for group in groups] == [("v3", 0.02), ("v3", 0.1), ("v3", 10.0)]


def test_environments_are_always_apart(db: Database) -> None:
    runs = [made_run(db, env=env, seed=seed) for env in ("CartPole-v1", "Acrobot-v1") for seed in (2, 1)]
    groups = grouped(runs)
    assert [(group.name, group.env, [run.seed for run in group.runs]) for group in groups] == [
        ("v3", "Acrobot-v1", [1, 2]),
        ("v3", "CartPole-v1", [1, 2]),
    ]


def test_a_path_that_no_run_has_names_close_matches(db: Database) -> None:
    with pytest.raises(V3Error, match=r"No run has a setting 'ppo\.epoch'\. Did you mean ppo\.epochs"):
        grouped([made_run(db)], ["ppo.epoch"])


def test_environments_whose_arguments_differ_late_are_apart(db: Database) -> None:
    """Lists show the first 60 characters of the arguments."""
    long = "a" * 80
    setups = [EnvironmentSetup("CartPole-v1", {"label": long, "size": size}) for size in (1, 2, 2)]
    runs = [made_run(db, env=setup) for setup in setups]
    groups = grouped(runs)
    assert [len(group.runs) for group in groups] in ([1, 2], [2, 1])
    assert len({group.env for group in groups}) == 2
    assert all(group.env.startswith("CartPole-v1 (label=aaa") and len(group.env) < 100 for group in groups)
    assert settings_that_differ(runs) != []


def arms(db: Database, changes: dict[str, dict[str, Any]]) -> list[RunRow]:
    """Two runs of each arm, with its changes, named as a study names them."""
    return [
        made_run(db, seed=seed, name=f"{name} · CartPole-v1 · seed {seed}", **change)
        for name, change in changes.items()
        for seed in (1, 2)
    ]


def test_arms_that_differ_in_many_settings_are_called_by_their_names(db: Database) -> None:
    changes: dict[str, dict[str, Any]] = {
        "as it is": {},
        "no balance": {"load_balance": 0, "temperature": 0.7},
        "late": {"boundary": 8, "recipe": with_epochs(4)},
    }
    runs = arms(db, changes)
    assert varied(runs) == ("name",)
    groups = grouped(runs, varied(runs))
    assert [(group.name, len(group.runs), group.curriculum) for group in groups] == [
        (name, 2, "v3") for name in sorted(changes)
    ]
    assert list(curricula_of(runs)) == list(changes)
    assert len({(look.colour, look.dash) for look in looks_of(groups).values()}) == len(groups)

    def differing(runs: list[RunRow]) -> list[str]:
        return [note for note in answer(db, runs, "return", Grouping(("name",))).notes if "also differ" in note]

    assert differing(runs) == []
    other = TINY.model_copy(update={"name": "another"})
    (note,) = differing([*runs, *arms(db, {"elsewhere": {"recipe": other}})])
    assert "(recipe)" in note
    assert next(group.name for group in grouped(runs, ["name", "ppo.epochs"])) == "as it is · epochs=1"


def test_a_grid_of_settings_and_names_that_say_less_than_they_are_not_arms(db: Database) -> None:
    grid = {
        f"{balance} {temperature} {epochs}": {
            "load_balance": balance,
            "temperature": temperature,
            "recipe": with_epochs(epochs),
        }
        for balance in (0.1, 0.2)
        for temperature in (0.5, 0.7)
        for epochs in (1, 4)
    }
    settings = {"curriculum", "phases.late.load_balance", "phases.late.temperature", "ppo.epochs"}
    assert set(varied(arms(db, grid))) == settings
    assert set(varied(arms(db, dict(list(grid.items())[:-1])))) == settings, "a cell is missing"
    some = {name: change for name, change in grid.items() if name in ("0.1 0.5 1", "0.1 0.7 4", "0.2 0.5 4")}
    assert varied(arms(db, some)) == ("name",)
    one_name = [made_run(db, name="the same", **change) for change in some.values()]
    assert set(varied(one_name)) == settings
    a_name_each = [made_run(db, name=f"{seed}", seed=seed, **change) for change in some.values() for seed in (1, 2)]
    assert set(varied(a_name_each)) == settings


def test_the_phase_of_a_setting_is_named_where_several_have_it(db: Database) -> None:
    by = ["curriculum", "phases.early.load_balance", "phases.late.load_balance", "ppo.epochs"]
    (group,) = grouped([made_run(db)], by)
    assert group.name == "v3 · early.load_balance=unset · late.load_balance=0.01 · epochs=1"


def test_runs_with_the_same_settings_share_them(db: Database) -> None:
    one, two, other = made_run(db, seed=1), made_run(db, seed=2), made_run(db, recipe=with_epochs(4))
    assert settings_of(one) is settings_of(two)
    assert settings_of(other)["ppo.epochs"] == 4


def test_a_sweep_over_a_phases_setting_is_one_curriculum_also_where_a_value_is_its_own(db: Database) -> None:
    """`--set phases.late.load_balance=0.001,0.01,0.1` trains `v3` with 0.01, which is its own, and else an edit."""
    names = {0.001: "v3 (edited)", 0.01: "v3", 0.1: "v3 (edited)"}
    runs = [made_run(db, curriculum=name, load_balance=value, name="any") for value, name in names.items()]
    assert [setting.path for setting in settings_that_differ(runs)] == ["phases.late.load_balance"]
    groups = grouped(runs, varied(runs))
    assert [group.name for group in groups] == [f"v3 · load_balance={value}" for value in names]
    assert {group.curriculum for group in groups} == {"v3"}
    assert list(curricula_of(runs)) == [f"v3 · load_balance={value}" for value in names]
    found = answer(db, runs, "return", Grouping(varied(runs)))
    (sweep,) = sweep_pictures(runs, settings_that_differ(runs), found, varied(runs))
    _runs, line = sweep.figure.data
    assert line.name == "v3"


def test_two_values_of_a_swept_setting_are_one_curriculum_too(db: Database) -> None:
    runs = [made_run(db), made_run(db, curriculum="v3 (edited)", load_balance=0.1)]
    assert [group.name for group in grouped(runs, varied(runs))] == ["v3 · load_balance=0.01", "v3 · load_balance=0.1"]


def test_by_the_curriculum_alone_an_edit_stays_apart(db: Database) -> None:
    """Grouped with `v3`, nothing would say that two ways of training were pooled."""
    runs = [made_run(db), made_run(db, curriculum="v3 (edited)", load_balance=0.1)]
    groups = grouped(runs)
    assert [group.name for group in groups] == ["v3", "v3 (edited)"]
    own, edited = looks_of(groups).values()
    assert (own.colour, own.dash) != (edited.colour, edited.dash)


def test_an_edit_is_called_by_what_differs_in_its_own_environment(db: Database) -> None:
    """In one a setting differs and in the other three: groups that a setting does not hold apart keep their names."""
    here = [made_run(db), *(made_run(db, curriculum="v3 (edited)", load_balance=value) for value in (0.1, 0.2))]
    edited = {"curriculum": "v3 (edited)", "load_balance": 0.3, "boundary": 7, "temperature": 0.7}
    there = [made_run(db, env="Acrobot-v1"), made_run(db, env="Acrobot-v1", **edited)]
    runs = here + there
    assert set(varied(runs)) <= {setting.path for setting in settings_that_differ(runs)} | {"curriculum"}
    groups = grouped(runs, varied(runs))
    assert len(groups) == 5
    assert all(len(group.runs) == 1 for group in groups)


@pytest.mark.parametrize("other", ["switch", "v3 (edited)"])
def test_curricula_with_other_phases_stay_apart_by_their_names(db: Database, other: str) -> None:
    runs = [made_run(db), made_run(db, curriculum=other, boundary=7, load_balance=0.1, second="last")]
    assert [group.name for group in grouped(runs, varied(runs))] == sorted(["v3", other])


def test_the_bound_of_episodes_of_a_run_by_steps_is_no_setting(db: Database) -> None:
    runs = [made_run(db, steps=steps) for steps in (5_000, 5_008)]
    assert [setting.path for setting in settings_that_differ(runs)] == ["steps"]
