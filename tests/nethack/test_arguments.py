"""Arguments of NetHack and MiniHack that cannot be given are named in one sentence, and none writes or reads a file."""

import re

import gymnasium
import numpy as np
import pytest

from v3core.config import build_run_config, recipe_for
from v3core.curriculum import load_preset, preset_names_for
from v3core.environment_setup import EnvironmentSetup, parse_value
from v3core.environments import check_environment, make_environment
from v3core.environments.nethack.arguments import _ROLES, REFUSED
from v3core.environments.nethack.ids import import_package, package_of
from v3core.environments.registry import check_run
from v3core.errors import V3Error

PUBLISHED = ("v3core.environments.nethack:PublishedFeatures",)
SCORE, ROOM = "NetHackScore-v0", "MiniHack-Room-5x5-v0"


def refused(env_id, args):
    """The sentence after the environment's name."""
    with pytest.raises(V3Error) as error:
        check_environment(EnvironmentSetup(env_id, args), allow_import=False)
    text = str(error.value)
    assert text.startswith(f"Environment {env_id} ("), text
    assert not text.endswith("..")
    return text.partition(" cannot be created: ")[2]


@pytest.mark.parametrize("env_id", [SCORE, ROOM])
def test_nothing_is_written(env_id, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "x"
    args = {"save_ttyrec_every": 1, "savedir": str(folder)}
    assert refused(env_id, args) == (
        "its argument 'save_ttyrec_every' is not allowed, because it writes files; remove it."
    )
    assert refused(env_id, {"savedir": str(folder)}) == (
        "its argument 'savedir' is not allowed, because it writes files; remove it."
    )
    refused(env_id, {"save_ttyrec_every": 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("env_id", "argument", "sentence"),
    [
        ("MiniHack-Skill-Custom-v0", "des_file=/etc/passwd", "its argument 'des_file' is not allowed, because it"),
        (SCORE, 'options=["@/etc/passwd"]', "options begins with the name of a file, @/etc/passwd"),
        (SCORE, "options=[/etc/passwd,color]", "options begins with the name of a file, /etc/passwd;"),
        ("MiniHack-Boxoban-Hard-v0", "level_mode=../../x", "its argument 'level_mode' is ../../x; it must be train"),
        (ROOM, "use_wiki=true", "its argument 'use_wiki' is not allowed, because it needs files of a wiki"),
        (ROOM, "include_alignment_blstats=false", "its observation 'blstats' has 26 numbers, but the policy's nodes "),
        (ROOM, "observation_keys=[program_state]", "MiniHack does not return its observation 'program_state' as it "),
        (ROOM, "observation_keys=[screen_descriptions_crop]", "does not return its observation 'screen_descriptions_"),
        (ROOM, "observation_keys=[pixel]", "MiniHack's observation 'pixel' is a larger image than the policy supp"),
        (ROOM, "observation_keys=[pixels]", "NetHack has no observation 'pixels'. Did you mean pixel_crop"),
        (ROOM, "observation_keys=[glyph]", "NetHack has no observation 'glyph'. Did you mean glyphs"),
        (ROOM, "env_name=os:x", "its argument 'env_name' is not allowed, because it names another environment"),
        ("CartPole-v1", "render_mode=human", "its argument 'render_mode' is not allowed to be human, because it opens"),
        (SCORE, "render_mode=human", "its argument 'render_mode' is human; it must be ansi or full."),
        ("Ant-v5", "xml_file=/etc/passwd", "its argument 'xml_file' is not allowed, because it reads a file; register"),
        (SCORE, "character=xyz", "character is xyz; write a role, its race, alignment and gender, such as mon-hum-neu"),
        (SCORE, "character=mon", "character is mon; write a role, its race, alignment and gender"),
        (SCORE, "character=7", "character is 7; write a role"),
        (SCORE, "character=mon-elf-neu-mal", "character is mon-elf-neu-mal, but the race of such a monk is hum; NetHa"),
        (SCORE, "character=val-hum-neu-mal", "character is val-hum-neu-mal, but the gender of such a valkyrie is fem;"),
        (SCORE, "character=wiz-orc-neu-mal", "but the alignment of such a wizard is cha; NetHack would play another"),
        (ROOM, "seeds=x", "its argument 'seeds' is x; it must be a list of whole numbers from 0 to 2147483647"),
        (ROOM, "seeds=[-3]", "its argument 'seeds' is [-3]; it must be a list of whole numbers from 0"),
        (ROOM, "seeds=[]", "its argument 'seeds' is []; it must be a list of whole numbers from 0"),
        (ROOM, "seeds=[true]", "its argument 'seeds' is [true]; it must be a list of whole numbers from 0"),
        (SCORE, "options=x", "options is not a list of names; write it as in options=[color,showexp]."),
        (SCORE, "options=[xyz]", "NetHack does not begin a game with options=[\"xyz\"]; name options that it has"),
        (ROOM, "actions=[]", "actions is an empty list; name at least one, as in actions=[N,E,S,W,SEARCH]."),
        (ROOM, "actions=N", "actions is not a list of names; write it as in actions=[N,E,S,W,SEARCH]."),
        (SCORE, "observation_keys=blstats", "observation_keys is not a list of names; write it as in observation_key"),
        (SCORE, "observation_keys=[]", "observation_keys is an empty list; name at least one, as in observation_keys"),
        (SCORE, "observation_keys=[blstat]", "NetHack has no observation 'blstat'. Did you mean blstats?"),
        (SCORE, "observation_keys=[glyphs_crop]", "NetHack has no observation 'glyphs_crop'. "),
        (ROOM, "penalty_step=x", "its argument 'penalty_step' is x; it must be a number."),
        (ROOM, "pet=1", "its argument 'pet' is 1; it must be true or false."),
        (ROOM, "obs_crop_h=4", "its argument 'obs_crop_h' is 4; it must be an odd whole number from 1 to 99."),
        (SCORE, "penalty_mode=x", "its argument 'penalty_mode' is x; it must be constant, exp, square, linear or"),
        (SCORE, "max_episode_steps=true", "max_episode_steps is True; it must be a whole number of at least 1."),
    ],
)  # fmt: skip
def test_one_sentence_names_the_argument(env_id, argument, sentence):
    name, _, value = argument.partition("=")
    assert sentence in refused(env_id, {name: parse_value(value)})


@pytest.mark.parametrize(
    ("env_id", "argument", "sentence"),
    [
        (ROOM, {"size": 9}, f"Environment {ROOM} sets its argument 'size' itself; leave it out."),
        (
            "MiniHack-Room-15x15-v0",
            {"n_trap": "x"},
            "Environment MiniHack-Room-15x15-v0 cannot be created with n_trap=x: 'str' object cannot be interpreted as "
            "an integer.",
        ),
    ],
)
def test_arguments_that_its_own_code_refuses_are_named_alone(env_id, argument, sentence):
    with pytest.raises(V3Error) as error:
        check_environment(EnvironmentSetup(env_id, argument), allow_import=False)
    assert str(error.value) == sentence


def test_refused_arguments_are_neither_advised_nor_listed():
    with pytest.raises(V3Error, match="needs the argument des_file, which is not allowed, because it reads a file"):
        check_environment("MiniHack-Skill-Custom-v0", allow_import=False)
    for env_id in (SCORE, ROOM):
        with pytest.raises(V3Error) as error:
            check_environment(EnvironmentSetup(env_id, {"nosuch": 1}), allow_import=False)
        offered = str(error.value).partition("; it accepts ")[2]
        assert "max_episode_steps" in offered
        assert not {*REFUSED} & {*re.findall(r"\w+", offered)}


def test_what_is_right_is_taken():
    alignment = {"include_alignment_blstats": False}
    check_environment(EnvironmentSetup(ROOM, alignment, PUBLISHED), allow_import=True)
    for args in (
        {"seeds": [3]},
        {**alignment, "observation_keys": ["blstats"]},
        {"observation_keys": ["glyphs_crop", "blstats"]},
        {"observation_keys": ["pixel_crop"]},
        {"options": ["color", "nolegacy"]},
    ):
        check_environment(EnvironmentSetup(ROOM, args), allow_import=False)


RANKS = {
    **{"archeologist": "Digger", "barbarian": "Plunder", "caveman": "Troglodyte", "healer": "Rhizotomist"},
    **{"knight": "Gallant", "monk": "Candidate", "priest": "Aspirant", "ranger": "Tenderfoot", "rogue": "Footpad"},
    **{"samurai": "Hatamoto", "tourist": "Rambler", "valkyrie": "Stripling", "wizard": "Evoker"},
}


@pytest.mark.parametrize("role", _ROLES)
def test_a_character_is_the_one_that_is_played(role):
    alignments = {"law": "Lawful", "neu": "Neutral", "cha": "Chaotic"}
    own = {"elf": "cha", "dwa": "law", "gno": "neu", "orc": "cha"}
    races, known, genders = (part.split() for part in _ROLES[role].split(", "))
    for race in races:
        alignment = own.get(race, known[-1])
        args = {"character": f"{role[:3]}-{race}-{alignment}-{genders[-1]}", "observation_keys": ["tty_chars"]}
        env = make_environment(EnvironmentSetup(SCORE, args))
        for seed in (0, 1):
            status = bytes(env.reset(seed=seed)[0]["tty_chars"][22]).decode()
            assert f"Agent the {RANKS[role]}" in status
            assert alignments[alignment] in status, args
        env.close()


def test_a_random_character_can_be_asked_for():
    check_environment(EnvironmentSetup(SCORE, {"character": "@"}), allow_import=False)


class Plain(gymnasium.Env):
    """Has nothing to do with NetHack."""

    observation_space = gymnasium.spaces.Box(0, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("env_id", ["NetHackathon-v0", "MiniHack-Own-v0"])
def test_an_id_alone_does_not_make_it_nethack(env_id, monkeypatch):
    monkeypatch.setattr(gymnasium.envs.registration, "registry", gymnasium.registry)
    gymnasium.register(env_id, entry_point=Plain)
    try:
        assert package_of(env_id) is None
        assert check_environment(env_id, allow_import=False).graph.nodes == 3
    finally:
        del gymnasium.registry[env_id]


def test_what_derives_from_nethack_is():
    import_package(ROOM)
    from minihack import MiniHackNavigation

    class Own(MiniHackNavigation):
        pass

    gymnasium.register("MiniHack-Derived-v0", entry_point=Own)
    try:
        assert package_of("MiniHack-Derived-v0") == "minihack"
    finally:
        del gymnasium.registry["MiniHack-Derived-v0"]
    assert (package_of(ROOM), package_of(f"minihack:{ROOM}"), package_of("NetHack-v0")) == ("minihack",) * 2 + ("nle",)
    assert package_of("own:NetHackathon-v0") is None
    assert package_of("NetHackathon-v0") is None


def test_files_that_are_missing_are_no_package():
    with pytest.raises(V3Error) as error:
        check_environment("MiniHack-Boxoban-Hard-v0", allow_import=False)
    assert str(error.value) == (
        "Environment MiniHack-Boxoban-Hard-v0 cannot be created: To use Boxoban environments, please download maps "
        "using the minihack/scripts/download_boxoban_levels.py script."
    )


def test_the_preset_is_offered_for_an_id_with_its_module():
    env = f"minihack:{ROOM}"
    assert "minihack-tasks" in preset_names_for(env)
    config = build_run_config(
        name="x", env=env, seed=1, episodes=4000, curriculum=load_preset("minihack-tasks"), recipe=recipe_for(env)
    )
    assert check_run(config.environment, config.curriculum, allow_import=True).actions.sizes == (13,)
