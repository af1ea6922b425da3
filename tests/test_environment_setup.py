"""Which environment: arguments and wrappers as a person types them, and where they are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.config import Recipe, RunConfig, build_run_config, chosen_environment, recipe_for, run_name
from v3core.curriculum import parse, setups_of
from v3core.environment_setup import (
    EnvironmentSetup,
    format_args,
    format_value,
    parse_args,
    parse_value,
    parse_wrapper,
    split,
)
from v3core.errors import V3Error

scalars = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
texts |= st.text("{}[]()'\",=\\ a#:", max_size=8)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("null", None),
        ("8x8", "8x8"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("", ""),
        ('"8"', "8"),
        ("[SFFF, 'F,H', 3, true]", ["SFFF", "F,H", 3, True]),
    ],
)
def test_values_are_scalars_as_yaml_has_them(text, value):
    parsed = parse_value(text)
    assert (parsed, type(parsed)) == (value, type(value))


@given(scalars | texts | st.lists(scalars | texts, max_size=3))
def test_a_value_is_read_back_as_it_was_written(value):
    assert parse_value(format_value(value)) == value


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), scalars | texts, max_size=4))
def test_arguments_in_one_line_are_read_back(args):
    args.pop("id", None)
    assert parse_args(split(format_args(args))) == args


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["size"], "'size' is not an argument of an environment; write NAME=VALUE, such as size=8."),
        (["=8"], "write NAME=VALUE"),
        (["a b=8"], "write NAME=VALUE"),
        (["size=8", "size=9"], "argument 'size' is given twice"),
        (["id=CartPole-v1"], "'id' is not allowed as an environment argument"),
        (["x=1e999"], "argument 'x' must be a finite number"),
        (["x=[1"], "close its quotation marks and brackets"),
        (["x=[{a: b}]"], "argument 'x' must be"),
        ([f"x{number}=1" for number in range(33)], "has 33 arguments; give at most 32"),
        ([f"x={'y' * 3000}"], "characters; give at most 2000"),
    ],
)
def test_bad_arguments_get_one_sentence(texts, sentence):
    with pytest.raises(V3Error) as caught:
        parse_args(texts)
    assert sentence in str(caught.value)


def test_a_wrapper_is_read_as_a_call():
    wrapper = parse_wrapper("my.envs:Scaled(2, shape=(84, 84), name='a, b', on=true)")
    assert (wrapper.module, wrapper.name, wrapper.arguments) == ("my.envs", "Scaled", (2,))
    assert wrapper.keywords == {"shape": (84, 84), "name": "a, b", "on": True}
    assert wrapper.imports
    assert not parse_wrapper("FlattenObservation").imports
    assert not parse_wrapper("minigrid.wrappers:FullyObsWrapper").imports


@pytest.mark.parametrize(
    "text", ["", "a b", "X(", "X(f())", "X(1)(2)", "X(1), Y(2)", "X(**{'a': 1})", "X(word)", "X" * 3000]
)
def test_what_is_no_wrapper_gets_one_sentence(text):
    with pytest.raises(V3Error, match=r"^(The arguments of wrapper )?'.*(is not a wrapper|cannot be parsed); write"):
        parse_wrapper(text)


def config(**changes) -> RunConfig:
    chosen = {"name": "n", "env": "CartPole-v1", "seed": 1, "episodes": 9, "recipe": Recipe(name="r", match=("*",))}
    chosen["curriculum"] = parse("{name: c, phases: [{name: only}]}")
    return build_run_config(**{**chosen, **changes})


def test_a_config_of_before_is_valid_and_one_with_arguments_survives_json():
    old = config().model_dump(mode="json", by_alias=True)
    del old["env_args"], old["wrappers"]
    assert RunConfig.model_validate(old).environment == EnvironmentSetup("CartPole-v1")
    new = config(env=EnvironmentSetup("CartPole-v1", {"sutton_barto_reward": True}, ("TimeLimit(9)",)))
    read = RunConfig.model_validate_json(new.model_dump_json(by_alias=True))
    assert read == new
    assert read.environment == EnvironmentSetup("CartPole-v1", {"sutton_barto_reward": True}, ("TimeLimit(9)",))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"env_args": {"a b": 1}}, "is not a valid name"),
        ({"env_args": [1]}, "not a mapping"),
        ({"env_args": {"x": {"y": 1}}}, "argument 'x' must be"),
        ({"wrappers": "TimeLimit"}, "not a list of names"),
        ({"wrappers": ["os.system('x')"]}, "is not a wrapper"),
        ({"wrappers": ["X"] * 17}, "give at most 16"),
    ],
)
def test_a_config_with_bad_ones_is_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        RunConfig.model_validate({**config().model_dump(mode="json", by_alias=True), **values})


def test_a_recipe_gives_arguments_and_a_run_may_give_others(tmp_path):
    (tmp_path / "grid.yaml").write_text(
        "match: ['Grid-v0']\nenv_args: {size: 5, lava: true}\nwrappers: [TimeLimit(9)]\n"
    )
    recipe = recipe_for("Grid-v0", tmp_path)
    assert config(env="Grid-v0", recipe=recipe).environment == EnvironmentSetup(
        "Grid-v0", {"size": 5, "lava": True}, ("TimeLimit(9)",)
    )
    chosen = chosen_environment("Grid-v0", recipe, {"size": 8}, ["FlattenObservation"])
    assert config(env=chosen, recipe=recipe).environment == EnvironmentSetup(
        "Grid-v0", {"size": 8, "lava": True}, ("FlattenObservation",)
    )


def test_a_name_has_room_for_the_seed_whatever_the_arguments():
    environment = EnvironmentSetup("MiniGrid-Empty-5x5-v0", {"size": 8, "see_through_walls": True, "note": "y" * 80})
    name = run_name(["a curriculum whose name takes all that it may take, or nearly"], environment, 2**32 - 1)
    assert len(name) == 120
    assert name.startswith("a curriculum")
    assert "MiniGrid-Empty-5x5-v0 (s" in name
    assert name.endswith("… · seed 4294967295")
    assert run_name(["v3"], EnvironmentSetup("CartPole-v1"), 1) == "v3 · CartPole-v1 · seed 1"


def test_phases_change_arguments_and_an_environment_of_another_id_begins_without():
    run = EnvironmentSetup("A-v0", {"size": 5, "x": 1}, ("TimeLimit(9)",))
    curriculum = parse(
        """
        name: c
        phases:
          - {name: one, until: {episode: 1}}
          - {name: two, until: {episode: 2}, env_args: {size: 6}}
          - {name: three, until: {episode: 3}, env_args: {y: 2}}
          - {name: four, until: {episode: 4}, env: B-v0, env_args: {z: 1}}
          - {name: five, until: {episode: 5}}
          - {name: six, env: A-v0}
        """
    )
    wrappers = ("TimeLimit(9)",)
    assert setups_of(run, curriculum) == [
        run,
        EnvironmentSetup("A-v0", {"size": 6, "x": 1}, wrappers),
        EnvironmentSetup("A-v0", {"size": 6, "x": 1, "y": 2}, wrappers),
        EnvironmentSetup("B-v0", {"z": 1}, wrappers),
    ]
    assert str(setups_of(run, curriculum)[1]) == "A-v0 (size=6, x=1)"
